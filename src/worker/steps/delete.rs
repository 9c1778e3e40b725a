//! Delete: removes a server that its ended order never came to use. Nothing is
//! destroyed without a fresh read of Stripe under this very claim.

use super::created;
use crate::{
    app::Error,
    db::{allocations, servers},
    domain::{
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    stripe,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let id = work.id();
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    match really_over(work, facts).await {
        Ok(true) => {}
        Ok(false) => {
            return Ok(Outcome::Park {
                reason: ErrorReason::Internal,
                message: "Stripe no longer says that the order is over".to_owned(),
            });
        }
        Err(error) => {
            tracing::warn!(%error, "Stripe");
            return Ok(work.later(WaitingReason::StripeUnavailable));
        }
    }
    // Panel ids are reused after a rebuild: only a server that bears our id is ours.
    match work.app.panel.server(panel_id).await {
        Ok(Some(server)) if server.external_id.as_deref() == Some(&id.to_string()) => {
            if server.status.is_none() {
                // It became usable before anybody noticed: its customer may have played
                // on it. What is to be done with it follows the subscription's later life.
                created::observe(work, Step::Delete, &server).await?;
                return Ok(Outcome::Again);
            }
            if let Err(error) = work.app.panel.delete_server(panel_id).await {
                return Ok(work.panel_failed(&error));
            }
        }
        Ok(_) => match work.app.panel.server_by_external_id(&id.to_string()).await {
            Ok(None) => tracing::warn!(panel_id, "the server is gone already"),
            // It is there under another id: the panel is not the one we know.
            Ok(Some(_)) => return Ok(work.later(WaitingReason::PanelChanged)),
            Err(error) => return Ok(work.panel_failed(&error)),
        },
        Err(error) => return Ok(work.panel_failed(&error)),
    }
    work.store(Step::Delete, |tx, now_us| async move {
        servers::set_deleted(&tx, id, now_us).await?;
        // The panel frees the ports with the server.
        Ok(allocations::release(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}

async fn really_over(work: &Work, facts: &Facts) -> Result<bool, stripe::Error> {
    if let Some(id) = &facts.billing.subscription_id {
        let subscription = work.app.stripe.subscription(id).await?;
        return Ok(subscription.ended_at.is_some()
            || matches!(
                subscription.status.as_str(),
                "canceled" | "incomplete_expired"
            ));
    }
    match &facts.billing.session_id {
        Some(id) => Ok(work.app.stripe.session(id).await?.status == "expired"),
        None => Ok(facts.billing.never_opened),
    }
}
