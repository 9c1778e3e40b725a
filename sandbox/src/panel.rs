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
mod gate;
mod handle;
mod http;
mod include;
mod input;
mod list_faults;
mod listing;
mod nests;
mod nodes;
mod own_words;
mod races;
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
mod workers;
mod worlds;

pub use crate::faults::{DripFrom, Fault, FaultAction, FaultId, Moment};
pub use auth::{Grants, KeyKind, KeySpec, Resource};
pub use calls::{Call, DaemonCall};
pub use clock::PanelClock;
pub use config::{EggSpec, LocationSpec, NestSpec, NodeSpec, PanelConfig, UserSpec, VariableSpec};
pub use daemon::{DaemonMode, UnknownMode};
pub use handle::{Backup, Filling, Panel, RunningPanel, ServerSeed};
pub use races::{Race, RaceId, RaceLoss, RaceTable};
pub use state::{InstallCounts, Outage};
pub use views::{ServerView, UserView};
