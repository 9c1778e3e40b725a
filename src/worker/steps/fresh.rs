//! Nothing is taken from a customer without a fresh read of Stripe under this very claim,
//! after the decision. Also the look at the panel before a server is touched.

use super::sync_billing;
use crate::{
    app::Error,
    db::{
        allocations, node_sightings, order_events,
        orders::{self, Progress},
        servers::{self, missing},
    },
    domain::{
        entitlement::Standing,
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    panel::Server,
    stripe,
    worker::{claim::Work, driver::Outcome},
};

/// Whether Stripe still says what the step was planned on. `Err` holds what the order is to
/// do instead.
pub(super) async fn still_so(work: &Work, facts: &Facts) -> Result<Result<(), Outcome>, Error> {
    let over = facts.billing.over();
    let so = match standing(work, facts).await {
        Ok(standing) if over => standing == Standing::Over,
        Ok(standing) => standing == facts.billing.standing(),
        // For what is over there is nothing left to try: it waits for an answer.
        Err(error) if over => {
            tracing::warn!(%error, "Stripe");
            return Ok(Err(work.patiently(WaitingReason::StripeUnavailable)));
        }
        Err(error) => return Ok(Err(sync_billing::failed(work, &error))),
    };
    if so {
        return Ok(Ok(()));
    }
    if over {
        return Ok(Err(Outcome::Park {
            reason: ErrorReason::Internal,
            message: "Stripe no longer says that the order is over".to_owned(),
        }));
    }
    // What it says now is stored, and planned on.
    Ok(Err(sync_billing::take(work, facts).await?))
}

/// Whether the order is ours until a call that cannot be taken back has ended: asked of the
/// store, for a process may have stood still since it last wrote.
pub(super) async fn ours_still(work: &Work) -> Result<Result<(), Outcome>, Error> {
    work.mark(|_| async { Ok(()) }).await?;
    if work.outlasts_a_call() {
        return Ok(Ok(()));
    }
    Ok(Err(work.later(WaitingReason::StripeUnavailable)))
}

/// Where the subscription stands now, or what stands for one where there never was any.
pub(super) async fn standing(work: &Work, facts: &Facts) -> Result<Standing, stripe::Error> {
    if let Some(id) = &facts.billing.subscription_id {
        let subscription = work.app.stripe.subscription(id).await?;
        return Ok(match subscription.ended_at {
            Some(_) => Standing::Over,
            None => Standing::of(Some(&subscription.status)),
        });
    }
    let over = match &facts.billing.session_id {
        Some(id) => work.app.stripe.session(id).await?.status == "expired",
        None => facts.billing.never_opened,
    };
    Ok(if over {
        Standing::Over
    } else {
        Standing::Unclear
    })
}

/// The order's server as the panel shows it now. Panel ids are reused after a rebuild: only
/// one that bears our id is ours. `Err` holds what the order is to do where it is not there.
pub(super) async fn look(
    work: &Work,
    facts: &Facts,
    (step, panel_id): (Step, i64),
    over: bool,
) -> Result<Result<Server, Outcome>, Error> {
    let id = work.id().to_string();
    match work.app.panel.server(panel_id).await {
        Ok(Some(server)) if server.external_id.as_deref() == Some(&id) => return Ok(Ok(server)),
        Ok(Some(server)) if is_same(facts, &server) => return Ok(Err(nameless(work, panel_id))),
        Ok(_) => {}
        Err(error) => return Ok(Err(work.panel_failed(&error))),
    }
    Ok(Err(match work.app.panel.server_by_external_id(&id).await {
        Ok(None) if over => {
            tracing::warn!(panel_id, "the server is gone already");
            set_gone(work, step).await?;
            Outcome::Again
        }
        // It is never made again by itself: its customer's data went with it. What follows is
        // planned with that known: also when nobody pays for it any more.
        Ok(None) => {
            set_missing(work, step).await?;
            Outcome::Again
        }
        // It is there under another id: the panel is not the one we know.
        Ok(Some(_)) => work.later(WaitingReason::PanelChanged),
        Err(error) => work.panel_failed(&error),
    }))
}

/// Whether it is the order's server although it does not bear its id: only the panel's own uuid is
/// never given out again.
fn is_same(facts: &Facts, server: &Server) -> bool {
    facts.server.uuid.as_deref() == Some(server.uuid.as_str())
}

/// Somebody took our id from a server that is there, and its customer plays on it: until it bears
/// it again nothing is done to it, and it is not gone.
fn nameless(work: &Work, panel_id: i64) -> Outcome {
    tracing::error!(panel_id, "the order's server does not bear its id any more");
    work.patiently(WaitingReason::PanelChanged)
}

async fn set_missing(work: &Work, step: Step) -> Result<(), Error> {
    let id = work.id();
    work.store(step, |tx, now_us| async move {
        Ok(missing::set(&tx, id, now_us).await?)
    })
    .await?;
    Ok(())
}

/// Whether a server that was found missing still is: what was seen may be weeks old. `Err` holds
/// what the order is to do instead; without an answer, and where the panel is not the one that we
/// know, it waits. One that nobody ever used is no reason to wait.
pub(super) async fn still_missing(
    work: &Work,
    step: Step,
    facts: &Facts,
) -> Result<Result<(), Outcome>, Error> {
    let used = facts.server.missing_us.is_some() && facts.server.ever_ran();
    let Some(panel_id) = facts.server.panel_id.filter(|_| used) else {
        return Ok(Ok(()));
    };
    if node_sightings::panel_changed(work.app.db.read()).await? {
        return Ok(Err(work.patiently(WaitingReason::PanelChanged)));
    }
    let (id, note) = (work.id(), &work.note(step.name()));
    let panel = &work.app.panel;
    let found = match panel.server_by_external_id(&id.to_string()).await {
        Ok(None) => match panel.server(panel_id).await {
            Ok(Some(server)) if is_same(facts, &server) => {
                return Ok(Err(nameless(work, panel_id)));
            }
            Ok(_) => return Ok(Ok(())),
            Err(error) => Err(error),
        },
        found => found,
    };
    if let Err(error) = found {
        tracing::warn!(%error, "the panel does not say whether a server is still gone");
        // Whatever it said: that is no try of this order's.
        return Ok(Err(work.patiently(WaitingReason::PanelUnavailable)));
    }
    let parked = facts.order.error_reason == Some(ErrorReason::ServerMissing);
    work.store(step, |tx, now_us| async move {
        missing::clear(&tx, id).await?;
        if parked {
            orders::set_progress(&tx, id, &Progress::default()).await?;
        }
        let text = "its server is on the panel again";
        Ok(order_events::remark(&tx, id, text, note, now_us).await?)
    })
    .await?;
    Ok(Err(Outcome::Again))
}

/// Notes that the server is gone. The panel frees the ports with it.
pub(super) async fn set_gone(work: &Work, step: Step) -> Result<(), Error> {
    let id = work.id();
    work.store(step, |tx, now_us| async move {
        servers::set_deleted(&tx, id, now_us).await?;
        Ok(allocations::free_with_server(&tx, id, now_us).await?)
    })
    .await?;
    Ok(())
}
