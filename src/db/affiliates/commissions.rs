//! Queries of `affiliate_commissions`: one row for a paid invoice of an order. Its state goes from
//! pending to earned, from both to reversed, and back to pending where the money came back; and the
//! affiliate's credits go with it.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, NotSet, QueryFilter, QueryOrder, QuerySelect, Set,
    TryInsertResult,
    sea_query::{Expr, OnConflict},
};

use super::{lock, referrals, sum};
use crate::{
    db::{
        Error, Tx,
        convert::word,
        entity::{affiliate_commissions as rows, affiliates},
    },
    domain::{
        OrderId, UserId,
        affiliate::{Commission, CommissionState, Referral},
        catalog::Money,
    },
};

/// A paid invoice that earns something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `in_...`.
    pub invoice_id: String,
    /// What it earns.
    pub amount: Money,
}

/// Stores what the invoices of an order earn, each once, and tells how many were new. The order is
/// locked. The first currency is the one that an affiliate's credits are counted in.
pub async fn insert(
    tx: &Tx,
    referral: &Referral,
    found: &[Found],
    seen_us: i64,
    earns_us: i64,
) -> Result<u64, Error> {
    let Some(first) = found.first() else {
        return Ok(0);
    };
    let mut counted_in = lock(tx, referral.affiliate).await?.currency;
    if counted_in.is_empty() {
        counted_in.clone_from(&first.amount.currency);
        affiliates::Entity::update_many()
            .col_expr(affiliates::Column::Currency, Expr::value(&counted_in))
            .filter(affiliates::Column::UserId.eq(referral.affiliate.0))
            .exec(&**tx)
            .await?;
    }
    let mut new = 0;
    for one in found {
        let row = rows::ActiveModel {
            id: NotSet,
            order_id: Set(referral.order_id.0),
            invoice_id: Set(one.invoice_id.clone()),
            user_id: Set(referral.affiliate.0),
            amount_minor: Set(one.amount.amount_minor),
            currency: Set(one.amount.currency.clone()),
            state: Set(CommissionState::Pending.to_string()),
            seen_us: Set(seen_us),
            earns_us: Set(earns_us),
        };
        let known = OnConflict::columns([rows::Column::OrderId, rows::Column::InvoiceId])
            .do_nothing()
            .to_owned();
        let inserted = rows::Entity::insert(row)
            .on_conflict(known)
            .try_insert()
            .exec_without_returning(&**tx)
            .await?;
        if matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0) {
            new += 1;
            if one.amount.currency != counted_in {
                let (invoice_id, currency) = (&one.invoice_id, &one.amount.currency);
                tracing::warn!(
                    invoice_id,
                    currency,
                    counted_in,
                    "a commission of another currency is listed and not among the credits"
                );
            }
        }
    }
    Ok(new)
}

/// Lets what is pending for so long count, of these invoices, and tells how many that were. The
/// order is locked.
pub async fn earn(
    tx: &Tx,
    referral: &Referral,
    invoice_ids: &[String],
    now_us: i64,
) -> Result<u64, Error> {
    let change = (CommissionState::Pending, CommissionState::Earned);
    let updated = set_state(tx, referral, invoice_ids, change, Some(now_us)).await?;
    if updated > 0 {
        sum(tx, referral.affiliate).await?;
    }
    Ok(updated)
}

/// Has those of an order's that are for these invoices, and in the one state, be in the other; of
/// those that earn later than a time none. Tells how many that were.
async fn set_state(
    tx: &Tx,
    referral: &Referral,
    invoice_ids: &[String],
    (from, to): (CommissionState, CommissionState),
    earns_by_us: Option<i64>,
) -> Result<u64, Error> {
    if invoice_ids.is_empty() {
        return Ok(0);
    }
    lock(tx, referral.affiliate).await?;
    let mut update = rows::Entity::update_many()
        .col_expr(rows::Column::State, Expr::value(to.as_str()))
        .filter(rows::Column::OrderId.eq(referral.order_id.0))
        .filter(rows::Column::InvoiceId.is_in(invoice_ids))
        .filter(rows::Column::State.eq(from.as_str()));
    if let Some(by_us) = earns_by_us {
        update = update.filter(rows::Column::EarnsUs.lte(by_us));
    }
    Ok(update.exec(&**tx).await?.rows_affected)
}

/// Takes back what an order's payments earned, because they went back or were lost in a dispute:
/// all of them, or that for one invoice. Tells how many that were. The order is locked. What was not seen yet is not there to be reversed: the sweep that sees it asks
/// Stripe for refunds first, and whoever reverses for another reason does so again at its end.
pub async fn reverse(tx: &Tx, id: OrderId, invoice_id: Option<&str>) -> Result<u64, Error> {
    let Some(referral) = referrals::find(&**tx, id).await? else {
        return Ok(0);
    };
    lock(tx, referral.affiliate).await?;
    let mut update = rows::Entity::update_many()
        .col_expr(
            rows::Column::State,
            Expr::value(CommissionState::Reversed.as_str()),
        )
        .filter(rows::Column::OrderId.eq(id.0))
        .filter(rows::Column::State.ne(CommissionState::Reversed.as_str()));
    if let Some(invoice_id) = invoice_id {
        update = update.filter(rows::Column::InvoiceId.eq(invoice_id));
    }
    let updated = update.exec(&**tx).await?.rows_affected;
    if updated > 0 {
        sum(tx, referral.affiliate).await?;
    }
    Ok(updated)
}

/// Lets what was taken back wait again to count, of these invoices, whose money the shop has after
/// all: a dispute was won, or a refund failed. Tells how many that were. The order is locked.
pub async fn restore(tx: &Tx, referral: &Referral, invoice_ids: &[String]) -> Result<u64, Error> {
    let change = (CommissionState::Reversed, CommissionState::Pending);
    set_state(tx, referral, invoice_ids, change, None).await
}

/// Those of an order, oldest first.
pub async fn of_order(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Vec<Commission>, Error> {
    let found = rows::Entity::find()
        .filter(rows::Column::OrderId.eq(id.0))
        .order_by_asc(rows::Column::Id)
        .all(connection)
        .await?;
    found.into_iter().map(commission).collect()
}

/// Those of an affiliate, the last one first, older than `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    affiliate: UserId,
    after: Option<i64>,
    limit: u64,
) -> Result<Vec<Commission>, Error> {
    let mut query = rows::Entity::find()
        .filter(rows::Column::UserId.eq(affiliate.0))
        .order_by_desc(rows::Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(rows::Column::Id.lt(after));
    }
    let found = query.all(connection).await?;
    found.into_iter().map(commission).collect()
}

fn commission(row: rows::Model) -> Result<Commission, Error> {
    Ok(Commission {
        id: row.id,
        order_id: OrderId(row.order_id),
        invoice_id: row.invoice_id,
        amount: Money {
            amount_minor: row.amount_minor,
            currency: row.currency,
        },
        state: word(
            CommissionState::parse,
            &row.state,
            "affiliate_commissions.state",
        )?,
        seen_us: row.seen_us,
        earns_us: row.earns_us,
    })
}
