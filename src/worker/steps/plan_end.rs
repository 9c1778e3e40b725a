//! PlanEnd: has a subscription end with the period that is paid for, or not after all: as its
//! customer wishes, or because nothing was delivered or the server is gone, and nobody pays for
//! more of that.

use super::{fresh, sync_billing};
use crate::{
    app::Error,
    db::{billing, order_events, orders},
    domain::{
        SECOND_US,
        order::{EndWish, Facts, WaitingReason},
        step::{Step, UNDELIVERED_ENDS_US, wanted_end},
    },
    stripe::{self, PlannedEnd, Subscription},
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
    let now_us = work.app.db.now().await?;
    let wish = wanted_end(facts, now_us);
    // Of ours, for want of a server: no customer has wished it.
    let ours = facts.billing.wish.is_none();
    if ours && wish == Some(EndWish::WithItsPeriod) && renewed(&found, now_us) {
        if found.cancel_at.is_none() {
            forget_undelivered(work, None).await?;
        }
        return sync_billing::take(work, facts).await;
    }
    if let Some(end) = left_to_do(wish, &found) {
        if ours
            && wish == Some(EndWish::WithItsPeriod)
            && let Err(instead) = note_undelivered(work, facts).await?
        {
            return Ok(instead);
        }
        // Asked again it does no more than once, and it was read before: a key of its own for
        // each wish and claim, so that no stored answer stands in the way of the next.
        let (wish_us, fence) = (facts.billing.wish_us.unwrap_or(0), facts.order.fence);
        let key = format!("end:{}:{wish_us}:{fence}:{end:?}", work.id());
        match stripe.plan_end(subscription_id, end, &key).await {
            // Stripe keeps a planned end in two places: the other one may be set as well.
            Ok(now) if left_to_do(wish, &now).is_some() => {
                return Ok(work.patiently(WaitingReason::StripeUnavailable));
            }
            Ok(_) => {}
            // It may have ended this very moment; or Stripe will never do it, and the wish must
            // not stand in the way of all that follows.
            Err(error @ (stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. }))
                if ours =>
            {
                tracing::warn!(%error, "Stripe");
                metrics::counter!("spawnpoint_planned_ends_refused_total").increment(1);
                if wish == Some(EndWish::Never) {
                    let text = "its server is there after all; Stripe refused to take the end back";
                    forget_undelivered(work, Some(text)).await?;
                }
                // Whatever it is, it is read; and asked again in an hour.
                return sync_billing::take(work, facts).await;
            }
            Err(error @ (stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. })) => {
                tracing::warn!(%error, "Stripe");
                give_up(work, facts, "Stripe refused to change the planned end").await?;
                return sync_billing::take(work, facts).await;
            }
            Err(error) => return Ok(sync_billing::failed(work, &error)),
        }
    }
    let outcome = sync_billing::take(work, facts).await?;
    if outcome == Outcome::Again {
        let (id, wish_us) = (work.id(), facts.billing.wish_us);
        let note = &work.note(Step::PlanEnd.name());
        work.store(Step::PlanEnd, |tx, now_us| async move {
            if !ours {
                billing::clear_wish(&tx, id, wish_us).await?;
                orders::set_done(&tx, id).await?;
            } else if wish == Some(EndWish::Never) {
                billing::set_ends_undelivered(&tx, id, None).await?;
                let now = orders::find(&*tx, id).await?;
                if now.is_some_and(|now| !now.billing.over()) {
                    let text = "its server is there after all: the subscription goes on";
                    order_events::remark(&tx, id, text, note, now_us).await?;
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(outcome)
}

/// Whether its period is not the one that is about to end: Stripe is further than what was stored.
fn renewed(found: &Subscription, now_us: i64) -> bool {
    let end_us = found.current_period_end.unwrap_or(0) * SECOND_US;
    end_us - UNDELIVERED_ENDS_US > now_us
}

/// Notes that the end is ours, before Stripe is told: it is taken back if the server is there after
/// all. `Err` holds what the order is to do instead: its customer may have said something
/// meanwhile, or the server have come.
async fn note_undelivered(work: &Work, facts: &Facts) -> Result<Result<(), Outcome>, Error> {
    if let Err(instead) = fresh::still_missing(work, Step::PlanEnd, facts).await? {
        return Ok(Err(instead));
    }
    let (id, note) = (work.id(), &work.note(Step::PlanEnd.name()));
    let ours = |now: &Facts, now_us| {
        now.billing.wish.is_none() && wanted_end(now, now_us) == Some(EndWish::WithItsPeriod)
    };
    let ours = &ours;
    let now = work
        .store(Step::PlanEnd, |tx, now_us| async move {
            let now = orders::find(&*tx, id).await?;
            let Some(now) = now.filter(|now| ours(now, now_us)) else {
                return Ok(());
            };
            billing::set_ends_undelivered(&tx, id, Some(now_us)).await?;
            if now.billing.ends_undelivered_us.is_none() {
                let text = if now.server.ever_ran() {
                    "its server is gone: the subscription ends with its period"
                } else {
                    "nothing was delivered: the subscription ends with its period"
                };
                order_events::remark(&tx, id, text, note, now_us).await?;
            }
            Ok(())
        })
        .await?;
    let noted = now.billing.wish.is_none() && now.billing.ends_undelivered_us.is_some();
    if noted && !now.server.delivered() {
        return Ok(Ok(()));
    }
    Ok(Err(Outcome::Again))
}

/// Notes that no end of ours is planned.
async fn forget_undelivered(work: &Work, text: Option<&'static str>) -> Result<(), Error> {
    let (id, note) = (work.id(), &work.note(Step::PlanEnd.name()));
    work.store(Step::PlanEnd, |tx, now_us| async move {
        billing::set_ends_undelivered(&tx, id, None).await?;
        match text {
            Some(text) => Ok(order_events::remark(&tx, id, text, note, now_us).await?),
            None => Ok(()),
        }
    })
    .await?;
    Ok(())
}

/// What Stripe still has to be told. Whoever planned the end, here or in Stripe's own portal,
/// it is planned; but an end beyond the period is not the one that was asked for.
fn left_to_do(wish: Option<EndWish>, found: &Subscription) -> Option<PlannedEnd> {
    if found.ended_at.is_some() {
        return None;
    }
    match (wish?, found.cancel_at) {
        (EndWish::WithItsPeriod, Some(at)) if Some(at) <= found.current_period_end => None,
        (EndWish::WithItsPeriod, _) => Some(PlannedEnd::WithItsPeriod),
        (EndWish::Never, Some(_)) if found.cancel_at_period_end => {
            Some(PlannedEnd::NotWithItsPeriod)
        }
        (EndWish::Never, Some(_)) => Some(PlannedEnd::NotAtATime),
        (EndWish::Never, None) | (EndWish::Now, _) => None,
    }
}

/// Forgets the wish, and says so in the order's events.
async fn give_up(work: &Work, facts: &Facts, text: &'static str) -> Result<(), Error> {
    metrics::counter!("spawnpoint_planned_ends_refused_total").increment(1);
    let (id, wish_us, note) = (work.id(), facts.billing.wish_us, &work.note("PlanEnd"));
    work.store(Step::PlanEnd, |tx, now_us| async move {
        billing::clear_wish(&tx, id, wish_us).await?;
        Ok(order_events::remark(&tx, id, text, note, now_us).await?)
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cancel_at: Option<i64>, at_period_end: bool) -> Subscription {
        Subscription {
            id: "sub_1".to_owned(),
            status: "active".to_owned(),
            customer: None,
            livemode: false,
            currency: None,
            order_id: None,
            current_period_end: Some(100),
            cancel_at,
            cancel_at_period_end: at_period_end,
            ended_at: None,
            lines: None,
            pending_until: None,
            collection_paused: false,
        }
    }

    #[test]
    fn stripe_is_told_what_it_does_not_know() {
        let with = Some(EndWish::WithItsPeriod);
        let never = Some(EndWish::Never);
        for (wish, found, told) in [
            (with, found(None, false), Some(PlannedEnd::WithItsPeriod)),
            (with, found(Some(100), true), None),
            (with, found(Some(90), false), None),
            // A year away is not with its period.
            (
                with,
                found(Some(9_000), false),
                Some(PlannedEnd::WithItsPeriod),
            ),
            (never, found(None, false), None),
            (
                never,
                found(Some(100), true),
                Some(PlannedEnd::NotWithItsPeriod),
            ),
            (never, found(Some(90), false), Some(PlannedEnd::NotAtATime)),
            (None, found(None, false), None),
        ] {
            assert_eq!(left_to_do(wish, &found), told, "{wish:?} {found:?}");
        }
        let mut over = found(None, false);
        over.ended_at = Some(1);
        assert_eq!(left_to_do(with, &over), None);
    }
}
