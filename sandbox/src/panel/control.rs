//! The control API under `/_sandbox/`: no key, never charged, no part of the call log.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::clock::rfc3339;
use super::daemon::DaemonMode;
use super::faults::{Fault, FaultId};
use super::gate::Answer;
use super::state::{Outage, Shared};
use super::views::{ServerView, UserView};

pub(crate) const PREFIX: &str = "/_sandbox/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_seconds: Option<f64>,
    set_unix: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DaemonChange {
    mode: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallChange {
    default_delay_ms: Option<u64>,
    fail_external_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageChange {
    outage: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateChange {
    limit: Option<u32>,
    #[serde(default)]
    reset: bool,
}

pub(crate) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Answer {
    let rest = path
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .trim_end_matches('/');
    let segments: Vec<&str> = rest.split('/').collect();
    let done = match (method, segments.as_slice()) {
        ("GET", ["calls"]) => Ok(json!({ "calls": shared.lock().log.calls() })),
        ("GET", ["daemon-calls"]) => {
            Ok(json!({ "daemon_calls": shared.lock().log.daemon_calls() }))
        }
        ("GET", ["servers"]) => Ok(json!({ "servers": servers(shared) })),
        ("GET", ["users"]) => Ok(json!({ "users": users(shared) })),
        ("GET", ["clock"]) => Ok(clock(shared)),
        ("POST", ["clock"]) => read(body).and_then(|change| set_clock(shared, &change)),
        ("GET", ["faults"]) => Ok(json!({ "faults": faults(shared) })),
        ("POST", ["faults"]) => {
            read::<Fault>(body).map(|fault| json!({ "id": shared.lock().faults.inject(fault) }))
        }
        ("DELETE", ["faults"]) => {
            shared.lock().faults.clear();
            Ok(json!({}))
        }
        ("DELETE", ["faults", id]) => number(id).map(|id| {
            shared.lock().faults.remove(FaultId(id.unsigned_abs()));
            json!({})
        }),
        ("POST", ["nodes", id, "daemon"]) => {
            number(id).and_then(|id| read(body).and_then(|change| set_daemon(shared, id, &change)))
        }
        ("POST", ["nodes", id, "restart"]) => number(id).map(|id| {
            shared.lock().daemon_restarted(id, shared.clock.now());
            json!({})
        }),
        ("POST", ["install"]) => read(body).map(|change| set_install(shared, change)),
        ("POST", ["outage"]) => read(body).and_then(|change| set_outage(shared, &change)),
        ("POST", ["rate"]) => read(body).map(|change| set_rate(shared, &change)),
        _ => return Answer::json(404, &json!({ "error": "no such control" })),
    };
    match done {
        Ok(body) => Answer::json(200, &body),
        Err(error) => Answer::json(400, &json!({ "error": error })),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn servers(shared: &Shared) -> Vec<ServerView> {
    ServerView::all(&shared.lock())
}

fn users(shared: &Shared) -> Vec<UserView> {
    shared.lock().users.values().map(UserView::of).collect()
}

fn faults(shared: &Shared) -> Vec<Value> {
    let state = shared.lock();
    let list = state.faults.list().map(|(id, fault, seen, fired)| {
        json!({ "id": id, "fault": fault, "seen": seen, "fired": fired })
    });
    list.collect()
}

fn clock(shared: &Shared) -> Value {
    let now = shared.clock.now();
    json!({ "now": rfc3339(now), "unix": now.unix_timestamp() })
}

fn set_clock(shared: &Shared, change: &ClockChange) -> Result<Value, String> {
    if let Some(unix) = change.set_unix {
        let to = OffsetDateTime::from_unix_timestamp(unix).map_err(|error| error.to_string())?;
        shared.clock.set(to);
    }
    if let Some(seconds) = change.advance_seconds {
        let by = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        shared.clock.advance(by);
    }
    Ok(clock(shared))
}

fn set_daemon(shared: &Shared, node: i64, change: &DaemonChange) -> Result<Value, String> {
    let mode: DaemonMode = change.mode.parse().map_err(|error| format!("{error}"))?;
    let mut state = shared.lock();
    if !state.nodes.contains_key(&node) {
        return Err(format!("no node {node}"));
    }
    state.daemons.insert(node, mode);
    Ok(json!({}))
}

fn set_install(shared: &Shared, change: InstallChange) -> Value {
    let mut state = shared.lock();
    if let Some(delay) = change.default_delay_ms {
        state.settings.install_delay = Some(Duration::from_millis(delay));
    }
    if let Some(external_ids) = change.fail_external_ids {
        state.failing_installs = external_ids.into_iter().collect();
    }
    json!({})
}

fn set_outage(shared: &Shared, change: &OutageChange) -> Result<Value, String> {
    let outage = match change.outage.as_deref() {
        None => None,
        Some("maintenance") => Some(Outage::Maintenance),
        Some("database") => Some(Outage::Database),
        Some("cache") => Some(Outage::Cache),
        Some("mail") => Some(Outage::Mail),
        Some("two_factor") => Some(Outage::TwoFactorRequired),
        Some(other) => return Err(format!("no outage {other:?}")),
    };
    shared.lock().outage = outage;
    Ok(json!({}))
}

fn set_rate(shared: &Shared, change: &RateChange) -> Value {
    let mut state = shared.lock();
    if let Some(limit) = change.limit {
        state.rate.limit = limit;
    }
    if change.reset {
        state.rate.reset();
    }
    json!({})
}
