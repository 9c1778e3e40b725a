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

mod affiliates;
mod allocations;
mod arrivals;
mod authz;
mod billing;
mod cancel;
mod catalog_api;
mod catalog_reads;
mod checkout;
mod checkout_carts;
mod checkout_fields;
mod checkout_refusals;
mod checks;
mod creates_in_doubt;
mod dead_ends;
mod disputes;
mod ending;
mod entities;
mod failing_nodes;
mod feed;
mod forced_deletes;
mod foreign_events;
mod frames;
mod given_back;
mod guard;
mod harness;
mod hostile;
mod hostile_panel;
mod hung_up;
mod inbox;
mod installs;
mod kill;
mod late_creates;
mod late_money;
mod layering;
mod leases;
mod ledger;
mod lenience;
mod limits;
mod looks;
mod loops;
mod lost_answers;
mod lost_events;
mod manual_addons;
mod migrations;
mod missing_servers;
mod model;
mod nodes_api;
mod oversell;
mod owners;
mod ownership;
mod panel_changed;
mod paused_collection;
mod placement_live;
mod plan_changes;
mod poisoned;
mod portal;
mod ports;
mod profiles;
mod proofs;
mod provisioning;
mod purchase;
mod reflection;
mod refunds;
mod refusals;
mod refused_customers;
mod reinstalls;
mod repeated_calls;
mod replicas;
mod request_ids;
mod request_keys;
mod reservations;
mod restart;
mod returned_refunds;
mod rules;
mod sequencer;
mod session_ends;
mod sessions;
mod status;
mod stopped_by_others;
mod store_faults;
mod stripe_events;
mod stripe_troubles;
mod sweep_turns;
mod timed_out_creates;
mod undelivered;
mod unheard_payments;
mod unkind_panel;
mod unpaid;
mod upstream_texts;
mod watch;
mod webhook_faults;
mod webhooks;
