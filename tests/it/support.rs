//! The harness: databases, waiting, and a shop to test with.

pub mod audited;
pub mod changes;
#[macro_use]
pub mod db;
pub mod disk;
pub mod effort;
pub mod file_lock;
pub mod layers;
pub mod live;
pub mod log_watch;
pub mod pool;
pub mod postgres;
pub mod processes;
pub mod provisioning;
pub mod pulse;
pub mod refused;
pub mod shelf;
pub mod shop;
pub mod sound;
pub mod source;
pub mod sql;
pub mod sweeps;
pub mod till;
pub mod wait;
pub mod wire;
