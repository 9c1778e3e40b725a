//! What a real panel answered, and what we make of it.
//!
//! Recordings of a panel are not part of this repository. Where the variable
//! `SPAWNPOINT_PANEL_RECORDINGS` names a folder of them, the client is given each answer to
//! a call that we make, and what it makes of it is compared with `recorded_outcomes.txt`.
//!
//! Each answer goes twice through the client: by what all its calls share, with the request
//! as it was recorded; and, where the trait has a call for it, by that call. Both have to
//! come to the same.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    io::Write as _,
    mem::{Discriminant, discriminant},
    path::Path,
};

use serde_json::Value;

use self::{
    exchange::{Exchange, Recorded},
    own::Own,
};
use super::{
    Allocation, Egg, Error, Node, Server, User,
    http::unreadable,
    sort::Call,
    wire::{self, Environment},
};

mod exchange;
mod own;
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

#[tokio::test]
async fn recorded_answers_have_their_outcomes() {
    let Some(folder) = std::env::var_os("SPAWNPOINT_PANEL_RECORDINGS") else {
        eprintln!("SPAWNPOINT_PANEL_RECORDINGS is not set: nothing compared");
        return;
    };
    let (mut expected, mut wrong) = (table(), Vec::new());
    let heard = hear(Path::new(&folder)).await;
    let files: BTreeSet<_> = heard
        .iter()
        .filter_map(|heard| heard.exchange.split_once(' '))
        .map(|(file, _)| file)
        .collect();
    let own: Vec<_> = heard.iter().filter_map(|heard| heard.own).collect();
    let line = format!(
        "{} answers of {} recordings compared, {} of them through calls of the trait\n",
        heard.len(),
        files.len(),
        own.len()
    );
    // Past the test harness, which would keep it for failures only.
    drop(std::io::stderr().write_all(line.as_bytes()));
    assert!(!heard.is_empty(), "0 answers compared: no recordings");
    let kinds = own.into_iter().collect::<HashSet<_>>().len();
    assert_eq!(kinds, Own::KINDS, "calls of the trait without an answer");
    for Heard {
        exchange, outcome, ..
    } in heard
    {
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

/// What came of a recorded answer.
struct Heard {
    /// Its recording and number.
    exchange: String,
    /// In the words of the table.
    outcome: String,
    /// The call of the trait that it went through as well.
    own: Option<Discriminant<Own>>,
}

async fn hear(folder: &Path) -> Vec<Heard> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let case: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for (number, recorded) in case["exchanges"].as_array().unwrap().iter().enumerate() {
            let Some(exchange) = Exchange::read(recorded) else {
                continue;
            };
            let name = format!("{} {number}", case["case"].as_str().unwrap());
            if let Some(outcome) = shared(&name, &exchange).await {
                rules::review(&name, &recorded["request"], exchange.response, &outcome);
                let own = Own::of(&exchange);
                if let Some(own) = &own {
                    repeat(&name, &exchange, own, &outcome).await;
                }
                all.push(Heard {
                    exchange: name,
                    outcome,
                    own: own.as_ref().map(discriminant),
                });
            }
        }
    }
    all
}

/// What the client makes of it by what all its calls share; none where it never makes or
/// reads such a call.
async fn shared(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let call = exchange.call()?;
    let panel = Recorded::answering(exchange);
    let outcome = match exchange.send(call, &panel).await {
        Ok(_) if call.wants_no_body() => "done".to_owned(),
        Ok(content) => read(call, exchange, &content)?,
        Err(error) => told(&error),
    };
    for seen in panel.heard(exchange, 1) {
        rules::figures(name, exchange.response, &outcome, seen);
    }
    Some(outcome)
}

/// The call of the trait comes to the same.
async fn repeat(name: &str, exchange: &Exchange<'_>, own: &Own, outcome: &str) {
    let panel = Recorded::answering(exchange);
    let made = own.made(&panel.client()).await;
    let wanted = own.wanted(outcome, &exchange.response["body"]);
    assert_eq!(made, wanted, "{name} as {own:?}");
    for seen in panel.heard(exchange, own.requests()) {
        rules::figures(name, exchange.response, outcome, seen);
    }
}

/// Reads a recorded success as the call of ours that has this route.
fn read(call: Call, exchange: &Exchange<'_>, content: &[u8]) -> Option<String> {
    let page = exchange.page();
    let read = match exchange.route().as_slice() {
        ["users"] if call == Call::Read => {
            wire::page::<User>(content, page).map(|p| rows(p.data.len(), page, p.pages))
        }
        ["servers"] if call == Call::Read => {
            wire::page::<Server>(content, page).map(|p| rows(p.data.len(), page, p.pages))
        }
        ["nodes"] => wire::page::<Node>(content, page).map(|p| rows(p.data.len(), page, p.pages)),
        ["nodes", _, "allocations"] => {
            wire::page::<Allocation>(content, page).map(|p| rows(p.data.len(), page, p.pages))
        }
        ["users", ..] => wire::item::<User>(content).map(|user| {
            let sent = exchange.sent["external_id"].as_str();
            assert!(sent.is_none() || sent == user.external_id.as_deref());
            told_user(&user)
        }),
        ["servers"]
        | ["servers", _]
        | ["servers", "external", _]
        | ["servers", _, "build" | "details"] => {
            let environment = wire::item::<Environment>(content).unwrap();
            wire::item::<Server>(content).map(|server| {
                assert_eq!(server.id, environment.server);
                let variables = environment.variables.len();
                format!("{}, {variables} variables", told_server(&server))
            })
        }
        ["nests", _, "eggs", _] => wire::item::<Egg>(content).map(|egg| told_egg(&egg)),
        _ => return None,
    };
    Some(read.unwrap_or_else(|flaw| told(&unreadable(call, flaw))))
}

fn rows(rows: usize, page: u32, pages: u32) -> String {
    format!("done, {rows} rows of page {page}/{pages}")
}

fn told_user(user: &User) -> String {
    format!("done, user {}", user.id)
}

fn told_server(server: &Server) -> String {
    let ports = server.allocations.as_ref().map_or(0, Vec::len);
    let status = server.status.as_deref().unwrap_or("normal");
    format!("done, server {} {status}, {ports} ports", server.id)
}

fn told_egg(egg: &Egg) -> String {
    let (images, variables) = (egg.docker_images.len(), egg.variables.len());
    format!(
        "done, egg {} with {images} images, {variables} variables",
        egg.id
    )
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
