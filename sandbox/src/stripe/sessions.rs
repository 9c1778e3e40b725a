//! Checkout Sessions: the stored object, its amounts, and the calls that read or end it.
//!
//! A session is open until it is paid (`complete`) or over (`expired`); nothing
//! leads back. What a completion makes lies in `sessions/complete.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::Invocation;
use super::errors::Refusal;
use super::events::Subject;
use super::expand;
use super::prices::Price;
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::world::World;

mod cart;
pub(super) mod complete;
pub(super) mod create;
mod render;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// The page can be paid.
    Open,
    /// The buyer finished the page.
    Complete,
    /// The page is over.
    Expired,
}

/// Whether the money is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Paid.
    Paid,
    /// Not paid, or not yet.
    Unpaid,
    /// Nothing was to be paid.
    NoPaymentRequired,
}

/// One line of the cart; the price as it was when the session was made.
#[derive(Clone)]
pub(super) struct SessionLine {
    pub id: String,
    pub price: Price,
    pub quantity: i64,
    pub metadata: BTreeMap<String, String>,
}

impl SessionLine {
    pub(super) fn amount(&self) -> i64 {
        self.price.spec.unit_amount.saturating_mul(self.quantity)
    }
}

/// A discount in percent that a buyer or the shop names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promotion {
    /// The code a buyer types, also accepted as a coupon's or promotion code's id.
    pub code: String,
    /// 1 to 100.
    pub percent_off: i64,
}

/// A stored session.
#[derive(Clone)]
pub(super) struct Session {
    pub id: String,
    pub created: i64,
    pub expires_at: i64,
    pub livemode: bool,
    pub status: SessionStatus,
    pub payment_status: PaymentStatus,
    /// A delayed payment that has failed for good.
    pub async_failed: bool,
    pub url: String,
    pub success_url: String,
    pub cancel_url: Option<String>,
    pub customer: Option<String>,
    pub customer_email: Option<String>,
    /// Filled once Checkout knows the buyer.
    pub buyer_email: Option<String>,
    pub client_reference_id: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub subscription_metadata: BTreeMap<String, String>,
    pub subscription_description: Option<String>,
    pub billing_mode: String,
    pub currency: String,
    pub lines: Vec<SessionLine>,
    pub automatic_tax: bool,
    pub allow_promotion_codes: Option<bool>,
    pub promotion: Option<Promotion>,
    pub tax: i64,
    pub payment_method_types: Vec<String>,
    pub payment_method_collection: String,
    pub locale: Option<String>,
    pub billing_address_collection: Option<String>,
    pub subscription: Option<String>,
    pub invoice: Option<String>,
}

impl Row for Session {
    const OBJECT: &'static str = "checkout.session";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Session {
    /// Whether it is done, and the money of a delayed method is under way.
    pub(super) fn awaits_money(&self) -> bool {
        self.status == SessionStatus::Complete
            && self.payment_status == PaymentStatus::Unpaid
            && !self.async_failed
    }

    /// Sum of the lines before discount and tax.
    pub(super) fn subtotal(&self) -> i64 {
        self.lines.iter().map(SessionLine::amount).sum()
    }

    /// What the promotion takes off.
    pub(super) fn discount(&self) -> i64 {
        let percent = self
            .promotion
            .as_ref()
            .map_or(0, |promotion| promotion.percent_off);
        percent_of(self.subtotal(), percent * 100)
    }

    /// What the buyer pays.
    pub(super) fn total(&self) -> i64 {
        self.subtotal() - self.discount() + self.tax
    }
}

/// A share in hundredths of a percent, rounded half up.
pub(super) fn percent_of(amount: i64, basis_points: i64) -> i64 {
    (amount * basis_points + 5_000).div_euclid(10_000)
}

/// `GET /v1/checkout/sessions/{id}`.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    world.lags.session_read(ask.id());
    let session = world.sessions.find(ask.id())?.render(&ask.version);
    expand::answer(world, ask, session)
}

/// `GET /v1/checkout/sessions`.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &["payment_intent", "payment_link", "customer_account"],
        ..Schema::list(&[
            "customer",
            "customer_details[email]",
            "status",
            "subscription",
        ])
    })?;
    let cursor = Cursor::read(params)?;
    let status = match params.one_of("status", &["open", "complete", "expired"])? {
        Some("open") => Some(SessionStatus::Open),
        Some("complete") => Some(SessionStatus::Complete),
        Some(_) => Some(SessionStatus::Expired),
        None => None,
    };
    let customer = params.text("customer");
    let email = params.text("customer_details[email]");
    let subscription = params.text("subscription");
    let (rows, more) = world.sessions.page(&cursor, |row| {
        status.is_none_or(|status| row.status == status)
            && (customer.is_none() || row.customer.as_deref() == customer)
            && (email.is_none() || row.buyer_email.as_deref() == email)
            && (subscription.is_none() || row.subscription.as_deref() == subscription)
    })?;
    let data = rows
        .into_iter()
        .map(|row| row.render(&ask.version))
        .collect();
    expand::answer(world, ask, list("/v1/checkout/sessions", data, more))
}

/// `GET /v1/checkout/sessions/{id}/line_items`.
pub(super) fn line_items(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::of(&["limit", "starting_after", "ending_before"]))?;
    let session = world.sessions.find(ask.id())?;
    let mut lines = super::table::Table::new();
    // A list is newest first; lines are listed as they were sent.
    for line in session.lines.iter().rev() {
        lines.put(line.clone());
    }
    let (rows, more) = lines.page(&Cursor::read(params)?, |_| true)?;
    let data = rows
        .into_iter()
        .map(|line| session.render_line(line))
        .collect();
    Ok(list(
        &format!("/v1/checkout/sessions/{}/line_items", session.id),
        data,
        more,
    ))
}

impl Row for SessionLine {
    const OBJECT: &'static str = "item";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        0
    }
}

/// `POST /v1/checkout/sessions/{id}/expire`.
pub(super) fn expire(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    expire_now(world, ask.id())?;
    let session = world.sessions.find(ask.id())?.render(&ask.version);
    expand::answer(world, ask, session)
}

/// Ends an open session and tells of it.
pub(super) fn expire_now(world: &mut World, id: &str) -> Result<(), Refusal> {
    let session = world.sessions.find_mut(id)?;
    if session.status != SessionStatus::Open {
        return Err(Refusal::invalid(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout \
             Session has a status of {}.",
            session.status.word()
        ))
        .param("session")
        .by_state());
    }
    session.status = SessionStatus::Expired;
    let expired = session.clone();
    world.emit(
        "checkout.session.expired",
        Subject::Session(Box::new(expired)),
        None,
    );
    Ok(())
}

impl SessionStatus {
    /// Stripe's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}
