//! The control API under `/_sandbox/`: no key, never charged, no part of the call log.

mod rows;

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::clock::rfc3339;
use super::daemon::{DaemonMode, Script};
use super::gate::Answer;
use super::races::Race;
use super::state::{Outage, Shared, State};
use crate::faults;

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
    nth: Option<usize>,
    times: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallChange {
    default_delay_ms: Option<u64>,
    fail_external_ids: Option<Vec<String>>,
    /// How many installs of each of them fail; all if absent.
    fail_times: Option<usize>,
    lose_external_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TheftChange {
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkersChange {
    count: usize,
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

/// What a control call gives back: its body, or what is wrong with the call.
type Done = Result<Value, String>;

pub(crate) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Answer {
    let rest = path
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .trim_end_matches('/');
    let segments: Vec<&str> = rest.split('/').collect();
    let done = trouble(shared, method, &segments, body)
        .or_else(|| rows::answer(shared, method, &segments, body));
    match done {
        Some(Ok(body)) => Answer::json(200, &body),
        Some(Err(error)) => Answer::json(400, &json!({ "error": error })),
        None => Answer::json(404, &json!({ "error": "no such control" })),
    }
}

/// Calls, faults, daemons, the clock: everything that is no row.
fn trouble(shared: &Shared, method: &str, segments: &[&str], body: &[u8]) -> Option<Done> {
    Some(match (method, segments) {
        ("GET", ["calls"]) => Ok(json!({ "calls": shared.lock().log.calls() })),
        ("GET", ["daemon-calls"]) => {
            Ok(json!({ "daemon_calls": shared.lock().log.daemon_calls() }))
        }
        ("GET", ["clock"]) => Ok(clock(shared)),
        ("POST", ["clock"]) => read(body).and_then(|change| set_clock(shared, &change)),
        (method, ["faults", rest @ ..]) => {
            return faults::control(&mut shared.lock().faults, method, rest, body);
        }
        ("GET", ["races"]) => Ok(json!({ "races": shared.lock().races.reports() })),
        ("POST", ["races"]) => {
            read::<Race>(body).map(|race| json!({ "id": shared.lock().races.plan(race) }))
        }
        ("DELETE", ["races"]) => {
            shared.lock().races.clear();
            Ok(json!({}))
        }
        ("GET", ["nodes", id, "daemon"]) => {
            number(id).map(|id| daemon(shared.lock().daemons.get(&id)))
        }
        ("POST", ["nodes", id, "daemon"]) => {
            number(id).and_then(|id| read(body).and_then(|change| set_daemon(shared, id, &change)))
        }
        ("POST", ["nodes", id, "restart"]) => number(id).map(|id| {
            let mut state = shared.lock();
            state.daemon_restarted(id, shared.clock.now());
            json!({ "installs": state.installs })
        }),
        ("GET", ["install"]) => Ok(installs(&shared.lock())),
        ("POST", ["install"]) => read(body).map(|change| set_install(shared, change)),
        ("GET", ["thefts"]) => Ok(thefts(&shared.lock())),
        ("POST", ["thefts"]) => read::<TheftChange>(body).map(|change| {
            let mut state = shared.lock();
            state.thefts.left = change.times;
            thefts(&state)
        }),
        ("POST", ["outage"]) => read(body).and_then(|change| set_outage(shared, &change)),
        ("GET", ["workers"]) => Ok(json!({ "starved": shared.workers.starved() })),
        ("POST", ["workers"]) => read::<WorkersChange>(body).map(|change| {
            shared.workers.set(change.count);
            json!({ "starved": shared.workers.starved() })
        }),
        ("POST", ["rate"]) => read(body).map(|change| set_rate(shared, &change)),
        _ => return None,
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn daemon(script: Option<&Script>) -> Value {
    let script = script.cloned().unwrap_or_default();
    json!({
        "mode": format!("{:?}", script.mode), "nth": script.nth, "times": script.times,
        "fired": script.fired,
    })
}

fn thefts(state: &State) -> Value {
    json!({ "left": state.thefts.left, "fired": state.thefts.fired })
}

fn installs(state: &State) -> Value {
    let delay = state.settings.install_delay;
    json!({
        "default_delay_ms": delay.map(|delay| delay.as_millis()),
        "fail_external_ids": state.failing_installs.keys().collect::<Vec<_>>(),
        "lose_external_ids": state.lost_installs,
        "installs": state.installs,
    })
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
    let script = Script::new(mode, change.nth, change.times);
    let told = daemon(Some(&script));
    state.daemons.insert(node, script);
    Ok(told)
}

fn set_install(shared: &Shared, change: InstallChange) -> Value {
    let mut state = shared.lock();
    if let Some(delay) = change.default_delay_ms {
        state.settings.install_delay = Some(Duration::from_millis(delay));
    }
    if let Some(external_ids) = change.fail_external_ids {
        let times = change.fail_times.unwrap_or(usize::MAX);
        let failing = external_ids.into_iter().map(|id| (id, times));
        state.failing_installs = failing.collect();
    }
    if let Some(external_ids) = change.lose_external_ids {
        state.lost_installs = external_ids.into_iter().collect();
    }
    installs(&state)
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
