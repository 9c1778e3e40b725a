//! Servers, ports, panel accounts and placements.

use super::{orders::server_state_to, time};
use crate::{
    app::{placement::Explained, servers::Shown},
    db::sweeps,
    domain::{port::Port, profile::Account},
    rpc::proto,
};

/// A server as it is sent.
pub fn server_to(shown: Shown) -> proto::Server {
    let variables = shown.port_variables;
    let server = &shown.facts.server;
    let spec = &shown.facts.order.spec;
    let host = |port: &Port| {
        if port.alias.is_empty() {
            port.ip.clone()
        } else {
            port.alias.clone()
        }
    };
    let address = shown
        .ports
        .first()
        .map(|port| format!("{}:{}", host(port), port.port));
    // Until it was looked at once, what was sold is what was asked for.
    let seen = shown.observed.as_ref();
    let clamp = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    proto::Server {
        order_id: shown.facts.order.id.to_string(),
        pterodactyl_server_id: server.panel_id.unwrap_or_default(),
        identifier: server.identifier.clone().unwrap_or_default(),
        uuid: server.uuid.clone().unwrap_or_default(),
        name: seen.map_or_else(|| shown.facts.order.server_name.clone(), |s| s.name.clone()),
        state: server_state_to(shown.facts.order.server_state) as i32,
        panel_status: seen.map(|seen| seen.status.clone()).unwrap_or_default(),
        ram_mb: clamp(seen.map_or(spec.ram_mb, |seen| seen.memory_mb)),
        disk_mb: clamp(seen.map_or(spec.disk_mb, |seen| seen.disk_mb)),
        cpu_percent: clamp(seen.map_or(spec.cpu_percent, |seen| seen.cpu)),
        node_id: server.node_id.unwrap_or_default(),
        node_name: shown.node_name,
        address: address.unwrap_or_default(),
        ports: shown
            .ports
            .into_iter()
            .map(|port| server_port_to(port, &variables))
            .collect(),
        panel_url: shown.panel_url,
        panel_username: shown.panel_username,
        observe_time: server.observed_us.map(time),
    }
}

fn server_port_to(port: Port, variables: &[String]) -> proto::ServerPort {
    let further = port.slot.and_then(|slot| usize::try_from(slot - 1).ok());
    let name = match (port.slot, further.and_then(|place| variables.get(place))) {
        (Some(0), _) => "default",
        (_, Some(variable)) => variable,
        (_, None) => "additional",
    };
    proto::ServerPort {
        name: name.to_owned(),
        ip: port.ip,
        port: port.port,
        alias: port.alias,
    }
}

/// A port of the mirror as it is sent.
pub fn allocation_to(port: Port) -> proto::Allocation {
    proto::Allocation {
        pterodactyl_allocation_id: port.panel_id,
        node_id: port.node_id,
        ip: port.ip,
        alias: port.alias,
        port: port.port,
        order_id: port.order_id.map(|id| id.to_string()).unwrap_or_default(),
        state: port.state,
    }
}

/// A panel account as it is sent.
pub fn external_account_to(account: Account) -> proto::ExternalAccount {
    proto::ExternalAccount {
        user_id: account.user_id.to_string(),
        pterodactyl_user_id: account.panel_id,
        panel_username: account.username,
        origin: account.origin.to_string(),
        last_sync_time: Some(time(account.synced_us)),
    }
}

/// Why placement would choose a node, as it is sent.
pub fn explained_to(explained: Explained) -> proto::ExplainPlacementResponse {
    let nodes = explained
        .nodes
        .into_iter()
        .map(|(node, verdict)| proto::NodePlacement {
            node_id: node.id,
            fits: verdict.sellable(),
            reasons: verdict.obstacles.iter().map(ToString::to_string).collect(),
            free_ram_gb: node.free_ram_gb(),
            free_disk_gb: node.free_disk_gb(),
            free_allocations: node.free_ports,
            score: verdict.score,
            name: node.name,
        });
    proto::ExplainPlacementResponse {
        chosen_node_id: explained.chosen,
        nodes: nodes.collect(),
    }
}

/// A sweep as it is sent.
pub fn sweep_to(sweep: sweeps::Shown) -> proto::Sweep {
    proto::Sweep {
        name: sweep.name,
        last_run_time: sweep.last_run_us.map(time),
        duration_ms: sweep.duration_ms,
        finds: sweep.finds,
        guard: sweep.guard,
        cursor: sweep.cursor,
    }
}
