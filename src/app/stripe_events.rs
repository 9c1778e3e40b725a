//! Stripe's events: stored, and taken as hints. What an event says is never
//! believed; it only makes the worker read Stripe itself.

use std::sync::Arc;

use super::{App, Caller, Error};
use crate::{
    db::{
        Tx, billing, order_events,
        orders::{self, Locked, Note, leases},
        stripe_events::{self, NewEvent, Source, State},
    },
    domain::{
        self, DAY_US, OrderId, SECOND_US,
        ids::parse_uuid,
        order::{Facts, is_settled},
    },
    stripe::events::{self, Event, ParseError, Subject},
};

mod applied;
mod charges;
mod inbox;
mod stray;

use applied::{Applied, Ignored, applied, failed, ignored, tell_lost};
pub(crate) use charges::ask_whose;
pub(crate) use inbox::retry_failed;
pub use inbox::{list_stripe_events, replay_stripe_event};
use stray::Paid;
pub(crate) use stray::{Stray, give_back_of};

const METHOD: &str = "OrderService/RecordStripeEvent";
/// For whoever tells the customer: the invoice has a page for it, and so has the billing portal. Of
/// one that is heard of days later nobody knows whether it still holds.
const TO_CONFIRM: &str = "the bank wants the customer to confirm a payment";

/// An event on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `evt_...`.
    pub event_id: String,
    /// Whether it was on disk before.
    pub duplicate: bool,
}

/// Stores a webhook and marks its order due, in one transaction. One that cannot be
/// applied is stored as failed and still answered OK: Stripe would only repeat it.
pub async fn record_stripe_event(
    app: &Arc<App>,
    caller: &Caller,
    payload: &[u8],
    received_us: Option<i64>,
) -> Result<Recorded, Error> {
    caller.may(METHOD)?;
    record(app, payload, received_us, Source::Webhook, &caller.trace_id).await
}

/// As [`record_stripe_event`], however the event reached us.
pub(crate) async fn record(
    app: &Arc<App>,
    payload: &[u8],
    received_us: Option<i64>,
    source: Source,
    trace_id: &str,
) -> Result<Recorded, Error> {
    let event = events::parse(payload).map_err(refuse)?;
    let event_ref = &event;
    let new = &|now_us| NewEvent {
        id: &event_ref.id,
        kind: &event_ref.kind,
        api_version: event_ref.api_version.as_deref(),
        livemode: event_ref.livemode,
        created_us: event_ref.created.saturating_mul(SECOND_US),
        received_us: received_us.unwrap_or(now_us),
        payload,
        source,
    };
    let applied = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            if !stripe_events::insert(&tx, &new(now_us)).await? {
                return Ok(None);
            }
            let livemode = app.stripe.livemode();
            let applied = apply(&tx, event_ref, livemode, trace_id, now_us).await?;
            let error = applied.error.unwrap_or_default();
            stripe_events::set_state(&tx, &event_ref.id, applied.state, applied.order, error)
                .await?;
            Ok::<_, Error>(Some(applied))
        })
        .await;
    let stored = match applied {
        Err(error) if !error.is_passing() => keep(app, new, &error).await?,
        applied => applied?,
    };
    metrics::counter!("spawnpoint_stripe_events_total",
        "state" => stored.as_ref().map_or("duplicate", |applied| applied.state.as_str()))
    .increment(1);
    if let Some(why) = stored.as_ref().and_then(|applied| applied.ignored) {
        why.count();
        if why == Ignored::NoSuchOrder {
            let subject = &event.subject;
            let (order, subscription) = (&subject.order_ref, &subject.subscription);
            tell_lost(&event.id, order.as_deref(), subscription.as_deref());
        }
    }
    if let Some(id) = stored.as_ref().and_then(|applied| applied.order) {
        app.nudge.order(id);
    }
    Ok(Recorded {
        event_id: event.id,
        duplicate: stored.is_none(),
    })
}

/// Stores an event whose effect failed and took the event with it: Stripe's list of events is not
/// looked at twice, so it would be lost to the inbox, and to those who try it again.
async fn keep<'a>(
    app: &Arc<App>,
    new: &(impl Fn(i64) -> NewEvent<'a> + Sync),
    error: &Error,
) -> Result<Option<Applied>, Error> {
    let why = &error.reason();
    let stored = app.db.tx(|tx| async move {
        let event = new(app.db.now_in(&tx).await?);
        tracing::error!(event_id = event.id, %error, why, "an event could not be applied");
        if !stripe_events::insert(&tx, &event).await? {
            return Ok(None);
        }
        stripe_events::set_state(&tx, event.id, State::Failed, None, why).await?;
        Ok(Some(failed("its order could not be read or written")))
    });
    stored.await
}

fn refuse(error: ParseError) -> Error {
    let (reason, message) = match error {
        ParseError::Malformed(what) => {
            ("EVENT_MALFORMED", format!("not an event of Stripe: {what}"))
        }
        ParseError::Thin => {
            metrics::counter!("spawnpoint_stripe_thin_events_total").increment(1);
            (
                "EVENT_THIN",
                "a thin event: configure a snapshot destination".to_owned(),
            )
        }
    };
    domain::Error::BadRequest {
        reason,
        message,
        metadata: Vec::new(),
    }
    .into()
}

async fn apply(
    tx: &Tx,
    event: &Event,
    livemode: bool,
    trace_id: &str,
    now_us: i64,
) -> Result<Applied, Error> {
    if !events::matters(&event.kind) {
        return Ok(ignored(Ignored::Type));
    }
    if event.livemode != livemode {
        return Ok(ignored(Ignored::Livemode));
    }
    if charges::are_about_money(&event.kind) {
        return Ok(Applied {
            state: State::Received,
            order: None,
            error: None,
            ignored: None,
        });
    }
    let subject = &event.subject;
    let Some(locked) = order_of(tx, subject).await? else {
        let named = subject.order_ref.as_deref().and_then(parse_uuid);
        let lost = named.is_some_and(|id| OrderId(id).may_be_ours());
        return Ok(ignored(if lost {
            Ignored::NoSuchOrder
        } else {
            Ignored::NotOurs
        }));
    };
    let id = locked.facts.order.id;
    let note = Note {
        actor: "stripe".to_owned(),
        cause: event.id.clone(),
        trace_id: trace_id.to_owned(),
    };
    let done = applied(id);
    if let Some(refund) = stray::due(&locked.facts, Paid::told(subject)) {
        stray::give_back(tx, locked, refund, &note, now_us).await?;
        return Ok(done);
    }
    if let Some(objection) = objection(tx, &locked.facts, subject).await? {
        tracing::error!(order_id = %id, event_id = %event.id, objection, "event not applied");
        return Ok(Applied {
            order: Some(id),
            ..failed(objection)
        });
    }
    hint(tx, &locked.facts, event, now_us).await?;
    let recent = now_us - event.created.saturating_mul(SECOND_US) < DAY_US;
    let to_confirm = event.kind == "invoice.payment_action_required" && recent;
    if to_confirm && !locked.facts.billing.over() {
        order_events::remark(tx, id, TO_CONFIRM, &note, now_us).await?;
    }
    orders::seal(tx, locked, &note, now_us).await?;
    Ok(done)
}

/// The order that an event names, else the one whose session or subscription it is
/// about, locked.
async fn order_of(tx: &Tx, subject: &Subject) -> Result<Option<Locked>, Error> {
    let named = subject.order_ref.as_deref().and_then(parse_uuid);
    if let Some(id) = named {
        return Ok(orders::lock(tx, OrderId(id)).await?);
    }
    let (session, subscription) = (subject.session.as_deref(), subject.subscription.as_deref());
    match billing::order_of(&**tx, session, subscription).await? {
        Some(id) => Ok(orders::lock(tx, id).await?),
        None => Ok(None),
    }
}

/// Why an event that names an order cannot be about it. The first session and the
/// first subscription of an order are its only ones; another one is a finding.
async fn objection(
    tx: &Tx,
    facts: &Facts,
    subject: &Subject,
) -> Result<Option<&'static str>, Error> {
    let differ = |ours: &Option<String>, told: &Option<String>| match (ours, told) {
        (Some(ours), Some(told)) => ours != told,
        _ => false,
    };
    let known = &facts.billing;
    if differ(&known.session_id, &subject.session)
        || differ(&known.subscription_id, &subject.subscription)
    {
        return Ok(Some(
            "it is about another session or subscription than the order's",
        ));
    }
    let Some(session) = &subject.session else {
        return Ok(None);
    };
    if known.never_opened {
        return Ok(Some("its order ended without a session"));
    }
    let owner = billing::order_of(&**tx, Some(session), None).await?;
    if owner.is_some_and(|owner| owner != facts.order.id) {
        return Ok(Some("its session is another order's"));
    }
    Ok(None)
}

/// Notes what the event told, and marks the order due.
async fn hint(tx: &Tx, facts: &Facts, event: &Event, now_us: i64) -> Result<(), Error> {
    let (id, subject) = (facts.order.id, &event.subject);
    if let (None, Some(session)) = (&facts.billing.session_id, &subject.session) {
        billing::hint_session(tx, id, session).await?;
    }
    let paid = subject.payment_status.as_deref().is_some_and(is_settled);
    billing::add_hint(tx, id, paid.then_some(now_us)).await?;
    if event.kind == "checkout.session.async_payment_failed" {
        billing::hint_payment_failed(tx, id, now_us).await?;
    }
    Ok(leases::add_fact(tx, id, now_us).await?)
}
