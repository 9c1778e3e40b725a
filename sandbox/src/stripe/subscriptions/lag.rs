//! Subscriptions that are to be seen later than the session that was paid for them.
//!
//! Either the session names a subscription that nobody finds yet, or the session is complete and
//! names none because it is not made yet.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::errors::Refusal;
use super::super::sessions::complete;
use super::super::table::Row;
use super::super::world::{Due, World};
use super::Subscription;

/// How subscriptions of sessions that are paid from now on come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionLag {
    /// Seconds of the sandbox clock; none for until they are revealed.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Whether the session names its subscription at once, though reads of it find nothing. If not,
    /// the subscription, its invoice and their events are made late too.
    #[serde(default)]
    pub linked: bool,
}

/// What came of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LagCounts {
    /// Subscriptions that came late or still will.
    pub lagged: usize,
    /// Reads of a subscription that found nothing, and of a session that named none yet.
    pub missed: usize,
}

/// What is to be seen later.
#[derive(Default)]
pub(in super::super) struct Lags {
    pub setting: Option<SubscriptionLag>,
    pub counts: LagCounts,
    /// Subscriptions that reads do not find.
    hidden: BTreeSet<String>,
    /// Sessions without their subscription.
    unbilled: BTreeSet<String>,
}

impl Lags {
    pub(in super::super) fn hides(&self, subscription: &str) -> bool {
        self.hidden.contains(subscription)
    }

    /// Counts a look at a session.
    pub(in super::super) fn session_read(&mut self, session: &str) {
        if self.unbilled.contains(session) {
            self.counts.missed += 1;
        }
    }
}

impl World {
    /// Refuses a call on a subscription that is not to be seen yet.
    pub(in super::super) fn shown(&mut self, subscription: &str) -> Result<(), Refusal> {
        if !self.lags.hides(subscription) {
            return Ok(());
        }
        self.lags.counts.missed += 1;
        Err(Refusal::not_found(Subscription::OBJECT, subscription))
    }

    /// Whether the subscription of a session is to be made later.
    pub(in super::super) fn bills_late(&mut self, session: &str) -> bool {
        let Some(lag) = self.lags.setting.filter(|lag| !lag.linked) else {
            return false;
        };
        self.lags.counts.lagged += 1;
        self.lags.unbilled.insert(session.to_owned());
        self.plan(lag, Due::Bill(session.to_owned()));
        true
    }

    /// Hides a subscription that was just made, if it is to be seen later.
    pub(in super::super) fn hide_for_a_while(&mut self, subscription: &str) {
        let Some(lag) = self.lags.setting.filter(|lag| lag.linked) else {
            return;
        };
        self.lags.counts.lagged += 1;
        self.lags.hidden.insert(subscription.to_owned());
        self.plan(lag, Due::Reveal(subscription.to_owned()));
    }

    fn plan(&mut self, lag: SubscriptionLag, due: Due) {
        if let Some(seconds) = lag.seconds {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            self.due.insert((self.now().saturating_add(seconds), due));
        }
    }

    /// Shows one subscription.
    pub(in super::super) fn reveal(&mut self, subscription: &str) {
        self.lags.hidden.remove(subscription);
    }

    /// Makes the subscription of a session that has none yet.
    pub(in super::super) fn bill_now(&mut self, session: &str) {
        if self.lags.unbilled.remove(session) {
            complete::bill_late(self, session);
        }
    }

    /// Shows and makes everything that is late; the answer is how many.
    pub(in super::super) fn reveal_all(&mut self) -> usize {
        let sessions: Vec<String> = self.lags.unbilled.iter().cloned().collect();
        let shown = self.lags.hidden.len() + sessions.len();
        self.lags.hidden.clear();
        sessions.iter().for_each(|session| self.bill_now(session));
        shown
    }
}
