//! Makes rows out of specs: the world at the start, and what is added to it later.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use time::OffsetDateTime;

use super::config::{EggSpec, NodeSpec, PanelConfig, UserSpec};
use super::handle::{Filling, ServerSeed};
use super::rows::{
    Allocation, Egg, FeatureLimits, Limits, Location, Nest, Node, Server, Status, User, Variable,
};
use super::state::State;

pub(crate) fn fill(state: &mut State, config: &PanelConfig) {
    let now = config.clock.now();
    for user in &config.users {
        add_user(state, user, now);
    }
    for (spec, id) in config.locations.iter().zip(1..) {
        let (short, long) = (spec.short.clone(), spec.long.clone());
        state.locations.insert(
            id,
            Location {
                id,
                short,
                long,
                created_at: now,
            },
        );
    }
    for spec in &config.nests {
        let uuid = state.new_uuid();
        let (name, description) = (spec.name.clone(), spec.description.clone());
        state.nests.insert(
            spec.id,
            Nest {
                id: spec.id,
                uuid,
                name,
                description,
                created_at: now,
            },
        );
    }
    for egg in &config.eggs {
        add_egg(state, egg, now);
    }
    for node in &config.nodes {
        add_node(state, node, now);
    }
}

pub(crate) fn add_user(state: &mut State, spec: &UserSpec, now: OffsetDateTime) -> i64 {
    state.sequences.user += 1;
    let id = state.sequences.user;
    let uuid = state.new_uuid();
    state.users.insert(
        id,
        User {
            id,
            external_id: spec.external_id.clone(),
            uuid,
            username: spec.username.to_lowercase(),
            email: spec.email.clone(),
            first_name: spec.first_name.clone(),
            last_name: spec.last_name.clone(),
            language: "en".to_owned(),
            root_admin: spec.root_admin,
            created_at: now,
            updated_at: now,
        },
    );
    id
}

pub(crate) fn add_node(state: &mut State, spec: &NodeSpec, now: OffsetDateTime) -> i64 {
    state.sequences.node += 1;
    let id = state.sequences.node;
    let uuid = state.new_uuid();
    let daemon_token = format!("node{id}.{}", state.new_uuid().simple());
    state.nodes.insert(
        id,
        Node {
            id,
            uuid,
            name: spec.name.clone(),
            description: spec.description.clone(),
            location_id: spec.location,
            fqdn: spec.fqdn.clone(),
            public: true,
            maintenance_mode: false,
            memory: spec.memory,
            memory_overallocate: 0,
            disk: spec.disk,
            disk_overallocate: 0,
            daemon_token,
            created_at: now,
        },
    );
    add_allocations(
        state,
        id,
        spec.ip,
        spec.alias.as_deref(),
        spec.ports.clone(),
    );
    id
}

/// Adds the ports a node does not have yet, as INSERT IGNORE does; the answer is their ids.
pub(crate) fn add_allocations(
    state: &mut State,
    node: i64,
    ip: IpAddr,
    alias: Option<&str>,
    ports: RangeInclusive<u16>,
) -> Vec<i64> {
    let ip = ip.to_string();
    let rows = state.allocations.values();
    let known: HashSet<u16> = rows
        .filter(|row| row.node_id == node && row.ip == ip)
        .map(|row| row.port)
        .collect();
    let mut added = Vec::new();
    for port in ports.filter(|port| !known.contains(port)) {
        state.sequences.allocation += 1;
        let id = state.sequences.allocation;
        let alias = alias.map(str::to_owned);
        let row = Allocation {
            id,
            node_id: node,
            ip: ip.clone(),
            alias,
            port,
            notes: None,
            server_id: None,
        };
        state.allocations.insert(id, row);
        added.push(id);
    }
    added
}

pub(crate) fn add_egg(state: &mut State, spec: &EggSpec, now: OffsetDateTime) {
    let uuid = state.new_uuid();
    let mut variables = Vec::new();
    for variable in &spec.variables {
        state.sequences.variable += 1;
        variables.push(Variable {
            id: state.sequences.variable,
            name: variable.name.clone(),
            description: format!("Sets {} of the server.", variable.name),
            env_variable: variable.env_variable.clone(),
            default_value: variable.default_value.clone(),
            editable: variable.editable,
            rules: variable.rules.clone(),
        });
    }
    state.eggs.insert(
        spec.id,
        Egg {
            id: spec.id,
            uuid,
            nest_id: spec.nest,
            name: spec.name.clone(),
            description: format!("Runs {}.", spec.name),
            docker_image: spec.docker_image.clone(),
            startup: spec.startup.clone(),
            done: spec.done.clone(),
            stop: spec.stop.clone(),
            variables,
            created_at: now,
        },
    );
}

/// Puts a server into the database, without any request.
pub(crate) fn add_server(state: &mut State, seed: &ServerSeed, now: OffsetDateTime) {
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

/// Rows of strangers in any number.
pub(crate) fn strangers(state: &mut State, filling: &Filling, now: OffsetDateTime) {
    for _ in 0..filling.users {
        let number = state.sequences.user + 1;
        let spec = UserSpec {
            email: format!("stranger{number}@filled.example"),
            username: format!("stranger{number}"),
            first_name: "Some".to_owned(),
            last_name: "Stranger".to_owned(),
            external_id: None,
            root_admin: false,
        };
        add_user(state, &spec, now);
    }
    let node = match filling.node {
        0 => state.nodes.keys().next().copied().unwrap_or_default(),
        node => node,
    };
    let ports = further_ports(state, node, filling.allocations + filling.servers);
    let owner = state.users.keys().next().copied().unwrap_or_default();
    let egg = state.eggs.keys().next().copied().unwrap_or_default();
    for allocation in ports.into_iter().take(filling.servers) {
        let seed = ServerSeed {
            id: state.sequences.server + 1,
            external_id: None,
            uuid: None,
            name: "A stranger's".to_owned(),
            startup: None,
            status: None,
            user: owner,
            egg,
            allocation,
        };
        add_server(state, &seed, now);
    }
}

/// So many new ports of a node, on addresses that nothing else uses.
fn further_ports(state: &mut State, node: i64, count: usize) -> Vec<i64> {
    const PORTS_PER_ADDRESS: usize = 60_000;
    let mut ports = Vec::new();
    for host in 1..=u8::MAX {
        let left = count.saturating_sub(ports.len()).min(PORTS_PER_ADDRESS);
        let Some(more) = u16::try_from(left)
            .ok()
            .and_then(|left| left.checked_sub(1))
        else {
            break;
        };
        let ip = IpAddr::from([10, 254, 0, host]);
        ports.extend(add_allocations(state, node, ip, None, 2_000..=2_000 + more));
    }
    ports
}
