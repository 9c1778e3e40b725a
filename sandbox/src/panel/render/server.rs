//! Servers as the API shows them: the widest object, with the most relations.

use serde_json::{Map, Value, json};

use super::{Relations, Renderer, variable_attributes};
use crate::panel::auth::Resource;
use crate::panel::clock::rfc3339;
use crate::panel::context::{item, list};
use crate::panel::include::Includes;
use crate::panel::rows::{Egg, Server};
use crate::panel::state::State;

impl Renderer<'_> {
    pub(crate) fn server(&self, row: &Server, wanted: &Includes) -> Value {
        let state = self.state;
        let nest = state.eggs.get(&row.egg_id).map(|egg| egg.nest_id);
        let attributes = json!({
            "id": row.id,
            "external_id": row.external_id,
            "uuid": row.uuid,
            "identifier": row.identifier(),
            "name": row.name,
            "description": row.description,
            "status": row.status.word(),
            "suspended": row.status.word() == Some("suspended"),
            "limits": {
                "memory": row.limits.memory,
                "swap": row.limits.swap,
                "disk": row.limits.disk,
                "io": row.limits.io,
                "cpu": row.limits.cpu,
                "threads": row.limits.threads,
                "oom_disabled": row.limits.oom_disabled,
            },
            "feature_limits": {
                "databases": row.features.databases,
                "allocations": row.features.allocations,
                "backups": row.features.backups,
            },
            "user": row.owner_id,
            "node": row.node_id,
            "allocation": row.allocation_id,
            "nest": nest,
            "egg": row.egg_id,
            "container": {
                "startup_command": row.startup,
                "image": row.image,
                "installed": i32::from(row.status.installed()),
                "environment": environment(state, row),
            },
            "updated_at": rfc3339(row.updated_at),
            "created_at": rfc3339(row.created_at),
        });
        self.server_relations(row, wanted)
            .finish("server", attributes)
    }

    fn server_relations<'b>(&self, row: &Server, wanted: &'b Includes) -> Relations<'b> {
        let state = self.state;
        let egg = state.eggs.get(&row.egg_id);
        let node = state.nodes.get(&row.node_id);
        let allocations = |inner: &Includes| {
            list(
                state
                    .allocations_of(row.id)
                    .map(|one| self.allocation(one, inner))
                    .collect(),
            )
        };
        let user = |inner: &Includes| {
            state
                .users
                .get(&row.owner_id)
                .map_or(Value::Null, |user| self.user(user, inner))
        };
        let nest = |inner: &Includes| {
            let nest = egg.and_then(|egg| state.nests.get(&egg.nest_id));
            nest.map_or(Value::Null, |nest| self.nest(nest, inner))
        };
        let variables = |_: &Includes| egg.map_or(Value::Null, |egg| server_variables(egg, row));
        let location =
            |inner: &Includes| node.map_or(Value::Null, |node| self.location_of(node, inner));
        self.relations(wanted)
            .add("allocations", Resource::Allocations, allocations)
            .add("user", Resource::Users, user)
            .add("subusers", Resource::Users, |_| list(Vec::new()))
            .add("nest", Resource::Nests, nest)
            .add("egg", Resource::Eggs, |inner| {
                egg.map_or(Value::Null, |egg| self.egg(egg, inner))
            })
            .add("variables", Resource::Servers, variables)
            .add("location", Resource::Locations, location)
            .add("node", Resource::Nodes, |inner| {
                node.map_or(Value::Null, |node| self.node(node, inner))
            })
            .add("databases", Resource::Databases, |_| list(Vec::new()))
    }
}

fn server_variables(egg: &Egg, row: &Server) -> Value {
    let variables = egg.variables.iter().map(|variable| {
        let mut attributes = variable_attributes(egg, variable);
        attributes.insert(
            "server_value".to_owned(),
            json!(row.values.get(&variable.id)),
        );
        item("server_variable", attributes)
    });
    list(variables.collect())
}

/// Every variable of the egg with the server's value or else the default, and the panel's own four.
pub(crate) fn environment(state: &State, row: &Server) -> Map<String, Value> {
    let mut environment: Map<String, Value> = state
        .variables_of(row.egg_id)
        .iter()
        .map(|variable| {
            let value = row
                .values
                .get(&variable.id)
                .unwrap_or(&variable.default_value);
            (variable.env_variable.clone(), json!(value))
        })
        .collect();
    let location = state.nodes.get(&row.node_id).and_then(|node| {
        state
            .locations
            .get(&node.location_id)
            .map(|location| location.short.clone())
    });
    environment.insert("STARTUP".to_owned(), json!(row.startup));
    environment.insert("P_SERVER_LOCATION".to_owned(), json!(location));
    environment.insert("P_SERVER_UUID".to_owned(), json!(row.uuid));
    environment.insert(
        "P_SERVER_ALLOCATION_LIMIT".to_owned(),
        json!(row.features.allocations),
    );
    environment
}
