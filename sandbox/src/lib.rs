//! Sandbox.

pub mod panel;
pub mod stripe;
