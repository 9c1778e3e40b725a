//! Makes rows out of specs: the world at the start, and what is added to it later.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use time::OffsetDateTime;

use super::config::{EggSpec, NodeSpec, PanelConfig, UserSpec};
use super::rows::{Allocation, Egg, Location, Nest, Node, User, Variable};
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
