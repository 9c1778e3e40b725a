//! The one vocabulary of faults that both stand-ins speak, in Rust and over HTTP: which calls a
//! fault strikes, at which moment of their work, and what the caller gets.
//!
//! Knows nothing of what the calls do; what only one service can say (a refusal in its own words)
//! is left to that service.

use serde::{Deserialize, Serialize};

mod armed;
mod control;
mod course;
mod spoil;

pub(crate) use armed::{Asked, Faults, Strike};
pub(crate) use control::control;
pub(crate) use course::{StandIn, carry_out, run};
pub(crate) use spoil::instead;

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// Until the fault is released or cleared.
pub const FOR_EVER: u64 = u64::MAX;

/// What happens to the call. Times are real milliseconds; `release` and `clear` end every wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
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
    /// 429 in the service's own words.
    RateLimited {
        /// Seconds of `Retry-After`; no such header if absent.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The service's own words for a lock it waited for in vain: Stripe's 429 `lock_timeout`, the
    /// panel's 500 `QueryException`.
    LockTimeout {
        /// Seconds of `Retry-After`; no such header if absent.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 409 in the service's own words: Stripe's key in use, the panel's open transfer.
    Conflict,
    /// 500 in the service's own words.
    InternalError,
    /// Waits, then goes on as usual.
    Delay {
        /// How long.
        milliseconds: u64,
    },
    /// Never answers; the connection closes after this time.
    Hang {
        /// How long the caller is kept waiting.
        #[serde(default = "for_ever")]
        milliseconds: u64,
    },
    /// Sends the real answer a few bytes at a time.
    Drip {
        /// Where the dripping begins.
        from: DripFrom,
        /// So many bytes at once.
        bytes: usize,
        /// The pause after each of them.
        milliseconds: u64,
    },
    /// Closes the connection without an answer.
    Drop,
    /// Announces the whole of the real answer, sends half of it, closes the connection.
    Truncate,
    /// Answers 200 with a body that is neither JSON nor text.
    Garbage,
    /// Answers with a proxy's HTML page.
    HtmlPage {
        /// The status.
        status: u16,
    },
    /// Answers 302.
    Redirect {
        /// Where to.
        location: String,
    },
    /// A list without any row.
    EmptyList,
    /// A list that ends after so many rows and says that this is all.
    ShortList {
        /// How many are left.
        rows: usize,
    },
    /// A list whose rows have moved since its first page was read: every later page begins so many
    /// rows further on (rows are missed) or, if negative, earlier (rows come twice).
    ShiftedList {
        /// By how many rows.
        by: i64,
    },
    /// A list without an end: every page holds the first rows and names a next page.
    EndlessList,
    /// A list whose next page is the first one again, whichever is asked for.
    StuckList,
}

/// Where a slow answer begins to be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DripFrom {
    /// With the first byte of the status line.
    Head,
    /// With the first byte of the body.
    Body,
}

/// When a call is struck. Wherever work is done, it is done in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Instead of any work.
    #[default]
    BeforeWork,
    /// All checks are passed and nothing is written; it counts as fired only if it comes so far.
    BeforeCommit,
    /// Everything is written and nobody else was told: for the panel, its daemon; for Stripe this
    /// is the same as after the work. It counts as fired only if it comes so far.
    AfterCommit,
    /// The work is done; only the answer is spoilt.
    AfterWork,
    /// The caller is struck at once, the work is done later and nobody hears of it.
    Late {
        /// When, in milliseconds of the stand-in's clock: 0 for at once (the client is gone, the
        /// service goes on), none for when the fault is released.
        milliseconds: Option<u64>,
    },
}

/// A fault: which calls it strikes, when, and what happens to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method it strikes; all if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The beginning of the paths it strikes; the panel's with or without `/api/application`.
    pub path: String,
    /// The path is a whole one, and `{...}` stands for any one segment of it.
    #[serde(default)]
    pub whole: bool,
    /// Strikes only calls with this text in their query or body.
    #[serde(default)]
    pub containing: Option<String>,
    /// The first matching call it strikes, counted from 1 after the injection. Without `times` the
    /// only one.
    #[serde(default)]
    pub nth: Option<usize>,
    /// How often it strikes at most; without a limit if neither this nor `nth` is given.
    #[serde(default)]
    pub times: Option<usize>,
    /// When it strikes.
    #[serde(default)]
    pub when: Moment,
    /// What happens.
    pub action: FaultAction,
}

impl Fault {
    /// A fault on every call of a method (`*` for any) under a path, before any work.
    pub fn on(method: &str, path: &str, action: FaultAction) -> Self {
        Self {
            method: Some(method.to_owned()).filter(|method| method != "*"),
            path: path.to_owned(),
            whole: false,
            containing: None,
            nth: None,
            times: None,
            when: Moment::BeforeWork,
            action,
        }
    }

    /// A fault on one endpoint alone, such as `POST /servers/{server}/suspend`.
    pub fn on_route(method: &str, template: &str, action: FaultAction) -> Self {
        Self {
            whole: true,
            ..Self::on(method, template, action)
        }
    }

    /// Only calls with this text in their query or body, such as an external id.
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Only the nth matching call, or with `times` from the nth on.
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = Some(nth);
        self
    }

    /// At most so often.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// At this moment of the work.
    pub fn when(mut self, moment: Moment) -> Self {
        self.when = moment;
        self
    }

    /// Only once the work is done.
    pub fn after_work(self) -> Self {
        self.when(Moment::AfterWork)
    }

    /// Once all checks are passed, before anything is written.
    pub fn before_commit(self) -> Self {
        self.when(Moment::BeforeCommit)
    }

    /// Once everything is written, before anybody else is told.
    pub fn after_commit(self) -> Self {
        self.when(Moment::AfterCommit)
    }

    /// At once, while the work goes on behind the caller's back.
    pub fn meanwhile(self) -> Self {
        self.late(std::time::Duration::ZERO)
    }

    /// At once; the work is done after so much time on the stand-in's clock.
    pub fn late(self, after: std::time::Duration) -> Self {
        let milliseconds = u64::try_from(after.as_millis()).ok();
        self.when(Moment::Late { milliseconds })
    }

    /// At once; the work is done when the fault is released.
    pub fn late_until_released(self) -> Self {
        self.when(Moment::Late { milliseconds: None })
    }
}

impl FaultAction {
    /// The word for logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::RateLimited { .. } => "rate_limited",
            Self::LockTimeout { .. } => "lock_timeout",
            Self::Conflict => "conflict",
            Self::InternalError => "internal_error",
            Self::Delay { .. } => "delay",
            Self::Hang { .. } => "hang",
            Self::Drip { .. } => "drip",
            Self::Drop => "drop",
            Self::Truncate => "truncate",
            Self::Garbage => "garbage",
            Self::HtmlPage { .. } => "html_page",
            Self::Redirect { .. } => "redirect",
            Self::EmptyList => "empty_list",
            Self::ShortList { .. } => "short_list",
            Self::ShiftedList { .. } => "shifted_list",
            Self::EndlessList => "endless_list",
            Self::StuckList => "stuck_list",
        }
    }

    /// Whether it bends the real answer, so that the work comes first in any case.
    pub(crate) fn bends_answer(&self) -> bool {
        matches!(self, Self::Drip { .. } | Self::Truncate) || self.bends_list()
    }

    /// Whether it bends the rows of a list.
    pub(crate) fn bends_list(&self) -> bool {
        matches!(
            self,
            Self::EmptyList
                | Self::ShortList { .. }
                | Self::ShiftedList { .. }
                | Self::EndlessList
                | Self::StuckList
        )
    }
}

fn for_ever() -> u64 {
    FOR_EVER
}
