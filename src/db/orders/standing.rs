//! How many orders wait, and how many are parked: for operators' machines.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::Query,
};

use crate::{
    db::{
        Error,
        entity::{holds, orders},
    },
    domain::order::{ErrorReason, ServerState, Status, WaitingReason},
};

/// Counts by reason; of reasons that are not there nothing waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What orders wait for.
    pub waiting: Vec<(WaitingReason, i64)>,
    /// Why orders are parked.
    pub parked: Vec<(ErrorReason, i64)>,
}

/// Counts what stands still. An order that is over, and has neither server nor room any more, needs
/// nobody, and still shows what was wrong with it.
pub async fn count(connection: &impl ConnectionTrait) -> Result<Standing, Error> {
    let (waiting, error) = (orders::Column::WaitingReason, orders::Column::ErrorReason);
    let held = Query::select()
        .column(holds::Column::OrderId)
        .from(holds::Entity)
        .to_owned();
    let gone = [ServerState::None.as_str(), ServerState::Deleted.as_str()];
    let rows: Vec<(String, String, i64)> = orders::Entity::find()
        .select_only()
        .columns([waiting, error])
        .column_as(orders::Column::Id.count(), "orders")
        .filter(Condition::any().add(waiting.ne("")).add(error.ne("")))
        .filter(
            Condition::any()
                .add(orders::Column::Status.ne(Status::Canceled.as_str()))
                .add(orders::Column::ServerState.is_not_in(gone))
                .add(orders::Column::Id.in_subquery(held)),
        )
        .group_by(waiting)
        .group_by(error)
        .into_tuple()
        .all(connection)
        .await?;
    let mut standing = Standing::default();
    for (waiting, error, count) in rows {
        // A word of a newer version must not hide all others.
        if let Some(reason) = WaitingReason::parse(&waiting) {
            add(&mut standing.waiting, reason, count);
        }
        if let Some(reason) = ErrorReason::parse(&error) {
            add(&mut standing.parked, reason, count);
        }
    }
    Ok(standing)
}

fn add<T: PartialEq>(counts: &mut Vec<(T, i64)>, reason: T, count: i64) {
    match counts.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, counted)) => *counted += count,
        None => counts.push((reason, count)),
    }
}
