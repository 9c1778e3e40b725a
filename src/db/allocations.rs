//! Queries of `allocations`: our ledger of the panel's ports. It alone chooses
//! ports, because the panel does not guard additional ones.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{Error, Tx, entity::allocations};
use crate::domain::{OrderId, port::Port};

/// How many free ports are looked through for neighbours.
const LOOKED_THROUGH: u64 = 2_000;

/// Holds `count` free ports of a node on one address, neighbours where there are
/// any. `false` holds nothing. The caller has locked the node.
pub async fn hold(tx: &Tx, id: OrderId, node_id: i32, count: i32) -> Result<bool, Error> {
    let free = allocations::Entity::find()
        .filter(allocations::Column::NodeId.eq(node_id))
        .filter(allocations::Column::State.eq("free"))
        .order_by_asc(allocations::Column::Ip)
        .order_by_asc(allocations::Column::Port)
        .limit(if count == 1 { 1 } else { LOOKED_THROUGH })
        .all(&**tx)
        .await?;
    let ports: Vec<Port> = free.into_iter().map(port).collect();
    let Some(chosen) = crate::domain::port::choose(&ports, usize::try_from(count).unwrap_or(0))
    else {
        return Ok(false);
    };
    for (row_id, slot) in chosen.into_iter().zip(0..) {
        let held = allocations::Entity::update_many()
            .col_expr(allocations::Column::State, Expr::value("held"))
            .col_expr(allocations::Column::OrderId, Expr::value(id.0))
            .col_expr(allocations::Column::Slot, Expr::value(slot))
            .filter(allocations::Column::Id.eq(row_id))
            .filter(allocations::Column::State.eq("free"))
            .exec(&**tx)
            .await?;
        if held.rows_affected != 1 {
            // Somebody without the node's lock took it: give back what was taken here.
            release(tx, id).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Frees all ports of an order whose server the panel has deleted: whatever a look that began
/// before says of them is old.
pub async fn free_with_server(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    allocations::Entity::update_many()
        .col_expr(allocations::Column::SeenUs, Expr::value(now_us))
        .filter(allocations::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    release(tx, id).await
}

/// Frees all ports of an order.
pub async fn release(tx: &Tx, id: OrderId) -> Result<(), Error> {
    allocations::Entity::update_many()
        .col_expr(allocations::Column::State, Expr::value("free"))
        .col_expr(
            allocations::Column::OrderId,
            Expr::value(None::<uuid::Uuid>),
        )
        .col_expr(allocations::Column::Slot, Expr::value(None::<i32>))
        .filter(allocations::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Marks the order's ports as assigned on the panel.
pub async fn assign(tx: &Tx, id: OrderId) -> Result<(), Error> {
    allocations::Entity::update_many()
        .col_expr(allocations::Column::State, Expr::value("assigned"))
        .filter(allocations::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Takes ports away from an order: the panel says that another server has them.
pub async fn mark_foreign(tx: &Tx, panel_ids: &[i64]) -> Result<(), Error> {
    allocations::Entity::update_many()
        .col_expr(allocations::Column::State, Expr::value("foreign"))
        .col_expr(
            allocations::Column::OrderId,
            Expr::value(None::<uuid::Uuid>),
        )
        .col_expr(allocations::Column::Slot, Expr::value(None::<i32>))
        .filter(allocations::Column::PterodactylAllocationId.is_in(panel_ids.iter().copied()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Gives an order the ports that the panel says its server has, if nobody else holds them.
pub async fn adopt(tx: &Tx, id: OrderId, panel_ids: &[i64]) -> Result<(), Error> {
    let slots = of_order(&**tx, id)
        .await?
        .into_iter()
        .map(|port| port.slot)
        .max();
    let mut slot = slots.flatten().map_or(0, |last| last + 1);
    for panel_id in panel_ids {
        let adopted = allocations::Entity::update_many()
            .col_expr(allocations::Column::State, Expr::value("assigned"))
            .col_expr(allocations::Column::OrderId, Expr::value(id.0))
            .col_expr(allocations::Column::Slot, Expr::value(slot))
            .filter(allocations::Column::PterodactylAllocationId.eq(*panel_id))
            .filter(allocations::Column::OrderId.is_null())
            .exec(&**tx)
            .await?;
        slot += i32::from(adopted.rows_affected == 1);
    }
    Ok(())
}

/// Ports of an order, the default one first.
pub async fn of_order(connection: &impl ConnectionTrait, id: OrderId) -> Result<Vec<Port>, Error> {
    let rows = allocations::Entity::find()
        .filter(allocations::Column::OrderId.eq(id.0))
        .order_by_asc(allocations::Column::Slot)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(port).collect())
}

/// Ports of a node by our id, younger than `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    node_id: i32,
    state: Option<&str>,
    after: Option<i32>,
    limit: u64,
) -> Result<Vec<Port>, Error> {
    let mut query = allocations::Entity::find()
        .filter(allocations::Column::NodeId.eq(node_id))
        .order_by_asc(allocations::Column::Id)
        .limit(limit);
    if let Some(state) = state {
        query = query.filter(allocations::Column::State.eq(state));
    }
    if let Some(after) = after {
        query = query.filter(allocations::Column::Id.gt(after));
    }
    Ok(query.all(connection).await?.into_iter().map(port).collect())
}

/// A port as the panel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The panel's id.
    pub panel_id: i64,
    /// Address.
    pub ip: String,
    /// Name shown instead of the address.
    pub alias: String,
    /// Number.
    pub port: i32,
    /// Whether a server has it.
    pub assigned: bool,
}

/// Mirrors a page of a node's ports, of a look that began then. What an order holds or has is
/// never touched but for its names, and neither is what it gave back since: our ledger is ahead
/// of the panel.
pub async fn mirror(
    tx: &Tx,
    node_id: i32,
    page: &[Seen],
    began_us: i64,
    now_us: i64,
) -> Result<(), Error> {
    if page.is_empty() {
        return Ok(());
    }
    let by_state = |assigned: bool| -> Vec<i64> {
        page.iter()
            .filter(|seen| seen.assigned == assigned)
            .map(|seen| seen.panel_id)
            .collect()
    };
    for (from, to, ids) in [
        (vec!["foreign", "gone"], "free", by_state(false)),
        (vec!["free", "gone"], "foreign", by_state(true)),
    ] {
        allocations::Entity::update_many()
            .col_expr(allocations::Column::State, Expr::value(to))
            .filter(allocations::Column::PterodactylAllocationId.is_in(ids))
            .filter(allocations::Column::State.is_in(from))
            .filter(allocations::Column::SeenUs.lte(began_us))
            .exec(&**tx)
            .await?;
    }
    let rows = page.iter().map(|seen| allocations::ActiveModel {
        id: NotSet,
        pterodactyl_allocation_id: Set(seen.panel_id),
        node_id: Set(node_id),
        ip: Set(seen.ip.clone()),
        alias: Set(seen.alias.clone()),
        port: Set(seen.port),
        order_id: Set(None),
        slot: Set(None),
        state: Set(if seen.assigned { "foreign" } else { "free" }.to_owned()),
        seen_us: Set(now_us),
    });
    let conflict = OnConflict::column(allocations::Column::PterodactylAllocationId)
        .update_columns([
            allocations::Column::Ip,
            allocations::Column::Alias,
            allocations::Column::Port,
            allocations::Column::SeenUs,
        ])
        .to_owned();
    allocations::Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Marks ports that a whole listing no longer showed.
pub async fn mark_gone(tx: &Tx, node_id: i32, listed_since_us: i64) -> Result<u64, Error> {
    let gone = allocations::Entity::update_many()
        .col_expr(allocations::Column::State, Expr::value("gone"))
        .filter(allocations::Column::NodeId.eq(node_id))
        .filter(allocations::Column::SeenUs.lt(listed_since_us))
        .filter(allocations::Column::State.is_in(["free", "foreign"]))
        .exec(&**tx)
        .await?;
    Ok(gone.rows_affected)
}

fn port(row: allocations::Model) -> Port {
    Port {
        id: row.id,
        panel_id: row.pterodactyl_allocation_id,
        node_id: row.node_id,
        ip: row.ip,
        alias: row.alias,
        port: row.port,
        order_id: row.order_id.map(OrderId),
        slot: row.slot,
        state: row.state,
    }
}
