//! Spawnpoint: turns a paid Stripe checkout into one running server on a
//! Pterodactyl panel, and keeps it in step with its subscription.

pub mod app;
pub mod boot;
pub mod cli;
pub mod config;
pub mod db;
pub mod domain;
pub mod ops;
pub mod panel;
pub mod probe;
pub mod rpc;
pub mod stripe;
pub mod telemetry;
pub mod worker;
