//! Queries of `addons`.

use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, sea_query::Expr,
};

use super::prices;
use crate::{
    db::{
        Error, Tx,
        convert::{micros, timestamp, word},
        entity::addons,
    },
    domain::{
        Listed,
        catalog::{Addon, AddonFilter, ItemType, Price},
    },
};

/// One add-on with its prices.
pub async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Addon>, Error> {
    let row = addons::Entity::find_by_id(id).one(connection).await?;
    let addons = with_prices(connection, row.into_iter().collect()).await?;
    Ok(addons.into_iter().next())
}

/// Those of `ids` that exist, by id.
pub async fn find_many(
    connection: &impl ConnectionTrait,
    ids: &[String],
) -> Result<Vec<Addon>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = addons::Entity::find()
        .filter(addons::Column::Id.is_in(ids))
        .order_by_asc(addons::Column::Id)
        .all(connection)
        .await?;
    with_prices(connection, rows).await
}

/// Add-ons by id, after `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &AddonFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Addon>, Error> {
    let mut query = addons::Entity::find().order_by_asc(addons::Column::Id);
    if let Some(item_type) = filter.item_type {
        query = query.filter(addons::Column::ItemType.eq(item_type.as_str()));
    }
    if !filter.include_inactive {
        query = query.filter(addons::Column::IsActive.eq(true));
    }
    if let Some(after) = after {
        query = query.filter(addons::Column::Id.gt(after));
    }
    let rows = query.limit(limit.saturating_add(1)).all(connection).await?;
    let page = Listed::cut(rows, limit);
    Ok(Listed {
        rows: with_prices(connection, page.rows).await?,
        more: page.more,
    })
}

/// Every add-on, by id.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Addon>, Error> {
    let rows = addons::Entity::find()
        .order_by_asc(addons::Column::Id)
        .all(connection)
        .await?;
    with_prices(connection, rows).await
}

/// Stores a new add-on with its prices.
pub async fn insert(tx: &Tx, addon: &Addon) -> Result<(), Error> {
    let mut row = active(addon);
    row.created_at = Set(timestamp(addon.created_us));
    addons::Entity::insert(row)
        .exec_without_returning(&**tx)
        .await?;
    prices::replace_of_addon(tx, &addon.id, &addon.prices).await
}

/// Replaces an add-on and its prices.
pub async fn update(tx: &Tx, addon: &Addon) -> Result<(), Error> {
    addons::Entity::update_many()
        .set(active(addon))
        .filter(addons::Column::Id.eq(&addon.id))
        .exec(&**tx)
        .await?;
    prices::replace_of_addon(tx, &addon.id, &addon.prices).await
}

/// Lets go of the prices of an add-on that is about to be replaced, so that its
/// price ids can go to another row in the same transaction.
pub async fn release_prices(tx: &Tx, id: &str) -> Result<(), Error> {
    addons::Entity::update_many()
        .col_expr(addons::Column::IsActive, Expr::value(false))
        .col_expr(
            addons::Column::StripePriceId,
            Expr::value(Option::<String>::None),
        )
        .filter(addons::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    prices::replace_of_addon(tx, id, &[]).await
}

async fn with_prices(
    connection: &impl ConnectionTrait,
    rows: Vec<addons::Model>,
) -> Result<Vec<Addon>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut prices = prices::of_addons(connection, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let own = prices.remove(&row.id).unwrap_or_default();
            addon(row, own)
        })
        .collect()
}

fn addon(row: addons::Model, prices: Vec<Price>) -> Result<Addon, Error> {
    Ok(Addon {
        item_type: word(ItemType::parse, &row.item_type, "addons.item_type")?,
        id: row.id,
        display_name: row.display_name,
        description: row.description,
        ram_gb: row.ram_gb,
        vcores: row.vcores,
        ssd_gb: row.ssd_gb,
        databases: row.databases,
        backups: row.backups,
        allocations: row.allocations,
        manual: row.manual,
        stripe_price_id: row.stripe_price_id,
        prices,
        is_active: row.is_active,
        etag: row.etag,
        created_us: micros(row.created_at),
        updated_us: micros(row.updated_at),
    })
}

/// Everything but the time of creation, which is written once.
fn active(addon: &Addon) -> addons::ActiveModel {
    addons::ActiveModel {
        id: Set(addon.id.clone()),
        item_type: Set(addon.item_type.to_string()),
        display_name: Set(addon.display_name.clone()),
        description: Set(addon.description.clone()),
        ram_gb: Set(addon.ram_gb),
        vcores: Set(addon.vcores),
        ssd_gb: Set(addon.ssd_gb),
        databases: Set(addon.databases),
        backups: Set(addon.backups),
        allocations: Set(addon.allocations),
        manual: Set(addon.manual),
        stripe_price_id: Set(addon.stripe_price_id.clone()),
        is_active: Set(addon.is_active),
        etag: Set(addon.etag.clone()),
        created_at: NotSet,
        updated_at: Set(timestamp(addon.updated_us)),
    }
}
