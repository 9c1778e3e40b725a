//! Sorts an answer that is not the expected success by what may be concluded from it.
//!
//! Pure: a call, a status, whether the panel charged it, and the bytes. The
//! panel's own `code` is looked at first, for the node daemon's statuses are
//! passed on under `DaemonConnectionException`. Then:
//!
//! | answer | a read | a call that changes something |
//! |---|---|---|
//! | `DaemonConnectionException`, any status | `NotDone(Node)` | rolled back: `NotDone(Node)`; a user call, which has no node, or an update of a server, which is kept without it: `Unknown(Node)` |
//! | any other 429 | `RateLimited` | `RateLimited` |
//! | 3xx | `NotDone(Redirected)` | the same |
//! | 401, 403, two-factor 400, with a code | `NotDone(KeyRefused)` | the same |
//! | other 400, 422 with a code | `Rejected` | the same |
//! | 404 `NotFoundHttpException`, charged | `NotFound` | the same, but for a create `NotDone(Failing)` |
//! | other 404, 405 with a code, not charged | `NotDone(NotThePanel)`: no such route | the same |
//! | 409 with a code | `NotDone(Node)`: the server is being moved | the same |
//! | any other 4xx with a code | `NotDone(Failing)` | the same |
//! | 4xx without a code | `NotDone(NotThePanel)` | the same, but 408 and 499 `Unknown(NotThePanel)` |
//! | 500 of a model check or a unique key | `NotDone(Failing)` | create, update: `NotDone(Failing)`, the row was refused |
//! | 503 maintenance or 500 `QueryException`, not charged | `NotDone(Failing)` | the same: it stopped before the controller |
//! | any other 5xx with a code | `NotDone(Failing)` | `Unknown(Failing)` |
//! | 5xx without a code, a strange 2xx | `NotDone(NotThePanel)` | `Unknown(NotThePanel)` |
//!
//! A charged `QueryException` stays unknown: the older Laravel has that one class
//! for a lost race, where nothing was made, and for a database that went away
//! while the answer to a finished create was put together. So does anything else
//! without rate headers: a fatal error and a cache lost in mid-call carry none.

use std::time::Duration;

use serde_json::Value;

use super::{Error, Trouble, Violation};

#[cfg(test)]
mod tests;

/// What a call does to the panel, as far as its failures differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Changes nothing.
    Read,
    /// Makes a user; no node is asked.
    CreateUser,
    /// Rewrites a user; no node is asked.
    UpdateUser,
    /// Removes a user; no node is asked.
    DeleteUser,
    /// Makes a server, with the node in the loop.
    CreateServer,
    /// Rewrites a server's limits or details. The node hears of it afterwards, and the panel
    /// keeps to itself what came of that.
    UpdateServer,
    /// Has the node act on a server that exists.
    ActOnServer,
    /// Removes a server, node first.
    DeleteServer,
}

/// An answer, reduced to what the sorting needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// HTTP status.
    pub(super) status: u16,
    /// Whether it carried rate headers: without them a JSON error never reached the controller.
    pub(super) charged: bool,
    /// `Retry-After`, as sent.
    pub(super) retry_after: Option<Duration>,
    /// The body, or as much of it as was worth reading.
    pub(super) content: &'a [u8],
}

/// Waited after a 429 that names no time: the panel's window.
const WINDOW: Duration = Duration::from_secs(60);
/// No answer makes us wait longer; a proxy may ask for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Names taken over from the panel are cut to this many characters.
const NAME_MAX: usize = 100;
/// More violations than this help nobody.
const VIOLATIONS_MAX: usize = 100;

impl Call {
    /// Whether this status is the success that the call was made for.
    pub(super) fn succeeds_with(self, status: u16) -> bool {
        match self {
            Self::Read => status == 200,
            // A 2xx is the promise that it was made, whatever the body turns out to be.
            Self::CreateUser | Self::UpdateUser | Self::CreateServer | Self::UpdateServer => {
                (200..300).contains(&status)
            }
            Self::ActOnServer | Self::DeleteServer | Self::DeleteUser => status == 204,
        }
    }

    /// Whether success is told by the status alone.
    pub(super) fn wants_no_body(self) -> bool {
        matches!(
            self,
            Self::ActOnServer | Self::DeleteServer | Self::DeleteUser
        )
    }

    /// The request was sent, and what came back does not tell what became of it.
    pub(super) fn doubtful(self, trouble: Trouble) -> Error {
        match self {
            Self::Read => Error::NotDone { trouble },
            _ => Error::Unknown { trouble },
        }
    }

    /// The body broke off, or its time ran out, after this status.
    pub(super) fn broken_off(self, status: u16) -> Error {
        match self {
            Self::CreateUser | Self::UpdateUser | Self::CreateServer | Self::UpdateServer
                if self.succeeds_with(status) =>
            {
                Error::Garbage {
                    what: format!("body after status {status} broke off"),
                }
            }
            _ => self.doubtful(Trouble::NoAnswer),
        }
    }

    /// A success that is not the panel's JSON at all.
    pub(super) fn not_json(self) -> Error {
        match self {
            Self::Read => not_done(Trouble::NotThePanel),
            _ => Error::Garbage {
                what: "a success that is not the panel's JSON".to_owned(),
            },
        }
    }

    fn makes_or_rewrites_a_row(self) -> bool {
        matches!(
            self,
            Self::CreateUser | Self::UpdateUser | Self::CreateServer | Self::UpdateServer
        )
    }

    /// The node failed: the panel takes back what it had written. But for an update of a
    /// server: that is committed before the node is told.
    fn node_failed(self) -> Error {
        match self {
            Self::Read | Self::CreateServer | Self::ActOnServer | Self::DeleteServer => {
                not_done(Trouble::Node)
            }
            Self::CreateUser | Self::UpdateUser | Self::DeleteUser | Self::UpdateServer => {
                Error::Unknown {
                    trouble: Trouble::Node,
                }
            }
        }
    }
}

/// What a failed answer to this call means.
pub(super) fn sort(call: Call, answer: &Answer<'_>) -> Error {
    match Fault::read(answer.content) {
        Some(fault) => by_code(call, answer, fault),
        None => by_status(call, answer),
    }
}

fn by_code(call: Call, answer: &Answer<'_>, fault: Fault) -> Error {
    let names_an_object = !matches!(call, Call::CreateUser | Call::CreateServer);
    match (answer.status, fault.code.as_str()) {
        (_, "DaemonConnectionException") => call.node_failed(),
        (429, _) => rate_limited(answer),
        (300..=399, _) => not_done(Trouble::Redirected),
        (401 | 403, _) | (400, "TwoFactorAuthRequiredException") => not_done(Trouble::KeyRefused),
        (status @ (400 | 422), _) => Error::Rejected {
            status,
            code: fault.code,
            violations: fault.violations,
        },
        (404, "NotFoundHttpException") if answer.charged && names_an_object => Error::NotFound,
        (404 | 405, _) if !answer.charged => not_done(Trouble::NotThePanel),
        (409, _) => not_done(Trouble::Node),
        (400..=499, _) => not_done(Trouble::Failing),
        (500..=599, code) => broken(call, answer, code),
        _ => call.doubtful(Trouble::NotThePanel),
    }
}

fn broken(call: Call, answer: &Answer<'_>, code: &str) -> Error {
    let before_the_controller = !answer.charged
        && matches!(
            (answer.status, code),
            (503, "HttpException") | (500, "QueryException")
        );
    let row_refused = call.makes_or_rewrites_a_row()
        && matches!(
            code,
            "DataValidationException" | "UniqueConstraintViolationException"
        );
    if before_the_controller || row_refused {
        not_done(Trouble::Failing)
    } else {
        call.doubtful(Trouble::Failing)
    }
}

fn by_status(call: Call, answer: &Answer<'_>) -> Error {
    match answer.status {
        429 => rate_limited(answer),
        300..=399 => not_done(Trouble::Redirected),
        // Said by a proxy of a request that it may have passed on.
        408 | 499 => call.doubtful(Trouble::NotThePanel),
        400..=499 => not_done(Trouble::NotThePanel),
        _ => call.doubtful(Trouble::NotThePanel),
    }
}

fn not_done(trouble: Trouble) -> Error {
    Error::NotDone { trouble }
}

fn rate_limited(answer: &Answer<'_>) -> Error {
    // Never zero: an answer "now" would make a caller spin.
    let after = answer.retry_after.unwrap_or(WINDOW);
    Error::RateLimited {
        after: after.clamp(Duration::from_secs(1), LONGEST_WAIT),
    }
}

/// The panel's error body: one code, and for a validation one entry per field and rule.
struct Fault {
    code: String,
    violations: Vec<Violation>,
}

impl Fault {
    fn read(content: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(content).ok()?;
        let errors = body.get("errors")?.as_array()?;
        let code = errors.first()?.get("code")?.as_str()?;
        let violations = if code == "ValidationException" {
            errors
                .iter()
                .filter_map(violation)
                .take(VIOLATIONS_MAX)
                .collect()
        } else {
            Vec::new()
        };
        Some(Self {
            code: name(code),
            violations,
        })
    }
}

/// `meta` alone is read: `detail` is prose in the panel's language, with our values in it.
fn violation(error: &Value) -> Option<Violation> {
    let meta = error.get("meta")?;
    let field = meta.get("source_field")?.as_str()?;
    let rule = meta.get("rule").and_then(Value::as_str).unwrap_or_default();
    Some(Violation {
        field: name(field),
        rule: name(rule),
    })
}

/// Names are logged and stored: no control characters, and no more than a name's length.
fn name(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(NAME_MAX).collect()
}
