//! Queries of `ptero_nodes`: what operators say of nodes, and the ledger of
//! what orders hold of them. The ledger moves by guarded updates only, so no
//! two checkouts can sell the same room.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait,
    FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Set, sea_query::Expr,
};

use super::{
    Error, Tx,
    convert::{micros, timestamp},
    entity::{allocations, ptero_nodes as nodes},
};
use crate::domain::{
    Listed, OrderId,
    node::{NewNode, Node, Region},
    placement::{self, Need},
};

/// One node.
pub async fn find(connection: &impl ConnectionTrait, id: i32) -> Result<Option<Node>, Error> {
    let row = nodes::Entity::find_by_id(id).one(connection).await?;
    Ok(with_ports(connection, row.into_iter().collect())
        .await?
        .pop())
}

/// The node that the panel knows under this id.
pub async fn find_by_panel_id(
    connection: &impl ConnectionTrait,
    pterodactyl_node_id: i64,
) -> Result<Option<Node>, Error> {
    let row = nodes::Entity::find()
        .filter(nodes::Column::PterodactylNodeId.eq(pterodactyl_node_id))
        .one(connection)
        .await?;
    Ok(with_ports(connection, row.into_iter().collect())
        .await?
        .pop())
}

/// Nodes by id, after `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    region: Option<&str>,
    after: Option<i32>,
    limit: u64,
) -> Result<Listed<Node>, Error> {
    let mut query = in_region(region).order_by_asc(nodes::Column::Id);
    if let Some(after) = after {
        query = query.filter(nodes::Column::Id.gt(after));
    }
    let rows = query.limit(limit.saturating_add(1)).all(connection).await?;
    let page = Listed::cut(rows, limit);
    Ok(Listed {
        rows: with_ports(connection, page.rows).await?,
        more: page.more,
    })
}

/// Every node, by id.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Node>, Error> {
    let rows = nodes::Entity::find()
        .order_by_asc(nodes::Column::Id)
        .all(connection)
        .await?;
    with_ports(connection, rows).await
}

/// Regions by id, after `after`.
pub async fn regions(
    connection: &impl ConnectionTrait,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Region>, Error> {
    let mut query = nodes::Entity::find().order_by_asc(nodes::Column::Region);
    if let Some(after) = after {
        query = query.filter(nodes::Column::Region.gt(after));
    }
    let mut regions: Vec<Region> = Vec::new();
    for node in query.all(connection).await? {
        let takes =
            node.enabled && !node.maintenance && !node.panel_maintenance && !node.panel_changed;
        match regions.last_mut() {
            Some(region) if region.id == node.region => {
                region.nodes = region.nodes.saturating_add(1);
                region.enabled |= takes;
            }
            _ => regions.push(Region {
                id: node.region,
                nodes: 1,
                enabled: takes,
            }),
        }
    }
    Ok(Listed::cut(regions, limit))
}

/// What placement knows of the nodes of a region, or of all. A game's ports
/// must be on one address, so the fullest address counts, not the sum.
pub async fn views(
    connection: &impl ConnectionTrait,
    region: Option<&str>,
) -> Result<Vec<placement::Node>, Error> {
    let rows = in_region(region)
        .order_by_asc(nodes::Column::Id)
        .all(connection)
        .await?;
    let free = free_ports(connection, &rows).await?;
    Ok(rows
        .into_iter()
        .map(|row| placement::Node {
            free_ports: free.get(&row.id).map_or(0, |ports| ports.on_one_address),
            id: row.id,
            name: row.name,
            region: row.region,
            enabled: row.enabled,
            maintenance: row.maintenance || row.panel_maintenance,
            panel_changed: row.panel_changed,
            ports_known: row.ports_read_us.is_some(),
            avoided_until_us: row.avoided_until_us.unwrap_or_default(),
            failing_since_us: row.failing_since_us,
            weight: row.weight,
            max_ram_gb: row.max_ram_gb.saturating_sub(row.reserved_headroom_gb),
            max_disk_gb: row.max_disk_gb,
            max_vcores: row.max_vcores,
            held_ram_gb: row.held_ram_gb,
            held_disk_gb: row.held_disk_gb,
            held_vcores: row.held_vcores,
        })
        .collect())
}

/// Until when a node takes no new servers because creates failed there; zero if none did.
pub async fn avoided_until(connection: &impl ConnectionTrait, id: i32) -> Result<i64, Error> {
    let until_us: Option<Option<i64>> = nodes::Entity::find_by_id(id)
        .select_only()
        .column(nodes::Column::AvoidedUntilUs)
        .into_tuple()
        .one(connection)
        .await?;
    Ok(until_us.flatten().unwrap_or_default())
}

/// Holds room on a node; false where it no longer fits or the node takes no more.
pub async fn hold(tx: &Tx, node_id: i32, need: Need) -> Result<bool, Error> {
    use nodes::Column;
    let held = |column: Column, more: i32| Expr::col(column).add(more);
    let usable_ram = Expr::col(Column::MaxRamGb).sub(Expr::col(Column::ReservedHeadroomGb));
    let updated = nodes::Entity::update_many()
        .col_expr(Column::HeldRamGb, held(Column::HeldRamGb, need.ram_gb))
        .col_expr(Column::HeldDiskGb, held(Column::HeldDiskGb, need.disk_gb))
        .col_expr(Column::HeldVcores, held(Column::HeldVcores, need.vcores))
        .filter(Column::Id.eq(node_id))
        .filter(Column::Enabled.eq(true))
        .filter(Column::Maintenance.eq(false))
        .filter(Column::PanelMaintenance.eq(false))
        .filter(Column::PanelChanged.eq(false))
        .filter(held(Column::HeldRamGb, need.ram_gb).lte(usable_ram))
        .filter(held(Column::HeldDiskGb, need.disk_gb).lte(Expr::col(Column::MaxDiskGb)))
        .filter(
            Condition::any()
                .add(Column::MaxVcores.is_null())
                .add(held(Column::HeldVcores, need.vcores).lte(Expr::col(Column::MaxVcores))),
        )
        .exec(&**tx)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Holds room on a node whatever it has left: a server is there already.
pub async fn hold_unguarded(tx: &Tx, node_id: i32, need: Need) -> Result<(), Error> {
    use nodes::Column;
    let held = |column: Column, more: i32| Expr::col(column).add(more);
    nodes::Entity::update_many()
        .col_expr(Column::HeldRamGb, held(Column::HeldRamGb, need.ram_gb))
        .col_expr(Column::HeldDiskGb, held(Column::HeldDiskGb, need.disk_gb))
        .col_expr(Column::HeldVcores, held(Column::HeldVcores, need.vcores))
        .filter(Column::Id.eq(node_id))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Gives room back. Never below zero: that would mean that something was given back twice.
pub async fn unhold(tx: &Tx, node_id: i32, need: Need) -> Result<(), Error> {
    use nodes::Column;
    let left = |column: Column, less: i32| Expr::col(column).sub(less);
    let updated = nodes::Entity::update_many()
        .col_expr(Column::HeldRamGb, left(Column::HeldRamGb, need.ram_gb))
        .col_expr(Column::HeldDiskGb, left(Column::HeldDiskGb, need.disk_gb))
        .col_expr(Column::HeldVcores, left(Column::HeldVcores, need.vcores))
        .filter(Column::Id.eq(node_id))
        .filter(Column::HeldRamGb.gte(need.ram_gb))
        .filter(Column::HeldDiskGb.gte(need.disk_gb))
        .filter(Column::HeldVcores.gte(need.vcores))
        .exec(&**tx)
        .await?;
    if updated.rows_affected == 1 {
        return Ok(());
    }
    Err(Error::Corrupt(format!(
        "node {node_id} holds less than is given back"
    )))
}

/// A create of an order failed on a node: keeps new servers off it until `until_us`; an
/// earlier, longer wish stands. It has been failing since the first failure after which it
/// was not left alone for [`placement::WELL_US`]. With `unless_alone` it is marked only where
/// another order's create was the last to fail there.
pub async fn mark_avoided(
    connection: &impl ConnectionTrait,
    id: i32,
    order: OrderId,
    unless_alone: bool,
    now_us: i64,
    until_us: i64,
) -> Result<(), Error> {
    use nodes::Column;
    let anew = Condition::any()
        .add(Column::FailingSinceUs.is_null())
        .add(Column::AvoidedUntilUs.is_null())
        .add(Column::AvoidedUntilUs.lt(now_us - placement::WELL_US));
    let since = Expr::case(anew, Expr::value(now_us)).finally(Expr::col(Column::FailingSinceUs));
    let mut marked = nodes::Entity::update_many()
        .col_expr(Column::FailingSinceUs, since.into())
        .col_expr(Column::AvoidedUntilUs, Expr::value(until_us))
        .col_expr(Column::FailedOrderId, Expr::value(order.0))
        .filter(Column::Id.eq(id))
        .filter(
            Condition::any()
                .add(Column::AvoidedUntilUs.is_null())
                .add(Column::AvoidedUntilUs.lt(until_us)),
        );
    if unless_alone {
        marked = marked.filter(Column::FailedOrderId.ne(order.0));
    }
    marked.exec(connection).await?;
    Ok(())
}

/// A create succeeded on a node: whatever failed there before is over.
pub async fn mark_well(connection: &impl ConnectionTrait, id: i32) -> Result<(), Error> {
    use nodes::Column;
    nodes::Entity::update_many()
        .col_expr(Column::FailingSinceUs, Expr::value(None::<i64>))
        .col_expr(Column::FailedOrderId, Expr::value(None::<uuid::Uuid>))
        .filter(Column::Id.eq(id))
        .filter(Column::FailingSinceUs.is_not_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Locks the nodes of a region in the order of their ids: who moves from one to another would
/// else meet who moves the other way.
pub async fn lock_region(tx: &Tx, region: &str) -> Result<(), Error> {
    nodes::Entity::find()
        .select_only()
        .column(nodes::Column::Id)
        .filter(nodes::Column::Region.eq(region))
        .order_by_asc(nodes::Column::Id)
        .lock_exclusive()
        .into_tuple::<i32>()
        .all(&**tx)
        .await?;
    Ok(())
}

/// Stores a new node; nothing is held of it yet. Its id.
pub async fn insert(tx: &Tx, node: &NewNode, now_us: i64) -> Result<i32, Error> {
    let row = nodes::ActiveModel {
        pterodactyl_node_id: Set(node.pterodactyl_node_id),
        held_ram_gb: Set(0),
        held_disk_gb: Set(0),
        held_vcores: Set(0),
        panel_maintenance: Set(false),
        panel_changed: Set(false),
        created_at: Set(timestamp(now_us)),
        ..active(node, now_us)
    };
    let stored = nodes::Entity::insert(row)
        .exec_with_returning(&**tx)
        .await?;
    Ok(stored.id)
}

/// Writes what an operator says of a node, and nothing else: what is held and
/// what was seen have other writers.
pub async fn update(tx: &Tx, id: i32, node: &NewNode, now_us: i64) -> Result<(), Error> {
    nodes::Entity::update_many()
        .set(active(node, now_us))
        .filter(nodes::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    Ok(())
}

fn active(node: &NewNode, now_us: i64) -> nodes::ActiveModel {
    nodes::ActiveModel {
        id: NotSet,
        pterodactyl_node_id: NotSet,
        name: Set(node.name.clone()),
        region: Set(node.region.clone()),
        fqdn: Set(node.fqdn.clone()),
        max_ram_gb: Set(node.max_ram_gb),
        max_disk_gb: Set(node.max_disk_gb),
        max_vcores: Set(node.max_vcores),
        reserved_headroom_gb: Set(node.reserved_headroom_gb),
        held_ram_gb: NotSet,
        held_disk_gb: NotSet,
        held_vcores: NotSet,
        enabled: Set(node.enabled),
        maintenance: Set(node.maintenance),
        panel_maintenance: NotSet,
        weight: Set(node.weight),
        avoided_until_us: NotSet,
        panel_uuid: NotSet,
        panel_changed: NotSet,
        ports_read_us: NotSet,
        last_seen_at: NotSet,
        created_at: NotSet,
        updated_at: Set(timestamp(now_us)),
        failing_since_us: NotSet,
        failed_order_id: NotSet,
    }
}

fn in_region(region: Option<&str>) -> sea_orm::Select<nodes::Entity> {
    let query = nodes::Entity::find();
    match region {
        Some(region) => query.filter(nodes::Column::Region.eq(region)),
        None => query,
    }
}

async fn with_ports(
    connection: &impl ConnectionTrait,
    rows: Vec<nodes::Model>,
) -> Result<Vec<Node>, Error> {
    let free = free_ports(connection, &rows).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let ports = free.get(&row.id).copied().unwrap_or_default();
            node(row, ports.in_all)
        })
        .collect())
}

fn node(row: nodes::Model, free_allocations: i32) -> Node {
    Node {
        id: row.id,
        set: NewNode {
            pterodactyl_node_id: row.pterodactyl_node_id,
            name: row.name,
            region: row.region,
            fqdn: row.fqdn,
            max_ram_gb: row.max_ram_gb,
            max_disk_gb: row.max_disk_gb,
            max_vcores: row.max_vcores,
            reserved_headroom_gb: row.reserved_headroom_gb,
            enabled: row.enabled,
            maintenance: row.maintenance,
            weight: row.weight,
        },
        held_ram_gb: row.held_ram_gb,
        held_disk_gb: row.held_disk_gb,
        free_allocations,
        avoided_until_us: row.avoided_until_us,
        last_seen_us: row.last_seen_at.map(micros),
    }
}

#[derive(Clone, Copy, Default)]
struct FreePorts {
    in_all: i32,
    on_one_address: i32,
}

#[derive(FromQueryResult)]
struct FreeOnAddress {
    node_id: i32,
    free: i64,
}

async fn free_ports(
    connection: &impl ConnectionTrait,
    rows: &[nodes::Model],
) -> Result<HashMap<i32, FreePorts>, Error> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let counts = allocations::Entity::find()
        .select_only()
        .column(allocations::Column::NodeId)
        .column_as(allocations::Column::Id.count(), "free")
        .filter(allocations::Column::NodeId.is_in(rows.iter().map(|row| row.id)))
        // A literal: with a parameter the planner cannot use the index of free ports.
        .filter(Expr::cust("state = 'free'"))
        .group_by(allocations::Column::NodeId)
        .group_by(allocations::Column::Ip)
        .into_model::<FreeOnAddress>()
        .all(connection)
        .await?;
    let mut free: HashMap<i32, FreePorts> = HashMap::new();
    for count in counts {
        let ports = free.entry(count.node_id).or_default();
        let on_address = i32::try_from(count.free).unwrap_or(i32::MAX);
        ports.in_all = ports.in_all.saturating_add(on_address);
        ports.on_one_address = Ord::max(ports.on_one_address, on_address);
    }
    Ok(free)
}

#[cfg(test)]
mod tests;
