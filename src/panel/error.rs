//! How a failed call of the panel is sorted: by what its caller may conclude.

use std::time::Duration;

/// Why a call of the panel did not give what was asked.
///
/// The panel's `code` is looked at before its status, because the panel passes
/// the node daemon's own statuses on: a 401 or 422 with the code
/// `DaemonConnectionException` says nothing about our key or our body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The panel judged this very request: 400 or 422 with a code of its own. Counts as a try.
    #[error("the panel rejected it: {status} {code}{}", listed(violations))]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The panel's `code`.
        code: String,
        /// What it disliked, in its order.
        violations: Vec<Violation>,
    },
    /// The object does not exist (404 of the panel itself).
    #[error("no such object on the panel")]
    NotFound,
    /// The budget is spent, by the panel's word or our own count. Surely not done.
    #[error("rate limit reached, free in {after:?}")]
    RateLimited {
        /// How long to wait.
        after: Duration,
    },
    /// Surely not done, and not the fault of this request.
    #[error("panel did not do it: {trouble:?}")]
    NotDone {
        /// What is wrong.
        trouble: Trouble,
    },
    /// It may have been done, or may still be: look before asking again.
    #[error("outcome unknown: {trouble:?}")]
    Unknown {
        /// What is wrong.
        trouble: Trouble,
    },
    /// A success whose body could not be read. It was done, but we do not know what it made.
    #[error("panel's answer could not be read: {what}")]
    Garbage {
        /// What was wrong; never the body itself.
        what: String,
    },
}

/// What is wrong with the panel, the way to it, or the node behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Unreachable,
    /// No whole answer in time, or the connection broke after the request was sent.
    NoAnswer,
    /// The node's daemon failed or is down (`DaemonConnectionException`).
    Node,
    /// 401 or 403 of the panel: our key is bad, expired, blocked or lacks a right.
    KeyRefused,
    /// A redirect: the address is wrong, or a login page stands before the panel.
    Redirected,
    /// Any other 5xx or an unexpected status.
    Failing,
    /// An answer that is not the panel's JSON, or of a panel without this route: a proxy's
    /// page or a wrong address.
    NotThePanel,
}

/// One field that the panel disliked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted name: `allocation.default`, `environment.SERVER_JARFILE`.
    pub field: String,
    /// `required`, `unique`, `exists` and so on; empty where the panel names none.
    pub rule: String,
}

/// Violations as people read them: ` (external_id unique, allocation.default exists)`.
fn listed(violations: &[Violation]) -> String {
    if violations.is_empty() {
        return String::new();
    }
    let each: Vec<String> = violations
        .iter()
        .map(|v| format!("{} {}", v.field, v.rule))
        .collect();
    format!(" ({})", each.join(", "))
}

impl Error {
    /// Whether the effect may exist although we got no usable answer.
    pub fn may_have_been_done(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Garbage { .. })
    }

    /// Whether a violation of this field and rule is among those reported.
    pub fn violates(&self, field: &str, rule: &str) -> bool {
        matches!(self, Self::Rejected { violations, .. }
            if violations.iter().any(|v| v.field == field && v.rule == rule))
    }
}
