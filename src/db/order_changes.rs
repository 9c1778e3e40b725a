//! Queries of `order_changes`: a change of an order's plan, while it is on its way. All change
//! under the order's lock.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::Expr,
};

use super::{
    Error, Tx,
    convert::{json, to_json},
    entity::order_changes,
};
use crate::domain::{OrderId, catalog::Spec, plan_change::PlanChange};

/// Stores a change that was asked for; an order has one at a time.
pub async fn insert(tx: &Tx, id: OrderId, change: &PlanChange) -> Result<(), Error> {
    let row = order_changes::Model {
        order_id: id.0,
        plan_id: change.plan_id.clone(),
        addons: to_json(&change.addons)?,
        manual_addons: to_json(&change.manual_addons)?,
        spec: to_json(&change.spec)?,
        price_minor: change.price_minor,
        prices: to_json(&change.prices)?,
        lenience: change.lenience.as_ref().map(to_json).transpose()?,
        asked_us: change.asked_us,
        request: None,
        sent_us: None,
        answered: false,
        look_us: None,
        paid_us: None,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    Ok(())
}

/// The change of an order that is not paid yet: once it is, its row says what was before.
pub async fn find(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<PlanChange>, Error> {
    let row = order_changes::Entity::find_by_id(id.0)
        .filter(order_changes::Column::PaidUs.is_null())
        .one(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let request = row
        .request
        .map(|request| json(request, "order_changes.request"));
    let lenience = row
        .lenience
        .map(|lenience| json(lenience, "order_changes.lenience"));
    Ok(Some(PlanChange {
        plan_id: row.plan_id,
        addons: json(row.addons, "order_changes.addons")?,
        manual_addons: json(row.manual_addons, "order_changes.manual_addons")?,
        spec: json(row.spec, "order_changes.spec")?,
        price_minor: row.price_minor,
        prices: json(row.prices, "order_changes.prices")?,
        lenience: lenience.transpose()?,
        asked_us: row.asked_us,
        request: request.transpose()?,
        sent_us: row.sent_us,
        answered: row.answered,
    }))
}

fn change(id: OrderId) -> order_changes::ActiveModel {
    order_changes::ActiveModel {
        order_id: Unchanged(id.0),
        ..Default::default()
    }
}

/// Notes that Stripe is about to be told, and what: a repeat is the very same.
pub async fn set_sent(
    tx: &Tx,
    id: OrderId,
    request: &[(String, String)],
    now_us: i64,
) -> Result<(), Error> {
    let change = order_changes::ActiveModel {
        request: Set(Some(to_json(&request)?)),
        sent_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that Stripe answered.
pub async fn set_answered(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = order_changes::ActiveModel {
        answered: Set(true),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// When its subscription is read next if nothing is heard; none: at once. Nothing where no
/// change is on its way, or where it is paid.
pub async fn set_look(tx: &Tx, id: OrderId, look_us: Option<i64>) -> Result<(), Error> {
    order_changes::Entity::update_many()
        .col_expr(order_changes::Column::LookUs, Expr::value(look_us))
        .filter(order_changes::Column::OrderId.eq(id.0))
        .filter(order_changes::Column::PaidUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that it is paid. What the server had is kept until it has what was bought: so long the
/// larger of both is held.
pub async fn set_paid(
    tx: &Tx,
    id: OrderId,
    plan_before: &str,
    spec_before: &Spec,
    now_us: i64,
) -> Result<(), Error> {
    let change = order_changes::ActiveModel {
        plan_id: Set(plan_before.to_owned()),
        spec: Set(to_json(spec_before)?),
        paid_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Forgets a change that is not paid. Tells whether there was one.
pub async fn remove_unpaid(tx: &Tx, id: OrderId) -> Result<bool, Error> {
    let deleted = order_changes::Entity::delete_by_id(id.0)
        .filter(order_changes::Column::PaidUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// Forgets the change: it is done, or nothing comes of it. Doing it twice is the same as once.
pub async fn remove(tx: &Tx, id: OrderId) -> Result<(), Error> {
    order_changes::Entity::delete_by_id(id.0)
        .exec(&**tx)
        .await?;
    Ok(())
}
