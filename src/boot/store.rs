//! The store at start-up, and its pulse afterwards.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    config::Database,
    db::{self, Db, connect::OpenError},
    rpc::{server::Health, status::chain},
};

const RETRY: Duration = Duration::from_millis(500);
const PULSE: Duration = Duration::from_secs(1);
/// A shorter gap (a fail-over, a burst) is told to single calls only.
const UNUSABLE_AFTER: Duration = Duration::from_secs(5);

/// Opens the store and brings its schema up to date. A database that is still
/// starting is waited for: in a cluster nobody orders who comes first.
pub(super) async fn open(config: &Database) -> Result<Db, Error> {
    let deadline = Instant::now() + config.start_timeout;
    loop {
        let error = match try_open(config).await {
            Ok(db) => return Ok(db),
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() + RETRY >= deadline {
            return Err(error);
        }
        tracing::warn!(error = chain(&error), "waiting for the database");
        sleep(RETRY).await;
    }
}

async fn try_open(config: &Database) -> Result<Db, Error> {
    let db = Db::open(&config.options()).await.map_err(Error::Open)?;
    db.migrate().await.map_err(Error::Migrate)?;
    Ok(db)
}

fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Open(OpenError::Db(db::Error::Unavailable(_)))
            | Error::Migrate(db::Error::Unavailable(_) | db::Error::Again(_))
    )
}

/// Says NOT_SERVING while the store has not answered for a while, so that a
/// balancer asks another replica.
pub(super) async fn watch(db: Db, health: Health, closing: CancellationToken) {
    let mut answered = Instant::now();
    let mut serving = true;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            () = sleep(PULSE) => {}
        }
        if let Ok(Ok(())) = timeout(UNUSABLE_AFTER, db.ping()).await {
            answered = Instant::now();
        }
        let usable = answered.elapsed() < UNUSABLE_AFTER;
        if usable != serving && !closing.is_cancelled() {
            serving = usable;
            tracing::warn!(serving, "the store changed what health answers");
            health.set(serving).await;
        }
    }
}
