//! PostgreSQL's LISTEN and NOTIFY: a hint between replicas that orders changed.

use sea_orm::{
    ConnectionTrait,
    sqlx::{self, postgres::PgListener},
};

use super::{Db, Error};

const CHANNEL: &str = "spawnpoint_orders";

/// Tells all replicas that some order changed.
pub async fn send(db: &Db) -> Result<(), Error> {
    db.read()
        .execute_unprepared(&format!("NOTIFY {CHANNEL}"))
        .await?;
    Ok(())
}

/// A connection that listens.
pub struct Listener(PgListener);

impl Listener {
    /// Opens a connection of its own.
    pub async fn open(db: &Db) -> Result<Self, Error> {
        let pool = db.read().get_postgres_connection_pool();
        let listener = PgListener::connect_with(pool).await;
        let mut listener = listener.map_err(broken)?;
        listener.listen(CHANNEL).await.map_err(broken)?;
        Ok(Self(listener))
    }

    /// Whether the other end answers.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let answered = sqlx::query("SELECT 1").execute(&mut self.0).await;
        answered.map(|_| ()).map_err(broken)
    }

    /// Resolves when some order changed, or the connection broke.
    pub async fn next(&mut self) -> Result<(), Error> {
        match self.0.try_recv().await.map_err(broken)? {
            Some(_) => Ok(()),
            None => Err(broken(sea_orm::sqlx::Error::WorkerCrashed)),
        }
    }
}

fn broken(error: sea_orm::sqlx::Error) -> Error {
    Error::Unavailable(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(
        error.into(),
    )))
}
