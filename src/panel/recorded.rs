//! What a real panel answered, and what we make of it.
//!
//! Recordings of a panel are not part of this repository. Where the variable
//! `SPAWNPOINT_PANEL_RECORDINGS` names a folder of them, each answer to a call that
//! we make is sorted or read, and compared with `recorded_outcomes.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{
    Allocation, Egg, Error, Node, Server, User,
    http::unreadable,
    sort::{Answer, Call, sort},
    wire::{self, Environment},
};

mod rules;

const TABLE: &str = include_str!("recorded_outcomes.txt");

/// One line of the table: `file number: outcome`.
fn table() -> BTreeMap<String, String> {
    let lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once(": ").unwrap());
    pairs
        .map(|(exchange, outcome)| (exchange.to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn recorded_answers_have_their_outcomes() {
    let Some(folder) = std::env::var_os("SPAWNPOINT_PANEL_RECORDINGS") else {
        eprintln!("SPAWNPOINT_PANEL_RECORDINGS is not set: nothing compared");
        return;
    };
    let (mut expected, mut wrong) = (table(), Vec::new());
    let recorded = outcomes(Path::new(&folder));
    let files: BTreeSet<_> = recorded
        .iter()
        .filter_map(|(exchange, _)| exchange.split_once(' '))
        .map(|(file, _)| file)
        .collect();
    let line = format!(
        "{} answers of {} recordings compared\n",
        recorded.len(),
        files.len()
    );
    // Past the test harness, which would keep it for failures only.
    drop(std::io::stderr().write_all(line.as_bytes()));
    assert!(!recorded.is_empty(), "0 answers compared: no recordings");
    for (exchange, outcome) in recorded {
        let wanted = expected.remove(&exchange);
        if wanted.as_deref() != Some(&outcome) {
            wrong.push(format!("{exchange}: {outcome}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as in the table:\n{}",
        wrong.join("\n")
    );
    assert!(expected.is_empty(), "in the table alone: {expected:?}");
}

/// The table itself keeps what a caller relies on, recordings or not.
#[test]
fn no_failure_of_a_node_is_held_against_a_create() {
    let table = table();
    let failed = table.iter().filter(|(exchange, _)| {
        // A redirect by the node is a success for the panel.
        let of_a_node = exchange.starts_with("servers-create-daemon-") && exchange.ends_with(" 0");
        of_a_node && !exchange.contains("-302")
    });
    let outcomes: Vec<_> = failed.map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(outcomes, vec!["NotDone(Node)"; 12]);
}

fn outcomes(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    let mut outcomes = Vec::new();
    for file in files {
        let case: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for (number, exchange) in case["exchanges"].as_array().unwrap().iter().enumerate() {
            let (request, response) = (&exchange["request"], &exchange["response"]);
            if let Some(outcome) = outcome(request, response) {
                let name = format!("{} {number}", case["case"].as_str().unwrap());
                rules::review(&name, request, response, &outcome);
                outcomes.push((name, outcome));
            }
        }
    }
    outcomes
}

fn outcome(request: &Value, response: &Value) -> Option<String> {
    let path = request["path"].as_str()?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let route = path
        .strip_prefix("/api/application/")?
        .trim_end_matches('/');
    let route: Vec<_> = route.split('/').collect();
    let call = call(request["method"].as_str()?, &route)?;
    let status = u16::try_from(response["status"].as_u64()?).unwrap();
    let content = match &response["body"] {
        Value::Null => response["body_text"]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec(),
        body => serde_json::to_vec(body).unwrap(),
    };
    match call.succeeds_with(status) {
        true if call.wants_no_body() => Some("done".to_owned()),
        true => read(call, &route, query, &request["body"], &content),
        false => Some(told(&failure(call, status, response, &content))),
    }
}

fn failure(call: Call, status: u16, response: &Value, content: &[u8]) -> Error {
    let header = |name: &str| {
        let headers = response["headers"].as_object().unwrap();
        let found = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str())
    };
    let retry_after = header("Retry-After").map(|text| Duration::from_secs(text.parse().unwrap()));
    let charged = header("X-RateLimit-Remaining").is_some();
    sort(
        call,
        &Answer {
            status,
            charged,
            retry_after,
            content,
        },
    )
}

/// The kind of a recorded call; suspending asks the node just as reinstalling does.
fn call(method: &str, route: &[&str]) -> Option<Call> {
    Some(match (method, route) {
        ("GET", _) => Call::Read,
        ("POST", ["users"]) => Call::CreateUser,
        ("PATCH", ["users", _]) => Call::UpdateUser,
        ("POST", ["servers"]) => Call::CreateServer,
        ("POST", ["servers", _, "suspend" | "unsuspend" | "reinstall"]) => Call::ActOnServer,
        ("DELETE", ["servers", _]) => Call::DeleteServer,
        _ => return None,
    })
}

/// Reads a recorded success as the call of ours that has this route.
fn read(call: Call, route: &[&str], query: &str, sent: &Value, content: &[u8]) -> Option<String> {
    let page = query.split('&').find_map(|part| part.strip_prefix("page="));
    let page: u32 = page.map_or(1, |number| number.parse().unwrap());
    let rows = |rows: usize, pages: u32| format!("done, {rows} rows of page {page}/{pages}");
    let read = match route {
        ["users"] if call == Call::Read => {
            wire::page::<User>(content, page).map(|p| rows(p.data.len(), p.pages))
        }
        ["servers"] if call == Call::Read => {
            wire::page::<Server>(content, page).map(|p| rows(p.data.len(), p.pages))
        }
        ["nodes"] => wire::page::<Node>(content, page).map(|p| rows(p.data.len(), p.pages)),
        ["nodes", _, "allocations"] => {
            wire::page::<Allocation>(content, page).map(|p| rows(p.data.len(), p.pages))
        }
        ["users", ..] => wire::item::<User>(content).map(|user| {
            let sent = sent["external_id"].as_str();
            assert!(sent.is_none() || sent == user.external_id.as_deref());
            format!("done, user {}", user.id)
        }),
        ["servers"] | ["servers", _] | ["servers", "external", _] => {
            let environment = wire::item::<Environment>(content).unwrap();
            wire::item::<Server>(content).map(|server| {
                assert_eq!(server.id, environment.server);
                let ports = server.allocations.map_or(0, |ports| ports.len());
                let status = server.status.as_deref().unwrap_or("normal");
                let variables = environment.variables.len();
                format!(
                    "done, server {} {status}, {ports} ports, {variables} variables",
                    server.id
                )
            })
        }
        ["nests", _, "eggs", _] => wire::item::<Egg>(content).map(|egg| {
            let (images, variables) = (egg.docker_images.len(), egg.variables.len());
            format!(
                "done, egg {} with {images} images, {variables} variables",
                egg.id
            )
        }),
        _ => return None,
    };
    Some(read.unwrap_or_else(|flaw| told(&unreadable(call, flaw))))
}

fn told(error: &Error) -> String {
    match error {
        Error::Rejected {
            status,
            code,
            violations,
        } => {
            let fields: Vec<_> = violations
                .iter()
                .map(|v| format!("{}:{}", v.field, v.rule))
                .collect();
            format!("Rejected({status} {code}) {}", fields.join(" "))
                .trim_end()
                .to_owned()
        }
        Error::NotFound => "NotFound".to_owned(),
        Error::RateLimited { after } => format!("RateLimited({after:?})"),
        Error::NotDone { trouble } => format!("NotDone({trouble:?})"),
        Error::Unknown { trouble } => format!("Unknown({trouble:?})"),
        Error::Garbage { what } => format!("Garbage({what})"),
    }
}
