//! The gateway over real sockets: raw bytes in front, a scripted core behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod answers;
mod independent_signer;
mod lifecycle;
mod limits;
mod logs;
mod memory;
mod outages;
mod program;
mod rotation;
mod signatures;
mod support;
