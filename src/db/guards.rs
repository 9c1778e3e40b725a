//! Queries of `guard_acts`: what sweeps had done within the last hour, over all replicas.
//!
//! The count and the note of an act are one transaction with the intention of it, under the lock
//! of the sweep's row: of two replicas at the limit the second one sees what the first one noted.
//! An order's act counts once however often it is tried. Whether a sweep is held stands in
//! `sweeps.guard`, in words: not by the hour, so that only an operator ends it.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};

use super::{
    Error, Tx,
    entity::{guard_acts, servers},
    sweeps,
};
use crate::domain::{
    OrderId,
    guard::{Act, Reached, WINDOW_US},
};

/// An act that only a sweep brought in.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Which sweep.
    pub sweep: &'static str,
    /// What is to be done.
    pub act: Act,
    /// To whose server.
    pub order: OrderId,
    /// The panel was told already, and what came of it is not known: that is brought to its end,
    /// and counts.
    pub told: bool,
}

/// What a guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done, and is counted.
    Passed,
    /// The sweep is held: it waits.
    Held,
    /// It would be one too many: the sweep is held from now on.
    Tripped,
}

/// Asks whether an act may be done now. Call it under the order's lock, in the transaction that
/// notes the intention.
pub async fn pass(tx: &Tx, asked: Asked, now_us: i64) -> Result<Verdict, Error> {
    let Asked {
        sweep, act, order, ..
    } = asked;
    let shown = sweeps::lock_made(tx, sweep).await?;
    guard_acts::Entity::delete_many()
        .filter(guard_acts::Column::DoneUs.lte(now_us - WINDOW_US))
        .exec(&**tx)
        .await?;
    let id = (order.0, act.as_str().to_owned());
    if guard_acts::Entity::find_by_id(id)
        .one(&**tx)
        .await?
        .is_some()
    {
        return Ok(Verdict::Passed);
    }
    if !asked.told {
        if !shown.guard.is_empty() {
            return Ok(Verdict::Held);
        }
        if let Some(reached) = reached(tx, sweep, act).await? {
            sweeps::set_guard(tx, sweep, &reached.text(now_us)).await?;
            return Ok(Verdict::Tripped);
        }
    }
    let row = guard_acts::Model {
        order_id: order.0,
        act: act.to_string(),
        sweep: Some(sweep.to_owned()),
        done_us: now_us,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    Ok(Verdict::Passed)
}

/// Whether as many were done as may be. Old ones are gone by now.
async fn reached(tx: &Tx, sweep: &str, act: Act) -> Result<Option<Reached>, Error> {
    let done = guard_acts::Entity::find()
        .select_only()
        .column(guard_acts::Column::DoneUs)
        .filter(guard_acts::Column::Sweep.eq(sweep))
        .filter(guard_acts::Column::Act.eq(act.as_str()))
        .order_by_asc(guard_acts::Column::DoneUs);
    let done: Vec<i64> = done.into_tuple().all(&**tx).await?;
    let count = u64::try_from(done.len()).unwrap_or(u64::MAX);
    let Some(since_us) = done.first().copied().filter(|_| count >= act.least()) else {
        // Few enough for any shop: its servers need not be counted.
        return Ok(None);
    };
    let live = live(&**tx).await?;
    let most = act.most(live);
    Ok((count >= most).then_some(Reached {
        act,
        count,
        since_us,
        most,
        live,
    }))
}

/// Servers that are on the panel, whether they run or stand still.
async fn live(connection: &impl ConnectionTrait) -> Result<u64, Error> {
    let live = servers::Entity::find()
        .filter(servers::Column::PterodactylServerId.is_not_null())
        .filter(servers::Column::DeletedUs.is_null());
    Ok(live.count(connection).await?)
}

/// Whether a sweep is held, and stays so until the transaction ends. Call it under the order's
/// lock.
pub async fn holds(tx: &Tx, sweep: &str) -> Result<bool, Error> {
    let shown = sweeps::lock(tx, sweep).await?;
    Ok(shown.is_some_and(|shown| !shown.guard.is_empty()))
}

/// Holds a sweep that found more than it may store.
pub async fn hold(tx: &Tx, sweep: &str, why: &str) -> Result<(), Error> {
    sweeps::lock_made(tx, sweep).await?;
    sweeps::set_guard(tx, sweep, why).await
}

/// Lets acts pass that waited when an operator released their sweep, within the hour and without
/// counting them: whoever looked at them need not release it once for every few. Call it under
/// their orders' locks.
pub async fn let_go(tx: &Tx, act: Act, orders: &[OrderId], now_us: i64) -> Result<(), Error> {
    if orders.is_empty() {
        return Ok(());
    }
    let rows = orders.iter().map(|order| {
        guard_acts::Model {
            order_id: order.0,
            act: act.to_string(),
            sweep: None,
            done_us: now_us,
        }
        .into_active_model()
        .reset_all()
    });
    let known = [guard_acts::Column::OrderId, guard_acts::Column::Act];
    guard_acts::Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(known).do_nothing().to_owned())
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Ends a sweep's being held, and forgets what it had done: a new hour begins. Call it under the
/// sweep's lock.
pub async fn release(tx: &Tx, sweep: &str) -> Result<(), Error> {
    sweeps::set_guard(tx, sweep, "").await?;
    guard_acts::Entity::delete_many()
        .filter(guard_acts::Column::Sweep.eq(sweep))
        .exec(&**tx)
        .await?;
    Ok(())
}
