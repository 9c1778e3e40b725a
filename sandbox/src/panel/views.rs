//! What a test sees of the panel's rows without asking the API.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use uuid::Uuid;

use super::rows::{Server, User};
use super::state::State;

/// A server row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerView {
    /// The id.
    pub id: i64,
    /// The external id.
    pub external_id: Option<String>,
    /// The uuid.
    pub uuid: Uuid,
    /// The first eight characters of the uuid.
    pub identifier: String,
    /// The name.
    pub name: String,
    /// The status as the API words it; none when normal.
    pub status: Option<String>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Memory in MiB.
    pub memory: i64,
    /// Swap in MiB.
    pub swap: i64,
    /// Disk in MiB.
    pub disk: i64,
    /// CPU in percent of one core.
    pub cpu: i64,
    /// How many databases it may have.
    pub databases: Option<i64>,
    /// How many backups it may have.
    pub backups: i64,
    /// The owner's id.
    pub user: i64,
    /// The node's id.
    pub node: i64,
    /// The egg's id.
    pub egg: i64,
    /// The default allocation's id.
    pub allocation: i64,
    /// Every allocation listed under it, the default one too unless it was stolen.
    pub allocations: Vec<i64>,
    /// The port of the default allocation.
    pub port: Option<u16>,
    /// The values of the egg's variables.
    pub environment: BTreeMap<String, String>,
}

impl ServerView {
    /// Every server by id, in one pass over the ports.
    pub(crate) fn all(state: &State) -> Vec<Self> {
        let mut ports: HashMap<i64, Vec<i64>> = HashMap::new();
        for row in state.allocations.values() {
            if let Some(server) = row.server_id {
                ports.entry(server).or_default().push(row.id);
            }
        }
        let of = |row: &Server| Self::of(state, row, ports.remove(&row.id).unwrap_or_default());
        state.servers.values().map(of).collect()
    }

    fn of(state: &State, row: &Server, allocations: Vec<i64>) -> Self {
        let values = state.variables_of(row.egg_id).iter().map(|variable| {
            let value = row
                .values
                .get(&variable.id)
                .unwrap_or(&variable.default_value);
            (variable.env_variable.clone(), value.clone())
        });
        let status = row.status.word().map(str::to_owned);
        Self {
            id: row.id,
            external_id: row.external_id.clone(),
            uuid: row.uuid,
            identifier: row.identifier(),
            name: row.name.clone(),
            suspended: status.as_deref() == Some("suspended"),
            status,
            memory: row.limits.memory,
            swap: row.limits.swap,
            disk: row.limits.disk,
            cpu: row.limits.cpu,
            databases: row.features.databases,
            backups: row.features.backups,
            user: row.owner_id,
            node: row.node_id,
            egg: row.egg_id,
            allocation: row.allocation_id,
            allocations,
            port: state
                .allocations
                .get(&row.allocation_id)
                .map(|one| one.port),
            environment: values.collect(),
        }
    }
}

/// A user row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserView {
    /// The id.
    pub id: i64,
    /// The external id.
    pub external_id: Option<String>,
    /// The uuid.
    pub uuid: Uuid,
    /// The username.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// Whether it may use the Application API.
    pub root_admin: bool,
}

impl UserView {
    pub(crate) fn of(row: &User) -> Self {
        Self {
            id: row.id,
            external_id: row.external_id.clone(),
            uuid: row.uuid,
            username: row.username.clone(),
            email: row.email.clone(),
            first_name: row.first_name.clone(),
            last_name: row.last_name.clone(),
            root_admin: row.root_admin,
        }
    }
}
