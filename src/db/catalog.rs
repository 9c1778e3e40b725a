//! Queries of the catalog: plans, add-ons and their prices, and games. Rows
//! leave as domain types; a word that no rule knows is reported as corrupt,
//! never guessed.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Error, Tx};

pub mod addons;
pub mod games;
pub mod plans;
pub mod prices;

/// Any constant of ours: all replicas lock the same number.
const CATALOG_LOCK: i64 = 7_205_759_404;

/// Makes catalog writes queue until this transaction ends. They are rare, and
/// their rules span rows and tables: a price id has one owner among plans and
/// add-ons. SQLite's writing transactions queue anyway.
pub async fn lock(tx: &Tx) -> Result<(), Error> {
    if tx.is_postgres() {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [CATALOG_LOCK.into()],
        );
        tx.execute_raw(statement).await?;
    }
    Ok(())
}
