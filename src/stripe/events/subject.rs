//! Whose event it is: the ids by which an order can be found.
//!
//! Reads the object of an event wherever Stripe has put its references over the years,
//! the new place first. Whatever is missing, odd or too long is left out: a subject is a
//! set of hints, and a wrong one finds no order.

use serde_json::{Map, Value};

use super::bounded;

/// The ids and words of the object in an event, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Our order id: from metadata, a session's `client_reference_id`, or the
    /// subscription's metadata that an invoice carries.
    pub order_ref: Option<String>,
    /// `cs_...`.
    pub session: Option<String>,
    /// `sub_...`.
    pub subscription: Option<String>,
    /// `cus_...`.
    pub customer: Option<String>,
    /// `in_...`.
    pub invoice: Option<String>,
    /// `pi_...` of a charge, a refund or a dispute. They name no order: the way leads over its invoice.
    pub payment: Option<String>,
    /// `ch_...`.
    pub charge: Option<String>,
    /// `du_...` or `dp_...`.
    pub dispute: Option<String>,
    /// `re_...`.
    pub refund: Option<String>,
    /// Whether a charge went back whole; of a part it is false.
    pub refunded: Option<bool>,
    /// A session's `payment_status`.
    pub payment_status: Option<String>,
    /// The object's `status`.
    pub status: Option<String>,
}

/// The objects whose own id is a hint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noun {
    Session,
    Subscription,
    Invoice,
    Customer,
    Charge,
    Dispute,
    Refund,
    Other,
}

impl Noun {
    /// The object names itself; where it does not, the event's type does.
    fn of(kind: &str, object: &Map<String, Value>) -> Self {
        match object.get("object").and_then(Value::as_str) {
            Some("checkout.session") => Self::Session,
            Some("subscription") => Self::Subscription,
            Some("invoice") => Self::Invoice,
            Some("customer") => Self::Customer,
            Some("charge") => Self::Charge,
            Some("dispute") => Self::Dispute,
            Some("refund") => Self::Refund,
            Some(_) => Self::Other,
            None if kind.starts_with("checkout.session.") => Self::Session,
            None if kind.starts_with("customer.subscription.") => Self::Subscription,
            None if kind.starts_with("invoice.") => Self::Invoice,
            None if kind.starts_with("charge.dispute.") => Self::Dispute,
            None if kind == "charge.refunded" => Self::Charge,
            None if kind.starts_with("refund.") => Self::Refund,
            None => Self::Other,
        }
    }
}

impl Subject {
    /// Reads `data.object` of an event of this type.
    pub(super) fn read(kind: &str, object: &Map<String, Value>) -> Self {
        let noun = Noun::of(kind, object);
        // An object's own id comes before its field of the same name.
        let own_or = |own: Noun, name: &str| {
            let field = if noun == own { "id" } else { name };
            reference(object.get(field))
        };
        Self {
            order_ref: order_ref(noun, object),
            session: (noun == Noun::Session)
                .then(|| bounded(object.get("id")))
                .flatten(),
            subscription: match noun {
                Noun::Invoice => subscription_of_invoice(object),
                _ => own_or(Noun::Subscription, "subscription"),
            },
            customer: own_or(Noun::Customer, "customer"),
            invoice: own_or(Noun::Invoice, "invoice"),
            payment: matches!(noun, Noun::Charge | Noun::Dispute | Noun::Refund)
                .then(|| reference(object.get("payment_intent")))
                .flatten(),
            charge: match noun {
                Noun::Charge => bounded(object.get("id")),
                Noun::Dispute | Noun::Refund => reference(object.get("charge")),
                _ => None,
            },
            dispute: (noun == Noun::Dispute)
                .then(|| bounded(object.get("id")))
                .flatten(),
            refund: (noun == Noun::Refund)
                .then(|| bounded(object.get("id")))
                .flatten(),
            refunded: (noun == Noun::Charge)
                .then(|| object.get("refunded")?.as_bool())
                .flatten(),
            payment_status: bounded(object.get("payment_status")),
            status: bounded(object.get("status")),
        }
    }
}

fn order_ref(noun: Noun, object: &Map<String, Value>) -> Option<String> {
    let named = |holder: &Value| bounded(holder.get("metadata")?.get("order_id"));
    let own = bounded(
        object
            .get("metadata")
            .and_then(|metadata| metadata.get("order_id")),
    );
    own.or_else(|| match noun {
        Noun::Session => bounded(object.get("client_reference_id")),
        Noun::Invoice => subscription_details(object)
            .and_then(named)
            .or_else(|| object.get("subscription_details").and_then(named)),
        _ => None,
    })
}

/// New place, old place, then the first line that names one.
pub(in crate::stripe) fn subscription_of_invoice(invoice: &Map<String, Value>) -> Option<String> {
    let lines = || invoice.get("lines")?.get("data")?.as_array();
    subscription_details(invoice)
        .and_then(|details| reference(details.get("subscription")))
        .or_else(|| reference(invoice.get("subscription")))
        .or_else(|| lines()?.iter().find_map(subscription_of_line))
}

fn subscription_of_line(line: &Value) -> Option<String> {
    let from_parent = || {
        let details = line.get("parent")?.get("subscription_item_details")?;
        reference(details.get("subscription"))
    };
    reference(line.get("subscription")).or_else(from_parent)
}

/// The parent's details of a subscription; of no meaning where the parent is a quote.
fn subscription_details(invoice: &Map<String, Value>) -> Option<&Value> {
    let parent = invoice.get("parent")?;
    let kind = parent.get("type").and_then(Value::as_str);
    matches!(kind, None | Some("subscription_details"))
        .then(|| parent.get("subscription_details"))
        .flatten()
}

/// An expandable field: an id, or the object with its id.
fn reference(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Object(object) => bounded(object.get("id")),
        other => bounded(Some(other)),
    }
}
