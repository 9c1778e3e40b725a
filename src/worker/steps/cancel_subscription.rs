//! CancelSubscription: ends a subscription at Stripe now, because its customer wants that, or
//! before its server is deleted: nobody pays for what is gone. What is still open of its
//! invoices is voided, for their pages take money long after.

use super::{fresh, sync_billing};
use crate::{
    app::Error,
    domain::{
        entitlement::Standing,
        order::{EndWish, Facts, WaitingReason},
    },
    stripe,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(id) = &facts.billing.subscription_id else {
        return Ok(Outcome::Again);
    };
    let now = match fresh::standing(work, facts).await {
        Ok(now) => now,
        Err(error) => return Ok(sync_billing::failed(work, &error)),
    };
    if now != Standing::Over {
        // What people want needs no word of Stripe's.
        let wanted =
            facts.billing.wish == Some(EndWish::Now) || facts.server.terminated_us.is_some();
        if !wanted && now != facts.billing.standing() {
            // What it says now is stored, and planned on.
            return sync_billing::take(work, facts).await;
        }
        if let Err(instead) = fresh::ours_still(work).await? {
            return Ok(instead);
        }
        match work.app.stripe.cancel_subscription(id).await {
            Ok(_) => {}
            // One that has ended this very moment is refused like one that never was.
            Err(error @ (stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. })) => {
                metrics::counter!("spawnpoint_cancels_refused_total").increment(1);
                tracing::warn!(%error, "Stripe does not end a subscription");
                return Ok(work.patiently(WaitingReason::StripeUnavailable));
            }
            Err(error) => return Ok(sync_billing::failed(work, &error)),
        }
    }
    // Never before the end is certain: a subscription without an open invoice is active again.
    if let Err(error) = void_invoices(work, facts.order.fence, id).await {
        return Ok(sync_billing::failed(work, &error));
    }
    sync_billing::take(work, facts).await
}

/// Voids what is still open of a subscription's invoices.
pub(super) async fn void_invoices(
    work: &Work,
    fence: i64,
    subscription_id: &str,
) -> Result<(), stripe::Error> {
    let stripe = &work.app.stripe;
    for invoice_id in stripe.open_invoices(subscription_id).await? {
        // Each claim has a key of its own: no stored failure stands in the way of the next.
        let key = format!("void:{invoice_id}:{fence}");
        match stripe.void_invoice(&invoice_id, &key).await {
            // Paid or voided since it was listed.
            Ok(()) | Err(stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
