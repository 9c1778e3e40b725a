//! Stripe's events: stored, and taken as hints. What an event says is never
//! believed; it only makes the worker read Stripe itself.

use std::sync::Arc;

use super::{App, Caller, Error};
use crate::{
    db::{
        Tx, billing,
        orders::{self, Note, leases},
        stripe_events::{self, NewEvent, Source, State},
    },
    domain::{self, OrderId, SECOND_US, ids::parse_uuid},
    stripe::events::{self, Event, ParseError},
};

const METHOD: &str = "OrderService/RecordStripeEvent";

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
    let event = events::parse(payload).map_err(refuse)?;
    let (event_ref, trace_id) = (&event, &caller.trace_id);
    let stored = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let new = NewEvent {
                id: &event_ref.id,
                kind: &event_ref.kind,
                api_version: event_ref.api_version.as_deref(),
                livemode: event_ref.livemode,
                created_us: event_ref.created.saturating_mul(SECOND_US),
                received_us: received_us.unwrap_or(now_us),
                payload,
                source: Source::Webhook,
            };
            if !stripe_events::insert(&tx, &new).await? {
                return Ok(None);
            }
            let livemode = app.stripe.livemode();
            let applied = apply(&tx, event_ref, livemode, trace_id, now_us).await?;
            let error = applied.error.unwrap_or_default();
            stripe_events::set_state(&tx, &event_ref.id, applied.state, applied.order, error)
                .await?;
            Ok::<_, Error>(Some(applied))
        })
        .await?;
    metrics::counter!("spawnpoint_stripe_events_total",
        "state" => stored.as_ref().map_or("duplicate", |applied| applied.state.as_str()))
    .increment(1);
    if let Some(id) = stored.as_ref().and_then(|applied| applied.order) {
        app.nudge.order(id);
    }
    Ok(Recorded {
        event_id: event.id,
        duplicate: stored.is_none(),
    })
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

/// What became of an event.
struct Applied {
    state: State,
    order: Option<OrderId>,
    error: Option<&'static str>,
}

const fn ignored() -> Applied {
    Applied {
        state: State::Ignored,
        order: None,
        error: None,
    }
}

const fn failed(error: &'static str) -> Applied {
    Applied {
        state: State::Failed,
        order: None,
        error: Some(error),
    }
}

async fn apply(
    tx: &Tx,
    event: &Event,
    livemode: bool,
    trace_id: &str,
    now_us: i64,
) -> Result<Applied, Error> {
    if !events::matters(&event.kind) || event.livemode != livemode {
        return Ok(ignored());
    }
    let subject = &event.subject;
    let named = subject
        .order_ref
        .as_deref()
        .and_then(parse_uuid)
        .map(OrderId);
    let id = match named {
        Some(id) => Some(id),
        None => {
            billing::order_of(
                &**tx,
                subject.session.as_deref(),
                subject.subscription.as_deref(),
            )
            .await?
        }
    };
    // An account at Stripe is often shared: what names no order of ours is not ours.
    let Some(id) = id else { return Ok(ignored()) };
    let Some(locked) = orders::lock(tx, id).await? else {
        return Ok(failed("it names an order that does not exist"));
    };
    let foreign = |ours: &Option<String>, told: &Option<String>| matches!((ours, told), (Some(ours), Some(told)) if ours != told);
    let known = &locked.facts.billing;
    if foreign(&known.session_id, &subject.session)
        || foreign(&known.subscription_id, &subject.subscription)
    {
        // First value wins: a second session or subscription of an order is a finding.
        tracing::error!(order_id = %id, event_id = %event.id, "event of another session or subscription");
        return Ok(Applied {
            order: Some(id),
            ..failed("it is about another session or subscription than the order's")
        });
    }
    if known.never_opened && subject.session.is_some() {
        tracing::error!(order_id = %id, event_id = %event.id, "event of an order without a session");
        return Ok(Applied {
            order: Some(id),
            ..failed("its order ended without a session")
        });
    }
    if let Some(session) = &subject.session
        && billing::order_of(&**tx, Some(session), None)
            .await?
            .is_some_and(|owner| owner != id)
    {
        return Ok(Applied {
            order: Some(id),
            ..failed("its session is another order's")
        });
    }
    if let (None, Some(session)) = (&known.session_id, &subject.session) {
        billing::hint_session(tx, id, session).await?;
    }
    let paid = matches!(
        subject.payment_status.as_deref(),
        Some("paid" | "no_payment_required")
    );
    billing::add_hint(tx, id, paid.then_some(now_us)).await?;
    if event.kind == "checkout.session.async_payment_failed" {
        billing::set_payment_failed(tx, id, now_us).await?;
    }
    leases::add_fact(tx, id, now_us).await?;
    let note = Note {
        actor: "stripe".to_owned(),
        cause: event.id.clone(),
        trace_id: trace_id.to_owned(),
    };
    orders::seal(tx, locked, &note, now_us).await?;
    Ok(Applied {
        state: State::Applied,
        order: Some(id),
        error: None,
    })
}
