//! Whether somebody holds the write lock of an SQLite file, seen from outside.

use std::time::Duration;

use sea_orm::{
    DatabaseConnection, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions,
    TransactionTrait,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

/// An impatient connection: it waits for no lock, and keeps none.
pub struct FileLock {
    pool: DatabaseConnection,
}

impl FileLock {
    /// The lock of the file that a `DATABASE_URL` names.
    pub async fn of(url: &str) -> Self {
        let options: SqliteConnectOptions = url.parse().unwrap();
        let options = options.busy_timeout(Duration::ZERO);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options).await.unwrap();
        Self {
            pool: SqlxSqliteConnector::from_sqlx_sqlite_pool(pool),
        }
    }

    /// Whether somebody else writes at this moment.
    pub async fn taken(&self) -> bool {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        match self.pool.begin_with_options(options).await {
            Ok(tx) => {
                tx.rollback().await.unwrap();
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("locked"), "{error}");
                true
            }
        }
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.pool.close().await.unwrap();
    }
}
