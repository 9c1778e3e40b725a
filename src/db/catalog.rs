//! Queries of the catalog: plans, add-ons and their prices, and games. Rows
//! leave as domain types; a word that no rule knows is reported as corrupt,
//! never guessed.

use super::{Error, Tx, tx::AdvisoryLock};

pub mod addons;
pub mod games;
pub mod plans;
pub mod prices;

/// Makes catalog writes queue until this transaction ends. They are rare, and
/// their rules span rows and tables: a price id has one owner among plans and
/// add-ons. SQLite's writing transactions queue anyway.
pub async fn lock(tx: &Tx) -> Result<(), Error> {
    tx.queue(AdvisoryLock::Catalog).await
}
