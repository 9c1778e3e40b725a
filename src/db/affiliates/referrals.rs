//! Queries of `affiliate_referrals`: orders whose customers an affiliate sent, and when their
//! invoices are looked at.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, TryInsertResult,
    sea_query::{Expr, OnConflict},
};

use super::{lock, sum};
use crate::{
    db::{Error, Tx, entity::affiliate_referrals as rows},
    domain::{
        OrderId, UserId,
        affiliate::{Referral, Terms},
    },
};

/// Stores who sent an order's customer, and what that is to earn; the first one stays. The order
/// is locked.
pub async fn insert(
    tx: &Tx,
    id: OrderId,
    affiliate: UserId,
    terms: &Terms,
    now_us: i64,
) -> Result<(), Error> {
    lock(tx, affiliate).await?;
    let row = rows::Model {
        order_id: id.0,
        user_id: affiliate.0,
        referred_us: now_us,
        percent: terms.percent,
        months: terms.months,
        heard_us: now_us,
        looked_us: None,
        // Where nothing is promised, nothing is looked for.
        next_us: (terms.percent > 0).then_some(now_us),
    };
    let known = OnConflict::column(rows::Column::OrderId)
        .do_nothing()
        .to_owned();
    let inserted = rows::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(known)
        .try_insert()
        .exec_without_returning(&**tx)
        .await?;
    if matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0) {
        sum(tx, affiliate).await?;
    }
    Ok(())
}

/// Notes that the billing of an order was read: its invoices are looked at again.
pub async fn hear(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    rows::Entity::update_many()
        .col_expr(rows::Column::HeardUs, Expr::value(now_us))
        .col_expr(rows::Column::NextUs, Expr::value(now_us))
        .filter(rows::Column::OrderId.eq(id.0))
        .filter(rows::Column::Percent.gt(0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Those whose invoices are to be looked at, by order, behind `after`.
pub async fn due(
    connection: &impl ConnectionTrait,
    after: Option<OrderId>,
    now_us: i64,
    limit: u64,
) -> Result<Vec<Referral>, Error> {
    let mut query = rows::Entity::find()
        .filter(rows::Column::NextUs.lte(now_us))
        .order_by_asc(rows::Column::OrderId)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(rows::Column::OrderId.gt(after.0));
    }
    let found = query.all(connection).await?;
    Ok(found.into_iter().map(referral).collect())
}

/// An order's.
pub async fn find(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<Referral>, Error> {
    let row = rows::Entity::find_by_id(id.0).one(connection).await?;
    Ok(row.map(referral))
}

/// Notes that the invoices were looked at. What was heard meanwhile stays due.
pub async fn set_looked(tx: &Tx, referral: &Referral, next_us: Option<i64>) -> Result<(), Error> {
    rows::Entity::update_many()
        .col_expr(rows::Column::LookedUs, Expr::value(referral.heard_us))
        .col_expr(rows::Column::NextUs, Expr::value(next_us))
        .filter(rows::Column::OrderId.eq(referral.order_id.0))
        .filter(rows::Column::HeardUs.eq(referral.heard_us))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Puts a look off, whatever it was for.
pub async fn put_off(tx: &Tx, id: OrderId, next_us: i64) -> Result<(), Error> {
    rows::Entity::update_many()
        .col_expr(rows::Column::NextUs, Expr::value(next_us))
        .filter(rows::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

fn referral(row: rows::Model) -> Referral {
    Referral {
        order_id: OrderId(row.order_id),
        affiliate: UserId(row.user_id),
        referred_us: row.referred_us,
        percent: row.percent,
        months: row.months,
        heard_us: row.heard_us,
        looked_us: row.looked_us,
    }
}
