//! CancelSubscription: ends a subscription at Stripe now, because its customer wants that, or
//! before its server is deleted: nobody pays for what is gone.

use super::{fresh, sync_billing};
use crate::{
    app::Error,
    domain::order::{EndWish, Facts, WaitingReason},
    stripe,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(id) = &facts.billing.subscription_id else {
        return Ok(Outcome::Again);
    };
    // What people want needs no word of Stripe's.
    let wanted = facts.billing.wish == Some(EndWish::Now) || facts.server.terminated_us.is_some();
    if !wanted && let Err(instead) = fresh::still_so(work, facts).await? {
        return Ok(instead);
    }
    match work.app.stripe.cancel_subscription(id).await {
        Ok(_) => sync_billing::take(work, facts).await,
        // One that has ended already is refused like one that never was: a read tells, and
        // where it says something else, it is asked again later.
        Err(stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. }) => {
            Ok(match sync_billing::take(work, facts).await? {
                Outcome::Again => work.later(WaitingReason::StripeUnavailable),
                other => other,
            })
        }
        Err(error) => Ok(sync_billing::failed(work, &error)),
    }
}
