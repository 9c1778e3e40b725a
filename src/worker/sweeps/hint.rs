//! How a sweep of Stripe tells of what it found: as an event would, it only makes the worker
//! read Stripe for that order.

use std::sync::Arc;

use crate::{
    app::{App, Error},
    db::{
        billing, order_events,
        orders::{self, Note, leases},
    },
    domain::OrderId,
};

/// What was found.
pub(super) struct Find<'a> {
    /// `sweep:<name>`.
    pub actor: &'static str,
    /// The id of what Stripe listed.
    pub cause: &'a str,
    /// In words, for the order's events.
    pub text: &'static str,
    /// The session, where it is one that is paid.
    pub paid_session: Option<&'a str>,
}

/// Marks an order due.
pub(super) async fn tell(app: &Arc<App>, id: OrderId, find: &Find<'_>) -> Result<(), Error> {
    let note = &Note {
        actor: find.actor.to_owned(),
        cause: find.cause.to_owned(),
        trace_id: String::new(),
    };
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(());
            };
            if let Some(session_id) = find.paid_session {
                billing::hint_session(&tx, id, session_id).await?;
            }
            billing::add_hint(&tx, id, find.paid_session.map(|_| now_us)).await?;
            order_events::remark(&tx, id, find.text, note, now_us).await?;
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(())
        })
        .await?;
    app.nudge.order(id);
    Ok(())
}
