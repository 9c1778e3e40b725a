//! From rows of a file to the store: what the store knows better than the text,
//! and then only the rows that say something new.

use std::collections::{BTreeMap, BTreeSet};

use super::{Applied, ApplyError, Catalog, Counts, Fault};
use crate::{
    app::catalog::next_etag,
    db::{
        Tx,
        catalog::{
            addons, games, plans,
            prices::{self, OwnerKind},
        },
        nodes,
    },
    domain::{
        catalog::{Addon, Game, Plan},
        node::NewNode,
    },
};

/// Applies a file under the catalog's lock. `faults` are those of the text.
pub(super) async fn apply(
    tx: &Tx,
    catalog: &Catalog,
    mut faults: Vec<Fault>,
    now_us: i64,
) -> Result<Applied, ApplyError> {
    faults.extend(missing_games(tx, catalog).await?);
    faults.extend(taken_prices(tx, catalog).await?);
    if !faults.is_empty() {
        return Err(ApplyError::Faults(faults));
    }
    Ok(Applied {
        games: apply_games(tx, &catalog.games, now_us).await?,
        plans: apply_plans(tx, &catalog.plans, now_us).await?,
        addons: apply_addons(tx, &catalog.addons, now_us).await?,
        nodes: apply_nodes(tx, &catalog.nodes, now_us).await?,
    })
}

async fn missing_games(tx: &Tx, catalog: &Catalog) -> Result<Vec<Fault>, ApplyError> {
    let stored = games::all(&**tx).await?;
    let known: BTreeSet<&str> = stored
        .iter()
        .chain(&catalog.games)
        .map(|game| game.id.as_str())
        .collect();
    let missing = catalog.plans.iter().filter_map(|plan| {
        let game = plan.game.as_deref().filter(|game| !known.contains(game))?;
        Some(Fault {
            key: format!("plans.{}.game", plan.id),
            problem: format!("{game:?} is no game of the file or of the shop"),
        })
    });
    Ok(missing.collect())
}

/// Price ids of rows that the file leaves alone. Between rows of the file they
/// may move: all of them are written anew.
async fn taken_prices(tx: &Tx, catalog: &Catalog) -> Result<Vec<Fault>, ApplyError> {
    let priced: Vec<_> = catalog.priced().collect();
    let ids: Vec<String> = priced
        .iter()
        .map(|(_, price)| price.stripe_price_id.clone())
        .collect();
    // Ids that break their rule are not asked for: no row can have them.
    let ids: Vec<String> = ids
        .into_iter()
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
        .collect();
    let rewritten: BTreeSet<(OwnerKind, &str)> = catalog
        .plans
        .iter()
        .map(|plan| (OwnerKind::Plan, plan.id.as_str()))
        .chain(
            catalog
                .addons
                .iter()
                .map(|addon| (OwnerKind::Addon, addon.id.as_str())),
        )
        .collect();
    let owners = prices::owners(&**tx, &ids).await?;
    let taken: BTreeMap<&str, &str> = owners
        .iter()
        .filter(|owned| !rewritten.contains(&(owned.kind, owned.owner.as_str())))
        .map(|owned| (owned.stripe_price_id.as_str(), owned.owner.as_str()))
        .collect();
    let faults = priced.iter().filter_map(|(row, price)| {
        let owner = taken.get(price.stripe_price_id.as_str())?;
        Some(Fault {
            key: format!("{row}.prices.{}.stripe_price_id", price.term),
            problem: format!("belongs to {owner}, which the file does not name"),
        })
    });
    Ok(faults.collect())
}

async fn apply_games(tx: &Tx, rows: &[Game], now_us: i64) -> Result<Counts, ApplyError> {
    let mut stored = by_id(games::all(&**tx).await?, |game| game.id.clone());
    let mut counts = Counts::default();
    for row in rows {
        let mut row = row.clone();
        row.updated_us = now_us;
        match stored.remove(&row.id) {
            Some(old) if old.same_as(&row) => counts.unchanged += 1,
            Some(old) => {
                row.etag = etag(&old.etag, now_us, &row)?;
                games::update(tx, &row).await?;
                counts.updated += 1;
            }
            None => {
                row.created_us = now_us;
                row.etag = etag("", now_us, &row)?;
                games::insert(tx, &row).await?;
                counts.created += 1;
            }
        }
    }
    Ok(counts)
}

async fn apply_plans(tx: &Tx, rows: &[Plan], now_us: i64) -> Result<Counts, ApplyError> {
    let mut stored = by_id(plans::all(&**tx).await?, |plan| plan.id.clone());
    let mut counts = Counts::default();
    let mut updates = Vec::new();
    let mut inserts = Vec::new();
    for row in rows {
        let mut row = row.clone();
        row.updated_us = now_us;
        match stored.remove(&row.id) {
            Some(old) if old.same_as(&row) => counts.unchanged += 1,
            Some(old) => {
                row.etag = etag(&old.etag, now_us, &row)?;
                // All let go before any takes: price ids may have moved between rows.
                plans::release_prices(tx, &row.id).await?;
                updates.push(row);
                counts.updated += 1;
            }
            None => {
                row.created_us = now_us;
                row.etag = etag("", now_us, &row)?;
                inserts.push(row);
                counts.created += 1;
            }
        }
    }
    for row in &updates {
        plans::update(tx, row).await?;
    }
    for row in &inserts {
        plans::insert(tx, row).await?;
    }
    Ok(counts)
}

async fn apply_addons(tx: &Tx, rows: &[Addon], now_us: i64) -> Result<Counts, ApplyError> {
    let mut stored = by_id(addons::all(&**tx).await?, |addon| addon.id.clone());
    let mut counts = Counts::default();
    let mut updates = Vec::new();
    let mut inserts = Vec::new();
    for row in rows {
        let mut row = row.clone();
        row.updated_us = now_us;
        match stored.remove(&row.id) {
            Some(old) if old.same_as(&row) => counts.unchanged += 1,
            Some(old) => {
                row.etag = etag(&old.etag, now_us, &row)?;
                addons::release_prices(tx, &row.id).await?;
                updates.push(row);
                counts.updated += 1;
            }
            None => {
                row.created_us = now_us;
                row.etag = etag("", now_us, &row)?;
                inserts.push(row);
                counts.created += 1;
            }
        }
    }
    for row in &updates {
        addons::update(tx, row).await?;
    }
    for row in &inserts {
        addons::insert(tx, row).await?;
    }
    Ok(counts)
}

/// Only what an operator says is compared and written: what is held of a node
/// and what was seen of it stay as they are.
async fn apply_nodes(tx: &Tx, rows: &[NewNode], now_us: i64) -> Result<Counts, ApplyError> {
    let mut stored = by_id(nodes::all(&**tx).await?, |node| {
        node.set.pterodactyl_node_id
    });
    let mut counts = Counts::default();
    for row in rows {
        match stored.remove(&row.pterodactyl_node_id) {
            Some(old) if old.set == *row => counts.unchanged += 1,
            Some(old) => {
                nodes::update(tx, old.id, row, now_us).await?;
                counts.updated += 1;
            }
            None => {
                nodes::insert(tx, row, now_us).await?;
                counts.created += 1;
            }
        }
    }
    Ok(counts)
}

fn by_id<K: Ord, T>(rows: Vec<T>, id: impl Fn(&T) -> K) -> BTreeMap<K, T> {
    rows.into_iter().map(|row| (id(&row), row)).collect()
}

fn etag(
    previous: &str,
    now_us: i64,
    content: &impl serde::Serialize,
) -> Result<String, ApplyError> {
    next_etag(previous, now_us, content).map_err(|error| ApplyError::Internal(error.to_string()))
}
