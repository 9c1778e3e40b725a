//! The catalog file: all that the shop sells and the nodes it runs on, as TOML
//! that its owner edits and keeps under version control.
//!
//! A row of the file is the whole row: what is left out has its default. What
//! the file does not name is left alone. Every fault is reported at once, with
//! its key, and then nothing is changed; applying twice changes nothing.

use std::fmt;

use crate::{
    db::{self, Db, Tx, catalog as store, nodes},
    domain::{
        catalog::{Addon, Game, Plan, Price},
        node::NewNode,
    },
};

mod apply;
mod export;
mod read;
mod section;

/// What is wrong at one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Dotted key: `plans.mc-2gb.prices.quarterly.amount`; or a line, where the
    /// file is no TOML.
    pub key: String,
    /// In words that start in lower case.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// How many rows of a kind the file changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Were not there before.
    pub created: u32,
    /// Said something else before.
    pub updated: u32,
    /// Said the same before.
    pub unchanged: u32,
}

/// What applying a file did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Games.
    pub games: Counts,
    /// Plans.
    pub plans: Counts,
    /// Add-ons.
    pub addons: Counts,
    /// Nodes.
    pub nodes: Counts,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("games", self.games),
            ("plans", self.plans),
            ("add-ons", self.addons),
            ("nodes", self.nodes),
        ];
        for (index, (kind, counts)) in kinds.into_iter().enumerate() {
            let Counts {
                created,
                updated,
                unchanged,
            } = counts;
            let comma = if index == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{kind} {created} new {updated} changed {unchanged} unchanged"
            )?;
        }
        Ok(())
    }
}

/// Why a file was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Every fault of the file.
    #[error("the catalog file has {} fault(s)", .0.len())]
    Faults(Vec<Fault>),
    /// The store failed.
    #[error("store")]
    Store(#[from] db::Error),
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

impl db::tx::BodyError for ApplyError {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Faults(_) | Self::Internal(_) => None,
        }
    }
}

/// Everything that a file says, or that the shop has. Shown as a file that says the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    games: Vec<Game>,
    plans: Vec<Plan>,
    addons: Vec<Addon>,
    nodes: Vec<NewNode>,
}

impl Catalog {
    /// Reads a file by itself. What only the shop knows, such as whose a price is already,
    /// is checked when it is applied.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let (catalog, faults) = read::catalog(text);
        if faults.is_empty() {
            Ok(catalog)
        } else {
            Err(faults)
        }
    }

    /// Every price with the key of its row.
    fn priced(&self) -> impl Iterator<Item = (String, &Price)> {
        let plans = self.plans.iter().flat_map(|plan| {
            plan.prices
                .iter()
                .map(|price| (format!("plans.{}", plan.id), price))
        });
        let addons = self.addons.iter().flat_map(|addon| {
            addon
                .prices
                .iter()
                .map(|price| (format!("addons.{}", addon.id), price))
        });
        plans.chain(addons)
    }
}

impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&export::text(self))
    }
}

/// Brings the shop to what the file says, in one transaction.
pub async fn apply(db: &Db, text: &str) -> Result<Applied, ApplyError> {
    let (catalog, faults) = read::catalog(text);
    let (catalog, faults) = (&catalog, &faults);
    db.tx(|tx| async move {
        store::lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        apply::apply(&tx, catalog, faults.clone(), now_us).await
    })
    .await
}

/// The whole catalog, in the form that [`apply`] reads.
pub async fn export(db: &Db) -> Result<String, db::Error> {
    // One transaction, so that a write in between does not tear the file.
    let catalog = db.tx(|tx| async move { stored(&tx).await }).await?;
    Ok(catalog.to_string())
}

async fn stored(tx: &Tx) -> Result<Catalog, db::Error> {
    let connection = &**tx;
    store::lock(tx).await?;
    let nodes = nodes::all(connection).await?;
    Ok(Catalog {
        games: store::games::all(connection).await?,
        plans: store::plans::all(connection).await?,
        addons: store::addons::all(connection).await?,
        nodes: nodes.into_iter().map(|node| node.set).collect(),
    })
}

#[cfg(test)]
mod tests;
