//! Nodes.

use crate::{
    domain::node::{NewNode, Node},
    rpc::{convert::time, proto},
};

/// A node as it is sent.
pub fn node_to(node: Node) -> proto::Node {
    let Node {
        id,
        set,
        held_ram_gb,
        held_disk_gb,
        free_allocations,
        ..
    } = node;
    proto::Node {
        id,
        pterodactyl_node_id: set.pterodactyl_node_id,
        name: set.name,
        region: set.region,
        fqdn: set.fqdn,
        max_ram_gb: set.max_ram_gb,
        max_disk_gb: set.max_disk_gb,
        max_vcores: set.max_vcores,
        reserved_headroom_gb: set.reserved_headroom_gb,
        held_ram_gb,
        held_disk_gb,
        free_allocations,
        enabled: set.enabled,
        maintenance: set.maintenance,
        weight: set.weight,
        avoided_until_time: node.avoided_until_us.map(time),
        last_seen_time: node.last_seen_us.map(time),
    }
}

/// What an operator sent of a node; what is ours to tell is not read.
pub fn node_from(node: proto::Node) -> NewNode {
    NewNode {
        pterodactyl_node_id: node.pterodactyl_node_id,
        name: node.name,
        region: node.region,
        fqdn: node.fqdn,
        max_ram_gb: node.max_ram_gb,
        max_disk_gb: node.max_disk_gb,
        max_vcores: node.max_vcores,
        reserved_headroom_gb: node.reserved_headroom_gb,
        enabled: node.enabled,
        maintenance: node.maintenance,
        weight: node.weight,
    }
}
