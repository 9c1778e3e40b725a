//! The model: thousands of drawn stories of customers, messages, crashes and clocks, each
//! compared with the end that its own story has.
//!
//! The shop is the real one, store and clients included, between both stand-ins. Only its
//! clockwork is in the test's hand: whose turn it is, what time it is, which message
//! comes, and when the process dies. Nothing here waits.

mod banks;
mod core;
mod judged;
mod op;
mod play;
mod reference;
mod rest;
mod run;
mod standins;
mod store;
mod striker;
mod tally;
mod verbs;
mod wishes;
mod world;

use crate::support::{db::Engine, effort, postgres};

/// P-01 to P-05, P-11 to P-13, W-03, W-04: in any story, with any of it gone wrong.
#[test]
fn every_story_on_sqlite_ends_as_it_must() {
    run::batch(Engine::Sqlite, effort::runs(2_000, 10_000));
}

/// As on SQLite, with leases that only time ends.
#[test]
fn every_story_on_postgres_ends_as_it_must() {
    if !postgres::skipped() {
        run::batch(Engine::Postgres, effort::runs(200, 1_000));
    }
}
