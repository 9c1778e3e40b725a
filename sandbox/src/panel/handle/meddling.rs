//! What a test does to the rows of a running panel behind its API's back, as an operator or a lost
//! process would, and the chance that decides uuids and ports.

use serde::Deserialize;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use uuid::Uuid;

use super::RunningPanel;
use crate::panel::auth::KeySpec;
use crate::panel::config::{EggSpec, NodeSpec, UserSpec};
use crate::panel::rows::Nest;
use crate::panel::seeding;

/// A row put straight into the panel's database, without any request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSeed {
    /// The id.
    pub id: i64,
    /// The external id.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The uuid; a random one if absent.
    #[serde(default)]
    pub uuid: Option<Uuid>,
    /// The name.
    pub name: String,
    /// The start command; the egg's if absent.
    #[serde(default)]
    pub startup: Option<String>,
    /// The status as the API words it; unknown words count as normal.
    #[serde(default)]
    pub status: Option<String>,
    /// The owner's id.
    pub user: i64,
    /// The egg's id.
    pub egg: i64,
    /// The default allocation, which decides the node.
    pub allocation: i64,
}

/// So many rows of strangers.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filling {
    /// Users, named `stranger1@filled.example` and so on.
    pub users: usize,
    /// Free ports of a node, on addresses of their own.
    pub allocations: usize,
    /// Servers without an external id, each on a further port of the node.
    pub servers: usize,
    /// The node; the first one if 0.
    pub node: i64,
}

impl RunningPanel {
    /// Adds a user; the answer is its id.
    pub fn add_user(&self, user: &UserSpec) -> i64 {
        seeding::add_user(&mut self.shared.lock(), user, self.shared.clock.now())
    }

    /// Adds a node with its ports; the answer is its id.
    pub fn add_node(&self, node: &NodeSpec) -> i64 {
        seeding::add_node(&mut self.shared.lock(), node, self.shared.clock.now())
    }

    /// Adds ports that the node does not have yet; the answer is their allocation ids.
    pub fn add_allocations(&self, node: i64, ip: IpAddr, ports: RangeInclusive<u16>) -> Vec<i64> {
        seeding::add_allocations(&mut self.shared.lock(), node, ip, None, ports)
    }

    /// Adds an egg, and its nest where that is missing.
    pub fn add_egg(&self, egg: &EggSpec) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        if !state.nests.contains_key(&egg.nest) {
            let uuid = state.new_uuid();
            let (id, name) = (egg.nest, format!("Nest {}", egg.nest));
            state.nests.insert(
                id,
                Nest {
                    id,
                    uuid,
                    name,
                    description: String::new(),
                    created_at: now,
                },
            );
        }
        seeding::add_egg(&mut state, egg, now);
    }

    /// Removes an egg, as an administrator would whose servers no longer need it.
    pub fn remove_egg(&self, egg: i64) {
        self.shared.lock().eggs.remove(&egg);
    }

    /// Adds a key.
    pub fn add_key(&self, key: KeySpec) {
        self.shared.lock().keys.push(key);
    }

    /// Revokes a key.
    pub fn revoke_key(&self, token: &str) {
        self.shared.lock().keys.retain(|key| key.token != token);
    }

    /// The token with which a node's daemon reports to the panel.
    pub fn daemon_token(&self, node: i64) -> Option<String> {
        self.shared
            .lock()
            .nodes
            .get(&node)
            .map(|node| node.daemon_token.clone())
    }

    /// Sets whether a node is in maintenance.
    pub fn set_node_maintenance(&self, node: i64, maintenance: bool) {
        if let Some(node) = self.shared.lock().nodes.get_mut(&node) {
            node.maintenance_mode = maintenance;
        }
    }

    /// Opens or ends a transfer of a server.
    pub fn set_transferring(&self, server: i64, transferring: bool) {
        if let Some(server) = self.shared.lock().servers.get_mut(&server) {
            server.transferring = transferring;
        }
    }

    /// Puts a server's databases on a host that cannot be reached.
    pub fn break_database_host(&self, server: i64) {
        if let Some(server) = self.shared.lock().servers.get_mut(&server) {
            server.database_host_down = true;
        }
    }

    /// Decides the next ports that `deploy` draws, as far as they are among the candidates.
    pub fn script_draws(&self, allocations: impl IntoIterator<Item = i64>) {
        self.shared.lock().scripted_draws.extend(allocations);
    }

    /// Decides the uuids of the next servers.
    pub fn script_server_uuids(&self, uuids: impl IntoIterator<Item = Uuid>) {
        self.shared.lock().scripted_uuids.extend(uuids);
    }

    /// Puts a server into the database, as an operator's script or a lost process would.
    pub fn seed_server(&self, seed: &ServerSeed) {
        seeding::add_server(&mut self.shared.lock(), seed, self.shared.clock.now());
    }

    /// Fills the panel with rows of strangers, so that its lists grow long.
    pub fn fill(&self, filling: &Filling) {
        seeding::strangers(&mut self.shared.lock(), filling, self.shared.clock.now());
    }

    /// Gives a server another external id, or none, as an operator would in the admin pages.
    pub fn set_external_id(&self, server: i64, external_id: Option<&str>) {
        if let Some(server) = self.shared.lock().servers.get_mut(&server) {
            server.external_id = external_id.map(str::to_owned);
        }
    }

    /// Removes a server row without telling its daemon.
    pub fn remove_server(&self, id: i64) {
        self.shared.lock().remove_server(id);
    }

    /// Changes who a port is listed under, as an operator's script would.
    pub fn assign_allocation(&self, allocation: i64, server: Option<i64>) {
        if let Some(row) = self.shared.lock().allocations.get_mut(&allocation) {
            row.server_id = server;
        }
    }
}
