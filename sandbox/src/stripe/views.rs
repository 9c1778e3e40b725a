//! Flat views of the state, for tests and for the control calls.

use std::collections::BTreeMap;

use serde::Serialize;

use super::customers::Customer;
use super::events::{Event, Reached};
use super::portal::{Configuration, Page};
use super::sessions::{PaymentStatus, Session, SessionStatus};
use super::subscriptions::{Subscription, SubscriptionStatus};
use super::table::Table;

pub(super) mod money;

pub use money::{DisputeView, PaymentView, RefundView};

/// A customer at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomerView {
    /// `cus_...`.
    pub id: String,
    /// The caller's labels.
    pub metadata: BTreeMap<String, String>,
}

impl From<&Customer> for CustomerView {
    fn from(customer: &Customer) -> Self {
        Self {
            id: customer.id.clone(),
            metadata: customer.metadata.clone(),
        }
    }
}

/// A session at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// `cs_...`.
    pub id: String,
    /// Where it stands.
    pub status: SessionStatus,
    /// Whether it is paid.
    pub payment_status: PaymentStatus,
    /// The hosted page, also when it is over.
    pub url: String,
    /// `cus_...`.
    pub customer: Option<String>,
    /// `sub_...`, once paid.
    pub subscription: Option<String>,
    /// `in_...`, once paid.
    pub invoice: Option<String>,
    /// The caller's reference.
    pub client_reference_id: Option<String>,
    /// The caller's labels.
    pub metadata: BTreeMap<String, String>,
    /// Price id and quantity of each line.
    pub lines: Vec<(String, i64)>,
    /// Before discount and tax, minor units.
    pub amount_subtotal: i64,
    /// What is paid, minor units.
    pub amount_total: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Where the buyer goes after paying, with the session's id filled in.
    pub success_url: String,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        let lines = session.lines.iter();
        Self {
            id: session.id.clone(),
            status: session.status,
            payment_status: session.payment_status,
            url: session.url.clone(),
            customer: session.customer.clone(),
            subscription: session.subscription.clone(),
            invoice: session.invoice.clone(),
            client_reference_id: session.client_reference_id.clone(),
            metadata: session.metadata.clone(),
            lines: lines
                .map(|line| (line.price.spec.id.clone(), line.quantity))
                .collect(),
            amount_subtotal: session.subtotal(),
            amount_total: session.total(),
            currency: session.currency.clone(),
            created: session.created,
            expires_at: session.expires_at,
            success_url: super::sessions::complete::success_url(session),
        }
    }
}

/// A subscription at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriptionView {
    /// `sub_...`.
    pub id: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// `cus_...`.
    pub customer: String,
    /// The labels given at checkout.
    pub metadata: BTreeMap<String, String>,
    /// Price id and quantity of each item.
    pub items: Vec<(String, i64)>,
    /// Unix seconds.
    pub current_period_start: i64,
    /// Unix seconds.
    pub current_period_end: i64,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When its end was asked for, Unix seconds.
    pub canceled_at: Option<i64>,
    /// When it ended, Unix seconds.
    pub ended_at: Option<i64>,
    /// `in_...`.
    pub latest_invoice: Option<String>,
    /// Until when a change of items waits for its payment, Unix seconds.
    pub pending_update: Option<i64>,
}

impl From<&Subscription> for SubscriptionView {
    fn from(subscription: &Subscription) -> Self {
        let items = subscription.items.iter();
        Self {
            id: subscription.id.clone(),
            status: subscription.status,
            customer: subscription.customer.clone(),
            metadata: subscription.metadata.clone(),
            items: items
                .map(|item| (item.price.spec.id.clone(), item.quantity))
                .collect(),
            current_period_start: subscription.period_start(),
            current_period_end: subscription.period_end(),
            cancel_at_period_end: subscription.cancel_at_period_end,
            canceled_at: subscription.canceled_at,
            ended_at: subscription.ended_at,
            latest_invoice: subscription.latest_invoice.clone(),
            pending_update: subscription
                .pending
                .as_ref()
                .map(|pending| pending.expires_at),
        }
    }
}

/// A page of the portal at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortalView {
    /// `cus_...`.
    pub customer: String,
    /// Where the page leads back to.
    pub return_url: String,
    /// `bpc_...`.
    pub configuration: String,
    /// What may be done on it.
    pub features: Vec<&'static str>,
}

impl PortalView {
    pub(super) fn new(page: &Page, configurations: &Table<Configuration>) -> Self {
        let configuration = configurations.get(&page.configuration);
        Self {
            customer: page.customer.clone(),
            return_url: page.return_url.clone(),
            configuration: page.configuration.clone(),
            features: configuration.map_or_else(Vec::new, |found| found.features.clone()),
        }
    }
}

/// An event at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// `evt_...`.
    pub id: String,
    /// Such as `invoice.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix seconds.
    pub created: i64,
    /// The id of the object it is about.
    pub object_id: String,
    /// Whether every endpoint has taken it.
    pub delivered: bool,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            kind: event.kind.clone(),
            created: event.created,
            object_id: event.subject_id().to_owned(),
            delivered: event.reached.values().all(|at| *at == Reached::Succeeded),
        }
    }
}
