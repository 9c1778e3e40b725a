//! Queries of `stripe_events`: the inbox.

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{Error, Tx, entity::stripe_events};
use crate::domain::{OrderId, words::words};

words! {
    /// What became of an event.
    State {
        /// It is about money, and names no order: Stripe has to be asked whose it is.
        Received = "received",
        /// It marked its order due, or told nothing new of it.
        Applied = "applied",
        /// It is not about us.
        Ignored = "ignored",
        /// It could not be applied; it is kept with its error.
        Failed = "failed",
    }
}

words! {
    /// How an event reached us.
    Source {
        /// Through the gateway.
        Webhook = "webhook",
        /// Found by listing Stripe's events.
        Sweep = "sweep",
        /// Applied again by an operator.
        Replay = "replay",
    }
}

pub mod inbox;

/// An event to store.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// `evt_...`.
    pub id: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// The version it is rendered in.
    pub api_version: Option<&'a str>,
    /// Its mode.
    pub livemode: bool,
    /// When Stripe made it.
    pub created_us: i64,
    /// When the gateway read its first byte.
    pub received_us: i64,
    /// As it came.
    pub payload: &'a [u8],
    /// How it came.
    pub source: Source,
}

/// Stores an event; `false` where it is stored already.
pub async fn insert(tx: &Tx, event: &NewEvent<'_>) -> Result<bool, Error> {
    let row = stripe_events::Model {
        id: event.id.to_owned(),
        kind: event.kind.to_owned(),
        api_version: event.api_version.map(str::to_owned),
        livemode: event.livemode,
        created_us: event.created_us,
        received_us: event.received_us,
        payload: event.payload.to_vec(),
        source: event.source.as_str().to_owned(),
        state: State::Received.as_str().to_owned(),
        attempts: 1,
        last_error: String::new(),
        order_id: None,
    };
    let stored = stripe_events::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(
            OnConflict::column(stripe_events::Column::Id)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(&**tx)
        .await?;
    Ok(stored == 1)
}

/// Which of these events are stored.
pub async fn known(
    connection: &impl ConnectionTrait,
    ids: &[&str],
) -> Result<HashSet<String>, Error> {
    let known: Vec<String> = stripe_events::Entity::find()
        .select_only()
        .column(stripe_events::Column::Id)
        .filter(stripe_events::Column::Id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(known.into_iter().collect())
}

/// Forgets the payloads of events that were received in this span, the oldest first. Tells how
/// many there were, and when the last of them was received.
pub async fn forget_payloads(
    tx: &Tx,
    from_us: i64,
    before_us: i64,
    limit: u64,
) -> Result<Option<(usize, i64)>, Error> {
    let old: Vec<(String, i64)> = stripe_events::Entity::find()
        .select_only()
        .column(stripe_events::Column::Id)
        .column(stripe_events::Column::ReceivedUs)
        .filter(stripe_events::Column::ReceivedUs.gte(from_us))
        .filter(stripe_events::Column::ReceivedUs.lt(before_us))
        .filter(Expr::cust("length(payload) > 0"))
        .order_by_asc(stripe_events::Column::ReceivedUs)
        .limit(limit)
        .into_tuple()
        .all(&**tx)
        .await?;
    let Some((_, last_us)) = old.last() else {
        return Ok(None);
    };
    stripe_events::Entity::update_many()
        .col_expr(
            stripe_events::Column::Payload,
            Expr::value(Vec::<u8>::new()),
        )
        .filter(stripe_events::Column::Id.is_in(old.iter().map(|(id, _)| id.as_str())))
        .exec(&**tx)
        .await?;
    Ok(Some((old.len(), *last_us)))
}

/// Events about money of which Stripe has to be asked whose they are, behind `after` (time of
/// receipt and id); the oldest first.
pub async fn received(
    connection: &impl ConnectionTrait,
    after: Option<(i64, &str)>,
    limit: u64,
) -> Result<Vec<(i64, String)>, Error> {
    use stripe_events::Column;
    let mut query = stripe_events::Entity::find()
        .select_only()
        .column(Column::ReceivedUs)
        .column(Column::Id)
        // In so many words: the index holds only these.
        .filter(Expr::cust("state = 'received'"))
        .order_by_asc(Column::ReceivedUs)
        .order_by_asc(Column::Id)
        .limit(limit);
    if let Some((received_us, id)) = after {
        let same = Condition::all()
            .add(Column::ReceivedUs.eq(received_us))
            .add(Column::Id.gt(id));
        let behind = Condition::any()
            .add(Column::ReceivedUs.gt(received_us))
            .add(same);
        query = query.filter(behind);
    }
    Ok(query.into_tuple().all(connection).await?)
}

/// Events that could not be applied, by how often they were tried and by when they must have
/// been received to be tried again; the oldest first.
pub async fn failed(
    connection: &impl ConnectionTrait,
    due: &[(i32, i64)],
    limit: u64,
) -> Result<Vec<String>, Error> {
    let mut any = Condition::any();
    for (attempts, received_by_us) in due {
        let one = Condition::all()
            .add(stripe_events::Column::Attempts.eq(*attempts))
            .add(stripe_events::Column::ReceivedUs.lte(*received_by_us));
        any = any.add(one);
    }
    let ids = stripe_events::Entity::find()
        .select_only()
        .column(stripe_events::Column::Id)
        .filter(stripe_events::Column::State.eq(State::Failed.as_str()))
        .filter(any)
        .order_by_asc(stripe_events::Column::ReceivedUs)
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(ids)
}

/// Notes that an event is applied once more; by an operator, where that is its source now.
pub async fn set_tried(tx: &Tx, id: &str, source: Option<Source>) -> Result<(), Error> {
    let mut update = stripe_events::Entity::update_many().col_expr(
        stripe_events::Column::Attempts,
        Expr::col(stripe_events::Column::Attempts).add(1),
    );
    if let Some(source) = source {
        update = update.col_expr(stripe_events::Column::Source, Expr::value(source.as_str()));
    }
    update
        .filter(stripe_events::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes what became of an event.
pub async fn set_state(
    tx: &Tx,
    id: &str,
    state: State,
    order_id: Option<OrderId>,
    error: &str,
) -> Result<(), Error> {
    stripe_events::Entity::update_many()
        .col_expr(stripe_events::Column::State, Expr::value(state.as_str()))
        .col_expr(
            stripe_events::Column::OrderId,
            Expr::value(order_id.map(|id| id.0)),
        )
        .col_expr(stripe_events::Column::LastError, Expr::value(error))
        .filter(stripe_events::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    Ok(())
}
