//! Faults put in the way of requests on purpose: which request, before or after the work is done,
//! and what the caller gets instead. Counts how often each one fired.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calls::under;

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// What happens to the request. Wherever work is done, it is done in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultAction {
    /// Answers with this status and body.
    Status {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
        /// Its content type; JSON unless told.
        #[serde(default)]
        content_type: Option<String>,
        /// Further headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// Answers as usual, but later.
    Delay {
        /// How much later.
        milliseconds: u64,
    },
    /// Never answers; the connection closes after this time.
    Hang {
        /// How long the caller is kept waiting.
        milliseconds: u64,
    },
    /// Closes the connection without an answer.
    Drop,
    /// Answers 200 with a body that is no JSON.
    Garbage,
    /// Answers with a proxy's HTML error page.
    HtmlPage {
        /// The status.
        status: u16,
    },
    /// Answers 302.
    Redirect {
        /// Where to.
        location: String,
    },
    /// Sends half of the real answer, then closes the connection.
    Truncate,
}

impl FaultAction {
    /// The word for logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Hang { .. } => "hang",
            Self::Drop => "drop",
            Self::Garbage => "garbage",
            Self::HtmlPage { .. } => "html_page",
            Self::Redirect { .. } => "redirect",
            Self::Truncate => "truncate",
        }
    }

    pub(crate) fn wait(&self) -> Duration {
        match self {
            Self::Delay { milliseconds } | Self::Hang { milliseconds } => {
                Duration::from_millis(*milliseconds)
            }
            _ => Duration::ZERO,
        }
    }
}

/// A fault: which requests it meets and what it does to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The method it meets; all if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The beginning of the paths it meets, with or without `/api/application`.
    pub path: String,
    /// Meets only the nth such request after the injection, counted from 1; all if absent.
    #[serde(default)]
    pub nth: Option<usize>,
    /// How often it fires at most.
    #[serde(default)]
    pub times: Option<usize>,
    /// Whether the panel does the work first.
    #[serde(default)]
    pub after_work: bool,
    /// What happens.
    pub action: FaultAction,
}

impl Fault {
    /// A fault on every request of a method under a path, before any work.
    pub fn on(method: &str, path: &str, action: FaultAction) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: path.to_owned(),
            nth: None,
            times: None,
            after_work: false,
            action,
        }
    }

    /// Only the nth matching request.
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = Some(nth);
        self
    }

    /// At most so often.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Only once the panel has done the work.
    pub fn after_work(mut self) -> Self {
        self.after_work = true;
        self
    }

    fn meets(&self, method: &str, path: &str) -> bool {
        let method_fits = self
            .method
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        method_fits && under(path, &self.path)
    }
}

#[derive(Debug)]
struct Injected {
    id: FaultId,
    fault: Fault,
    seen: usize,
    fired: usize,
    active: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    injected: Vec<Injected>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.injected.len() as u64 + 1);
        self.injected.push(Injected {
            id,
            fault,
            seen: 0,
            fired: 0,
            active: true,
        });
        id
    }

    /// The fault a request runs into, the earliest injected one. All that match count it as seen.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let mut struck = None;
        for injected in self.injected.iter_mut().filter(|injected| injected.active) {
            if !injected.fault.meets(method, path) {
                continue;
            }
            injected.seen += 1;
            let in_turn = injected.fault.nth.is_none_or(|nth| nth == injected.seen);
            let left = injected
                .fault
                .times
                .is_none_or(|times| injected.fired < times);
            if struck.is_none() && in_turn && left {
                injected.fired += 1;
                struck = Some(injected.fault.clone());
            }
        }
        struck
    }

    pub(crate) fn fired(&self, id: FaultId) -> usize {
        self.injected
            .iter()
            .find(|injected| injected.id == id)
            .map_or(0, |found| found.fired)
    }

    /// Ends every fault; their counts can still be asked for.
    pub(crate) fn clear(&mut self) {
        for injected in &mut self.injected {
            injected.active = false;
        }
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        for injected in self
            .injected
            .iter_mut()
            .filter(|injected| injected.id == id)
        {
            injected.active = false;
        }
    }

    /// Every fault with its counts: id, fault, requests seen, times fired.
    pub(crate) fn list(&self) -> impl Iterator<Item = (FaultId, &Fault, usize, usize)> {
        self.injected
            .iter()
            .map(|one| (one.id, &one.fault, one.seen, one.fired))
    }
}
