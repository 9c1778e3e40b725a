//! Subscriptions: the stored object and its states.
//!
//! `canceled` and `incomplete_expired` are final; `subscriptions/changes.rs` holds
//! every way from one state to another, `subscriptions/items.rs` those of its items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::periods::Interval;
use super::prices::Price;
use super::table::Row;

pub(super) mod calls;
mod changes;
mod items;
pub(super) mod lag;
pub(super) mod pending;
mod render;

use changes::change;
pub(super) use changes::{
    announce_start, cancel, change_end, fail_payment, pause_collection, plan_end, set_status,
    start, tick,
};
use pending::PendingUpdate;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// The first payment is not in.
    Incomplete,
    /// The first payment never came; final.
    IncompleteExpired,
    /// A trial runs.
    Trialing,
    /// Paid.
    Active,
    /// A renewal failed and is tried again.
    PastDue,
    /// All tries failed; the subscription is kept.
    Unpaid,
    /// Over; final.
    Canceled,
    /// The trial ended without a way to pay.
    Paused,
}

impl SubscriptionStatus {
    /// Whether nothing can follow it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// Whether a bill is open.
    pub(super) fn owes(self) -> bool {
        matches!(self, Self::PastDue | Self::Unpaid)
    }

    /// Whether a new period begins when the old one ends.
    fn renews(self) -> bool {
        matches!(self, Self::Active | Self::Trialing | Self::PastDue)
    }
}

/// One recurring line.
#[derive(Clone)]
pub(super) struct Item {
    pub id: String,
    pub created: i64,
    pub price: Price,
    pub quantity: i64,
    pub metadata: BTreeMap<String, String>,
}

/// A stored subscription.
#[derive(Clone)]
pub(super) struct Subscription {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    pub status: SubscriptionStatus,
    pub customer: String,
    pub currency: String,
    pub metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub billing_mode: String,
    pub items: Vec<Item>,
    pub interval: Interval,
    pub interval_count: i64,
    /// Periods that were begun; the present one ends this many after `created`.
    pub periods: i64,
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub reason: Option<&'static str>,
    pub feedback: Option<String>,
    pub comment: Option<String>,
    pub latest_invoice: Option<String>,
    /// A change of items that waits for its payment.
    pub pending: Option<PendingUpdate>,
    /// Whether its card is declined when a change of items is to be paid.
    pub card_declines: bool,
    /// Whether its invoices are voided as they come; its status tells nothing of it.
    pub collection_paused: bool,
}

impl Row for Subscription {
    const OBJECT: &'static str = "subscription";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Subscription {
    /// When the present period began.
    pub(super) fn period_start(&self) -> i64 {
        self.interval
            .after(self.created, self.interval_count * (self.periods - 1))
    }

    /// When the present period ends.
    pub(super) fn period_end(&self) -> i64 {
        self.interval
            .after(self.created, self.interval_count * self.periods)
    }

    /// When it will end by itself.
    fn planned_end(&self) -> Option<i64> {
        self.cancel_at
            .or(self.cancel_at_period_end.then(|| self.period_end()))
    }
}
