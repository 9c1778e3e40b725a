//! The only way to begin a transaction.
//!
//! Isolation is READ COMMITTED with a lock on the one owning row, plus unique
//! keys; on SQLite every writing transaction is IMMEDIATE, so it queues instead
//! of failing half-way. The closure may run more than once: it must have no
//! effect outside the transaction, and no network call in it.

use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::time::timeout;

use super::{Db, Error};
use crate::probe::{Moment, Struck};

/// How often a transaction is run again after a deadlock.
const TRIES: u32 = 5;
/// No transaction takes so long: PostgreSQL ends a statement after 10 s, and few take one.
const LONGEST: Duration = Duration::from_secs(15);

/// What one transaction of all replicas does at a time. The numbers are arbitrary, and of this
/// database alone; migrations, whose lock spans more than a transaction of ours, have
/// 7,205,759,403.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub(super) enum AdvisoryLock {
    /// Writes of the catalog.
    Catalog = 7_205_759_404,
    /// Numbers for the feed of order events.
    Sequencer = 7_205_759_405,
    /// Counts of creates in flight.
    CreateSlots = 7_205_759_406,
}

/// An open transaction. Dropped without commit, it is rolled back.
#[derive(Clone, Debug)]
pub struct Tx(Arc<DatabaseTransaction>);

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

impl Tx {
    /// Whether the store is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.0.get_database_backend() == DbBackend::Postgres
    }

    /// One transaction at a time of all replicas goes on past here, until it ends. Writing
    /// transactions of SQLite are one at a time anyway.
    pub(super) async fn queue(&self, lock: AdvisoryLock) -> Result<(), Error> {
        if self.is_postgres() {
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT pg_advisory_xact_lock($1)",
                [(lock as i64).into()],
            );
            self.0.execute_raw(statement).await?;
        }
        Ok(())
    }
}

/// An error of a transaction's body: may carry one of the database.
pub trait BodyError: From<Error> {
    /// The database error, where it is one.
    fn database(&self) -> Option<&Error>;
}

impl BodyError for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

impl Db {
    /// Runs `body` in a writing transaction and commits it. A deadlock or a
    /// serialisation failure runs it again; every other error rolls it back.
    pub async fn tx<T, E, F, Fut>(&self, body: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: BodyError,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.within_reason(self.run_once(&body)).await;
            match result {
                Err(error)
                    if tries < TRIES && matches!(error.database(), Some(Error::Again(_))) =>
                {
                    tracing::debug!(tries, "transaction is run again");
                    let pause = rand::random_range(1..=(10 << tries));
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                other => return other,
            }
        }
    }

    /// Reads with `body` from one snapshot of the store: all of it is of one moment.
    pub async fn snapshot<T, E, F, Fut>(&self, body: F) -> Result<T, E>
    where
        F: FnOnce(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        // Each transaction of SQLite reads one snapshot.
        let postgres = self.is_postgres();
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        };
        self.within_reason(async {
            let begun = self.read.begin_with_options(options).await;
            // Dropped, it is rolled back: there is nothing to commit.
            body(Tx(Arc::new(begun.map_err(Error::from)?))).await
        })
        .await
    }

    /// The server said nothing for longer than any transaction takes.
    fn silent(&self) -> Error {
        self.distrust.all_so_far();
        let text = "the server does not answer".to_owned();
        Error::Unavailable(DbErr::Conn(RuntimeErr::Internal(text)))
    }

    /// Waits for something outside transactions, but not for ever: a server that went away
    /// without a word would hold its caller for as long as the system keeps the connection.
    pub(crate) async fn within_reason<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // On the heap: what a transaction does is large, and it is nested deep in its caller.
        match timeout(LONGEST, Box::pin(work)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(self.silent().into()),
        }
    }

    async fn run_once<T, E, F, Fut>(&self, body: &F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: BodyError,
    {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.reach(Moment::TxBegins).await?;
        let begun = self
            .write
            .begin_with_options(options)
            .await
            .map_err(Error::from)?;
        let tx = Tx(Arc::new(begun));
        let value = body(tx.clone()).await?;
        let inner = Arc::into_inner(tx.0).ok_or_else(|| {
            Error::Internal(DbErr::Custom("a transaction outlived its body".to_owned()))
        })?;
        self.reach(Moment::TxCommits).await?;
        inner.commit().await.map_err(Error::from)?;
        self.reach(Moment::TxCommitted).await?;
        Ok(value)
    }

    /// Where a test may strike.
    pub(crate) async fn reach(&self, moment: Moment) -> Result<(), Error> {
        let Some(probe) = self.probe() else {
            return Ok(());
        };
        probe.at(moment).await.map_err(|Struck| {
            let text = "a test keeps the store away".to_owned();
            Error::Unavailable(DbErr::Conn(RuntimeErr::Internal(text)))
        })
    }
}
