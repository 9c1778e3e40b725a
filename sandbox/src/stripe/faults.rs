//! Shorthands for the troubles that tests of a till make most, in the words of `crate::faults`.
//!
//! Unlike the faults themselves, these strike the next call, once, unless told.

use super::errors::Refusal;
use crate::faults::{self, FOR_EVER, FaultAction, Moment};

/// A fault to inject.
#[derive(Clone, Debug)]
pub struct Fault(faults::Fault);

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This status instead of any work, not stored under the key. Without a body: an error of ours.
    Status {
        /// HTTP status.
        status: u16,
        /// The body as it is sent.
        body: Option<String>,
    },
    /// 429 before any work, not stored.
    RateLimited {
        /// Value of `Retry-After`, seconds.
        retry_after: u64,
    },
    /// 500 after execution began, stored under the key.
    InternalError {
        /// Whether the work was done before it.
        after_work: bool,
    },
    /// Waits before the work, at most until the faults are cleared; the key is in use meanwhile.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// Does the work, then waits with the answer, at most until the faults are cleared.
    DelayAnswer {
        /// Milliseconds.
        millis: u64,
    },
    /// Never answers, until the faults are cleared or the stand-in stops.
    Hang {
        /// Whether the work was done before it.
        after_work: bool,
    },
    /// Closes the connection before any work.
    DropBefore,
    /// Does the work, then closes the connection without an answer.
    DropAfter,
    /// Does the work, then answers 200 with bytes that are no JSON.
    Garbage,
    /// Does the work, then answers 200 with an HTML page, as a broken proxy would.
    Html,
    /// Does the work, then cuts the answer in the middle.
    Truncated,
}

impl Effect {
    fn parts(self) -> (FaultAction, Moment) {
        let after = |after_work| match after_work {
            true => Moment::AfterWork,
            false => Moment::BeforeWork,
        };
        match self {
            Self::Status { status, body } => {
                let own = || {
                    Refusal::internal(status)
                        .body("req_fault", false)
                        .to_string()
                };
                let action = FaultAction::Status {
                    status,
                    body: body.unwrap_or_else(own),
                    content_type: None,
                    headers: Vec::new(),
                };
                (action, Moment::BeforeWork)
            }
            Self::RateLimited { retry_after } => {
                let retry_after = Some(retry_after);
                (FaultAction::RateLimited { retry_after }, Moment::BeforeWork)
            }
            Self::InternalError { after_work: true } => {
                (FaultAction::InternalError, Moment::AfterCommit)
            }
            Self::InternalError { after_work: false } => {
                (FaultAction::InternalError, Moment::BeforeCommit)
            }
            Self::Delay {
                millis: milliseconds,
            } => (FaultAction::Delay { milliseconds }, Moment::BeforeCommit),
            Self::DelayAnswer {
                millis: milliseconds,
            } => (FaultAction::Delay { milliseconds }, Moment::AfterWork),
            Self::Hang { after_work } => {
                let milliseconds = FOR_EVER;
                (FaultAction::Hang { milliseconds }, after(after_work))
            }
            Self::DropBefore => (FaultAction::Drop, Moment::BeforeWork),
            Self::DropAfter => (FaultAction::Drop, Moment::AfterWork),
            Self::Garbage => (FaultAction::Garbage, Moment::AfterWork),
            Self::Html => (FaultAction::HtmlPage { status: 200 }, Moment::AfterWork),
            Self::Truncated => (FaultAction::Truncate, Moment::AfterWork),
        }
    }
}

impl Fault {
    /// A fault that strikes the next call of `method` (`*` for any) under `path_prefix`, once.
    pub fn on(method: &str, path_prefix: &str, effect: Effect) -> Self {
        let (action, moment) = effect.parts();
        let fault = faults::Fault::on(method, path_prefix, action).when(moment);
        Self(fault.nth(1).times(1))
    }

    /// Lets calls pass until the nth.
    pub fn nth(self, nth: u64) -> Self {
        Self(self.0.nth(usize::try_from(nth).unwrap_or(usize::MAX)))
    }

    /// Strikes this many calls.
    pub fn times(self, times: u64) -> Self {
        Self(self.0.times(usize::try_from(times).unwrap_or(usize::MAX)))
    }

    /// Strikes until it is cleared.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

impl From<Fault> for faults::Fault {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}
