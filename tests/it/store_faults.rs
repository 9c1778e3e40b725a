//! The database goes away, fails, or lies about it: at every statement, at COMMIT, for
//! seconds, for want of space, or by the death of our own process.

mod bench;
mod commits;
mod cuts;
mod exhausted;
mod full_disk;
mod kills;
mod migrating;
mod outages;
mod retries;

pub use bench::Bench;
