//! Configuration: read once, in one place, from the environment and an optional
//! `spawnpoint.toml` with the same names; the environment wins.
//!
//! Everything that is wrong is told at once, each with what to do about it. The
//! values are plain structs, so that tests and the sandbox can build them in code.
//! Nothing else in the crate reads an environment variable.

use std::fmt;

mod affiliates;
mod database;
mod listen;
mod log;
mod panel;
mod reader;
mod secret;
mod shop;
mod stripe;
mod worker;

pub use affiliates::Affiliates;
pub use database::Database;
pub use listen::{Listen, Tls};
pub use log::Log;
pub use panel::Panel;
pub use reader::Source;
pub use secret::SecretSource;
pub use shop::Shop;
pub use stripe::Stripe;
pub use worker::Worker;

use reader::Reader;

/// All that the service is told from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store.
    pub database: Database,
    /// Stripe.
    pub stripe: Stripe,
    /// The panel.
    pub panel: Panel,
    /// Addresses, limits and certificates.
    pub listen: Listen,
    /// Choices of the shop's owner.
    pub shop: Shop,
    /// What affiliates are promised.
    pub affiliates: Affiliates,
    /// How the worker works.
    pub worker: Worker,
    /// Logs.
    pub log: Log,
}

/// What the command line tools need: the store and the logs.
#[derive(Clone, Debug)]
pub struct ToolConfig {
    /// The store.
    pub database: Database,
    /// Logs.
    pub log: Log,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub variable: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fault(s) in the configuration", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {}: {}", fault.variable, fault.problem)?;
            if !fault.hint.is_empty() {
                write!(f, " ({})", fault.hint)?;
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads everything that `serve` needs.
    pub fn read(source: &Source<'_>) -> Result<Self, Faults> {
        let mut reader = Reader::new(source);
        let config = Self::read_with(&mut reader);
        reader.finish()?;
        Ok(config)
    }

    fn read_with(reader: &mut Reader<'_>) -> Self {
        Self {
            database: Database::read(reader),
            stripe: Stripe::read(reader),
            panel: Panel::read(reader),
            listen: Listen::read(reader),
            shop: Shop::read(reader),
            affiliates: Affiliates::read(reader),
            worker: Worker::read(reader),
            log: Log::read(reader),
        }
    }
}

impl ToolConfig {
    /// Reads only what a command line tool needs, so that it works without Stripe's key.
    pub fn read(source: &Source<'_>) -> Result<Self, Faults> {
        let mut reader = Reader::new(source);
        let config = Self {
            database: Database::read(&mut reader),
            log: Log::read_for_tools(&mut reader),
        };
        // What the service reads besides is known to the file as well, but not judged here.
        let mut all = Reader::new(source);
        Config::read_with(&mut all);
        reader.also_knows(&all);
        reader.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
