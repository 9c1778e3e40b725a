//! ListStripeEvents and ReplayStripeEvent.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, stripe_events},
    db::stripe_events::{
        State,
        inbox::{Filter, Stored},
    },
    domain::error::Violations,
    rpc::{
        call::{given, page},
        convert::time,
        page::next,
        proto, validate,
    },
};

const TYPE_CHARS: usize = 255;

pub(super) async fn list(
    app: &App,
    caller: Caller,
    message: proto::ListStripeEventsRequest,
) -> Result<proto::ListStripeEventsResponse, Error> {
    let mut violations = Violations::default();
    let state = State::parse(&message.state);
    violations.require(
        state.is_some() || message.state.is_empty(),
        "state",
        "must be received, applied, ignored or failed, or empty",
    );
    validate::text(&mut violations, "type", &message.r#type, 0, TYPE_CHARS);
    let order_id = (!message.order_id.is_empty())
        .then(|| validate::order_id(&mut violations, &message.order_id));
    let from_us = message.receive_time_from.map(micros);
    let before_us = message.receive_time_before.map(micros);
    let times = format!("{from_us:?} {before_us:?}");
    let scope = [
        "ListStripeEvents",
        &message.state,
        &message.r#type,
        &message.order_id,
        &times,
    ];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let filter = Filter {
        state,
        kind: given(message.r#type.clone()),
        order_id,
        from_us,
        before_us,
    };
    let after = page.after.as_deref().and_then(place);
    let limit = page.limit;
    let listed = stripe_events::list_stripe_events(app, &caller, filter, after, limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let last = last.map(|event| format!("{} {}", event.received_us, event.id));
    Ok(proto::ListStripeEventsResponse {
        next_page_token: next(&scope, last.as_deref()),
        events: listed.rows.into_iter().map(stripe_event_to).collect(),
    })
}

pub(super) async fn replay(
    app: &Arc<App>,
    caller: Caller,
    message: proto::ReplayStripeEventRequest,
) -> Result<proto::ReplayStripeEventResponse, Error> {
    let mut violations = Violations::default();
    validate::text(
        &mut violations,
        "event_id",
        &message.event_id,
        1,
        TYPE_CHARS,
    );
    violations.finish()?;
    let event = stripe_events::replay_stripe_event(app, &caller, &message.event_id).await?;
    Ok(proto::ReplayStripeEventResponse {
        event: Some(stripe_event_to(event)),
    })
}

/// Where a page ends: time of receipt and id.
fn place(text: &str) -> Option<(i64, &str)> {
    let (received_us, id) = text.split_once(' ')?;
    Some((received_us.parse().ok()?, id))
}

fn micros(time: prost_types::Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(time.nanos) / 1_000)
}

fn stripe_event_to(event: Stored) -> proto::StripeEvent {
    proto::StripeEvent {
        id: event.id,
        r#type: event.kind,
        api_version: event.api_version.unwrap_or_default(),
        livemode: event.livemode,
        create_time: Some(time(event.created_us)),
        receive_time: Some(time(event.received_us)),
        source: event.source,
        state: event.state,
        attempts: event.attempts,
        last_error: event.last_error,
        order_id: event.order_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}
