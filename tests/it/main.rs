//! The integration tests: the store on both engines, and the house's own rules.
//!
//! One binary, so that one throwaway PostgreSQL cluster serves all of it. A test
//! of the store is written once and runs on both engines under two names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers fail by panicking"
)]

#[macro_use]
mod support;

mod allocations;
mod billing;
mod checkout;
mod checkout_carts;
mod checkout_fields;
mod checkout_refusals;
mod checks;
mod entities;
mod foreign_events;
mod harness;
mod layering;
mod leases;
mod ledger;
mod lost_answers;
mod migrations;
mod oversell;
mod purchase;
mod request_keys;
mod rules;
mod sequencer;
mod session_ends;
mod sessions;
mod status;
mod stripe_events;
mod webhooks;
