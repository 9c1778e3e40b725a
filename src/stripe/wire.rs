//! Stripe's JSON, as much of it as is used, and the way from there to our types.
//!
//! Tolerant by rule: unknown fields are skipped, enum words stay text, a reference may
//! be an id or the whole object, and the places of fields before and after Stripe's 2025
//! changes are both read. What a decision rests on (mode, payment status, times) has no
//! default: an answer without it is an unreadable one, not a guess.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

mod money;

pub(super) use money::{Charge, Dispute, InvoiceOf, InvoicePayment, InvoiceRef, PaymentOf, Refund};

/// A page of a list. `has_more` is required: its absence must not end a sweep early.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

impl<T> Page<T> {
    /// The rows as Stripe has them.
    pub(super) fn rows(self) -> Vec<T> {
        self.data
    }
}

impl<W, T: From<W>> From<Page<W>> for super::Page<T> {
    fn from(page: Page<W>) -> Self {
        Self {
            data: page.data.into_iter().map(T::from).collect(),
            has_more: page.has_more,
        }
    }
}

/// An object of which only the id is used.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    id: String,
}

impl From<Named> for String {
    fn from(named: Named) -> Self {
        named.id
    }
}

/// An event, whole: what is in it is read where webhooks are.
#[derive(Debug, Deserialize)]
pub(super) struct Event(Value);

impl From<Event> for super::ListedEvent {
    /// One without an id or a time is passed on all the same: whoever reads it refuses it.
    fn from(Event(event): Event) -> Self {
        let id = event.get("id").and_then(Value::as_str);
        Self {
            id: id.unwrap_or_default().to_owned(),
            created: event
                .get("created")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            payload: event.to_string().into_bytes(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Customer {
    id: String,
    livemode: bool,
    metadata: Option<Metadata>,
}

impl From<Customer> for super::Customer {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id,
            livemode: customer.livemode,
            user_id: customer.metadata.and_then(|metadata| metadata.user_id),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    id: String,
    url: Option<String>,
    status: Option<String>,
    payment_status: String,
    expires_at: i64,
    created: i64,
    livemode: bool,
    #[serde(default, deserialize_with = "reference")]
    customer: Option<String>,
    #[serde(default, deserialize_with = "reference")]
    subscription: Option<String>,
    amount_subtotal: Option<i64>,
    currency: Option<String>,
    client_reference_id: Option<String>,
    metadata: Option<Metadata>,
    line_items: Option<Lines>,
}

impl Session {
    /// Whether its lines are only the first ones.
    pub(super) fn has_more_lines(&self) -> bool {
        let lines = self.line_items.as_ref();
        lines.is_some_and(|lines| lines.has_more == Some(true))
    }
}

impl From<Session> for super::Session {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            url: session.url,
            // Null in Stripe's schema: then it is a word that no rule knows.
            status: session.status.unwrap_or_default(),
            payment_status: session.payment_status,
            expires_at: session.expires_at,
            created: session.created,
            livemode: session.livemode,
            customer: session.customer,
            subscription: session.subscription,
            amount_subtotal: session.amount_subtotal,
            currency: session.currency,
            client_reference_id: session.client_reference_id,
            order_id: order_id(session.metadata),
            lines: session.line_items.and_then(Lines::whole),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    id: String,
    status: String,
    livemode: bool,
    #[serde(default, deserialize_with = "reference")]
    customer: Option<String>,
    currency: Option<String>,
    metadata: Option<Metadata>,
    current_period_end: Option<i64>,
    cancel_at: Option<i64>,
    cancel_at_period_end: Option<bool>,
    ended_at: Option<i64>,
    items: Option<Lines>,
    pending_update: Option<PendingUpdate>,
    pause_collection: Option<IgnoredAny>,
}

/// Its end has no default: what waits to be paid is told from what is over by it.
#[derive(Debug, Deserialize)]
struct PendingUpdate {
    expires_at: i64,
}

impl From<Subscription> for super::Subscription {
    fn from(subscription: Subscription) -> Self {
        let of_items = subscription
            .items
            .as_ref()
            .and_then(Lines::latest_period_end);
        let current_period_end = of_items.or(subscription.current_period_end);
        let ends_with_period = subscription.cancel_at_period_end.unwrap_or_default();
        Self {
            id: subscription.id,
            status: subscription.status,
            customer: subscription.customer,
            livemode: subscription.livemode,
            currency: subscription.currency,
            order_id: order_id(subscription.metadata),
            current_period_end,
            cancel_at: subscription
                .cancel_at
                .or_else(|| current_period_end.filter(|_| ends_with_period)),
            cancel_at_period_end: ends_with_period,
            ended_at: subscription.ended_at,
            lines: subscription.items.and_then(Lines::whole),
            pending_until: subscription.pending_update.map(|update| update.expires_at),
            collection_paused: subscription.pause_collection.is_some(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PortalConfiguration {
    id: String,
    metadata: Option<Metadata>,
}

impl From<PortalConfiguration> for super::PortalConfiguration {
    fn from(configuration: PortalConfiguration) -> Self {
        Self {
            id: configuration.id,
            owner: configuration.metadata.and_then(|metadata| metadata.owner),
        }
    }
}

/// A page of the portal. Its URL has no default: a page without one is none.
#[derive(Debug, Deserialize)]
pub(super) struct PortalSession {
    pub(super) url: String,
}

/// An invoice. Its tax has been in three places: where none of them is, there was none.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    id: String,
    status: Option<String>,
    livemode: bool,
    currency: String,
    created: i64,
    total: i64,
    amount_paid: i64,
    billing_reason: Option<String>,
    total_excluding_tax: Option<i64>,
    total_taxes: Option<Vec<Tax>>,
    total_tax_amounts: Option<Vec<Tax>>,
    tax: Option<i64>,
}

/// An inclusive tax is within the price, and part of the total all the same.
#[derive(Debug, Deserialize)]
struct Tax {
    amount: i64,
}

impl From<Invoice> for super::Invoice {
    fn from(invoice: Invoice) -> Self {
        let taxes = invoice.total_taxes.or(invoice.total_tax_amounts);
        let sum = |taxes: Vec<Tax>| {
            taxes
                .iter()
                .fold(0_i64, |sum, tax| sum.saturating_add(tax.amount))
        };
        let tax = taxes.map(sum).or(invoice.tax).unwrap_or_default();
        Self {
            id: invoice.id,
            status: invoice.status.unwrap_or_default(),
            livemode: invoice.livemode,
            currency: invoice.currency,
            created: invoice.created,
            total: invoice.total,
            total_excluding_tax: invoice
                .total_excluding_tax
                .unwrap_or_else(|| invoice.total.saturating_sub(tax)),
            amount_paid: invoice.amount_paid,
            reason: invoice.billing_reason.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Price {
    id: String,
    active: bool,
    livemode: bool,
    currency: String,
    unit_amount: Option<i64>,
    recurring: Option<Recurring>,
}

#[derive(Debug, Deserialize)]
struct Recurring {
    interval: Option<String>,
    interval_count: Option<i64>,
    usage_type: Option<String>,
}

impl From<Price> for super::Price {
    fn from(price: Price) -> Self {
        let (interval, interval_count, usage_type) = price
            .recurring
            .map(|recurring| {
                (
                    recurring.interval,
                    recurring.interval_count,
                    recurring.usage_type,
                )
            })
            .unwrap_or_default();
        Self {
            id: price.id,
            active: price.active,
            livemode: price.livemode,
            currency: price.currency,
            unit_amount: price.unit_amount,
            interval,
            interval_count,
            usage_type,
        }
    }
}

/// The lines of a session or the items of a subscription.
#[derive(Debug, Deserialize)]
pub(super) struct Lines {
    data: Vec<Line>,
    has_more: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Line {
    id: Option<String>,
    #[serde(default, deserialize_with = "reference")]
    price: Option<String>,
    quantity: Option<i64>,
    current_period_end: Option<i64>,
}

impl Lines {
    /// All lines, or nothing where some are not in this answer.
    pub(super) fn whole(self) -> Option<Vec<super::Line>> {
        (self.has_more == Some(false)).then(|| self.data.into_iter().map(Into::into).collect())
    }

    fn latest_period_end(&self) -> Option<i64> {
        self.data
            .iter()
            .filter_map(|line| line.current_period_end)
            .max()
    }
}

impl From<Line> for super::Line {
    /// A line without a price or a count stays in the list with an empty price or no
    /// pieces: it is then a difference from the order, as it should be.
    fn from(line: Line) -> Self {
        Self {
            id: line.id.unwrap_or_default(),
            price: line.price.unwrap_or_default(),
            quantity: line.quantity.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "text")]
    order_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    owner: Option<String>,
}

fn order_id(metadata: Option<Metadata>) -> Option<String> {
    metadata.and_then(|metadata| metadata.order_id)
}

/// An expandable field: an id, or the object with its id.
fn reference<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(id) => Some(id),
        Value::Object(mut object) => match object.remove("id") {
            Some(Value::String(id)) => Some(id),
            _ => None,
        },
        _ => None,
    })
}

/// As [`reference`], of what is never absent.
fn required<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    reference(from)?.ok_or_else(|| D::Error::custom("no reference"))
}

/// Text, or nothing where it is something else: anyone with a key may write metadata.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
