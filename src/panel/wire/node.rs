//! Nodes and their ports, as the panel writes them.

use serde::Deserialize;

use super::{Flaw, Resource, lenient};
use crate::panel::{Allocation, Node};

#[derive(Deserialize)]
pub(in crate::panel) struct NodeAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    uuid: String,
    name: String,
    fqdn: String,
    #[serde(deserialize_with = "lenient::int")]
    memory: i64,
    #[serde(deserialize_with = "lenient::int")]
    disk: i64,
    #[serde(default, deserialize_with = "lenient::flag")]
    maintenance_mode: bool,
}

impl Resource for Node {
    const OBJECT: &'static str = "node";
    type Attributes = NodeAttributes;

    fn id(&self) -> i64 {
        self.id
    }

    fn take(node: NodeAttributes) -> Result<Self, Flaw> {
        let NodeAttributes {
            id,
            uuid,
            name,
            fqdn,
            memory,
            disk,
            maintenance_mode,
        } = node;
        Ok(Self {
            id,
            uuid,
            name,
            fqdn,
            memory,
            disk,
            maintenance: maintenance_mode,
        })
    }
}

#[derive(Deserialize)]
pub(in crate::panel) struct AllocationAttributes {
    #[serde(deserialize_with = "lenient::int")]
    id: i64,
    ip: String,
    #[serde(default)]
    alias: Option<String>,
    #[serde(deserialize_with = "lenient::int")]
    port: i64,
    #[serde(deserialize_with = "lenient::flag")]
    assigned: bool,
}

impl Resource for Allocation {
    const OBJECT: &'static str = "allocation";
    type Attributes = AllocationAttributes;

    fn id(&self) -> i64 {
        self.id
    }

    fn take(row: AllocationAttributes) -> Result<Self, Flaw> {
        let port = u16::try_from(row.port)
            .map_err(|_| Flaw::Content(format!("allocation {}: port out of range", row.id)))?;
        Ok(Self {
            id: row.id,
            ip: row.ip,
            alias: row.alias,
            port,
            assigned: row.assigned,
        })
    }
}
