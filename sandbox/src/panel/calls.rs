//! The log of every call: what was asked, what was answered, and what went to the daemons.

use serde::Serialize;
use serde_json::Value;

/// The base path of every call.
pub(crate) const API: &str = "/api/application";

/// One request that reached the stand-in.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Its place in the order of arrival, from 1.
    pub sequence: usize,
    /// The method as sent.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The query as sent.
    pub query: String,
    /// The route with its placeholders, where there is one.
    pub template: Option<&'static str>,
    /// The status the panel gave. Absent while it works, or if it never got the request.
    pub status: Option<u16>,
    /// Whether it counted against the request limit.
    pub charged: bool,
    /// The external id that a create asked for or a look-up named.
    pub external_id: Option<String>,
    /// The body as it was understood, where there was one and the key was good.
    pub body: Option<Value>,
    /// The fault that was put in its way.
    pub fault: Option<String>,
}

/// One request of the panel to a node's daemon.
#[derive(Clone, Debug, Serialize)]
pub struct DaemonCall {
    /// The node.
    pub node: i64,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The body of a create: the server's uuid and whether it starts once it is installed.
    pub body: Option<Value>,
}

#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: Vec<Call>,
    daemon: Vec<DaemonCall>,
}

impl CallLog {
    pub(crate) fn begin(&mut self, method: &str, path: &str, query: &str) -> usize {
        let sequence = self.calls.len() + 1;
        self.calls.push(Call {
            sequence,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            template: None,
            status: None,
            charged: false,
            external_id: None,
            body: None,
            fault: None,
        });
        sequence
    }

    pub(crate) fn update(&mut self, sequence: usize, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.calls.get_mut(sequence.saturating_sub(1)) {
            change(call);
        }
    }

    pub(crate) fn daemon_asked(&mut self, call: DaemonCall) {
        self.daemon.push(call);
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn daemon_calls(&self) -> &[DaemonCall] {
        &self.daemon
    }
}

/// Whether a path begins with a prefix, given in full or without the API's base path.
pub(crate) fn under(path: &str, prefix: &str) -> bool {
    path.starts_with(prefix)
        || path
            .strip_prefix(API)
            .is_some_and(|inner| inner.starts_with(prefix))
}
