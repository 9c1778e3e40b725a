//! Gives an order up that could not be fulfilled: its subscription ends first, then the payment
//! goes back. The panel is looked at before: its server may have become ready, and nobody had
//! looked.

use crate::{
    app::Error,
    db::{
        billing, order_events,
        orders::{self, Progress},
        refunds,
    },
    domain::{
        order::{EndWish, Facts, WaitingReason},
        refund::RefundReason,
        step::{Step, given_up},
    },
    worker::{
        claim::Work,
        driver::Outcome,
        steps::{created, fresh},
    },
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let timing = &work.app.settings.timing;
    let now_us = work.app.db.now().await?;
    let Some(session_id) = &facts.billing.session_id else {
        return Ok(Outcome::Again);
    };
    if !given_up(facts, timing, now_us) {
        return Ok(Outcome::Again);
    }
    if let (true, Some(panel_id)) = (facts.server.exists(), facts.server.panel_id) {
        let server = match fresh::look(work, facts, (Step::Refund, panel_id), true).await? {
            Ok(server) => server,
            Err(instead) => return Ok(instead),
        };
        match server.status.as_deref() {
            Some("installing" | "install_failed" | "reinstall_failed") => {}
            None => {
                created::observe(work, Step::Refund, &server).await?;
                return Ok(Outcome::Again);
            }
            Some(_) => return Ok(work.patiently(WaitingReason::Installing)),
        }
    }
    let (id, note) = (work.id(), &work.note(Step::Refund.name()));
    let before = facts.billing.refunds_due;
    let now = work.store(Step::Refund, |tx, now_us| async move {
        // It may have become ready since it was planned.
        let now = orders::find(&*tx, id).await?;
        let still = now.is_some_and(|facts| given_up(&facts, timing, now_us));
        let reason = RefundReason::Unfulfillable;
        if still && refunds::decide(&tx, id, session_id, reason, now_us).await? {
            billing::set_wish(&tx, id, EndWish::Now, now_us).await?;
            // What stood in its way does not stand in the way of its end.
            let progress = &Progress {
                waiting: None,
                error: None,
                attempts: 0,
            };
            orders::set_progress(&tx, id, progress).await?;
            let text = format!("given up: {}", reason.text());
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    });
    if now.await?.billing.refunds_due > before {
        metrics::counter!("spawnpoint_orders_given_up_total").increment(1);
    }
    Ok(Outcome::Again)
}
