//! Storage: the only user of SeaORM.
//!
//! One file per noun holds its queries; `entity/` holds one file per table;
//! `tx` holds the only way to begin a transaction. Query functions take the
//! connection they run on, so that a caller composes them inside one
//! transaction. No network call is ever made while a transaction is open.

use std::sync::{Arc, atomic::AtomicI64};

use sea_orm::{DatabaseConnection, DbBackend};

use crate::probe::Probe;

/// What a query runs on: a pool or a transaction. Named here, so that `app` need not know SeaORM.
pub use sea_orm::ConnectionTrait as Connection;

pub mod accounts;
pub mod affiliates;
pub mod allocations;
pub mod billing;
pub mod budget;
pub mod catalog;
pub mod connect;
pub mod convert;
pub mod disputes;
pub mod eggs;
pub mod entity;
pub mod erasure;
pub mod error;
pub mod guards;
pub mod holds;
pub mod migrate;
pub mod node_sightings;
pub mod nodes;
pub mod notify;
pub mod order_changes;
pub mod order_events;
pub mod orders;
mod pool;
pub mod profiles;
pub mod refunds;
pub mod request_keys;
pub mod servers;
pub mod stripe_events;
pub mod sweeps;
#[cfg(test)]
pub(crate) mod testing;
pub mod tokens;
pub mod tx;

pub use error::Error;
pub use tx::Tx;

/// Handle to the store: a pool for reads and one for writes.
///
/// On SQLite the write pool has one connection, because queueing in order beats
/// the engine's unfair busy wait; on PostgreSQL both are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    read: DatabaseConnection,
    write: DatabaseConnection,
    distrust: pool::Distrust,
    /// Tests move it; always zero in production.
    clock_offset_us: Arc<AtomicI64>,
    /// Tests stand here; none in production.
    probe: Option<Arc<dyn Probe>>,
}

impl Db {
    /// For statements that only read, outside any transaction.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The same store with a test beside every transaction.
    pub fn with_probe(mut self, probe: Option<Arc<dyn Probe>>) -> Self {
        self.probe = probe;
        self
    }

    /// The test that stands beside, if any.
    pub fn probe(&self) -> Option<&dyn Probe> {
        self.probe.as_deref()
    }

    /// For single statements that write. Everything longer goes through `tx`.
    pub(crate) fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Closes every connection of this handle and of its clones.
    pub async fn close(&self) -> Result<(), Error> {
        self.write.clone().close().await?;
        Ok(self.read.clone().close().await?)
    }

    /// Whether the store is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.write.get_database_backend() == DbBackend::Postgres
    }
}
