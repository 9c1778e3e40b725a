//! Queries of `refunds`: payments that go back. How many of an order are still due stands in
//! its billing row as well, where planning sees it; both change under the order's lock.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, NotSet, QueryFilter, QueryOrder, Set,
    TryInsertResult,
    sea_query::{Expr, OnConflict},
};

use super::{
    Error, Tx,
    convert::{json, to_json, word},
    entity::{billing, refunds},
    order_events,
    orders::Note,
};
use crate::domain::{
    OrderId,
    refund::{DueRefund, RefundReason},
};

/// What Stripe made of a refund.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// `re_...`, one for each payment of the subscription.
    pub refund_ids: Vec<String>,
    /// What went back in all, minor units.
    pub amount_minor: i64,
    /// ISO 4217, lower case; empty where nothing did.
    pub currency: String,
}

/// Notes that the payment of a session is to go back, and tells whether it was not noted
/// before: a payment goes back once, whatever else speaks for it later.
pub async fn decide(
    tx: &Tx,
    id: OrderId,
    session_id: &str,
    reason: RefundReason,
    now_us: i64,
) -> Result<bool, Error> {
    let row = refunds::ActiveModel {
        id: NotSet,
        order_id: Set(id.0),
        session_id: Set(session_id.to_owned()),
        reason: Set(reason.to_string()),
        decided_us: Set(now_us),
        done_us: Set(None),
        attempts: Set(0),
        last_error: Set(String::new()),
        refund_ids: Set(to_json(&Vec::<String>::new())?),
        amount_minor: Set(0),
        currency: Set(String::new()),
    };
    let known = OnConflict::columns([refunds::Column::OrderId, refunds::Column::SessionId])
        .do_nothing()
        .to_owned();
    let inserted = refunds::Entity::insert(row)
        .on_conflict(known)
        .try_insert()
        .exec_without_returning(&**tx)
        .await?;
    let new = matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0);
    if new {
        count(tx, id, 1).await?;
        try_now(tx, id).await?;
    }
    Ok(new)
}

/// As [`decide`], and says so in the order's events where it is news.
pub async fn decide_and_tell(
    tx: &Tx,
    id: OrderId,
    (session_id, reason): (&str, RefundReason),
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    if decide(tx, id, session_id, reason, now_us).await? {
        let text = format!("{session_id} is to be refunded: {}", reason.text());
        order_events::remark(tx, id, &text, note, now_us).await?;
    }
    Ok(())
}

/// The first that is still due.
pub async fn due(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<DueRefund>, Error> {
    let row = refunds::Entity::find()
        .filter(refunds::Column::OrderId.eq(id.0))
        .filter(refunds::Column::DoneUs.is_null())
        .order_by_asc(refunds::Column::Id)
        .one(connection)
        .await?;
    row.map(|row| {
        Ok(DueRefund {
            id: row.id,
            reason: word(RefundReason::parse, &row.reason, "refunds.reason")?,
            session_id: row.session_id,
            attempts: row.attempts,
            last_error: row.last_error,
        })
    })
    .transpose()
}

async fn find(
    connection: &impl ConnectionTrait,
    id: OrderId,
    session_id: &str,
) -> Result<Option<refunds::Model>, Error> {
    let row = refunds::Entity::find()
        .filter(refunds::Column::OrderId.eq(id.0))
        .filter(refunds::Column::SessionId.eq(session_id));
    Ok(row.one(connection).await?)
}

/// Whether it was noted that the payment of a session is to go back, and whether that is done,
/// whatever there was to give back.
pub async fn noted(
    connection: &impl ConnectionTrait,
    id: OrderId,
    session_id: &str,
) -> Result<Option<bool>, Error> {
    let row = find(connection, id, session_id).await?;
    Ok(row.map(|row| row.done_us.is_some()))
}

/// Whether the payment of a session is to go back, and whether it has: `None` where it stays.
pub async fn went_back(
    connection: &impl ConnectionTrait,
    id: OrderId,
    session_id: &str,
) -> Result<Option<bool>, Error> {
    let row = find(connection, id, session_id).await?;
    Ok(row.and_then(|row| match row.done_us {
        None => Some(false),
        // There was nothing to give back.
        Some(_) if row.amount_minor == 0 => None,
        Some(_) => Some(true),
    }))
}

/// A payment that goes back, or went back, as its customer may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The session that was paid.
    pub session_id: String,
    /// Why.
    pub reason: RefundReason,
    /// When that was decided.
    pub decided_us: i64,
    /// When it was carried out.
    pub done_us: Option<i64>,
    /// What Stripe made of it.
    pub done: Done,
}

/// All of an order, the oldest first.
pub async fn of_order(connection: &impl ConnectionTrait, id: OrderId) -> Result<Vec<Shown>, Error> {
    let rows = refunds::Entity::find()
        .filter(refunds::Column::OrderId.eq(id.0))
        .order_by_asc(refunds::Column::Id)
        .all(connection)
        .await?;
    let shown = rows.into_iter().map(|row| {
        Ok(Shown {
            session_id: row.session_id,
            reason: word(RefundReason::parse, &row.reason, "refunds.reason")?,
            decided_us: row.decided_us,
            done_us: row.done_us,
            done: Done {
                refund_ids: json(row.refund_ids, "refunds.refund_ids")?,
                amount_minor: row.amount_minor,
                currency: row.currency,
            },
        })
    });
    shown.collect()
}

/// Notes what became of one, unless that is noted already.
pub async fn set_done(
    tx: &Tx,
    id: OrderId,
    refund: &DueRefund,
    done: &Done,
    now_us: i64,
) -> Result<(), Error> {
    let ids = to_json(&done.refund_ids)?;
    let updated = refunds::Entity::update_many()
        .col_expr(refunds::Column::DoneUs, Expr::value(now_us))
        .col_expr(refunds::Column::RefundIds, Expr::value(ids))
        .col_expr(refunds::Column::AmountMinor, Expr::value(done.amount_minor))
        .col_expr(
            refunds::Column::Currency,
            Expr::value(done.currency.as_str()),
        )
        .filter(refunds::Column::Id.eq(refund.id))
        .filter(refunds::Column::DoneUs.is_null())
        .exec(&**tx)
        .await?;
    if updated.rows_affected > 0 {
        count(tx, id, -1).await?;
        try_now(tx, id).await?;
    }
    Ok(())
}

/// Notes that one was tried in vain, and when it is tried again. Without a text it waits for
/// something, which is no failure.
pub async fn set_tried(
    tx: &Tx,
    id: OrderId,
    refund: &DueRefund,
    error: Option<&str>,
    next_us: i64,
) -> Result<(), Error> {
    if let Some(error) = error {
        refunds::Entity::update_many()
            .col_expr(
                refunds::Column::Attempts,
                Expr::col(refunds::Column::Attempts).add(1),
            )
            .col_expr(refunds::Column::LastError, Expr::value(error))
            .filter(refunds::Column::Id.eq(refund.id))
            .exec(&**tx)
            .await?;
    }
    set_next(tx, id, Some(next_us)).await
}

/// Has what is due tried at once.
pub async fn try_now(tx: &Tx, id: OrderId) -> Result<(), Error> {
    set_next(tx, id, None).await
}

async fn set_next(tx: &Tx, id: OrderId, next_us: Option<i64>) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::RefundNextUs, Expr::value(next_us))
        .filter(billing::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

async fn count(tx: &Tx, id: OrderId, by: i32) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(
            billing::Column::RefundsDue,
            Expr::col(billing::Column::RefundsDue).add(by),
        )
        .filter(billing::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}
