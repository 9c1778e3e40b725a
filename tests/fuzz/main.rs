//! Hostile bytes: every reader of what others send us, over seeds and their mutations.
//!
//! A program of its own, so that its memory can be measured. The same functions as those
//! of cargo-fuzz's targets, without a nightly toolchain: see `fuzz/src` for what each of
//! them asserts, and `scripts/fuzz` for the real thing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers fail by panicking"
)]

#[path = "../../fuzz/src/lib.rs"]
mod bodies;
mod bounded;
mod campaign;
#[path = "../it/support/effort.rs"]
mod effort;
mod mutate;
