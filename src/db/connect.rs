//! Opens the store that `DATABASE_URL` names, and tells the time.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Db, Error,
    pool::{self, Distrust},
};

/// Pool sizes and time-outs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://file` or `postgres://...`.
    pub url: String,
    /// Connections of the pool; on SQLite those of the read pool.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told UNAVAILABLE.
    pub acquire_timeout: Duration,
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is neither SQLite nor PostgreSQL.
    #[error("DATABASE_URL must start with sqlite: or postgres:")]
    Scheme,
    /// An option of the SQLite address is wrong.
    #[error("DATABASE_URL is not a valid SQLite address")]
    Sqlite(#[source] sea_orm::sqlx::Error),
    /// PostgreSQL would acknowledge commits that are not on disk.
    #[error("PostgreSQL runs with synchronous_commit=off: paid orders could be lost")]
    NotDurable,
    /// The engine did not answer.
    #[error("the database does not answer")]
    Db(#[from] Error),
}

impl Db {
    /// Opens the store. PostgreSQL must be reachable; an SQLite file is made.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let clock_offset_us = Arc::new(AtomicI64::new(0));
        let distrust = Distrust::default();
        if options.url.starts_with("postgres:") || options.url.starts_with("postgresql:") {
            let pool = connect(options, options.max_connections, &distrust).await?;
            let db = Self {
                read: pool.clone(),
                write: pool,
                distrust,
                clock_offset_us,
                probe: None,
            };
            db.refuse_lossy_commits().await?;
            return Ok(db);
        }
        if !options.url.starts_with("sqlite:") {
            return Err(OpenError::Scheme);
        }
        sea_orm::sqlx::sqlite::SqliteConnectOptions::from_str(&options.url)
            .map_err(OpenError::Sqlite)?;
        let write = connect(options, 1, &distrust).await?;
        let read = connect(options, options.max_connections, &distrust).await?;
        Ok(Self {
            read,
            write,
            distrust,
            clock_offset_us,
            probe: None,
        })
    }

    async fn refuse_lossy_commits(&self) -> Result<(), OpenError> {
        let statement = Statement::from_string(DbBackend::Postgres, "SHOW synchronous_commit");
        let row = self
            .read
            .query_one_raw(statement)
            .await
            .map_err(Error::from)?;
        let setting: Option<String> = row
            .map(|row| row.try_get_by_index(0))
            .transpose()
            .map_err(Error::from)?;
        if setting.as_deref() == Some("off") {
            Err(OpenError::NotDurable)
        } else {
            Ok(())
        }
    }

    /// Now, in microseconds since the Unix epoch: PostgreSQL's clock, so that all
    /// replicas agree; the process's own on SQLite, where there is one process.
    pub async fn now(&self) -> Result<i64, Error> {
        let now_us = self.within_reason(now_on(&self.read)).await?;
        Ok(now_us + self.clock_offset_us.load(Ordering::Relaxed))
    }

    /// As [`Db::now`], inside a transaction.
    pub async fn now_in(&self, tx: &super::Tx) -> Result<i64, Error> {
        Ok(now_on(&**tx).await? + self.clock_offset_us.load(Ordering::Relaxed))
    }

    /// Moves this handle's clock, and that of its clones, forward or back. For tests.
    pub fn shift_clock(&self, by_us: i64) {
        self.clock_offset_us.fetch_add(by_us, Ordering::Relaxed);
    }
}

async fn connect(
    options: &Options,
    connections: u32,
    distrust: &Distrust,
) -> Result<DatabaseConnection, OpenError> {
    let distrust = distrust.clone();
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(true)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
        })
        .map_sqlx_sqlite_pool_opts(pool::watched_file)
        .map_sqlx_postgres_pool_opts(move |pool| pool::watched(pool, &distrust))
        .map_sqlx_postgres_opts(|postgres| {
            postgres.application_name("spawnpoint").options([
                ("lock_timeout", "2000"),
                ("statement_timeout", "10000"),
                ("idle_in_transaction_session_timeout", "15000"),
            ])
        });
    Ok(Database::connect(connect).await.map_err(Error::from)?)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
async fn now_on(connection: &impl ConnectionTrait) -> Result<i64, Error> {
    if connection.get_database_backend() != DbBackend::Postgres {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        return Ok(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    }
    let statement = Statement::from_string(
        DbBackend::Postgres,
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    );
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| Error::Corrupt("the database told no time".to_owned()))?;
    Ok(row.try_get_by_index(0)?)
}
