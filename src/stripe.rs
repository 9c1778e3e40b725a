//! What Spawnpoint asks of Stripe, and the shapes of the answers.
//!
//! The trait is the seam between our rules and a service we do not own. Types
//! are tolerant: only fields that are used, unknown enum values kept as text,
//! so that an additive change at Stripe never breaks a purchase. Nothing here
//! knows of orders, tables or gRPC.

use std::time::Duration;

use async_trait::async_trait;

mod answer;
pub mod events;
mod form;
mod http;
mod money;
mod retry;
mod settings;
mod wire;

pub use http::HttpStripe;
pub use money::{Charge, Dispute, PaidInvoice, Payment, Refund};
pub use settings::{Jitter, KeySource, Settings, SettingsError, fixed_key};

/// The `Stripe-Version` every call is pinned to.
pub const API_VERSION: &str = "2026-07-29.dahlia";

/// Body of a POST, in the order it is sent; nested keys in brackets
/// (`line_items[0][price]`). It is stored before it is sent, because a retry
/// under the same idempotency key must repeat it byte for byte.
pub type Form = Vec<(String, String)>;

/// The calls of Stripe that Spawnpoint makes.
///
/// Reads are retried inside a small bound; POSTs too, because each carries an
/// idempotency key of ours and the very same body.
#[async_trait]
pub trait Stripe: Send + Sync {
    /// Whether our key belongs to the live mode. Objects of the other mode are not ours.
    fn livemode(&self) -> bool;
    /// `POST /v1/customers`.
    async fn create_customer(&self, form: &Form, key: &str) -> Result<Customer, Error>;
    /// `POST /v1/customers/{id}`: what is sent replaces what was there, and an empty text clears.
    async fn update_customer(&self, id: &str, form: &Form, key: &str) -> Result<Customer, Error>;
    /// `GET /v1/customers` with exactly this address, newest first, at most 100.
    async fn customers(&self, email: &str) -> Result<Vec<Customer>, Error>;
    /// `POST /v1/checkout/sessions`.
    async fn create_session(&self, form: &Form, key: &str) -> Result<Session, Error>;
    /// `GET /v1/checkout/sessions/{id}` with its line items.
    async fn session(&self, id: &str) -> Result<Session, Error>;
    /// `POST /v1/checkout/sessions/{id}/expire`; only an open session can be expired.
    async fn expire_session(&self, id: &str, key: &str) -> Result<Session, Error>;
    /// `GET /v1/checkout/sessions`, newest first, one page of 100.
    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&str>,
    ) -> Result<Page<Session>, Error>;
    /// `GET /v1/events` of these types, newest first, one page of 100.
    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
    ) -> Result<Page<ListedEvent>, Error>;
    /// `GET /v1/subscriptions` of every status, newest first, one page of 100.
    async fn subscriptions(&self, after: Option<&str>) -> Result<Page<Subscription>, Error>;
    /// `GET /v1/subscriptions/{id}`.
    async fn subscription(&self, id: &str) -> Result<Subscription, Error>;
    /// `POST /v1/subscriptions/{id}` with what is to become of its planned end.
    async fn plan_end(&self, id: &str, end: PlannedEnd, key: &str) -> Result<Subscription, Error>;
    /// `POST /v1/subscriptions/{id}` with what becomes of its items: `items[0][id]` and so on.
    async fn change_items(&self, id: &str, form: &Form, key: &str) -> Result<Subscription, Error>;
    /// Ids of the open invoices of a subscription: `GET /v1/invoices`, at most 100.
    async fn open_invoices(&self, subscription_id: &str) -> Result<Vec<String>, Error>;
    /// `POST /v1/invoices/{id}/void`: only an open one can be.
    async fn void_invoice(&self, id: &str, key: &str) -> Result<(), Error>;
    /// Ids of the paid invoices of a subscription: `GET /v1/invoices`, at most 100.
    async fn paid_invoices(&self, subscription_id: &str) -> Result<Vec<String>, Error>;
    /// `GET /v1/invoices` of a subscription, of every status, newest first, one page of 100.
    async fn invoices_of(
        &self,
        subscription_id: &str,
        after: Option<&str>,
    ) -> Result<Page<Invoice>, Error>;
    /// The payments that paid an invoice: `GET /v1/invoice_payments`. What was paid elsewhere is
    /// not among them.
    async fn payments_of(&self, invoice_id: &str) -> Result<Vec<Payment>, Error>;
    /// The invoice that a payment paid: `GET /v1/invoice_payments`, and `GET /v1/invoices/{id}`
    /// where the answer only names it. `None`: no invoice asked for it, so it is nobody's here.
    async fn invoice_of_payment(&self, payment: &str) -> Result<Option<PaidInvoice>, Error>;
    /// `GET /v1/charges/{id}`.
    async fn charge(&self, id: &str) -> Result<Charge, Error>;
    /// `GET /v1/disputes/{id}`.
    async fn dispute(&self, id: &str) -> Result<Dispute, Error>;
    /// `POST /v1/refunds`: without an amount all that is left of a payment, and refused as
    /// `charge_already_refunded` where nothing is; as `charge_disputed` where a bank has it.
    async fn refund(&self, form: &Form, key: &str) -> Result<Refund, Error>;
    /// `GET /v1/refunds/{id}`.
    async fn refund_by_id(&self, id: &str) -> Result<Refund, Error>;
    /// The refunds of a payment that were not in vain: `GET /v1/refunds`.
    async fn refunds_of(&self, payment: &str) -> Result<Vec<Refund>, Error>;
    /// `DELETE /v1/subscriptions/{id}`: ends it now, without a refund. Asked again it may be
    /// told as unknown or invalid: a read says what it is.
    async fn cancel_subscription(&self, id: &str) -> Result<Subscription, Error>;
    /// `GET /v1/billing_portal/configurations`: the active ones, at most 100.
    async fn portal_configurations(&self) -> Result<Vec<PortalConfiguration>, Error>;
    /// `POST /v1/billing_portal/configurations`.
    async fn create_portal_configuration(
        &self,
        form: &Form,
        key: &str,
    ) -> Result<PortalConfiguration, Error>;
    /// `POST /v1/billing_portal/sessions`: the page's URL, a secret of a few minutes.
    async fn create_portal_session(&self, form: &Form, key: &str) -> Result<String, Error>;
    /// `GET /v1/prices/{id}`.
    async fn price(&self, id: &str) -> Result<Price, Error>;
}

/// What becomes of the planned end of a subscription. Stripe keeps it in two places, and the
/// one that is set has to be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedEnd {
    /// `cancel_at_period_end=true`.
    WithItsPeriod,
    /// `cancel_at_period_end=false`.
    NotWithItsPeriod,
    /// `cancel_at` cleared.
    NotAtATime,
}

/// Which sessions to list. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those of this customer.
    pub customer: Option<String>,
    /// `open`, `complete` or `expired`.
    pub status: Option<String>,
    /// The one that made this subscription.
    pub subscription: Option<String>,
    /// Created at or after this Unix second.
    pub created_gte: Option<i64>,
}

/// Which events to list: Stripe keeps them for 30 days.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// At most 20.
    pub types: &'static [&'static str],
    /// Created at or after this Unix second.
    pub created_gte: i64,
}

/// An event as a list shows it.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// `evt_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// The event itself: what a webhook would bring, and as tolerantly to be read.
    pub payload: Vec<u8>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub data: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// A Stripe customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// `cus_...`.
    pub id: String,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
}

/// A Checkout Session.
#[derive(Clone, Debug)]
pub struct Session {
    /// `cs_test_...` or `cs_live_...`.
    pub id: String,
    /// The hosted page; absent once the session is over.
    pub url: Option<String>,
    /// `open`, `complete` or `expired`.
    pub status: String,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Unix seconds.
    pub created: i64,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// `cus_...`.
    pub customer: Option<String>,
    /// `sub_...`, once paid.
    pub subscription: Option<String>,
    /// Sum of the lines before tax and discounts, minor units.
    pub amount_subtotal: Option<i64>,
    /// ISO 4217, lower case.
    pub currency: Option<String>,
    /// Our order id.
    pub client_reference_id: Option<String>,
    /// `metadata.order_id`.
    pub order_id: Option<String>,
    /// Lines, where they were asked for and answered whole.
    pub lines: Option<Vec<Line>>,
}

/// One line of a session or a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `li_...`, or `si_...` of a subscription's item.
    pub id: String,
    /// `price_...`.
    pub price: String,
    /// Pieces.
    pub quantity: i64,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// `sub_...`.
    pub id: String,
    /// `active`, `trialing`, `past_due`, `unpaid`, `canceled`, `paused`, `incomplete`,
    /// `incomplete_expired`, or a word that Stripe has since added.
    pub status: String,
    /// `cus_...`.
    pub customer: Option<String>,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// ISO 4217, lower case.
    pub currency: Option<String>,
    /// `metadata.order_id`.
    pub order_id: Option<String>,
    /// The latest end of a paid period, Unix seconds; read from the items, else from
    /// the old place on the subscription itself.
    pub current_period_end: Option<i64>,
    /// When it will end, Unix seconds: `cancel_at`, or the period's end where
    /// `cancel_at_period_end` is set.
    pub cancel_at: Option<i64>,
    /// Whether that end is the period's, and moves with it.
    pub cancel_at_period_end: bool,
    /// When it ended, Unix seconds.
    pub ended_at: Option<i64>,
    /// Its items; `None` where the answer did not hold them all.
    pub lines: Option<Vec<Line>>,
    /// A change of its items that waits to be paid: when Stripe forgets it, Unix seconds.
    pub pending_until: Option<i64>,
    /// Whether nothing is collected for it (`pause_collection`). Its status says nothing of that.
    pub collection_paused: bool,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `in_...`.
    pub id: String,
    /// `draft`, `open`, `paid`, `uncollectible`, `void`, or a word that Stripe has since added.
    pub status: String,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Unix seconds.
    pub created: i64,
    /// Minor units, after discounts and with tax.
    pub total: i64,
    /// Of it, all but the tax.
    pub total_excluding_tax: i64,
    /// What was paid of it, not by a balance.
    pub amount_paid: i64,
    /// What it is for: `subscription_create`, `subscription_cycle`, `subscription_update`, or
    /// another word of Stripe's.
    pub reason: String,
}

/// What customers may do on Stripe's own page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalConfiguration {
    /// `bpc_...`.
    pub id: String,
    /// `metadata.owner`.
    pub owner: Option<String>,
}

/// A price.
#[derive(Clone, Debug)]
pub struct Price {
    /// `price_...`.
    pub id: String,
    /// Whether it may be sold.
    pub active: bool,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Minor units; absent for tiered prices.
    pub unit_amount: Option<i64>,
    /// `day`, `week`, `month`, `year`; absent for one-time prices.
    pub interval: Option<String>,
    /// How many intervals make a period.
    pub interval_count: Option<i64>,
    /// `licensed` or `metered`.
    pub usage_type: Option<String>,
}

/// Why a call of Stripe gave no answer that could be used. Sorted by what the
/// caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400, 402 or another 4xx of Stripe's own: our request is wrong (price missing or inactive,
    /// bad URL, expiry too near). Never retry.
    #[error("Stripe refused the request: {code} at {param} ({request_id})")]
    Invalid {
        /// Stripe's `code`, or empty.
        code: String,
        /// The parameter it names, or empty.
        param: String,
        /// `Request-Id`.
        request_id: String,
    },
    /// 400 `idempotency_error`: the key was used with another body. A bug of ours.
    #[error("idempotency key was used with another body ({request_id})")]
    KeyReused {
        /// `Request-Id`.
        request_id: String,
    },
    /// 404: the object does not exist in this mode.
    #[error("no such object at Stripe ({request_id})")]
    NotFound {
        /// `Request-Id`.
        request_id: String,
    },
    /// 401 or 403: our key is bad or lacks a right.
    #[error("Stripe refused our key with {status} ({request_id})")]
    KeyRefused {
        /// HTTP status; 0 where we did not send the key, because it is no key or is of the
        /// other mode than at start.
        status: u16,
        /// `Request-Id`, or empty.
        request_id: String,
    },
    /// 429 that outlasted the retries.
    #[error("Stripe's rate limit is reached")]
    RateLimited {
        /// `Retry-After`, or a default.
        after: Duration,
    },
    /// The request never reached Stripe, in none of the tries of this call.
    #[error("Stripe cannot be reached")]
    Unreachable(#[source] Option<reqwest::Error>),
    /// Time-out, broken connection, 409, 424 or 5xx: it may have been done. Ask again with the same key.
    #[error("Stripe's answer is unknown (status {status:?}, replayed {replayed})")]
    Unknown {
        /// HTTP status, where there was one.
        status: Option<u16>,
        /// Whether Stripe marked it as the stored answer of an earlier try: then the
        /// same key will never say anything else.
        replayed: bool,
        /// `Request-Id`, or empty.
        request_id: String,
    },
    /// A 2xx whose body could not be read (a POST was done then: the same key asks for its
    /// answer again), or an answer that is not Stripe's: a redirect, a 4xx without Stripe's
    /// JSON. Tells nothing about the object.
    #[error("Stripe's answer could not be read: {what} ({request_id})")]
    Garbage {
        /// What was wrong; never the body itself.
        what: String,
        /// `Request-Id`, or empty.
        request_id: String,
    },
}
