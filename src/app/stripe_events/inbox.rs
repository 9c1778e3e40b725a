//! The inbox for operators: what Stripe told, what became of it, and one more try.

use std::sync::Arc;

use super::{Applied, apply};
use crate::{
    app::{App, Caller, Error},
    db::{
        order_events,
        orders::Note,
        stripe_events::{
            self, State,
            inbox::{self, Filter, Stored},
        },
    },
    domain::{self, Listed, error::Kind},
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
            stripe_events::set_replayed(&tx, event_id).await?;
            let before = inbox::find(&*tx, event_id).await?;
            let (before, _) = before.ok_or_else(missing)?;
            let livemode = app.stripe.livemode();
            let applied: Applied = apply(&tx, event, livemode, &note.trace_id, now_us).await?;
            if let (true, Some(id)) = (before.state == State::Applied.as_str(), applied.order) {
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
