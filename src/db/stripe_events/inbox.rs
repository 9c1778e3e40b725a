//! The inbox as operators read it.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::State;
use crate::{
    db::{Error, Tx, entity::stripe_events},
    domain::OrderId,
};

/// An event in the inbox, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `evt_...`.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The version it is rendered in.
    pub api_version: Option<String>,
    /// Its mode.
    pub livemode: bool,
    /// When Stripe made it.
    pub created_us: i64,
    /// When it reached us.
    pub received_us: i64,
    /// How it reached us last.
    pub source: String,
    /// What became of it.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it could not be applied.
    pub last_error: String,
    /// The order that it is about.
    pub order_id: Option<OrderId>,
}

/// What a list of events is narrowed to. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this type.
    pub kind: Option<String>,
    /// Only those about this order.
    pub order_id: Option<OrderId>,
    /// Only those received at or after this time.
    pub from_us: Option<i64>,
    /// Only those received before this time.
    pub before_us: Option<i64>,
}

/// Events behind `after` (time of receipt and id), the last received first.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<(i64, &str)>,
    limit: u64,
) -> Result<Vec<Stored>, Error> {
    use stripe_events::Column;
    let mut query = stripe_events::Entity::find()
        .order_by_desc(Column::ReceivedUs)
        .order_by_desc(Column::Id)
        .limit(limit);
    if let Some(state) = filter.state {
        query = query.filter(Column::State.eq(state.as_str()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(Column::Kind.eq(kind));
    }
    if let Some(id) = filter.order_id {
        query = query.filter(Column::OrderId.eq(id.0));
    }
    if let Some(from_us) = filter.from_us {
        query = query.filter(Column::ReceivedUs.gte(from_us));
    }
    if let Some(before_us) = filter.before_us {
        query = query.filter(Column::ReceivedUs.lt(before_us));
    }
    if let Some((received_us, id)) = after {
        let same = Condition::all()
            .add(Column::ReceivedUs.eq(received_us))
            .add(Column::Id.lt(id));
        let behind = Condition::any()
            .add(Column::ReceivedUs.lt(received_us))
            .add(same);
        query = query.filter(behind);
    }
    let rows = query.all(connection).await?;
    Ok(rows.into_iter().map(stored).collect())
}

/// Locks an event's row until the transaction ends. A writing transaction of SQLite has
/// everything locked.
pub async fn lock(tx: &Tx, id: &str) -> Result<(), Error> {
    if tx.is_postgres() {
        let _: Option<String> = stripe_events::Entity::find_by_id(id)
            .select_only()
            .column(stripe_events::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .one(&**tx)
            .await?;
    }
    Ok(())
}

/// One event, with its payload.
pub async fn find(
    connection: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<(Stored, Vec<u8>)>, Error> {
    let row = stripe_events::Entity::find_by_id(id)
        .one(connection)
        .await?;
    Ok(row.map(|row| {
        let payload = row.payload.clone();
        (stored(row), payload)
    }))
}

fn stored(row: stripe_events::Model) -> Stored {
    Stored {
        id: row.id,
        kind: row.kind,
        api_version: row.api_version,
        livemode: row.livemode,
        created_us: row.created_us,
        received_us: row.received_us,
        source: row.source,
        state: row.state,
        attempts: row.attempts,
        last_error: row.last_error,
        order_id: row.order_id.map(OrderId),
    }
}
