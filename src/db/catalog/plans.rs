//! Queries of `plans`.

use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, sea_query::Expr,
};

use super::prices;
use crate::{
    db::{
        Error, Tx,
        convert::{micros, timestamp, word},
        entity::plans,
    },
    domain::{
        Listed,
        catalog::{ItemType, Plan, PlanFilter, Price},
        dispute::DisputePolicy,
    },
};

/// One plan with its prices.
pub async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Plan>, Error> {
    let row = plans::Entity::find_by_id(id).one(connection).await?;
    let plans = with_prices(connection, row.into_iter().collect()).await?;
    Ok(plans.into_iter().next())
}

/// Plans by id, after `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &PlanFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Plan>, Error> {
    let mut query = plans::Entity::find().order_by_asc(plans::Column::Id);
    if let Some(item_type) = filter.item_type {
        query = query.filter(plans::Column::ItemType.eq(item_type.as_str()));
    }
    if let Some(game) = &filter.game {
        query = query.filter(plans::Column::Game.eq(game));
    }
    if !filter.include_inactive {
        query = query.filter(plans::Column::IsActive.eq(true));
    }
    if let Some(after) = after {
        query = query.filter(plans::Column::Id.gt(after));
    }
    let rows = query.limit(limit.saturating_add(1)).all(connection).await?;
    let page = Listed::cut(rows, limit);
    Ok(Listed {
        rows: with_prices(connection, page.rows).await?,
        more: page.more,
    })
}

/// Every plan, by id.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Plan>, Error> {
    let rows = plans::Entity::find()
        .order_by_asc(plans::Column::Id)
        .all(connection)
        .await?;
    with_prices(connection, rows).await
}

/// Stores a new plan with its prices.
pub async fn insert(tx: &Tx, plan: &Plan) -> Result<(), Error> {
    let mut row = active(plan);
    row.created_at = Set(timestamp(plan.created_us));
    plans::Entity::insert(row)
        .exec_without_returning(&**tx)
        .await?;
    prices::replace_of_plan(tx, &plan.id, &plan.prices).await
}

/// Replaces a plan and its prices.
pub async fn update(tx: &Tx, plan: &Plan) -> Result<(), Error> {
    plans::Entity::update_many()
        .set(active(plan))
        .filter(plans::Column::Id.eq(&plan.id))
        .exec(&**tx)
        .await?;
    prices::replace_of_plan(tx, &plan.id, &plan.prices).await
}

/// Lets go of the prices of a plan that is about to be replaced, so that its
/// price ids can go to another row in the same transaction.
pub async fn release_prices(tx: &Tx, id: &str) -> Result<(), Error> {
    plans::Entity::update_many()
        .col_expr(plans::Column::IsActive, Expr::value(false))
        .col_expr(
            plans::Column::StripePriceId,
            Expr::value(Option::<String>::None),
        )
        .filter(plans::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    prices::replace_of_plan(tx, id, &[]).await
}

async fn with_prices(
    connection: &impl ConnectionTrait,
    rows: Vec<plans::Model>,
) -> Result<Vec<Plan>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut prices = prices::of_plans(connection, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let own = prices.remove(&row.id).unwrap_or_default();
            plan(row, own)
        })
        .collect()
}

fn plan(row: plans::Model, prices: Vec<Price>) -> Result<Plan, Error> {
    let disputes = row
        .disputes
        .map(|text| word(DisputePolicy::parse, &text, "plans.disputes"));
    Ok(Plan {
        item_type: word(ItemType::parse, &row.item_type, "plans.item_type")?,
        id: row.id,
        game: row.game,
        display_name: row.display_name,
        description: row.description,
        ram_gb: row.ram_gb,
        vcores: row.vcores,
        ssd_gb: row.ssd_gb,
        databases: row.databases,
        backups: row.backups,
        allocations: row.allocations,
        grace_days: row.grace_days,
        retention_days: row.retention_days,
        disputes: disputes.transpose()?,
        stripe_price_id: row.stripe_price_id,
        prices,
        is_active: row.is_active,
        etag: row.etag,
        created_us: micros(row.created_at),
        updated_us: micros(row.updated_at),
    })
}

/// Everything but the time of creation, which is written once.
fn active(plan: &Plan) -> plans::ActiveModel {
    plans::ActiveModel {
        id: Set(plan.id.clone()),
        item_type: Set(plan.item_type.to_string()),
        game: Set(plan.game.clone()),
        ram_gb: Set(plan.ram_gb),
        vcores: Set(plan.vcores),
        ssd_gb: Set(plan.ssd_gb),
        databases: Set(plan.databases),
        backups: Set(plan.backups),
        allocations: Set(plan.allocations),
        grace_days: Set(plan.grace_days),
        retention_days: Set(plan.retention_days),
        disputes: Set(plan.disputes.map(|policy| policy.to_string())),
        stripe_price_id: Set(plan.stripe_price_id.clone()),
        display_name: Set(plan.display_name.clone()),
        description: Set(plan.description.clone()),
        is_active: Set(plan.is_active),
        etag: Set(plan.etag.clone()),
        created_at: NotSet,
        updated_at: Set(timestamp(plan.updated_us)),
    }
}
