//! Servers, as the panel writes them.
//!
//! The environment is a resource of its own, read only when it is asked for: it
//! holds customers' secrets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Flaw, Included, Resource, lenient, node::AllocationAttributes};
use crate::panel::{Allocation, Features, Limits, Server};

#[derive(Deserialize)]
pub(in crate::panel) struct ServerAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    #[serde(default)]
    external_id: Option<String>,
    uuid: String,
    identifier: String,
    name: String,
    #[serde(default, deserialize_with = "lenient::text_or_nothing")]
    description: String,
    #[serde(default)]
    status: Option<String>,
    limits: LimitAttributes,
    feature_limits: FeatureAttributes,
    #[serde(deserialize_with = "lenient::int")]
    user: i64,
    #[serde(deserialize_with = "lenient::int")]
    node: i64,
    #[serde(deserialize_with = "lenient::int")]
    allocation: i64,
    #[serde(deserialize_with = "lenient::int")]
    egg: i64,
    #[serde(default, deserialize_with = "lenient::moment_or_nothing")]
    updated_at: Option<i64>,
    #[serde(default)]
    relationships: ServerRelations,
}

#[derive(Deserialize)]
struct LimitAttributes {
    #[serde(deserialize_with = "lenient::int")]
    memory: i64,
    #[serde(deserialize_with = "lenient::int")]
    swap: i64,
    #[serde(deserialize_with = "lenient::int")]
    disk: i64,
    #[serde(deserialize_with = "lenient::int")]
    io: i64,
    #[serde(deserialize_with = "lenient::int")]
    cpu: i64,
}

#[derive(Deserialize)]
struct FeatureAttributes {
    #[serde(
        default = "lenient::no_limit",
        deserialize_with = "lenient::int_or_no_limit"
    )]
    databases: i64,
    #[serde(
        default = "lenient::no_limit",
        deserialize_with = "lenient::int_or_no_limit"
    )]
    allocations: i64,
    #[serde(
        default = "lenient::no_limit",
        deserialize_with = "lenient::int_or_no_limit"
    )]
    backups: i64,
}

#[derive(Default, Deserialize)]
struct ServerRelations {
    allocations: Option<Included<AllocationAttributes>>,
}

impl Resource for Server {
    const OBJECT: &'static str = "server";
    type Attributes = ServerAttributes;

    fn id(&self) -> i64 {
        self.id
    }

    fn take(server: ServerAttributes) -> Result<Self, Flaw> {
        let rows = server
            .relationships
            .allocations
            .and_then(|included| included.data);
        let allocations = rows
            .map(|rows| {
                rows.into_iter()
                    .map(|row| Allocation::take(row.attributes))
                    .collect()
            })
            .transpose()?;
        let LimitAttributes {
            memory,
            swap,
            disk,
            io,
            cpu,
        } = server.limits;
        let FeatureAttributes {
            databases,
            allocations: ports,
            backups,
        } = server.feature_limits;
        Ok(Self {
            id: server.id,
            external_id: server.external_id,
            uuid: server.uuid,
            identifier: server.identifier,
            name: server.name,
            description: server.description,
            status: server.status,
            changed_at: server.updated_at,
            limits: Limits {
                memory,
                swap,
                disk,
                io,
                cpu,
            },
            features: Features {
                databases,
                allocations: ports,
                backups,
            },
            user: server.user,
            node: server.node,
            allocation: server.allocation,
            egg: server.egg,
            allocations,
        })
    }
}

/// The environment of a server, without what the panel itself puts in.
pub(in crate::panel) struct Environment {
    /// The server's id.
    pub(in crate::panel) server: i64,
    /// Every variable as text.
    pub(in crate::panel) variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(in crate::panel) struct EnvironmentAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    container: Container,
}

#[derive(Deserialize)]
struct Container {
    #[serde(deserialize_with = "lenient::text_map")]
    environment: BTreeMap<String, String>,
}

impl Resource for Environment {
    const OBJECT: &'static str = "server";
    type Attributes = EnvironmentAttributes;

    fn id(&self) -> i64 {
        self.server
    }

    fn take(server: EnvironmentAttributes) -> Result<Self, Flaw> {
        let mut variables = server.container.environment;
        variables.retain(|name, _| name != "STARTUP" && !name.starts_with("P_SERVER_"));
        Ok(Self {
            server: server.id,
            variables,
        })
    }
}
