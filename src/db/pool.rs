//! Keeps the pools free of connections that are no good: on PostgreSQL those to a server
//! that is gone without a word, or that only reads since another one took over; on SQLite
//! those that a failed COMMIT left within a transaction.
//!
//! Costs no round trip where a caller waits: a connection is asked for a sign of life when
//! it comes back, and before it is given out only after it stood idle.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, Connection, PgConnection, Postgres, Sqlite, pool::PoolOptions},
};
use tokio::time::timeout;

use super::{Db, Error};

/// A connection that stood idle for less is given out as it is.
const IDLE: Duration = Duration::from_secs(1);
/// A connection that does nothing answers at once; shorter than any sensible wait for a connection,
/// so that the caller gets another one in time.
const IDLE_ANSWER: Duration = Duration::from_secs(1);
/// What comes back may still be busy with a statement whose caller left: longer than
/// `statement_timeout`. Without a limit a dead connection would keep its place in the
/// pool until the system gives it up, which takes a quarter of an hour.
const BUSY_ANSWER: Duration = Duration::from_secs(12);

/// What PostgreSQL calls a setting that is set.
const ON: &str = "on";

/// Since when connections are to be made anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Distrust(Arc<Mutex<Option<Instant>>>);

impl Distrust {
    /// Connections that exist now are not given out again.
    pub(super) fn all_so_far(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn covers(&self, age: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < age)
    }
}

/// The pool's options, with the watch over its connections.
pub(super) fn watched(
    options: PoolOptions<Postgres>,
    distrust: &Distrust,
) -> PoolOptions<Postgres> {
    let (giving, taking) = (distrust.clone(), distrust.clone());
    options
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let distrust = giving.clone();
            Box::pin(async move {
                if distrust.covers(meta.age) {
                    return Ok(false);
                }
                if meta.idle_for < IDLE {
                    return Ok(true);
                }
                let answer = answers(connection, IDLE_ANSWER).await;
                if answer.as_ref().is_err_and(is_silence) {
                    // Its neighbours lead to the same place.
                    distrust.all_so_far();
                }
                answer.map(|()| true)
            })
        })
        .after_release(move |connection, meta| {
            let distrust = taking.clone();
            Box::pin(async move {
                if distrust.covers(meta.age) {
                    return Ok(false);
                }
                answers(connection, BUSY_ANSWER).await.map(|()| true)
            })
        })
}

/// As [`watched`], for SQLite.
///
/// A COMMIT that fails for want of space undoes the transaction, but the driver goes on to
/// count it. The next one would be a mere savepoint, and once that fails too, all that
/// follows would be part of a transaction that nobody ever commits: acknowledged, seen by
/// no reader, and gone with the process.
pub(super) fn watched_file(options: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    options.after_release(|connection, _| {
        Box::pin(async move {
            // Comes after the rollback that may be under way.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

async fn answers(connection: &mut PgConnection, limit: Duration) -> Result<(), sqlx::Error> {
    match timeout(limit, connection.ping()).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(silence()),
    }
}

fn silence() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

impl Db {
    /// Whether the store answers and takes writes.
    pub async fn ping(&self) -> Result<(), Error> {
        if !self.is_postgres() {
            self.write.ping().await?;
            return Ok(self.read.ping().await?);
        }
        // Waiting for a connection tells nothing of the server: only what follows does.
        let pool = self.write.get_postgres_connection_pool();
        let mut connection = pool.acquire().await.map_err(away)?;
        let query = sqlx::query_scalar::<_, String>("SHOW transaction_read_only");
        let answer = timeout(IDLE_ANSWER, query.fetch_one(&mut *connection)).await;
        match answer {
            Ok(Ok(only_reads)) if only_reads == ON => {
                // After a fail-over the old server may live on as a copy that only reads.
                self.distrust.all_so_far();
                Err(away(sqlx::Error::Protocol("it only reads".to_owned())))
            }
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(away(error)),
            Err(_elapsed) => {
                self.distrust.all_so_far();
                Err(away(silence()))
            }
        }
    }
}

fn away(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
