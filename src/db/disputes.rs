//! Queries of `disputes`: what banks dispute of an order's payments. Since when that keeps its
//! server from running, and how many of them may still change, stands in its billing row as
//! well, where planning sees it; all of it changes under the order's lock.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, TryInsertResult,
    sea_query::OnConflict,
};

use super::{
    Error, Tx,
    entity::{billing, disputes},
};
use crate::domain::{
    OrderId,
    dispute::{Claim, DisputePolicy, disputed_since},
};

/// What Stripe said of an order's disputes that it may still say something else of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Those that could be read.
    pub read: Vec<DisputeRead>,
    /// Ids of those that could not.
    pub unread: Vec<String>,
}

/// A dispute as our own read of Stripe showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeRead {
    /// `du_...` or `dp_...`.
    pub dispute_id: String,
    /// Stripe's own word.
    pub status: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
}

/// What a read told that was not known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// `du_...` or `dp_...`.
    pub dispute_id: String,
    /// The invoice whose payment it is about.
    pub invoice_id: String,
    /// Where it stands now.
    pub claim: Claim,
}

/// A dispute as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As our last read showed it; its status is empty before the first.
    pub last: DisputeRead,
    /// The invoice whose payment it is about.
    pub invoice_id: String,
    /// When it was heard of.
    pub noted_us: i64,
}

/// All disputes of an order's payments, oldest first.
pub async fn list(connection: &impl ConnectionTrait, id: OrderId) -> Result<Vec<Kept>, Error> {
    let rows = of_order(connection, id).await?.into_iter();
    let kept = rows.map(|row| Kept {
        last: DisputeRead {
            dispute_id: row.dispute_id,
            status: row.status,
            amount_minor: row.amount_minor,
            currency: row.currency,
        },
        invoice_id: row.invoice_id,
        noted_us: row.noted_us,
    });
    Ok(kept.collect())
}

/// Notes that there is such a dispute of the order's payments; what it is Stripe is asked for.
pub async fn note(
    tx: &Tx,
    id: OrderId,
    dispute_id: &str,
    invoice_id: &str,
    now_us: i64,
) -> Result<(), Error> {
    let row = disputes::ActiveModel {
        dispute_id: Set(dispute_id.to_owned()),
        order_id: Set(id.0),
        invoice_id: Set(invoice_id.to_owned()),
        status: Set(String::new()),
        amount_minor: Set(0),
        currency: Set(String::new()),
        noted_us: Set(now_us),
        read_us: Set(None),
    };
    let known = OnConflict::column(disputes::Column::DisputeId)
        .do_nothing()
        .to_owned();
    let inserted = disputes::Entity::insert(row)
        .on_conflict(known)
        .try_insert()
        .exec_without_returning(&**tx)
        .await?;
    if matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0) {
        let open = unsettled(&**tx, id).await?.len();
        count(tx, id, open).await?;
    }
    Ok(())
}

/// Ids of an order's disputes that Stripe may still say something else of.
pub async fn unsettled(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Vec<String>, Error> {
    let rows = of_order(connection, id).await?;
    let open = rows
        .into_iter()
        .filter(|row| !Claim::of(&row.status).is_final());
    Ok(open.map(|row| row.dispute_id).collect())
}

/// Stores what our own read showed, and tells what is new. What could not be read is as it was, and
/// stays to be asked for.
pub async fn set_read(
    tx: &Tx,
    id: OrderId,
    reads: &Reads,
    policy: DisputePolicy,
    read_us: i64,
) -> Result<Vec<News>, Error> {
    let mut news = Vec::new();
    for row in of_order(&**tx, id).await? {
        if reads.unread.contains(&row.dispute_id) {
            let change = disputes::ActiveModel {
                dispute_id: Unchanged(row.dispute_id),
                read_us: Set(None),
                ..Default::default()
            };
            change.update(&**tx).await?;
            continue;
        }
        let mut all = reads.read.iter();
        let Some(read) = all.find(|read| read.dispute_id == row.dispute_id) else {
            continue;
        };
        let claim = Claim::of(&read.status);
        if claim != Claim::of(&row.status) {
            news.push(News {
                dispute_id: row.dispute_id.clone(),
                invoice_id: row.invoice_id,
                claim,
            });
        }
        let change = disputes::ActiveModel {
            dispute_id: Unchanged(row.dispute_id),
            status: Set(read.status.clone()),
            amount_minor: Set(read.amount_minor),
            currency: Set(read.currency.clone()),
            read_us: Set(Some(read_us)),
            ..Default::default()
        };
        change.update(&**tx).await?;
    }
    let claims: Vec<Claim> = of_order(&**tx, id)
        .await?
        .iter()
        .map(|row| Claim::of(&row.status))
        .collect();
    let open = claims.iter().filter(|claim| !claim.is_final()).count();
    count(tx, id, open).await?;
    let before = billing::Entity::find_by_id(id.0).one(&**tx).await?;
    let before_us = before.and_then(|row| row.disputed_since_us);
    let since_us = disputed_since(policy, claims.into_iter(), before_us, read_us);
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        disputed_since_us: Set(since_us),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(news)
}

/// Invoices of an order whose money a bank has.
pub async fn withheld(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Vec<String>, Error> {
    let rows = of_order(connection, id).await?.into_iter();
    let withheld = rows.filter(|row| matches!(Claim::of(&row.status), Claim::Open | Claim::Lost));
    Ok(withheld.map(|row| row.invoice_id).collect())
}

async fn of_order(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Vec<disputes::Model>, Error> {
    let rows = disputes::Entity::find()
        .filter(disputes::Column::OrderId.eq(id.0))
        .order_by_asc(disputes::Column::NotedUs);
    Ok(rows.all(connection).await?)
}

async fn count(tx: &Tx, id: OrderId, open: usize) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        disputes_open: Set(i32::try_from(open).unwrap_or(i32::MAX)),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}
