//! The inbox for operators: what Stripe told, what became of it, and one more try.

use std::sync::Arc;

use super::{Applied, apply};
use crate::{
    app::{App, Caller, Error},
    db::{
        self, order_events,
        orders::{self, Note},
        stripe_events::{
            self, Source, State,
            inbox::{self, Filter, Stored},
        },
    },
    domain::{self, Listed, MINUTE_US, error::Kind},
    stripe::events,
};

/// Events, the last received first.
pub async fn list_stripe_events(
    app: &App,
    caller: &Caller,
    filter: Filter,
    after: Option<(i64, &str)>,
    limit: u64,
) -> Result<Listed<Stored>, Error> {
    caller.may("OrderService/ListStripeEvents")?;
    let rows = inbox::list(app.db.read(), &filter, after, limit + 1).await?;
    Ok(Listed::cut(rows, limit))
}

const REPLAY: &str = "OrderService/ReplayStripeEvent";

/// Applies a stored event once more. That changes no more than the event itself did: its
/// order is read from Stripe.
pub async fn replay_stripe_event(
    app: &Arc<App>,
    caller: &Caller,
    event_id: &str,
) -> Result<Stored, Error> {
    caller.may(REPLAY)?;
    let missing = || domain::Error::not_found(Kind::Event, event_id);
    let found = inbox::find(app.db.read(), event_id).await?;
    let (_, payload) = found.ok_or_else(missing)?;
    // One whose payload is no longer kept cannot be read again.
    if payload.is_empty() {
        return Err(missing().into());
    }
    let event = &events::parse(&payload).map_err(super::refuse)?;
    let note = &Note {
        actor: caller.actor(),
        cause: REPLAY.to_owned(),
        trace_id: caller.trace_id.clone(),
    };
    let (stored, order) = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            // Under the inbox's own row: two replays at once are one after the other.
            stripe_events::set_tried(&tx, event_id, Some(Source::Replay)).await?;
            let before = inbox::find(&*tx, event_id).await?;
            let (before, _) = before.ok_or_else(missing)?;
            let livemode = app.stripe.livemode();
            let applied: Applied = apply(&tx, event, livemode, &note.trace_id, now_us).await?;
            // One about money is applied once Stripe said again whose it is.
            let about = applied.order.or(before.order_id);
            if let (true, Some(id)) = (before.state == State::Applied.as_str(), about) {
                orders::lock(&tx, id).await?;
                order_events::remark(&tx, id, "an event of Stripe was replayed", note, now_us)
                    .await?;
            }
            let error = applied.error.unwrap_or_default();
            stripe_events::set_state(&tx, event_id, applied.state, applied.order, error).await?;
            let (stored, _) = inbox::find(&*tx, event_id).await?.ok_or_else(missing)?;
            Ok::<_, Error>((stored, applied.order))
        })
        .await?;
    if let Some(id) = order {
        app.nudge.order(id);
    }
    Ok(stored)
}

/// A failed event is tried again after so long, and after four times as long each time.
const FIRST_WAIT_US: i64 = 5 * MINUTE_US;
/// So often in all: the last time is two weeks after the first.
const TRIES: i32 = 8;
/// Failed events that are looked at in one run.
const FAILED_AT_ONCE: u64 = 500;

/// When a failed event is tried again, counted from its receipt.
fn waits_us(attempts: i32) -> Option<i64> {
    let doubled = u32::try_from(2 * (attempts - 1)).ok()?;
    (attempts < TRIES).then(|| FIRST_WAIT_US << doubled)
}

/// Tries events again that could not be applied: what stood in the way may have passed. Tells how
/// many of them were applied.
pub(crate) async fn retry_failed(app: &Arc<App>) -> Result<i32, Error> {
    let now_us = app.db.now().await?;
    let due = (1..).map_while(|tried| Some((tried, now_us - waits_us(tried)?)));
    let due: Vec<(i32, i64)> = due.collect();
    let failed = stripe_events::failed(app.db.read(), &due, FAILED_AT_ONCE).await?;
    let mut applied = 0;
    for event_id in failed {
        let id = event_id.as_str();
        // Counted first: one that fails every time must not hold up the others for ever.
        app.db
            .tx(|tx| async move { stripe_events::set_tried(&tx, id, None).await })
            .await?;
        match retry(app, id).await {
            Ok(done) => applied += i32::from(done),
            Err(Error::Store(error @ db::Error::Unavailable(_))) => {
                return Err(Error::Store(error));
            }
            Err(error) => tracing::error!(event_id, %error, "a failed event fails again"),
        }
    }
    Ok(applied)
}

/// Tries one again, unless somebody else just did.
async fn retry(app: &Arc<App>, event_id: &str) -> Result<bool, Error> {
    let order = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            // A replay at this very moment comes before or after.
            inbox::lock(&tx, event_id).await?;
            let Some((stored, payload)) = inbox::find(&*tx, event_id).await? else {
                return Ok(None);
            };
            let event = events::parse(&payload).ok();
            let Some(event) = event.filter(|_| stored.state == State::Failed.as_str()) else {
                return Ok(None);
            };
            let livemode = app.stripe.livemode();
            let applied: Applied = apply(&tx, &event, livemode, "", now_us).await?;
            let error = applied.error.unwrap_or_default();
            stripe_events::set_state(&tx, event_id, applied.state, applied.order, error).await?;
            let done = matches!(applied.state, State::Applied);
            Ok::<_, Error>(applied.order.filter(|_| done))
        })
        .await?;
    if let Some(id) = order {
        app.nudge.order(id);
    }
    Ok(order.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_event_is_tried_for_two_weeks_and_ever_more_seldom() {
        let minutes: Vec<i64> = (1..).map_while(waits_us).map(|us| us / MINUTE_US).collect();
        assert_eq!(minutes, [5, 20, 80, 320, 1_280, 5_120, 20_480]);
    }
}
