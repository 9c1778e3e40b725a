//! The node daemons as the panel sees them: each node answers by a script, nothing is installed.
//!
//! Waits run in real time, bounded by the panel's own time-outs towards a daemon.

use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::calls::DaemonCall;
use super::errors::{Failure, Refusal};
use super::state::Shared;

/// How a node's daemon behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DaemonMode {
    /// Answers 202 to a create and 204 to the rest.
    #[default]
    Ok,
    /// Refuses connections.
    Down,
    /// Accepts no connection and refuses none: the connect time-out.
    Blackhole,
    /// Answers this to every call.
    Status {
        /// The status.
        status: u16,
        /// The body; its `error` is passed on for a 4xx.
        body: String,
    },
    /// Says nothing for this long, then closes the connection.
    Hang {
        /// How long.
        wait: Duration,
        /// Only calls of this method, if given.
        method: Option<String>,
    },
    /// Answers well, but only after this long.
    Slow {
        /// How long.
        wait: Duration,
        /// Only calls of this method, if given.
        method: Option<String>,
    },
    /// Closes the connection without an answer.
    Drop,
    /// The panel's own worker dies while it talks to the daemon: a created row stays.
    KillWorker,
}

/// How a node's daemon behaves from now on, and how often it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub mode: DaemonMode,
    /// The first call that is answered so, counted from 1. Without `times` the only one.
    pub nth: Option<usize>,
    /// Calls that are answered so; all of them if absent, and well after them.
    pub times: Option<usize>,
    /// Calls that could have been answered so.
    pub met: usize,
    pub fired: usize,
}

impl Script {
    pub(crate) fn new(mode: DaemonMode, nth: Option<usize>, times: Option<usize>) -> Self {
        Self {
            mode,
            nth,
            times: times.or(nth.map(|_| 1)),
            met: 0,
            fired: 0,
        }
    }

    /// How the next call of a method is answered.
    fn next(&mut self, method: &str) -> DaemonMode {
        let fits = match &self.mode {
            DaemonMode::Ok => false,
            DaemonMode::Hang { method: only, .. } | DaemonMode::Slow { method: only, .. } => only
                .as_deref()
                .is_none_or(|only| only.eq_ignore_ascii_case(method)),
            _ => true,
        };
        if !fits {
            return DaemonMode::Ok;
        }
        self.met += 1;
        let early = self.nth.is_some_and(|nth| self.met < nth);
        if early || self.times.is_some_and(|times| self.fired >= times) {
            return DaemonMode::Ok;
        }
        self.fired += 1;
        self.mode.clone()
    }
}

/// A mode that could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown daemon mode {0:?}: ok, down, blackhole, drop, kill, `hang SECONDS [METHOD]`, \
     `slow SECONDS [METHOD]` or `STATUS [BODY]`"
)]
pub struct UnknownMode(String);

impl FromStr for DaemonMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownMode(text.to_owned());
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let timed = || {
            let mut parts = rest.split_whitespace();
            let seconds = parts.next().and_then(|part| part.parse::<f64>().ok());
            let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Ok::<_, UnknownMode>((wait.ok_or_else(unknown)?, parts.next().map(str::to_owned)))
        };
        Ok(match word {
            "ok" => Self::Ok,
            "down" => Self::Down,
            "blackhole" => Self::Blackhole,
            "drop" => Self::Drop,
            "kill" => Self::KillWorker,
            "hang" => {
                let (wait, method) = timed()?;
                Self::Hang { wait, method }
            }
            "slow" => {
                let (wait, method) = timed()?;
                Self::Slow { wait, method }
            }
            status => {
                let status = status.parse().map_err(|_| unknown())?;
                Self::Status {
                    status,
                    body: rest.to_owned(),
                }
            }
        })
    }
}

/// What came of a call to a daemon that did not succeed.
#[derive(Debug)]
pub(crate) enum DaemonFailure {
    /// The status the panel passes on, and what the daemon said.
    Answer(u16, Option<String>),
    WorkerKilled,
}

impl DaemonFailure {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Answer(404, _))
    }

    pub(crate) fn into_failure(self, request_id: &str) -> Failure {
        match self {
            Self::Answer(status, said) => {
                Refusal::daemon(status, said.as_deref(), request_id).into()
            }
            Self::WorkerKilled => Failure::WorkerKilled,
        }
    }
}

/// Calls a node's daemon; the answer is its status, below 400.
pub(crate) async fn call(
    shared: &Shared,
    node: i64,
    method: &'static str,
    path: &str,
) -> Result<u16, DaemonFailure> {
    let path = path.to_owned();
    ask(
        shared,
        DaemonCall {
            node,
            method,
            path,
            body: None,
        },
    )
    .await
}

/// Tells a node's daemon to install a server. It fetches all else itself.
pub(crate) async fn install(
    shared: &Shared,
    node: i64,
    server: Uuid,
    start_on_completion: bool,
) -> Result<u16, DaemonFailure> {
    let body = json!({ "uuid": server, "start_on_completion": start_on_completion });
    let path = "/api/servers".to_owned();
    ask(
        shared,
        DaemonCall {
            node,
            method: "POST",
            path,
            body: Some(body),
        },
    )
    .await
}

async fn ask(shared: &Shared, call: DaemonCall) -> Result<u16, DaemonFailure> {
    let (method, installs) = (call.method, call.body.is_some());
    let well = if installs { 202 } else { 204 };
    let (mode, connect, total) = {
        let mut state = shared.lock();
        let mode = state.daemons.entry(call.node).or_default().next(method);
        if !matches!(mode, DaemonMode::Down | DaemonMode::Blackhole) {
            state.log.daemon_asked(call);
        }
        (
            mode,
            state.settings.daemon_connect_timeout,
            state.settings.daemon_timeout,
        )
    };
    let no_answer = || Err(DaemonFailure::Answer(504, None));
    match mode {
        DaemonMode::Ok if installs && !shared.workers.answer_back(total).await => no_answer(),
        DaemonMode::Ok => Ok(well),
        DaemonMode::Down | DaemonMode::Drop => no_answer(),
        DaemonMode::Blackhole => {
            tokio::time::sleep(connect).await;
            no_answer()
        }
        DaemonMode::KillWorker => Err(DaemonFailure::WorkerKilled),
        DaemonMode::Status { status, body } if status >= 400 => {
            let said = serde_json::from_str::<serde_json::Value>(&body)
                .ok()
                .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
            Err(DaemonFailure::Answer(status, said))
        }
        // A redirect without a target counts as success, though nothing was begun.
        DaemonMode::Status { status, .. } => Ok(status),
        DaemonMode::Hang { wait, .. } => {
            tokio::time::sleep(wait.min(total)).await;
            no_answer()
        }
        DaemonMode::Slow { wait, .. } => {
            tokio::time::sleep(wait.min(total)).await;
            if wait < total { Ok(well) } else { no_answer() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nth_and_times_choose_calls() {
        let turns = |nth, times| {
            let mut script = Script::new("slow 1 POST".parse().unwrap(), nth, times);
            let calls = ["DELETE", "POST", "POST", "POST", "POST"];
            calls.map(|method| script.next(method) != DaemonMode::Ok)
        };
        assert_eq!(turns(None, None), [false, true, true, true, true]);
        assert_eq!(turns(None, Some(2)), [false, true, true, false, false]);
        assert_eq!(turns(Some(2), None), [false, false, true, false, false]);
        assert_eq!(turns(Some(2), Some(2)), [false, false, true, true, false]);
    }

    #[test]
    fn modes_are_read_from_words() {
        assert_eq!("ok".parse::<DaemonMode>().unwrap(), DaemonMode::Ok);
        assert_eq!(
            "429 {\"error\":\"slow down\"}"
                .parse::<DaemonMode>()
                .unwrap(),
            DaemonMode::Status {
                status: 429,
                body: "{\"error\":\"slow down\"}".to_owned()
            }
        );
        assert_eq!(
            "hang 60 POST".parse::<DaemonMode>().unwrap(),
            DaemonMode::Hang {
                wait: Duration::from_secs(60),
                method: Some("POST".to_owned())
            }
        );
        assert!("nonsense".parse::<DaemonMode>().is_err());
        assert!("hang -1".parse::<DaemonMode>().is_err());
    }
}
