//! Why the service did not start, in words for whoever starts it.

use crate::{db, panel, rpc::server, stripe};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves the SQLite file.
    #[error(transparent)]
    Guard(#[from] db::migrate::GuardError),
    /// The store cannot be opened.
    #[error("the database cannot be opened")]
    Open(#[source] db::connect::OpenError),
    /// The schema cannot be brought up to date.
    #[error("the database schema cannot be brought up to date")]
    Migrate(#[source] db::Error),
    /// A statement failed.
    #[error("the database failed")]
    Store(#[source] db::Error),
    /// Only replicas of PostgreSQL may be split.
    #[error("--no-worker and --worker-only need PostgreSQL: an SQLite file has one process")]
    SplitNeedsPostgres,
    /// The lease is too short.
    #[error("LEASE_SECONDS {0}")]
    Lease(String),
    /// The Stripe client cannot be built.
    #[error("Stripe")]
    Stripe(#[from] stripe::SettingsError),
    /// The panel client cannot be built.
    #[error("panel")]
    Panel(#[from] panel::SetupError),
    /// The gRPC server, or an address.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The metrics recorder cannot be built.
    #[error("metrics")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    /// The metrics server cannot start.
    #[error("the metrics server cannot start")]
    Ops(#[source] std::io::Error),
}
