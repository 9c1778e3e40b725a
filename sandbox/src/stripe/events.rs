//! Events: what changed, as it was at that moment.
//!
//! An event keeps the objects themselves, not their JSON, so that each webhook
//! endpoint and the list can show them in their own version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::api::Invocation;
use super::charges::Charge;
use super::customers::Customer;
use super::disputes::Dispute;
use super::errors::Refusal;
use super::invoices::Invoice;
use super::refunds::Refund;
use super::schema::Schema;
use super::sessions::Session;
use super::subscriptions::Subscription;
use super::table::{Cursor, Row, list};
use super::version::ApiVersion;
use super::world::World;

/// How long events can be read back, seconds.
const KEPT_FOR: i64 = 30 * 86_400;

/// The object an event is about, as it was.
#[derive(Clone)]
pub(super) enum Subject {
    Customer(Box<Customer>),
    Session(Box<Session>),
    Subscription(Box<Subscription>),
    Invoice(Box<Invoice>),
    Charge(Box<Charge>),
    Refund(Box<Refund>),
    Dispute(Box<Dispute>),
}

impl Subject {
    fn render(&self, version: &ApiVersion) -> Value {
        match self {
            Self::Customer(customer) => customer.render(),
            Self::Session(session) => session.render(version),
            Self::Subscription(subscription) => subscription.render(version),
            Self::Invoice(invoice) => invoice.render(version),
            Self::Charge(charge) => charge.render(version),
            Self::Refund(refund) => refund.render(),
            Self::Dispute(dispute) => dispute.render(),
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Customer(customer) => customer.id(),
            Self::Session(session) => session.id(),
            Self::Subscription(subscription) => subscription.id(),
            Self::Invoice(invoice) => invoice.id(),
            Self::Charge(charge) => charge.id(),
            Self::Refund(refund) => refund.id(),
            Self::Dispute(dispute) => dispute.id(),
        }
    }
}

/// How far an event has come at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Pending,
    Succeeded,
    Failed,
}

/// A stored event.
pub(super) struct Event {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    pub kind: String,
    pub subject: Subject,
    pub before: Option<Subject>,
    /// `Request-Id` and idempotency key of the call that caused it.
    pub request: Option<(String, Option<String>)>,
    /// Per webhook endpoint that was there when it was made.
    pub reached: BTreeMap<usize, Reached>,
}

impl Row for Event {
    const OBJECT: &'static str = "event";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Event {
    /// The id of the object it is about.
    pub(super) fn subject_id(&self) -> &str {
        self.subject.id()
    }

    /// The event as a version shows it.
    pub(super) fn render(&self, version: &ApiVersion) -> Value {
        let object = self.subject.render(version);
        let mut data = json!({ "object": object });
        if let (Some(before), Value::Object(fields)) = (&self.before, &mut data) {
            let changed = changed_fields(&before.render(version), &object);
            fields.insert("previous_attributes".into(), Value::Object(changed));
        }
        let pending = self
            .reached
            .values()
            .filter(|at| **at != Reached::Succeeded)
            .count();
        let (request, key) = match &self.request {
            Some((request, key)) => (Some(request), key.as_ref()),
            None => (None, None),
        };
        json!({
            "id": self.id,
            "object": "event",
            "api_version": version.as_str(),
            "created": self.created,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": pending,
            "request": { "id": request, "idempotency_key": key },
            "type": self.kind,
        })
    }

    fn delivered(&self) -> bool {
        self.reached.values().all(|at| *at == Reached::Succeeded)
    }
}

/// `GET /v1/events/{id}`, in the account's version.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    let event = world.events.find(ask.id())?;
    if event.created < world.now() - KEPT_FOR {
        return Err(Refusal::not_found(Event::OBJECT, ask.id()));
    }
    Ok(event.render(&world.account_version))
}

/// `GET /v1/events`: the last 30 days, newest first, in the account's version.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&["type", "types[*]", "delivery_success"]))?;
    let cursor = Cursor::read(params)?;
    let kind = params.text("type");
    let kinds = params.words("types");
    if kind.is_some() && !kinds.is_empty() {
        return Err(
            Refusal::invalid("You may only specify one of these parameters: type, types.")
                .param("types"),
        );
    }
    if kinds.len() > 20 {
        return Err(Refusal::invalid("You may give at most 20 types.").param("types"));
    }
    let delivered = params.boolean("delivery_success")?;
    let oldest = world.now() - KEPT_FOR;
    let (rows, more) = world.events.page(&cursor, |row| {
        row.created >= oldest
            && kind.is_none_or(|pattern| type_matches(pattern, &row.kind))
            && (kinds.is_empty() || kinds.contains(&row.kind.as_str()))
            && delivered.is_none_or(|delivered| row.delivered() == delivered)
    })?;
    let data = rows
        .into_iter()
        .map(|row| row.render(&world.account_version))
        .collect();
    Ok(list("/v1/events", data, more))
}

/// Whether a type fits a pattern in which `*` stands for any text.
pub(super) fn type_matches(pattern: &str, kind: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == kind;
    };
    let Some(rest) = kind.strip_prefix(head) else {
        return false;
    };
    if tail.contains('*') {
        rest.char_indices()
            .any(|(at, _)| type_matches(tail, &rest[at..]))
    } else {
        rest.ends_with(tail)
    }
}

/// The old values of the fields that differ; a changed list or hash is given whole.
fn changed_fields(before: &Value, after: &Value) -> Map<String, Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return Map::new();
    };
    let differs = |(key, old): &(&String, &Value)| after.get(*key) != Some(*old);
    before
        .iter()
        .filter(differs)
        .map(|(key, old)| (key.clone(), old.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(type_matches(
            "checkout.session.*",
            "checkout.session.expired"
        ));
        assert!(type_matches("*", "invoice.paid"));
        assert!(type_matches("*.paid", "invoice.paid"));
        assert!(!type_matches("invoice.*", "customer.created"));
        assert!(!type_matches("invoice", "invoice.paid"));
    }
}
