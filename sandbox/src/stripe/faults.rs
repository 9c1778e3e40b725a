//! Faults: which of the coming calls go wrong, and how.
//!
//! A fault counts the calls it matches and strikes from the nth on, so many times
//! as it was told. It knows nothing of what the calls do.

use serde::{Deserialize, Serialize};

/// A fault to inject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP method; `None` matches all.
    #[serde(default)]
    pub method: Option<String>,
    /// Start of the path, such as `/v1/checkout/sessions`; only API calls are struck.
    #[serde(rename = "path")]
    pub path_prefix: String,
    /// The first matching call that is struck; 1 is the next one.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many calls are struck from there on.
    #[serde(default = "one")]
    pub times: u64,
    /// What happens to them.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// This status instead of any work, not stored under the key. Without a body: an error of ours.
    Status {
        /// HTTP status.
        status: u16,
        /// The body as it is sent.
        #[serde(default)]
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
    /// Whether it takes the place of the work.
    pub(super) fn instead_of_work(&self) -> bool {
        match self {
            Self::Status { .. } | Self::RateLimited { .. } | Self::DropBefore => true,
            Self::Hang { after_work } => !after_work,
            Self::InternalError { .. }
            | Self::Delay { .. }
            | Self::DelayAnswer { .. }
            | Self::DropAfter
            | Self::Garbage
            | Self::Html
            | Self::Truncated => false,
        }
    }
}

impl Fault {
    /// A fault that strikes the next call of `method` (`*` for any) under `path_prefix`, once.
    pub fn on(method: &str, path_prefix: &str, effect: Effect) -> Self {
        Self {
            method: Some(method.to_owned()).filter(|method| method != "*"),
            path_prefix: path_prefix.to_owned(),
            nth: 1,
            times: 1,
            effect,
        }
    }

    /// Lets calls pass until the nth.
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// Strikes this many calls.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Strikes until it is cleared.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let same_method = self
            .method
            .as_deref()
            .is_none_or(|own| own.eq_ignore_ascii_case(method));
        same_method && path.starts_with(&self.path_prefix)
    }
}

/// Names an injected fault.
pub type FaultId = u64;

#[derive(Default)]
struct Armed {
    id: FaultId,
    fault: Option<Fault>,
    seen: u64,
    fired: u64,
}

/// All faults, also the cleared ones, whose counts stay readable.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
}

impl Faults {
    /// Adds a fault.
    pub(super) fn inject(&mut self, fault: Fault) -> FaultId {
        let id = self.armed.len() as FaultId + 1;
        self.armed.push(Armed {
            id,
            fault: Some(fault),
            seen: 0,
            fired: 0,
        });
        id
    }

    /// How many calls a fault has struck.
    pub(super) fn fired(&self, id: FaultId) -> u64 {
        self.armed
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.fired)
    }

    /// Disarms all.
    pub(super) fn clear(&mut self) {
        for armed in &mut self.armed {
            armed.fault = None;
        }
    }

    /// Counts a call and says what strikes it; of several faults the oldest strikes.
    pub(super) fn strike(&mut self, method: &str, path: &str) -> Option<Effect> {
        let mut effect = None;
        for armed in &mut self.armed {
            let Some(fault) = armed
                .fault
                .as_ref()
                .filter(|fault| fault.matches(method, path))
            else {
                continue;
            };
            armed.seen += 1;
            let end = fault.nth.saturating_add(fault.times);
            if effect.is_none() && armed.seen >= fault.nth && armed.seen < end {
                armed.fired += 1;
                effect = Some(fault.effect.clone());
            }
        }
        effect
    }
}

fn one() -> u64 {
    1
}
