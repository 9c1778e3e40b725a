//! Compares the rows with the recorded database, and makes up for what the recorder did by hand.
//!
//! Between some cases the recorder removed or inserted rows without a request. Only these, and what
//! remains of a race, are put right; any other difference is an error.

use std::collections::BTreeMap;

use sandbox::panel::{RunningPanel, ServerSeed};
use uuid::Uuid;

use super::case::{Case, ServerRow, Snapshot};

type Row = (Option<String>, Option<String>, i64, i64, i64);

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

fn recorded_rows(snapshot: &Snapshot) -> BTreeMap<i64, Row> {
    let row = |row: &ServerRow| {
        let place = (
            number(&row.node_id),
            number(&row.allocation_id),
            number(&row.owner_id),
        );
        let key = (row.external_id.clone(), row.status.clone());
        (number(&row.id), (key.0, key.1, place.0, place.1, place.2))
    };
    snapshot.servers.iter().map(row).collect()
}

fn recorded_owners(snapshot: &Snapshot) -> BTreeMap<i64, i64> {
    let owners = snapshot.assigned_allocations.as_object();
    let owners = owners.into_iter().flatten();
    owners
        .map(|(port, server)| (number(port), number(server.as_str().unwrap())))
        .collect()
}

fn our_rows(panel: &RunningPanel) -> BTreeMap<i64, Row> {
    let servers = panel.servers().into_iter();
    servers
        .map(|row| {
            (
                row.id,
                (
                    row.external_id,
                    row.status,
                    row.node,
                    row.allocation,
                    row.user,
                ),
            )
        })
        .collect()
}

fn our_owners(panel: &RunningPanel) -> BTreeMap<i64, i64> {
    let servers = panel.servers();
    let pairs = servers
        .iter()
        .flat_map(|row| row.allocations.iter().map(|port| (*port, row.id)));
    pairs.collect()
}

/// Where the rows differ from the recorded database.
pub(crate) fn differences(panel: &RunningPanel, snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let (theirs, ours) = (recorded_rows(snapshot), our_rows(panel));
    if theirs != ours {
        let only = |a: &BTreeMap<i64, Row>, b: &BTreeMap<i64, Row>| {
            let differ = a.iter().filter(|(id, row)| b.get(id) != Some(row));
            differ
                .map(|(id, row)| format!("{id} {row:?}"))
                .collect::<Vec<_>>()
                .join("; ")
        };
        found.push(format!(
            "rows [{}] are [{}] here",
            only(&theirs, &ours),
            only(&ours, &theirs)
        ));
    }
    let (theirs, ours) = (recorded_owners(snapshot), our_owners(panel));
    if theirs != ours {
        found.push(format!("port owners {theirs:?} are {ours:?} here"));
    }
    found
}

/// Removes and inserts whole rows until the ids are those of the recorded database.
pub(crate) fn by_hand(panel: &RunningPanel, case: &Case, snapshot: &Snapshot, after_race: bool) {
    let (theirs, ours) = (recorded_rows(snapshot), our_rows(panel));
    for (id, row) in &ours {
        let kept = theirs
            .get(id)
            .is_some_and(|theirs| !after_race || theirs == row);
        if !kept {
            panel.remove_server(*id);
        }
    }
    for (id, row) in &theirs {
        if our_rows(panel).contains_key(id) {
            continue;
        }
        let (external_id, status, _, allocation, user) = row.clone();
        let name = format!("srv {}", external_id.clone().unwrap_or_default());
        let startup = Some("java -Xms128M -jar {{SERVER_JARFILE}}".to_owned());
        let uuid = uuid_of(case, *id);
        let seed = ServerSeed {
            id: *id,
            external_id,
            uuid,
            name,
            startup,
            status,
            user,
            egg: 4,
            allocation,
        };
        panel.seed_server(&seed);
    }
    if after_race {
        for (port, server) in recorded_owners(snapshot) {
            panel.assign_allocation(port, Some(server));
        }
    }
}

/// The uuid a case gives a server in its answers, or names in the daemon's reports.
fn uuid_of(case: &Case, id: i64) -> Option<Uuid> {
    case.exchanges.iter().find_map(|exchange| {
        let attributes = exchange
            .response
            .body
            .as_ref()
            .map(|body| &body["attributes"]);
        let shown = attributes
            .filter(|row| row["id"] == id)
            .and_then(|row| row["uuid"].as_str());
        let named = exchange.request.path.strip_prefix("/api/remote/servers/");
        let named = named.and_then(|rest| rest.split('/').next());
        Uuid::parse_str(shown.or(named)?).ok()
    })
}
