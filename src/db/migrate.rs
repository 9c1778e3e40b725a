//! Brings the schema up to date, also when several replicas start at once.

use std::{fs::File, path::Path};

use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

use super::{Db, Error};

/// Any constant of ours: all replicas lock the same number.
const MIGRATION_LOCK: i64 = 7_205_759_403;
/// How often a file's write lock is waited for, 5 s each: as long as another
/// process's whole migration may take.
const FILE_WAITS: u32 = 24;

impl Db {
    /// Applies the steps that are missing, all in one transaction. Replicas that start
    /// at once wait for the first: on PostgreSQL by an advisory lock, on SQLite by the
    /// write lock.
    pub async fn migrate(&self) -> Result<(), Error> {
        if !self.is_postgres() {
            return self.migrate_file().await;
        }
        let lock = self.write.begin().await?;
        // A replica may have to wait for another's whole migration.
        lock.execute_unprepared("SET LOCAL lock_timeout = 0")
            .await?;
        lock.execute_unprepared("SET LOCAL statement_timeout = 0")
            .await?;
        lock.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0")
            .await?;
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [MIGRATION_LOCK.into()],
        );
        lock.execute_raw(statement).await?;
        up(&lock).await?;
        Ok(lock.commit().await?)
    }

    /// All steps in one writing transaction: nobody else migrates meanwhile, and a
    /// process that dies half-way leaves nothing that would stop the next one.
    async fn migrate_file(&self) -> Result<(), Error> {
        let mut tries = 0;
        let tx = loop {
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            };
            tries += 1;
            match self
                .write
                .begin_with_options(options)
                .await
                .map_err(Error::from)
            {
                Err(Error::Unavailable(_)) if tries < FILE_WAITS => {}
                begun => break begun?,
            }
        };
        up(&tx).await?;
        Ok(tx.commit().await?)
    }

    /// Takes every step back, newest first. For tests of the steps themselves.
    pub async fn migrate_down(&self) -> Result<(), Error> {
        Ok(Migrator::down(&self.write, None).await?)
    }
}

/// Applies what is missing, unless a newer program has been here.
async fn up(tx: &DatabaseTransaction) -> Result<(), Error> {
    let known = Migrator::migrations();
    let applied = Migrator::get_migration_models(tx).await?;
    let foreign = applied
        .into_iter()
        .map(|row| row.version)
        .find(|version| known.iter().all(|step| step.name() != version));
    match foreign {
        Some(version) => Err(Error::SchemaNewer(version)),
        None => Ok(Migrator::up(tx, None).await?),
    }
}

/// Holds the lock file beside an SQLite database: one serving process at a time.
#[derive(Debug)]
pub struct FileGuard {
    _file: File,
}

/// Why the lock file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Another process serves this file.
    #[error("another process serves this SQLite database (lock file {0})")]
    Taken(String),
    /// The lock file cannot be made.
    #[error("cannot make the lock file {0}")]
    Io(String, #[source] std::io::Error),
}

impl FileGuard {
    /// Takes the lock of the SQLite file that `url` names; `None` on PostgreSQL.
    /// The system frees it when the process ends, however it ends.
    pub fn take(url: &str) -> Result<Option<Self>, GuardError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Ok(None);
        };
        let path = rest
            .trim_start_matches("//")
            .split('?')
            .next()
            .unwrap_or_default();
        let name = format!("{path}.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(Path::new(&name))
            .map_err(|error| GuardError::Io(name.clone(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Err(GuardError::Taken(name)),
            Err(std::fs::TryLockError::Error(error)) => Err(GuardError::Io(name, error)),
        }
    }
}
