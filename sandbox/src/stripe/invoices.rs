//! Invoices: the first one of a subscription, one for each renewal, and those of changes of items.
//!
//! An invoice keeps the subscription's metadata as it was when the invoice was made.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::api::Invocation;
use super::errors::Refusal;
use super::events::Subject;
use super::expand;
use super::prices::Price;
use super::schema::Schema;
use super::sessions::Session;
use super::subscriptions::{self, Subscription, SubscriptionStatus};
use super::table::{Cursor, Row, list};
use super::world::World;

pub(super) mod prorations;
mod render;

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InvoiceStatus {
    Open,
    Paid,
    Void,
}

/// Days until Stripe tries a failed payment again.
const RETRY_AFTER: i64 = 3 * 86_400;

/// One line of an invoice.
#[derive(Clone)]
pub(super) struct InvoiceLine {
    pub id: String,
    pub price: Price,
    pub quantity: i64,
    /// The subscription item; absent for a price that is paid once.
    pub item: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The amount of a line that is for a part of a period; below zero if it gives back.
    pub proration: Option<i64>,
}

/// A stored invoice.
#[derive(Clone)]
pub(super) struct Invoice {
    pub id: String,
    pub number: String,
    pub created: i64,
    pub livemode: bool,
    pub status: InvoiceStatus,
    pub billing_reason: &'static str,
    pub customer: String,
    pub customer_email: Option<String>,
    pub subscription: String,
    pub subscription_metadata: BTreeMap<String, String>,
    pub currency: String,
    pub lines: Vec<InvoiceLine>,
    pub period: (i64, i64),
    pub discount: i64,
    pub tax: i64,
    pub attempt_count: i64,
    pub next_payment_attempt: Option<i64>,
    pub paid_at: Option<i64>,
    pub voided_at: Option<i64>,
    pub payment_intent: String,
    pub charge: String,
}

impl Row for Invoice {
    const OBJECT: &'static str = "invoice";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

/// The invoice of a session's first payment.
pub(super) fn first(
    world: &mut World,
    session: &Session,
    subscription: &str,
    status: InvoiceStatus,
) -> String {
    let Some(subscription) = world.subscriptions.get(subscription).cloned() else {
        return String::new();
    };
    let mut invoice = blank(world, &subscription, "subscription_create", status);
    invoice.discount = session.discount();
    invoice.tax = session.tax;
    for line in session
        .lines
        .iter()
        .filter(|line| line.price.spec.interval.is_none())
    {
        invoice.lines.push(InvoiceLine {
            id: world.ids.make("il_"),
            price: line.price.clone(),
            quantity: line.quantity,
            item: None,
            metadata: line.metadata.clone(),
            proration: None,
        });
    }
    let id = invoice.id.clone();
    world.invoices.put(invoice);
    id
}

/// The invoice of a further period; told as paid or failed.
pub(super) fn renewal(world: &mut World, subscription: &Subscription, paid: bool) -> String {
    let status = if paid {
        InvoiceStatus::Paid
    } else {
        InvoiceStatus::Open
    };
    let mut invoice = blank(world, subscription, "subscription_cycle", status);
    if !paid {
        invoice.next_payment_attempt = Some(invoice.created + RETRY_AFTER);
    }
    told(world, invoice, paid)
}

/// The invoice of a further period for which nothing is collected.
pub(super) fn voided_renewal(world: &mut World, subscription: &Subscription) -> String {
    let mut invoice = blank(
        world,
        subscription,
        "subscription_cycle",
        InvoiceStatus::Void,
    );
    invoice.voided_at = Some(invoice.created);
    let id = invoice.id.clone();
    world.invoices.put(invoice.clone());
    world.emit("invoice.voided", Subject::Invoice(Box::new(invoice)), None);
    id
}

/// Keeps a new invoice and tells of it as paid or failed.
fn told(world: &mut World, invoice: Invoice, paid: bool) -> String {
    let id = invoice.id.clone();
    world.invoices.put(invoice.clone());
    let event = if paid {
        "invoice.paid"
    } else {
        "invoice.payment_failed"
    };
    world.emit(event, Subject::Invoice(Box::new(invoice)), None);
    id
}

/// Tells that the customer has to confirm the payment of an invoice at their bank.
pub(super) fn announce_action(world: &mut World, id: &str) {
    if let Some(invoice) = world.invoices.get(id).cloned() {
        let subject = Subject::Invoice(Box::new(invoice));
        world.emit("invoice.payment_action_required", subject, None);
    }
}

/// Tells of a paid invoice.
pub(super) fn announce_paid(world: &mut World, id: &str) {
    if let Some(invoice) = world.invoices.get(id).cloned() {
        world.emit("invoice.paid", Subject::Invoice(Box::new(invoice)), None);
    }
}

/// Marks an open invoice as paid and tells of it.
pub(super) fn mark_paid(world: &mut World, id: Option<&str>) {
    let now = world.now();
    let Some(id) = id else { return };
    if let Ok(invoice) = world.invoices.find_mut(id) {
        invoice.status = InvoiceStatus::Paid;
        invoice.paid_at = Some(now);
        invoice.attempt_count += 1;
    }
    announce_paid(world, id);
}

/// Voids an open invoice.
pub(super) fn void(world: &mut World, id: Option<&str>) {
    let now = world.now();
    if let Some(invoice) = id.and_then(|id| world.invoices.find_mut(id).ok()) {
        invoice.status = InvoiceStatus::Void;
        invoice.voided_at = Some(now);
    }
}

fn blank(
    world: &mut World,
    subscription: &Subscription,
    billing_reason: &'static str,
    status: InvoiceStatus,
) -> Invoice {
    let now = world.now();
    let paid = status == InvoiceStatus::Paid;
    let first = billing_reason == "subscription_create";
    let lines = subscription.items.iter().map(|item| InvoiceLine {
        id: world.ids.make("il_"),
        price: item.price.clone(),
        quantity: item.quantity,
        item: Some(item.id.clone()),
        metadata: subscription.metadata.clone(),
        proration: None,
    });
    let lines: Vec<InvoiceLine> = lines.collect();
    let count = world.invoices.len() + 1;
    Invoice {
        id: world.ids.make("in_"),
        number: format!("SANDBOX-{count:04}"),
        created: now,
        livemode: world.livemode,
        status,
        billing_reason,
        customer: subscription.customer.clone(),
        customer_email: world
            .customers
            .get(&subscription.customer)
            .and_then(|c| c.email.clone()),
        subscription: subscription.id.clone(),
        subscription_metadata: subscription.metadata.clone(),
        currency: subscription.currency.clone(),
        lines,
        period: (subscription.period_start(), subscription.period_end()),
        discount: 0,
        tax: 0,
        // A delayed first payment is under way, not yet tried.
        attempt_count: i64::from(paid || !first),
        next_payment_attempt: None,
        paid_at: paid.then_some(now),
        voided_at: None,
        payment_intent: world.ids.make("pi_"),
        charge: world.ids.make("ch_"),
    }
}

/// `GET /v1/invoices/{id}`.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    let rendered = world.invoices.find(ask.id())?.render(&ask.version);
    expand::answer(world, ask, rendered)
}

/// `POST /v1/invoices/{id}/void`: only an open one, and none whose payment is under way: its
/// intent can no longer be canceled. A change that waits for its payment is given up; else a
/// subscription that lives and owes nothing any more is active again.
pub(super) fn void_open(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    let invoice = world.invoices.find(ask.id())?;
    if invoice.status != InvoiceStatus::Open {
        let text = "You can only pass in open invoices.";
        return Err(Refusal::invalid(text).by_state());
    }
    let pays = |session: &Session| session.invoice.as_deref() == Some(ask.id());
    if world
        .sessions
        .iter()
        .any(|session| pays(session) && session.awaits_money())
    {
        let text = "This invoice has a payment in process and cannot be voided.";
        return Err(Refusal::invalid(text).by_state());
    }
    let subscription = invoice.subscription.clone();
    let found = world.subscriptions.get(&subscription);
    let owed = found.is_some_and(|found| found.status.owes());
    let pending = found.and_then(|found| found.pending.as_ref());
    if pending.is_some_and(|pending| pending.invoice == ask.id()) {
        subscriptions::pending::abandon(world, &subscription)?;
    } else {
        void(world, Some(ask.id()));
        if owed {
            subscriptions::set_status(world, &subscription, SubscriptionStatus::Active)?;
        }
    }
    let rendered = world.invoices.find(ask.id())?.render(&ask.version);
    expand::answer(world, ask, rendered)
}

/// `GET /v1/invoices`.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &["collection_method", "due_date", "customer_account"],
        ..Schema::list(&["customer", "status", "subscription"])
    })?;
    let cursor = Cursor::read(params)?;
    let words = ["draft", "open", "paid", "uncollectible", "void"];
    let status = params.one_of("status", &words)?;
    let (customer, subscription) = (params.text("customer"), params.text("subscription"));
    let (rows, more) = world.invoices.page(&cursor, |row| {
        customer.is_none_or(|customer| row.customer == customer)
            && subscription.is_none_or(|subscription| row.subscription == subscription)
            && status
                .is_none_or(|word| serde_json::to_value(row.status).is_ok_and(|own| own == word))
    })?;
    let data = rows
        .into_iter()
        .map(|row| row.render(&ask.version))
        .collect();
    expand::answer(world, ask, list("/v1/invoices", data, more))
}
