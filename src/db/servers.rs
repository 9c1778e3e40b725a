//! Queries of `servers`: what is known of an order's server on the panel.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
    sea_query::Expr,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Error, Tx,
    convert::{json, to_json},
    entity::servers,
    tx::AdvisoryLock,
};
use crate::domain::OrderId;

pub mod installs;
pub mod missing;
pub mod suspension;

/// Stores the server part of a new order: nothing is known yet.
pub async fn insert(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let row = servers::Model {
        order_id: id.0,
        attempt: 0,
        node_id: None,
        create_request: None,
        create_sent_us: None,
        create_slot_until_us: None,
        settle_looks: 0,
        settle_us: None,
        pterodactyl_server_id: None,
        identifier: None,
        uuid: None,
        owner_id: None,
        egg_id: None,
        reinstalls: 0,
        install_since_us: None,
        first_running_us: None,
        observed_status: None,
        observed_name: None,
        observed_memory_mb: None,
        observed_disk_mb: None,
        observed_cpu: None,
        observed_us: None,
        panel_write_us: None,
        deleted_us: None,
        node_failures: 0,
        suspend_sent_us: None,
        suspended_us: None,
        operator_suspended_us: None,
        terminated_us: None,
        respec_us: None,
        rename_us: None,
        reinstall_us: None,
        reinstall_sent_us: None,
        reinstall_over: None,
        suspend_held_us: None,
        missing_us: None,
        node_failing_us: None,
        node_failed_us: None,
        force_sent_us: None,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    Ok(())
}

fn change(id: OrderId) -> servers::ActiveModel {
    servers::ActiveModel {
        order_id: Unchanged(id.0),
        ..Default::default()
    }
}

/// Stores an attempt: where the server goes and the exact create request. It is
/// kept until its outcome is settled, so that a repeat is the very same.
pub async fn set_attempt<R: Serialize>(
    tx: &Tx,
    id: OrderId,
    attempt: i32,
    node_id: i32,
    request: &R,
) -> Result<(), Error> {
    let change = servers::ActiveModel {
        attempt: Set(attempt),
        node_id: Set(Some(node_id)),
        create_request: Set(Some(to_json(request)?)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// The stored create request.
pub async fn create_request<R: DeserializeOwned>(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<R>, Error> {
    let row = servers::Entity::find_by_id(id.0).one(connection).await?;
    row.and_then(|row| row.create_request)
        .map(|request| json(request, "servers.create_request"))
        .transpose()
}

/// How many creates may be in flight over all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateLimits {
    /// In all.
    pub total: u32,
    /// On one node.
    pub per_node: u32,
}

/// Whether a create slot of the node is free now. Takes nothing and locks nothing: asked
/// first, so that those who find none do not stand in the way of the one who finds one.
pub async fn create_slot_free(
    connection: &impl ConnectionTrait,
    node_id: i32,
    limits: CreateLimits,
    now_us: i64,
) -> Result<bool, Error> {
    let in_flight = servers::Entity::find()
        .select_only()
        .column(servers::Column::NodeId)
        .filter(servers::Column::CreateSlotUntilUs.gt(now_us));
    let nodes: Vec<Option<i32>> = in_flight.into_tuple().all(connection).await?;
    let here = nodes.iter().filter(|node| **node == Some(node_id)).count();
    let below = |count: usize, most: u32| u32::try_from(count).is_ok_and(|count| count < most);
    Ok(below(nodes.len(), limits.total) && below(here, limits.per_node))
}

/// As [`create_slot_free`], for the transaction that takes the slot: nobody else counts
/// until it ends, so it is to be its last word but for the commit.
pub async fn lock_create_slot(
    tx: &Tx,
    node_id: i32,
    limits: CreateLimits,
    now_us: i64,
) -> Result<bool, Error> {
    tx.queue(AdvisoryLock::CreateSlots).await?;
    create_slot_free(&**tx, node_id, limits, now_us).await
}

/// Notes that an operator wants the server gone; the first time stays.
pub async fn set_terminated(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::TerminatedUs, Expr::value(now_us))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::TerminatedUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the create is about to be sent. From here on its outcome is unknown
/// until it is settled. `false`: one is on its way already, or has come through.
pub async fn set_create_sent(
    tx: &Tx,
    id: OrderId,
    now_us: i64,
    slot_until_us: i64,
) -> Result<bool, Error> {
    let updated = servers::Entity::update_many()
        .col_expr(servers::Column::CreateSentUs, Expr::value(now_us))
        .col_expr(
            servers::Column::CreateSlotUntilUs,
            Expr::value(slot_until_us),
        )
        .col_expr(servers::Column::SettleLooks, Expr::value(0))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::CreateSentUs.is_null())
        .filter(servers::Column::PterodactylServerId.is_null())
        .exec(&**tx)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Notes that the create was surely not done. `keep_request` repeats it as it is;
/// otherwise the next attempt chooses anew.
pub async fn clear_create(tx: &Tx, id: OrderId, keep_request: bool) -> Result<(), Error> {
    let mut change = servers::ActiveModel {
        create_sent_us: Set(None),
        create_slot_until_us: Set(None),
        settle_looks: Set(0),
        ..change(id)
    };
    if !keep_request {
        // What was looked for was this request's.
        change.create_request = Set(None);
        change.settle_us = Set(None);
    }
    change.update(&**tx).await?;
    Ok(())
}

/// Counts a create that its node failed.
pub async fn add_node_failure(tx: &Tx, id: OrderId) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(
            servers::Column::NodeFailures,
            Expr::col(servers::Column::NodeFailures).add(1),
        )
        .filter(servers::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Counts a look-up that found nothing.
pub async fn add_look(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::SettleUs, Expr::value(now_us))
        .col_expr(
            servers::Column::SettleLooks,
            Expr::col(servers::Column::SettleLooks).add(1),
        )
        .filter(servers::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// A server as the panel told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The panel's id.
    pub panel_id: i64,
    /// The panel's short id.
    pub identifier: String,
    /// The panel's uuid.
    pub uuid: String,
    /// The owner's panel id.
    pub owner_id: i64,
    /// The egg's panel id.
    pub egg_id: i64,
    /// Our node, where the panel's node is known.
    pub node_id: Option<i32>,
}

/// Stores that the server exists. The create request goes: it holds secrets.
pub async fn set_created(tx: &Tx, id: OrderId, known: &Known, now_us: i64) -> Result<(), Error> {
    let mut change = servers::ActiveModel {
        pterodactyl_server_id: Set(Some(known.panel_id)),
        identifier: Set(Some(known.identifier.clone())),
        uuid: Set(Some(known.uuid.clone())),
        owner_id: Set(Some(known.owner_id)),
        egg_id: Set(Some(known.egg_id)),
        create_request: Set(None),
        create_sent_us: Set(None),
        create_slot_until_us: Set(None),
        settle_looks: Set(0),
        install_since_us: Set(Some(now_us)),
        panel_write_us: Set(Some(now_us)),
        ..change(id)
    };
    if let Some(node_id) = known.node_id {
        change.node_id = Set(Some(node_id));
    }
    change.update(&**tx).await?;
    Ok(())
}

/// What a look at a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The panel's word; empty means normal.
    pub status: String,
    /// Its name on the panel.
    pub name: String,
    /// MiB.
    pub memory_mb: i64,
    /// MiB.
    pub disk_mb: i64,
    /// 100 is one core.
    pub cpu: i64,
}

/// Stores what a look showed.
pub async fn set_observed(
    tx: &Tx,
    id: OrderId,
    observed: &Observed,
    first_running: bool,
    now_us: i64,
) -> Result<(), Error> {
    let mut change = servers::ActiveModel {
        observed_status: Set(Some(observed.status.clone())),
        observed_name: Set(Some(observed.name.clone())),
        observed_memory_mb: Set(Some(observed.memory_mb)),
        observed_disk_mb: Set(Some(observed.disk_mb)),
        observed_cpu: Set(Some(observed.cpu)),
        observed_us: Set(Some(now_us)),
        ..change(id)
    };
    if first_running {
        change.first_running_us = Set(Some(now_us));
    }
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that the name on the panel is to follow the order's.
pub async fn set_rename(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        rename_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that the limits on the panel are to follow the order's.
pub async fn set_respec(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        respec_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that the panel's name and limits are what was wanted then; what was wanted later is still
/// to come.
pub async fn set_followed(
    tx: &Tx,
    id: OrderId,
    (rename_us, respec_us): (Option<i64>, Option<i64>),
    now_us: i64,
) -> Result<(), Error> {
    let change = servers::ActiveModel {
        panel_write_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    let wanted = [
        (servers::Column::RenameUs, rename_us),
        (servers::Column::RespecUs, respec_us),
    ];
    for (column, wanted_us) in wanted {
        servers::Entity::update_many()
            .col_expr(column, Expr::value(None::<i64>))
            .filter(servers::Column::OrderId.eq(id.0))
            .filter(column.eq(wanted_us))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}

/// Stores that its node failed, now and since when in a row; and that it is waited for no longer.
pub async fn set_node_failing(
    tx: &Tx,
    id: OrderId,
    since_us: i64,
    force: bool,
    now_us: i64,
) -> Result<(), Error> {
    let mut change = servers::ActiveModel {
        node_failing_us: Set(Some(since_us)),
        node_failed_us: Set(Some(now_us)),
        ..change(id)
    };
    if force {
        change.force_sent_us = Set(Some(now_us));
    }
    change.update(&**tx).await?;
    Ok(())
}

/// Stores that the server is gone from the panel.
pub async fn set_deleted(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        deleted_us: Set(Some(now_us)),
        panel_write_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// What was last seen of a server.
pub async fn observed(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<Observed>, Error> {
    let row = servers::Entity::find_by_id(id.0).one(connection).await?;
    Ok(row.and_then(|row| {
        Some(Observed {
            status: row.observed_status?,
            name: row.observed_name?,
            memory_mb: row.observed_memory_mb?,
            disk_mb: row.observed_disk_mb?,
            cpu: row.observed_cpu?,
        })
    }))
}

/// Orders whose server is on the panel, by the panel's ids.
pub async fn orders_of_panel_ids(
    connection: &impl ConnectionTrait,
    panel_ids: &[i64],
) -> Result<Vec<(i64, OrderId)>, Error> {
    let rows = servers::Entity::find()
        .filter(servers::Column::PterodactylServerId.is_in(panel_ids.iter().copied()))
        .filter(servers::Column::DeletedUs.is_null())
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.pterodactyl_server_id?, OrderId(row.order_id))))
        .collect())
}
