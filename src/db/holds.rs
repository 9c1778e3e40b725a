//! Room and ports held for orders: the ledger that placement answers from.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::Expr,
};

use super::{Error, Tx, allocations, entity::holds, nodes};
use crate::domain::{OrderId, placement::Need};

/// Holds room and ports on a node, or nothing at all: a lost guard tells the
/// caller to try the next node.
pub async fn take(
    tx: &Tx,
    id: OrderId,
    node_id: i32,
    need: Need,
    now_us: i64,
) -> Result<bool, Error> {
    // The guarded update locks the node's row: ports of one node are chosen in turn.
    if !nodes::hold(tx, node_id, need).await? {
        return Ok(false);
    }
    if !allocations::hold(tx, id, node_id, need.ports).await? {
        nodes::unhold(tx, node_id, need).await?;
        return Ok(false);
    }
    let row = holds::Model {
        order_id: id.0,
        node_id,
        ram_gb: need.ram_gb,
        disk_gb: need.disk_gb,
        vcores: need.vcores,
        why: "checkout".to_owned(),
        created_us: now_us,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    Ok(true)
}

/// Gives room and ports back. Doing it twice is the same as once.
pub async fn release(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let Some(row) = holds::Entity::find_by_id(id.0).one(&**tx).await? else {
        return allocations::release(tx, id).await;
    };
    let need = Need {
        ram_gb: row.ram_gb,
        disk_gb: row.disk_gb,
        vcores: row.vcores,
        ports: 0,
    };
    holds::Entity::delete_by_id(id.0).exec(&**tx).await?;
    nodes::unhold(tx, row.node_id, need).await?;
    allocations::release(tx, id).await
}

/// Notes that what is held is now used by a server.
pub async fn in_use(tx: &Tx, id: OrderId) -> Result<(), Error> {
    holds::Entity::update_many()
        .col_expr(holds::Column::Why, Expr::value("server"))
        .filter(holds::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Moves what an order holds to the node that its server is on, by the panel's word:
/// unguarded, because the server is there whatever we think of the node's room. Tells
/// whether it was elsewhere.
pub async fn follow(tx: &Tx, id: OrderId, node_id: i32) -> Result<bool, Error> {
    let Some((held, need)) = find(&**tx, id).await? else {
        return Ok(false);
    };
    if held == node_id {
        return Ok(false);
    }
    nodes::unhold(tx, held, need).await?;
    nodes::hold_unguarded(tx, node_id, need).await?;
    let change = holds::ActiveModel {
        order_id: Unchanged(id.0),
        node_id: Set(node_id),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(true)
}

/// Makes what an order holds more or less, on the node where it is. Tells whether the node had
/// room; where it had none, nothing is changed. Less is always possible; ports stay.
pub async fn resize(tx: &Tx, id: OrderId, to: Need) -> Result<bool, Error> {
    let Some((node_id, now)) = find(&**tx, id).await? else {
        return Ok(false);
    };
    let beyond = |one: Need, other: Need| Need {
        ram_gb: (one.ram_gb - other.ram_gb).max(0),
        disk_gb: (one.disk_gb - other.disk_gb).max(0),
        vcores: (one.vcores - other.vcores).max(0),
        ports: 0,
    };
    let nothing = beyond(now, now);
    let (more, less) = (beyond(to, now), beyond(now, to));
    if more != nothing && !nodes::hold(tx, node_id, more).await? {
        return Ok(false);
    }
    if less != nothing {
        nodes::unhold(tx, node_id, less).await?;
    }
    let change = holds::ActiveModel {
        order_id: Unchanged(id.0),
        ram_gb: Set(to.ram_gb),
        disk_gb: Set(to.disk_gb),
        vcores: Set(to.vcores),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(true)
}

/// What an order holds.
pub async fn find(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<(i32, Need)>, Error> {
    let row = holds::Entity::find_by_id(id.0).one(connection).await?;
    Ok(row.map(|row| {
        let need = Need {
            ram_gb: row.ram_gb,
            disk_gb: row.disk_gb,
            vcores: row.vcores,
            ports: 0,
        };
        (row.node_id, need)
    }))
}
