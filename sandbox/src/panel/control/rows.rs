//! The control calls on rows: what is there, and what an operator or another writer changes behind
//! the API's back.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, number, read};
use crate::panel::config::UserSpec;
use crate::panel::handle::{Filling, ServerSeed};
use crate::panel::rows::Status;
use crate::panel::seeding;
use crate::panel::state::Shared;
use crate::panel::views::{ServerView, UserView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ports {
    ip: IpAddr,
    from: u16,
    to: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    server: Option<i64>,
}

/// Only what is named changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerChange {
    transferring: Option<bool>,
    database_host_down: Option<bool>,
    /// A status word, or `normal`.
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeChange {
    maintenance: bool,
}

pub(super) fn answer(
    shared: &Shared,
    method: &str,
    segments: &[&str],
    body: &[u8],
) -> Option<Done> {
    let now = || shared.clock.now();
    Some(match (method, segments) {
        ("GET", ["servers"]) => Ok(json!({ "servers": ServerView::all(&shared.lock()) })),
        ("POST", ["servers"]) => read::<ServerSeed>(body).map(|seed| {
            seeding::add_server(&mut shared.lock(), &seed, now());
            json!({ "id": seed.id })
        }),
        ("POST", ["servers", id]) => {
            number(id).and_then(|id| change_server(shared, id, &read(body)?))
        }
        ("DELETE", ["servers", id]) => number(id).map(|id| {
            shared.lock().remove_server(id);
            json!({})
        }),
        ("GET", ["users"]) => Ok(json!({ "users": users(shared) })),
        ("POST", ["users"]) => read::<UserSpec>(body)
            .map(|spec| json!({ "id": seeding::add_user(&mut shared.lock(), &spec, now()) })),
        ("POST", ["fill"]) => read::<Filling>(body).map(|filling| {
            seeding::strangers(&mut shared.lock(), &filling, now());
            json!({})
        }),
        ("POST", ["nodes", id]) => number(id).and_then(|id| change_node(shared, id, &read(body)?)),
        ("POST", ["nodes", id, "allocations"]) => number(id).and_then(|id| {
            let Ports { ip, from, to } = read(body)?;
            let added = seeding::add_allocations(&mut shared.lock(), id, ip, None, from..=to);
            Ok(json!({ "ids": added }))
        }),
        ("POST", ["allocations", id]) => number(id).and_then(|id| assign(shared, id, &read(body)?)),
        _ => return None,
    })
}

fn users(shared: &Shared) -> Vec<UserView> {
    shared.lock().users.values().map(UserView::of).collect()
}

fn change_server(shared: &Shared, id: i64, change: &ServerChange) -> Done {
    let mut state = shared.lock();
    let server = state.servers.get_mut(&id);
    let server = server.ok_or_else(|| format!("no server {id}"))?;
    if let Some(word) = change.status.as_deref() {
        let word = Some(word).filter(|word| *word != "normal");
        server.status = Status::from_word(word).ok_or("no such status")?;
    }
    if let Some(transferring) = change.transferring {
        server.transferring = transferring;
    }
    if let Some(down) = change.database_host_down {
        server.database_host_down = down;
    }
    Ok(json!({}))
}

fn change_node(shared: &Shared, id: i64, change: &NodeChange) -> Done {
    let mut state = shared.lock();
    let node = state.nodes.get_mut(&id);
    node.ok_or_else(|| format!("no node {id}"))?
        .maintenance_mode = change.maintenance;
    Ok(json!({}))
}

/// Lists a port under another server, or under none.
fn assign(shared: &Shared, id: i64, owner: &Owner) -> Result<Value, String> {
    let mut state = shared.lock();
    let row = state.allocations.get_mut(&id);
    row.ok_or_else(|| format!("no allocation {id}"))?.server_id = owner.server;
    Ok(json!({}))
}
