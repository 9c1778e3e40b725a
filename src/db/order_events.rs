//! Queries of `order_events`: append-only.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{Db, Error, Tx, entity::order_events, orders::Note, tx::AdvisoryLock};
use crate::domain::{
    OrderId,
    order::visible::{Change, Event},
};

/// Appends one event per change.
pub async fn append(
    tx: &Tx,
    id: OrderId,
    changes: &[Change],
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    let rows = changes.iter().map(|change| order_events::ActiveModel {
        id: NotSet,
        sequence: Set(None),
        order_id: Set(id.0),
        what: Set(change.what.to_owned()),
        from_value: Set(change.from.clone()),
        to_value: Set(change.to.clone()),
        actor: Set(note.actor.clone()),
        cause: Set(note.cause.clone()),
        trace_id: Set(note.trace_id.clone()),
        created_us: Set(now_us),
    });
    order_events::Entity::insert_many(rows)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Appends a remark that changes no field.
pub async fn remark(
    tx: &Tx,
    id: OrderId,
    text: &str,
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    let row = order_events::ActiveModel {
        id: NotSet,
        sequence: Set(None),
        order_id: Set(id.0),
        what: Set("note".to_owned()),
        from_value: Set(String::new()),
        to_value: Set(text.to_owned()),
        actor: Set(note.actor.clone()),
        cause: Set(note.cause.clone()),
        trace_id: Set(note.trace_id.clone()),
        created_us: Set(now_us),
    };
    row.insert(&**tx).await?;
    Ok(())
}

/// Events of one order, oldest first, younger than `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    id: OrderId,
    after: Option<i64>,
    limit: u64,
) -> Result<Vec<Event>, Error> {
    let mut query = order_events::Entity::find()
        .filter(order_events::Column::OrderId.eq(id.0))
        .order_by_asc(order_events::Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(order_events::Column::Id.gt(after));
    }
    let rows = query.all(connection).await?;
    Ok(rows.into_iter().map(event).collect())
}

/// Events of all orders in the order of the feed, behind `after`.
pub async fn numbered(
    connection: &impl ConnectionTrait,
    after: i64,
    limit: u64,
) -> Result<Vec<Event>, Error> {
    let rows = order_events::Entity::find()
        .filter(order_events::Column::Sequence.gt(after))
        .order_by_asc(order_events::Column::Sequence)
        .limit(limit)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(event).collect())
}

/// The last place that was given; 0 before the first.
pub async fn last_number(connection: &impl ConnectionTrait) -> Result<i64, Error> {
    let last: Option<Option<i64>> = order_events::Entity::find()
        .select_only()
        .column_as(order_events::Column::Sequence.max(), "last")
        .into_tuple()
        .one(connection)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}

fn event(row: order_events::Model) -> Event {
    Event {
        id: row.id,
        sequence: row.sequence,
        order_id: OrderId(row.order_id),
        what: row.what,
        from: row.from_value,
        to: row.to_value,
        actor: row.actor,
        cause: row.cause,
        trace_id: row.trace_id,
        created_us: row.created_us,
    }
}

/// Gives committed events their place in the feed, at most `limit` at a time, and
/// tells how many. Numbers are given after the commit and under one lock, so that
/// the feed has no gap and no late comer.
pub async fn sequence(db: &Db, limit: u64) -> Result<u64, Error> {
    db.tx(|tx| async move {
        tx.queue(AdvisoryLock::Sequencer).await?;
        let sql = "UPDATE order_events SET sequence = numbered.place FROM (
                SELECT id, (SELECT coalesce(max(sequence), 0) FROM order_events)
                    + row_number() OVER (ORDER BY id) AS place
                FROM order_events WHERE sequence IS NULL ORDER BY id LIMIT "
            .to_owned()
            + &limit.to_string()
            + ") AS numbered WHERE order_events.id = numbered.id";
        let done = tx.execute_unprepared(&sql).await?;
        Ok(done.rows_affected())
    })
    .await
}
