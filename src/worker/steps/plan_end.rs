//! PlanEnd: has a subscription end with the period that is paid for, or not after all.

use super::sync_billing;
use crate::{
    app::Error,
    db::billing,
    domain::{
        order::{EndWish, ErrorReason, Facts},
        step::Step,
    },
    stripe::{self, PlannedEnd},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(subscription_id) = &facts.billing.subscription_id else {
        return Ok(Outcome::Again);
    };
    let stripe = &work.app.stripe;
    let found = match stripe.subscription(subscription_id).await {
        Ok(found) => found,
        Err(error) => return Ok(sync_billing::failed(work, &error)),
    };
    // Whoever planned it, here or in Stripe's own portal, it is planned.
    let end = match (facts.billing.wish, found.cancel_at) {
        (Some(EndWish::WithItsPeriod), None) => Some(PlannedEnd::WithItsPeriod),
        (Some(EndWish::Never), Some(_)) if found.cancel_at_period_end => {
            Some(PlannedEnd::NotWithItsPeriod)
        }
        (Some(EndWish::Never), Some(_)) => Some(PlannedEnd::NotAtATime),
        _ => None,
    };
    if let Some(end) = end.filter(|_| found.ended_at.is_none()) {
        let wish_us = facts.billing.wish_us.unwrap_or_default();
        let key = format!("end:{}:{wish_us}:{end:?}", work.id());
        match stripe.plan_end(subscription_id, end, &key).await {
            Ok(_) => {}
            // It may have ended this very moment: then the read says so.
            Err(stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. })
                if ended(work, subscription_id).await => {}
            Err(error @ stripe::Error::Invalid { .. }) => {
                return Ok(Outcome::Tried {
                    reason: ErrorReason::Internal,
                    message: error.to_string(),
                });
            }
            Err(error) => return Ok(sync_billing::failed(work, &error)),
        }
    }
    let outcome = sync_billing::take(work, facts).await?;
    if outcome == Outcome::Again {
        let (id, wish_us) = (work.id(), facts.billing.wish_us);
        work.store(Step::PlanEnd, |tx, _| async move {
            Ok(billing::clear_wish(&tx, id, wish_us).await?)
        })
        .await?;
    }
    Ok(outcome)
}

async fn ended(work: &Work, subscription_id: &str) -> bool {
    let found = work.app.stripe.subscription(subscription_id).await;
    found.is_ok_and(|found| found.ended_at.is_some())
}
