//! Who works on an order, and when it is looked at next. Bookkeeping: no event,
//! no version.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, Statement,
    Value, sea_query::Expr,
};

use crate::{
    db::{Db, Error, Tx, entity::orders},
    domain::OrderId,
};

/// The right to work on an order until the lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The order.
    pub id: OrderId,
    /// Writes with an older fence are refused.
    pub fence: i64,
}

/// Claims up to `limit` due orders, the longest due first. One statement, so that
/// two replicas never claim the same; on PostgreSQL the chosen ids are made an array
/// first, because a planner may run a bare sub-select more than once.
pub async fn claim(
    db: &Db,
    owner: &str,
    now_us: i64,
    until_us: i64,
    limit: u64,
) -> Result<Vec<Claim>, Error> {
    let due = "SELECT id FROM orders WHERE due_us <= $3
        AND (lease_until_us IS NULL OR lease_until_us <= $3) ORDER BY due_us LIMIT $4";
    let chosen = if db.is_postgres() {
        format!("id = ANY(ARRAY({due} FOR UPDATE SKIP LOCKED))")
    } else {
        format!("id IN ({due})")
    };
    let sql = format!(
        "UPDATE orders SET lease_owner = $1, lease_until_us = $2, fence = fence + 1
            WHERE {chosen} RETURNING id, fence, due_us"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values: [Value; 4] = [owner.into(), until_us.into(), now_us.into(), limit.into()];
    let backend = db.write().get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    let rows = db.write().query_all_raw(statement).await?;
    let mut claims = Vec::with_capacity(rows.len());
    for row in rows {
        let claim = Claim {
            id: OrderId(row.try_get_by_index(0)?),
            fence: row.try_get_by_index(1)?,
        };
        claims.push((row.try_get_by_index::<Option<i64>>(2)?, claim));
    }
    claims.sort_by_key(|(due_us, _)| *due_us);
    Ok(claims.into_iter().map(|(_, claim)| claim).collect())
}

/// Prolongs a claim; `false` where it was lost.
pub async fn renew(db: &Db, claim: Claim, until_us: i64) -> Result<bool, Error> {
    let renewed = orders::Entity::update_many()
        .col_expr(orders::Column::LeaseUntilUs, Expr::value(until_us))
        .filter(orders::Column::Id.eq(claim.id.0))
        .filter(orders::Column::Fence.eq(claim.fence))
        .filter(orders::Column::LeaseOwner.is_not_null())
        .exec(db.write())
        .await?;
    Ok(renewed.rows_affected == 1)
}

/// Ends a claim and sets when the order is looked at next: at `next_us`, unless a
/// fact came since `facts_seq` was read; then now.
pub async fn release(
    tx: &Tx,
    claim: Claim,
    facts_seq: i64,
    next_us: Option<i64>,
    now_us: i64,
) -> Result<(), Error> {
    let next = Expr::case(orders::Column::FactsSeq.eq(facts_seq), Expr::value(next_us))
        .finally(Expr::value(now_us));
    let released = orders::Entity::update_many()
        .col_expr(orders::Column::LeaseOwner, Expr::value(None::<String>))
        .col_expr(orders::Column::LeaseUntilUs, Expr::value(None::<i64>))
        .col_expr(orders::Column::DueUs, next.into())
        .filter(orders::Column::Id.eq(claim.id.0))
        .filter(orders::Column::Fence.eq(claim.fence))
        .exec(&**tx)
        .await?;
    if released.rows_affected == 1 {
        Ok(())
    } else {
        Err(Error::ClaimLost)
    }
}

/// Gives a claim back untouched, so that another replica goes on at once.
pub async fn abandon(db: &Db, claim: Claim, now_us: i64) -> Result<(), Error> {
    orders::Entity::update_many()
        .col_expr(orders::Column::LeaseOwner, Expr::value(None::<String>))
        .col_expr(orders::Column::LeaseUntilUs, Expr::value(None::<i64>))
        .col_expr(orders::Column::DueUs, Expr::value(now_us))
        .filter(orders::Column::Id.eq(claim.id.0))
        .filter(orders::Column::Fence.eq(claim.fence))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Notes that a fact came and the order is due at `due_us` at the latest.
pub async fn add_fact(tx: &Tx, id: OrderId, due_us: i64) -> Result<(), Error> {
    orders::Entity::update_many()
        .col_expr(
            orders::Column::FactsSeq,
            Expr::col(orders::Column::FactsSeq).add(1),
        )
        .col_expr(
            orders::Column::DueUs,
            Expr::case(
                orders::Column::DueUs
                    .is_null()
                    .or(orders::Column::DueUs.gt(due_us)),
                Expr::value(due_us),
            )
            .finally(Expr::col(orders::Column::DueUs))
            .into(),
        )
        .filter(orders::Column::Id.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Has these orders looked at now, whatever they wait for.
pub async fn wake(tx: &Tx, ids: &[OrderId], now_us: i64) -> Result<(), Error> {
    orders::Entity::update_many()
        .col_expr(
            orders::Column::FactsSeq,
            Expr::col(orders::Column::FactsSeq).add(1),
        )
        .col_expr(orders::Column::DueUs, Expr::value(now_us))
        .filter(orders::Column::Id.is_in(ids.iter().map(|id| id.0)))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Locks the order's row for a write that shows nowhere, if the claim still holds.
pub async fn lock(tx: &Tx, claim: Claim) -> Result<(), Error> {
    let fence: Option<i64> = orders::Entity::find_by_id(claim.id.0)
        .select_only()
        .column(orders::Column::Fence)
        .lock_exclusive()
        .into_tuple()
        .one(&**tx)
        .await?;
    holds(claim, fence.ok_or(Error::ClaimLost)?)
}

/// Whether the claim still holds, checked under the row lock.
pub fn holds(claim: Claim, fence: i64) -> Result<(), Error> {
    if fence == claim.fence {
        Ok(())
    } else {
        Err(Error::ClaimLost)
    }
}

/// Frees every lease. Only for SQLite at start-up: its one process has just begun.
pub async fn clear_all(db: &Db) -> Result<(), Error> {
    orders::Entity::update_many()
        .col_expr(orders::Column::LeaseOwner, Expr::value(None::<String>))
        .col_expr(orders::Column::LeaseUntilUs, Expr::value(None::<i64>))
        .filter(orders::Column::LeaseOwner.is_not_null())
        .exec(db.write())
        .await?;
    Ok(())
}
