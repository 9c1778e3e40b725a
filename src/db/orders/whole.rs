//! Orders as callers see them: each of one version, although its parts lie in several
//! tables and are read one after the other, without a lock.
//!
//! A change in between would show a mixture: the version of before with a server of
//! after. So the version is read once more at the end, and what has moved on is read
//! again. Whoever holds the order's lock, or plans by its facts, needs none of this.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::facts::complete_all;
use crate::{
    db::{Error, entity::orders},
    domain::order::Facts,
};

/// An order that changes oftener than this while it is looked at is shown as it was read.
const READS: usize = 5;

/// Reads again whatever changed while its parts were read.
pub(super) async fn settle(
    connection: &impl ConnectionTrait,
    mut found: Vec<Facts>,
) -> Result<Vec<Facts>, Error> {
    for _ in 0..READS {
        let moved = moved(connection, &found).await?;
        if moved.is_empty() {
            break;
        }
        let rows = orders::Entity::find().filter(orders::Column::Id.is_in(moved));
        for fresh in complete_all(connection, rows.all(connection).await?).await? {
            let place = found
                .iter_mut()
                .find(|facts| facts.order.id == fresh.order.id);
            if let Some(place) = place {
                *place = fresh;
            }
        }
    }
    Ok(found)
}

/// The orders among these whose version is no longer the one that was read.
async fn moved(connection: &impl ConnectionTrait, found: &[Facts]) -> Result<Vec<Uuid>, Error> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let versions: Vec<(Uuid, i64)> = orders::Entity::find()
        .select_only()
        .column(orders::Column::Id)
        .column(orders::Column::Version)
        .filter(orders::Column::Id.is_in(found.iter().map(|facts| facts.order.id.0)))
        .into_tuple()
        .all(connection)
        .await?;
    let versions: HashMap<Uuid, i64> = versions.into_iter().collect();
    let moved = found.iter().map(|facts| &facts.order).filter(|order| {
        versions
            .get(&order.id.0)
            .is_some_and(|version| *version != order.version)
    });
    Ok(moved.map(|order| order.id.0).collect())
}
