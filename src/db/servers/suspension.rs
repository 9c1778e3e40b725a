//! What the panel was told about a server's suspension, and what came of it.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::change;
use crate::{
    db::{Error, Tx, entity::servers, orders::leases},
    domain::OrderId,
};

/// Notes that the panel is about to be told to suspend it: from here on it may be.
pub async fn set_suspend_sent(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::SuspendSentUs, Expr::value(now_us))
        .col_expr(servers::Column::SuspendHeldUs, Expr::value(None::<i64>))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::SuspendSentUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that a guard keeps it from being suspended.
pub async fn set_held(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        suspend_held_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Has up to `limit` servers that a guard kept from being suspended asked for again. Tells whose
/// they are.
pub async fn wake_held(tx: &Tx, limit: u64, now_us: i64) -> Result<Vec<OrderId>, Error> {
    let held = servers::Entity::find()
        .select_only()
        .column(servers::Column::OrderId)
        .filter(servers::Column::SuspendHeldUs.is_not_null())
        .order_by_asc(servers::Column::OrderId)
        .limit(limit);
    let held: Vec<Uuid> = held.into_tuple().all(&**tx).await?;
    let held: Vec<OrderId> = held.into_iter().map(OrderId).collect();
    // Their orders' rows first, as everywhere.
    leases::wake(tx, &held, now_us).await?;
    let ids = held.iter().map(|id| id.0);
    servers::Entity::update_many()
        .col_expr(servers::Column::SuspendHeldUs, Expr::value(None::<i64>))
        .filter(servers::Column::OrderId.is_in(ids))
        .exec(&**tx)
        .await?;
    Ok(held)
}

/// Notes whether an operator wants it suspended; the first time stays.
pub async fn set_operator(tx: &Tx, id: OrderId, suspended: bool, now_us: i64) -> Result<(), Error> {
    let mut update = servers::Entity::update_many()
        .col_expr(
            servers::Column::OperatorSuspendedUs,
            Expr::value(suspended.then_some(now_us)),
        )
        .filter(servers::Column::OrderId.eq(id.0));
    if suspended {
        update = update.filter(servers::Column::OperatorSuspendedUs.is_null());
    }
    update.exec(&**tx).await?;
    Ok(())
}

/// Notes that it is suspended: since when it stood still first. Whoever wanted its install script
/// run again asks again when it goes on: that may be long after.
pub async fn set_suspended(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let since = Expr::col(servers::Column::SuspendedUs).if_null(now_us);
    servers::Entity::update_many()
        .col_expr(servers::Column::SuspendedUs, since)
        .filter(servers::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    let change = servers::ActiveModel {
        suspend_held_us: Set(None),
        reinstall_us: Set(None),
        reinstall_sent_us: Set(None),
        reinstall_over: Set(None),
        observed_status: Set(Some("suspended".to_owned())),
        panel_write_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that it goes on, in the state that the panel showed.
pub async fn set_unsuspended(tx: &Tx, id: OrderId, status: &str, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        suspend_sent_us: Set(None),
        suspended_us: Set(None),
        observed_status: Set(Some(status.to_owned())),
        panel_write_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Every server that was ready once, and whether the panel showed it suspended when it was last
/// looked at: also of orders that are over. Not what is installed again or being stopped.
pub async fn shown(connection: &impl ConnectionTrait) -> Result<Vec<(OrderId, bool)>, Error> {
    let rows: Vec<(Uuid, Option<String>)> = servers::Entity::find()
        .select_only()
        .columns([servers::Column::OrderId, servers::Column::ObservedStatus])
        .filter(servers::Column::FirstRunningUs.is_not_null())
        .filter(servers::Column::DeletedUs.is_null())
        .filter(servers::Column::MissingUs.is_null())
        .filter(servers::Column::ReinstallSentUs.is_null())
        .filter(servers::Column::ObservedStatus.is_in(["", "suspended"]))
        .filter(
            Condition::any()
                .add(servers::Column::SuspendSentUs.is_null())
                .add(servers::Column::SuspendedUs.is_not_null()),
        )
        .order_by_asc(servers::Column::OrderId)
        .into_tuple()
        .all(connection)
        .await?;
    let shown = |(id, status): (Uuid, Option<String>)| {
        let stopped = status.as_deref() == Some("suspended");
        (OrderId(id), stopped)
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// Notes whether the panel showed it suspended.
pub async fn set_shown(tx: &Tx, id: OrderId, stopped: bool, now_us: i64) -> Result<(), Error> {
    let status = if stopped { "suspended" } else { "" };
    let change = servers::ActiveModel {
        observed_status: Set(Some(status.to_owned())),
        observed_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Takes a suspension as ours that an operator wants to end, whoever made it: the worker looks at
/// the panel, and lets the server go on where it stands still.
pub async fn adopt(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        suspend_sent_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}
