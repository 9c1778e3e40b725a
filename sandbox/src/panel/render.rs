//! Rows as the API shows them, with the relations a caller asked for and may see.

mod server;

use serde_json::{Map, Value, json};

use super::auth::{Grants, Resource};
use super::clock::{raw_model, rfc3339};
use super::context::list;
use super::include::Includes;
use super::rows::{Allocation, Egg, Location, Nest, Node, Server, User, Variable};
use super::state::State;

/// Renders with the rights of one key.
#[derive(Clone, Copy)]
pub(crate) struct Renderer<'a> {
    pub state: &'a State,
    pub grants: Grants,
}

/// Collects the relations of one object.
struct Relations<'a> {
    wanted: &'a Includes,
    grants: Grants,
    found: Map<String, Value>,
}

impl<'a> Relations<'a> {
    fn add(
        mut self,
        name: &str,
        resource: Resource,
        render: impl FnOnce(&Includes) -> Value,
    ) -> Self {
        if let Some(inner) = self.wanted.get(name) {
            let value = if self.grants.can_read(resource) {
                render(inner)
            } else {
                json!({ "object": "null_resource", "attributes": null })
            };
            self.found.insert(name.to_owned(), value);
        }
        self
    }

    fn finish(self, object: &str, mut attributes: Value) -> Value {
        if !self.found.is_empty() {
            attributes["relationships"] = Value::Object(self.found);
        }
        json!({ "object": object, "attributes": attributes })
    }
}

impl<'a> Renderer<'a> {
    fn relations<'b>(&self, wanted: &'b Includes) -> Relations<'b> {
        Relations {
            wanted,
            grants: self.grants,
            found: Map::new(),
        }
    }

    pub(crate) fn user(&self, row: &User, wanted: &Includes) -> Value {
        let attributes = json!({
            "id": row.id,
            "external_id": row.external_id,
            "uuid": row.uuid,
            "username": row.username,
            "email": row.email,
            "first_name": row.first_name,
            "last_name": row.last_name,
            "language": row.language,
            "root_admin": row.root_admin,
            "2fa": false,
            "created_at": rfc3339(row.created_at),
            "updated_at": rfc3339(row.updated_at),
        });
        let servers = |inner: &Includes| self.servers(|server| server.owner_id == row.id, inner);
        self.relations(wanted)
            .add("servers", Resource::Servers, servers)
            .finish("user", attributes)
    }

    pub(crate) fn location(&self, row: &Location, wanted: &Includes) -> Value {
        let attributes = json!({
            "id": row.id,
            "short": row.short,
            "long": row.long,
            "updated_at": rfc3339(row.created_at),
            "created_at": rfc3339(row.created_at),
        });
        let here = |node: &Node| node.location_id == row.id;
        let nodes = |inner: &Includes| {
            let rows = self.state.nodes.values().filter(|node| here(node));
            list(rows.map(|node| self.node(node, inner)).collect())
        };
        let servers = |inner: &Includes| {
            self.servers(
                |one| self.state.nodes.get(&one.node_id).is_some_and(here),
                inner,
            )
        };
        self.relations(wanted)
            .add("nodes", Resource::Nodes, nodes)
            .add("servers", Resource::Servers, servers)
            .finish("location", attributes)
    }

    pub(crate) fn node(&self, row: &Node, wanted: &Includes) -> Value {
        let (memory, disk) = self.state.used_on(row.id);
        let attributes = json!({
            "id": row.id,
            "uuid": row.uuid,
            "public": row.public,
            "name": row.name,
            "description": row.description,
            "location_id": row.location_id,
            "fqdn": row.fqdn,
            "scheme": "http",
            "behind_proxy": false,
            "maintenance_mode": row.maintenance_mode,
            "memory": row.memory,
            "memory_overallocate": row.memory_overallocate,
            "disk": row.disk,
            "disk_overallocate": row.disk_overallocate,
            "upload_size": 100,
            "daemon_listen": 8081 + row.id,
            "daemon_sftp": 2022,
            "daemon_base": "/var/lib/pterodactyl/volumes",
            "created_at": rfc3339(row.created_at),
            "updated_at": rfc3339(row.created_at),
            "allocated_resources": { "memory": memory, "disk": disk },
        });
        let allocations = |inner: &Includes| {
            let rows = self
                .state
                .allocations
                .values()
                .filter(|one| one.node_id == row.id);
            list(rows.map(|one| self.allocation(one, inner)).collect())
        };
        let servers = |inner: &Includes| self.servers(|server| server.node_id == row.id, inner);
        self.relations(wanted)
            .add("allocations", Resource::Allocations, allocations)
            .add("location", Resource::Locations, |inner| {
                self.location_of(row, inner)
            })
            .add("servers", Resource::Servers, servers)
            .finish("node", attributes)
    }

    fn location_of(&self, node: &Node, inner: &Includes) -> Value {
        let row = self.state.locations.get(&node.location_id);
        row.map_or(Value::Null, |row| self.location(row, inner))
    }

    pub(crate) fn allocation(&self, row: &Allocation, wanted: &Includes) -> Value {
        let attributes = json!({
            "id": row.id,
            "ip": row.ip,
            "alias": row.alias,
            "port": row.port,
            "notes": row.notes,
            "assigned": row.server_id.is_some(),
        });
        let nothing = || json!({ "object": "null_resource", "attributes": null });
        let node = |inner: &Includes| {
            let node = self.state.nodes.get(&row.node_id);
            node.map_or_else(nothing, |node| self.node(node, inner))
        };
        let server = |inner: &Includes| {
            let server = row.server_id.and_then(|id| self.state.servers.get(&id));
            server.map_or_else(nothing, |server| self.server(server, inner))
        };
        self.relations(wanted)
            .add("node", Resource::Nodes, node)
            .add("server", Resource::Servers, server)
            .finish("allocation", attributes)
    }

    pub(crate) fn nest(&self, row: &Nest, wanted: &Includes) -> Value {
        let attributes = json!({
            "id": row.id,
            "uuid": row.uuid,
            "author": "support@example.com",
            "name": row.name,
            "description": row.description,
            "created_at": rfc3339(row.created_at),
            "updated_at": rfc3339(row.created_at),
        });
        let eggs = |inner: &Includes| {
            let eggs = self.state.eggs.values().filter(|egg| egg.nest_id == row.id);
            list(eggs.map(|egg| self.egg(egg, inner)).collect())
        };
        let in_nest = |id: i64| {
            self.state
                .eggs
                .get(&id)
                .is_some_and(|egg| egg.nest_id == row.id)
        };
        let servers = |inner: &Includes| self.servers(|server| in_nest(server.egg_id), inner);
        self.relations(wanted)
            .add("eggs", Resource::Eggs, eggs)
            .add("servers", Resource::Servers, servers)
            .finish("nest", attributes)
    }

    pub(crate) fn egg(&self, row: &Egg, wanted: &Includes) -> Value {
        let label = row.docker_image.rsplit(':').next().unwrap_or_default();
        let attributes = json!({
            "id": row.id,
            "uuid": row.uuid,
            "name": row.name,
            "nest": row.nest_id,
            "author": "support@example.com",
            "description": row.description,
            "docker_image": row.docker_image,
            "docker_images": { label: row.docker_image },
            "config": {
                "files": {},
                "startup": { "done": row.done },
                "stop": row.stop,
                "logs": [],
                "file_denylist": [],
                "extends": null,
            },
            "startup": row.startup,
            "script": {
                "privileged": true,
                "install": "#!/bin/bash\nmkdir -p /mnt/server\n",
                "entry": "bash",
                "container": "ghcr.io/pterodactyl/installers:debian",
                "extends": null,
            },
            "created_at": rfc3339(row.created_at),
            "updated_at": rfc3339(row.created_at),
        });
        let nest = |inner: &Includes| {
            let nest = self.state.nests.get(&row.nest_id);
            nest.map_or(Value::Null, |nest| self.nest(nest, inner))
        };
        let servers = |inner: &Includes| self.servers(|server| server.egg_id == row.id, inner);
        let variables = |_: &Includes| {
            let variables = row.variables.iter().map(|variable| {
                json!({ "object": "egg_variable", "attributes": variable_attributes(row, variable) })
            });
            list(variables.collect())
        };
        self.relations(wanted)
            .add("nest", Resource::Nests, nest)
            .add("servers", Resource::Servers, servers)
            .add("variables", Resource::Eggs, variables)
            .finish("egg", attributes)
    }

    fn servers(&self, wanted: impl Fn(&Server) -> bool, inner: &Includes) -> Value {
        let rows = self.state.servers.values().filter(|server| wanted(server));
        list(rows.map(|server| self.server(server, inner)).collect())
    }
}

fn variable_attributes(egg: &Egg, variable: &Variable) -> Map<String, Value> {
    let at = json!(raw_model(egg.created_at));
    Map::from_iter([
        ("id".to_owned(), json!(variable.id)),
        ("egg_id".to_owned(), json!(egg.id)),
        ("name".to_owned(), json!(variable.name)),
        ("description".to_owned(), json!(variable.description)),
        ("env_variable".to_owned(), json!(variable.env_variable)),
        ("default_value".to_owned(), json!(variable.default_value)),
        ("user_viewable".to_owned(), json!(variable.editable)),
        ("user_editable".to_owned(), json!(variable.editable)),
        ("rules".to_owned(), json!(variable.rules)),
        ("created_at".to_owned(), at.clone()),
        ("updated_at".to_owned(), at),
    ])
}
