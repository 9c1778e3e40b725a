//! The recorded cases as files have them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    pub name: String,
    recorded_at: String,
    pub daemon: Daemon,
    pub exchanges: Vec<Exchange>,
    #[serde(default)]
    pub database: Option<Database>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Daemon {
    pub mode: Option<String>,
    pub calls: Vec<DaemonCall>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DaemonCall {
    pub method: String,
    pub path: String,
    #[serde(default)]
    body: String,
}

impl DaemonCall {
    pub(crate) fn body(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Exchange {
    pub request: Request,
    pub response: Response,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    raw_body: Option<String>,
}

impl Request {
    pub(crate) fn payload(&self) -> Option<String> {
        self.raw_body
            .clone()
            .or_else(|| self.body.as_ref().map(Value::to_string))
    }

    pub(crate) fn json(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// The same request with another body.
    pub(crate) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Value>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn remaining(&self) -> Option<i64> {
        self.header("x-ratelimit-remaining")?.parse().ok()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Database {
    #[serde(default)]
    pub before: Option<Snapshot>,
    #[serde(default)]
    pub after: Option<Snapshot>,
}

/// The database around a case: servers, and which ports are listed under which server.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Snapshot {
    pub servers: Vec<ServerRow>,
    pub assigned_allocations: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServerRow {
    pub id: String,
    pub external_id: Option<String>,
    pub status: Option<String>,
    pub node_id: String,
    pub allocation_id: String,
    pub owner_id: String,
}

/// All cases of a folder in the order in which they were recorded.
pub(crate) fn load(folder: &Path) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let case: Case =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        cases.push(case);
    }
    cases.sort_by(|a, b| (&a.recorded_at, &a.name).cmp(&(&b.recorded_at, &b.name)));
    Ok(cases)
}
