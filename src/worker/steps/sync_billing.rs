//! SyncBilling: our own read of the session until it is confirmed, and of the subscription.
//! Only it says what is paid.

use std::time::Duration;

use super::disputes;
use crate::{
    app::{Error, affiliates},
    db::{
        billing::{self, Read, SessionRead, SubscriptionRead},
        disputes::Reads,
        holds, order_changes, order_events,
        orders::{self, Progress},
        refunds,
    },
    domain::{
        SECOND_US,
        entitlement::Standing,
        order::{ErrorReason, Facts, WaitingReason, is_settled},
        refund::RefundReason,
        step::Step,
    },
    stripe::{self, Session, Subscription},
    worker::{claim::Work, driver::Outcome},
};

mod matching;

use matching::Compared;

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    match &facts.billing.subscription_id {
        // Its session has said what it had to say, and Stripe may forget it.
        Some(id) if facts.billing.confirmed() => follow(work, facts, id).await,
        _ => first(work, facts).await,
    }
}

/// Reads the subscription of a confirmed order.
async fn follow(work: &Work, facts: &Facts, id: &str) -> Result<Outcome, Error> {
    let subscription = match work.app.stripe.subscription(id).await {
        Ok(subscription) => subscription,
        Err(error) => return Ok(failed(work, &error)),
    };
    let compared = matching::of_subscription(work, facts, &subscription).await?;
    let disputes = match disputes::read(work, facts).await? {
        Ok(disputes) => disputes,
        Err(error) => return Ok(failed(work, &error)),
    };
    let now_us = work.app.db.now().await?;
    let read = &Read {
        hints_read: facts.billing.hints,
        session: None,
        subscription: Some(subscription_read(work, facts, &subscription, now_us)),
        confirmed: !matches!(compared, Compared::Differs(_)),
        read_us: now_us,
    };
    store(work, facts, read, compared, &disputes).await?;
    Ok(Outcome::Again)
}

/// Reads session and subscription of an order that is not confirmed.
async fn first(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(session_id) = facts.billing.session_id.clone() else {
        return Ok(Outcome::Again);
    };
    let session = match read_session(work, facts, &session_id).await? {
        Ok(session) => session,
        // Only an event has said its id so far, and may have said a wrong one.
        Err(error @ stripe::Error::NotFound { .. }) if facts.billing.session_status.is_none() => {
            return Ok(mismatch(&error));
        }
        Err(error) => return Ok(failed(work, &error)),
    };
    // The subscription that was stored first stays the order's.
    let stored = facts.billing.subscription_id.as_ref();
    let subscription = match stored.or(session.subscription.as_ref()) {
        None => None,
        Some(id) => match work.app.stripe.subscription(id).await {
            Ok(subscription) => Some(subscription),
            Err(error) => return Ok(failed(work, &error)),
        },
    };
    let paid = paid(&session);
    let finding = if paid {
        matching::of_payment(work, facts, &session, subscription.as_ref()).await?
    } else {
        None
    };
    let disputes = match disputes::read(work, facts).await? {
        Ok(disputes) => disputes,
        Err(error) => return Ok(failed(work, &error)),
    };
    let now_us = work.app.db.now().await?;
    let read = &Read {
        hints_read: facts.billing.hints,
        session: Some(session_read(session)),
        subscription: subscription
            .as_ref()
            .map(|subscription| subscription_read(work, facts, subscription, now_us)),
        confirmed: paid && finding.is_none() && subscription.is_some(),
        read_us: now_us,
    };
    let compared = finding.map_or(Compared::Unknown, Compared::Differs);
    store(work, facts, read, compared, &disputes).await?;
    if paid && subscription.is_none() {
        // Stripe makes it after the payment; the session names it a moment later.
        return Ok(work.later(WaitingReason::StripeUnavailable));
    }
    Ok(Outcome::Again)
}

fn paid(session: &Session) -> bool {
    session.status == "complete" && is_settled(&session.payment_status)
}

/// Stores what was read, and parks what was not ordered. What somebody changed at Stripe and
/// put back is forgotten.
async fn store(
    work: &Work,
    facts: &Facts,
    read: &Read,
    compared: Compared,
    disputed: &Reads,
) -> Result<(), Error> {
    let (id, order) = (work.id(), &facts.order);
    let put_back =
        matches!(compared, Compared::Same) && order.error_reason == Some(ErrorReason::PlanMismatch);
    let finding = &match compared {
        Compared::Differs(finding) => Some(finding),
        Compared::Same | Compared::Unknown => None,
    };
    let note = &work.note(Step::SyncBilling.name());
    let over = read.subscription.as_ref().is_some_and(|found| {
        found.ended_at_us.is_some() || Standing::of(Some(&found.status)) == Standing::Over
    });
    // The policy gives back what was never delivered, also where its period ended first.
    let policy = work.app.settings.timing.refund_unfulfillable_after_us;
    let undelivered = over
        && policy.is_some()
        && facts.billing.ends_undelivered_us.is_some()
        && !facts.server.ever_ran();
    let disputes_policy = facts.dispute_policy(work.app.settings.disputes);
    work.store(Step::SyncBilling, |tx, now_us| async move {
        let news = billing::set_read(&tx, id, read).await?;
        if let Some(session_id) = news.paid_late {
            let refund = (session_id.as_str(), RefundReason::PaidAfterCancel);
            refunds::decide_and_tell(&tx, id, refund, note, now_us).await?;
        }
        disputes::store(&tx, (id, over), disputed, disputes_policy, note, now_us).await?;
        if read.confirmed {
            orders::clear_waiting(&tx, id).await?;
        }
        affiliates::follow(&work.app, &tx, facts, read.confirmed, now_us).await?;
        // What was told of may be that a change of plan is paid; with its subscription it ends.
        order_changes::set_look(&tx, id, None).await?;
        if undelivered && let Some(session_id) = &facts.billing.session_id {
            let refund = (session_id.as_str(), RefundReason::Unfulfillable);
            refunds::decide_and_tell(&tx, id, refund, note, now_us).await?;
        }
        // Its status says nothing of that, and the server runs on.
        if let Some(paused) = news.collection_paused {
            let text = if paused {
                "Stripe collects nothing for the subscription (pause_collection)"
            } else {
                "Stripe collects for the subscription again"
            };
            order_events::remark(&tx, id, text, note, now_us).await?;
        }
        if over && order_changes::remove_unpaid(&tx, id).await? {
            holds::resize(&tx, id, order.spec.need()).await?;
        }
        if finding.is_some() || put_back {
            let progress = &Progress {
                waiting: None,
                error: finding.clone(),
                attempts: order.attempts,
            };
            orders::set_progress(&tx, id, progress).await?;
        }
        Ok(())
    })
    .await?;
    if let Some((reason, _)) = finding
        && order.error_reason != Some(*reason)
    {
        metrics::counter!("spawnpoint_orders_parked_total").increment(1);
    }
    if let Some(found) = &read.subscription {
        count_new_word(facts, &found.status);
    }
    Ok(())
}

/// Counts a word of Stripe's that we do not know, once for each order that it is said of: nothing
/// is done for it, and somebody has to learn what it means.
fn count_new_word(facts: &Facts, status: &str) {
    let before = facts.billing.subscription_status.as_deref();
    if Standing::is_new(status) && before != Some(status) {
        metrics::counter!("spawnpoint_subscriptions_unclear_total").increment(1);
        tracing::warn!(status, "a subscription has a state that is not known here");
    }
}

/// Reads the session; ends it where it is past its time, or was asked to end early.
async fn read_session(
    work: &Work,
    facts: &Facts,
    session_id: &str,
) -> Result<Result<Session, stripe::Error>, Error> {
    let session = match work.app.stripe.session(session_id).await {
        Ok(session) => session,
        Err(error) => return Ok(Err(error)),
    };
    let now_us = work.app.db.now().await?;
    let late_us = session.expires_at * SECOND_US + work.app.settings.timing.session_grace_us;
    let to_end = facts.billing.expire_requested || late_us <= now_us;
    if session.status != "open" || !to_end {
        return Ok(Ok(session));
    }
    let key = format!("expire:{}", work.id());
    match work.app.stripe.expire_session(session_id, &key).await {
        // Its customer may have paid this very moment: what it is now decides.
        Ok(_) | Err(stripe::Error::Invalid { .. }) => Ok(work.app.stripe.session(session_id).await),
        Err(error) => Ok(Err(error)),
    }
}

fn mismatch(error: &stripe::Error) -> Outcome {
    Outcome::Tried {
        reason: ErrorReason::BillingMismatch,
        message: error.to_string(),
    }
}

/// What a failed read of Stripe means for the order.
pub(super) fn failed(work: &Work, error: &stripe::Error) -> Outcome {
    tracing::warn!(%error, "Stripe");
    let tried = |error: &stripe::Error| Outcome::Tried {
        reason: ErrorReason::Internal,
        message: error.to_string(),
    };
    match error {
        stripe::Error::RateLimited { after } => Outcome::Later {
            after: (*after).max(Duration::from_secs(1)),
            waiting: Some(WaitingReason::StripeUnavailable),
        },
        // Stripe deletes none of these: the key is of another account. That is no fault of the
        // order's, and of all of them at once.
        stripe::Error::NotFound { .. } => {
            metrics::counter!("spawnpoint_stripe_objects_gone_total").increment(1);
            tracing::error!("Stripe does not know what it told us of: is the key of this account?");
            work.patiently(WaitingReason::StripeUnavailable)
        }
        stripe::Error::Invalid { .. } => mismatch(error),
        // Stripe's own answer about this order, and not to be read; others are.
        stripe::Error::Garbage { request_id, .. } if !request_id.is_empty() => tried(error),
        stripe::Error::KeyReused { .. } => tried(error),
        // What bears no id of Stripe's is a page of somebody in between: all orders wait.
        stripe::Error::KeyRefused { .. }
        | stripe::Error::Garbage { .. }
        | stripe::Error::Unreachable(_)
        | stripe::Error::Unknown { .. } => work.later(WaitingReason::StripeUnavailable),
    }
}

fn session_read(session: Session) -> SessionRead {
    SessionRead {
        status: session.status,
        payment_status: session.payment_status,
        expires_us: session.expires_at * SECOND_US,
        url: session.url,
        customer_id: session.customer,
        subscription_id: session.subscription,
    }
}

fn subscription_read(
    work: &Work,
    facts: &Facts,
    subscription: &Subscription,
    read_us: i64,
) -> SubscriptionRead {
    let micros = |seconds: Option<i64>| seconds.map(|s| s.saturating_mul(SECOND_US));
    let standing = match Standing::of(Some(&subscription.status)) {
        _ if subscription.ended_at.is_some() => Standing::Over,
        standing => standing,
    };
    let patience = facts.patience(work.app.settings.timing.patience);
    let grounds = facts.grounds().after_read(standing, patience, read_us);
    SubscriptionRead {
        status: subscription.status.clone(),
        current_period_end_us: micros(subscription.current_period_end),
        cancel_at_us: micros(subscription.cancel_at),
        ended_at_us: micros(subscription.ended_at),
        past_due_since_us: grounds.past_due_since_us,
        suspend_since_us: grounds.suspend_since_us,
        collection_paused: subscription.collection_paused,
    }
}
