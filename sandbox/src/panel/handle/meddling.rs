//! What a test does to a running panel behind its API's back: new rows, failing daemons, faults,
//! outages, and the chance that decides uuids and ports.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use uuid::Uuid;

use super::RunningPanel;
use crate::panel::auth::KeySpec;
use crate::panel::config::{EggSpec, NodeSpec, UserSpec};
use crate::panel::daemon::DaemonMode;
use crate::panel::faults::{Fault, FaultId};
use crate::panel::rows::{FeatureLimits, Limits, Nest, Server, Status};
use crate::panel::seeding;
use crate::panel::state::Outage;

/// A row put straight into the panel's database, without any request.
#[derive(Clone, Debug)]
pub struct ServerSeed {
    /// The id.
    pub id: i64,
    /// The external id.
    pub external_id: Option<String>,
    /// The uuid; a random one if absent.
    pub uuid: Option<Uuid>,
    /// The name.
    pub name: String,
    /// The start command; the egg's if absent.
    pub startup: Option<String>,
    /// The status as the API words it; unknown words count as normal.
    pub status: Option<String>,
    /// The owner's id.
    pub user: i64,
    /// The egg's id.
    pub egg: i64,
    /// The default allocation, which decides the node.
    pub allocation: i64,
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

    /// Sets how a node's daemon behaves.
    pub fn set_daemon(&self, node: i64, mode: DaemonMode) {
        self.shared.lock().daemons.insert(node, mode);
    }

    /// Restarts a node's daemon, which forgets what it was installing.
    pub fn restart_daemon(&self, node: i64) {
        self.shared
            .lock()
            .daemon_restarted(node, self.shared.clock.now());
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

    /// Sets how long installs take from now on.
    pub fn set_install_delay(&self, delay: Duration) {
        self.shared.lock().settings.install_delay = Some(delay);
    }

    /// Makes installs of the server with this external id fail.
    pub fn fail_install(&self, external_id: &str) {
        self.shared
            .lock()
            .failing_installs
            .insert(external_id.to_owned());
    }

    /// Lets installs of the server with this external id succeed again.
    pub fn allow_install(&self, external_id: &str) {
        self.shared.lock().failing_installs.remove(external_id);
    }

    /// Puts a fault in the way of requests.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.shared.lock().faults.inject(fault)
    }

    /// How often a fault has fired.
    pub fn fired(&self, fault: FaultId) -> usize {
        self.shared.lock().faults.fired(fault)
    }

    /// Ends every fault.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Gives the panel a trouble of its own, or ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.shared.lock().outage = outage;
    }

    /// Sets the requests per 60 s and user.
    pub fn set_rate_limit(&self, limit: u32) {
        self.shared.lock().rate.limit = limit;
    }

    /// Forgets what was counted against the request limit.
    pub fn reset_rate_limit(&self) {
        self.shared.lock().rate.reset();
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
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let uuid = seed.uuid.unwrap_or_else(|| state.new_uuid());
        let node_id = state
            .allocations
            .get(&seed.allocation)
            .map_or(0, |row| row.node_id);
        if let Some(row) = state.allocations.get_mut(&seed.allocation) {
            row.server_id = Some(seed.id);
        }
        let values = state.variables_of(seed.egg).iter();
        let values = values
            .map(|one| (one.id, one.default_value.clone()))
            .collect();
        let egg = state.eggs.get(&seed.egg);
        let (startup, image) = egg
            .map(|egg| (egg.startup.clone(), egg.docker_image.clone()))
            .unwrap_or_default();
        state.sequences.server = state.sequences.server.max(seed.id);
        let server = Server {
            id: seed.id,
            external_id: seed.external_id.clone(),
            uuid,
            name: seed.name.clone(),
            description: String::new(),
            status: Status::from_word(seed.status.as_deref()).unwrap_or(Status::Normal),
            owner_id: seed.user,
            node_id,
            allocation_id: seed.allocation,
            egg_id: seed.egg,
            startup: seed.startup.clone().unwrap_or(startup),
            image,
            limits: Limits {
                memory: 1024,
                swap: 0,
                disk: 2048,
                io: 500,
                cpu: 100,
                threads: None,
                oom_disabled: true,
            },
            features: FeatureLimits {
                databases: Some(0),
                allocations: Some(1),
                backups: 0,
            },
            values,
            install: None,
            transferring: false,
            database_host_down: false,
            created_at: now,
            updated_at: now,
        };
        state.servers.insert(seed.id, server);
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
