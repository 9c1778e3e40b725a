//! Reads a webhook payload: which event it is, and whose.
//!
//! A payload is only a hint that something changed; the object is read again before
//! anything is done. So this is tolerant to the utmost about the object inside and strict
//! about the envelope, which is what the inbox stores. Old renderings (up to acacia) and
//! new ones (basil and later) are both read. Signatures are checked elsewhere.

use serde_json::{Map, Value};

mod subject;

pub use subject::Subject;
pub(super) use subject::subscription_of_invoice;

/// Longest id that Stripe gives out.
const MAX_TEXT: usize = 255;

/// The last second of the year 9999; what lies beyond is no date for anyone.
const MAX_SECOND: i64 = 253_402_300_799;

/// Money that was to go back is with the shop again.
pub const REFUND_FAILED: &str = "refund.failed";

/// The types that the core acts on; a list of Stripe takes at most 20.
pub const MATTERING: [&str; 18] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.paid",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    // An inquiry becomes a dispute.
    "charge.dispute.funds_withdrawn",
    "charge.dispute.closed",
    // Also of one that was taken as done days ago.
    REFUND_FAILED,
];

/// A snapshot event of Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `evt_...`.
    pub id: String,
    /// The `type`, such as `checkout.session.completed`.
    pub kind: String,
    /// The version it was rendered in.
    pub api_version: Option<String>,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
    /// Unix seconds. Ties are common: it gives no order.
    pub created: i64,
    /// What it is about.
    pub subject: Subject,
}

/// Why a payload is not an event that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not the envelope of an event. Never quotes the payload.
    #[error("not a Stripe event: {0}")]
    Malformed(String),
    /// A thin event: this endpoint takes snapshots only.
    #[error("a thin event was sent to an endpoint for snapshot events")]
    Thin,
}

/// Whether the core does anything about events of this type.
pub fn matters(kind: &str) -> bool {
    MATTERING.contains(&kind)
}

/// Reads a payload. Unknown types and odd objects are fine; their subject is empty.
pub fn parse(payload: &[u8]) -> Result<Event, ParseError> {
    // serde_json gives up at 128 levels, so a deep payload cannot exhaust the stack.
    let value: Value = serde_json::from_slice(payload)
        .map_err(|fault| ParseError::Malformed(format!("no JSON, {fault}")))?;
    let Value::Object(envelope) = value else {
        return Err(malformed("no object"));
    };
    let object = envelope.get("object").and_then(Value::as_str);
    if object == Some("v2.core.event") || envelope.get("created").is_some_and(Value::is_string) {
        return Err(ParseError::Thin);
    }
    if object != Some("event") {
        return Err(malformed("object is not \"event\""));
    }
    let kind = bounded(envelope.get("type")).ok_or_else(|| malformed("no type"))?;
    let subject = match envelope.get("data").and_then(|data| data.get("object")) {
        Some(Value::Object(object)) => Subject::read(&kind, object),
        _ => Subject::default(),
    };
    Ok(Event {
        id: event_id(&envelope)?,
        api_version: bounded(envelope.get("api_version")),
        livemode: envelope
            .get("livemode")
            .and_then(Value::as_bool)
            .ok_or_else(|| malformed("no livemode"))?,
        created: envelope
            .get("created")
            .and_then(Value::as_i64)
            .filter(|second| (0..=MAX_SECOND).contains(second))
            .ok_or_else(|| malformed("no time of creation"))?,
        kind,
        subject,
    })
}

fn event_id(envelope: &Map<String, Value>) -> Result<String, ParseError> {
    bounded(envelope.get("id"))
        .filter(|id| id.len() > 4 && id.starts_with("evt_"))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| malformed("no event id"))
}

fn malformed(what: &str) -> ParseError {
    ParseError::Malformed(what.to_owned())
}

/// Text that may go into a column: not empty, not long, no control characters.
fn bounded(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    let fits = (1..=MAX_TEXT).contains(&text.chars().count());
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
