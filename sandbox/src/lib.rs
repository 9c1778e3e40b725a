//! Stand-ins for Stripe and the Pterodactyl panel, for people who try Spawnpoint
//! and for its tests. Never part of what a shop runs.

pub mod audit;
pub mod core;
pub mod demo;
pub mod faults;
pub mod lifecycle;
pub mod panel;
pub mod postgres;
pub mod proxy;
mod serving;
pub mod soak;
pub mod stripe;
pub mod world;
