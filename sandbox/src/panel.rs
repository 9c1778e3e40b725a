//! A stateful stand-in for a Pterodactyl panel: its Application API over HTTP, as unkind as the real
//! one, for tests and for the demo.
//!
//! Owns the panel's rows, rules, request limit, error texts and the scripted daemons behind it. It must
//! not know the product that talks to it: whatever it checks, a real panel checks. Where it is kinder
//! or poorer: no client API, no databases, no subusers, nodes, locations and nests cannot be written,
//! and the collation ignores case and trailing blanks but not accents.

mod allocations;
mod auth;
mod calls;
mod clock;
mod config;
mod context;
mod control;
mod daemon;
mod errors;
mod faults;
mod gate;
mod handle;
mod http;
mod include;
mod input;
mod listing;
mod nests;
mod nodes;
mod rate;
mod render;
mod routes;
mod rows;
mod seeding;
mod servers;
mod state;
mod users;
mod validate;
mod views;
mod worlds;

pub use auth::{Grants, KeyKind, KeySpec, Resource};
pub use calls::{Call, DaemonCall};
pub use clock::PanelClock;
pub use config::{EggSpec, LocationSpec, NestSpec, NodeSpec, PanelConfig, UserSpec, VariableSpec};
pub use daemon::{DaemonMode, UnknownMode};
pub use faults::{Fault, FaultAction, FaultId};
pub use handle::{Panel, RunningPanel, ServerSeed};
pub use state::Outage;
pub use views::{ServerView, UserView};
