//! SyncBilling: our own read of session and subscription. Only it says what is paid.

use std::time::Duration;

use crate::{
    app::{Error, checkout::form},
    db::{
        billing::{self, Read, SubscriptionRead},
        orders::{self, Progress},
    },
    domain::{
        SECOND_US,
        entitlement::Standing,
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    stripe::{self, Line, Session, Subscription},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(session_id) = facts.billing.session_id.clone() else {
        return Ok(Outcome::Again);
    };
    let session = match read_session(work, facts, &session_id).await? {
        Ok(session) => session,
        Err(error) => return Ok(failed(work, &error)),
    };
    // The subscription that was stored first stays the order's.
    let subscription_id = facts
        .billing
        .subscription_id
        .clone()
        .or_else(|| session.subscription.clone());
    let subscription = match &subscription_id {
        None => None,
        Some(id) => match work.app.stripe.subscription(id).await {
            Ok(subscription) => Some(subscription),
            Err(error) => return Ok(failed(work, &error)),
        },
    };
    let paid = paid(&session);
    let finding = finding(work, facts, &session, subscription.as_ref()).await?;
    let now_us = work.app.db.now().await?;
    let read = &Read {
        hints_read: facts.billing.hints,
        session_status: session.status.clone(),
        payment_status: session.payment_status.clone(),
        session_expires_us: session.expires_at * SECOND_US,
        session_url: session.url.clone(),
        customer_id: session.customer.clone(),
        subscription_id,
        subscription: subscription
            .as_ref()
            .map(|subscription| subscription_read(work, facts, subscription, now_us)),
        confirmed: paid && finding.is_none() && subscription.is_some(),
        read_us: now_us,
    };
    store(work, facts, read, finding).await?;
    if paid && subscription.is_none() {
        // Stripe makes it after the payment; the session names it a moment later.
        return Ok(work.later(WaitingReason::StripeUnavailable));
    }
    Ok(Outcome::Again)
}

fn paid(session: &Session) -> bool {
    let settled = matches!(
        session.payment_status.as_str(),
        "paid" | "no_payment_required"
    );
    session.status == "complete" && settled
}

type Finding = (ErrorReason, String);

/// What of the payment is not what was ordered; and of a subscription that was, what somebody
/// changed at Stripe since.
async fn finding(
    work: &Work,
    facts: &Facts,
    session: &Session,
    subscription: Option<&Subscription>,
) -> Result<Option<Finding>, Error> {
    let confirmed = facts.billing.confirmed();
    if !confirmed && !paid(session) {
        return Ok(None);
    }
    let stored = billing::request(work.app.db.read(), work.id()).await?;
    let ordered = form::lines(&stored);
    if !confirmed {
        let text = mismatch(work, facts, &ordered, session, subscription);
        return Ok(text.map(|text| (ErrorReason::BillingMismatch, text)));
    }
    let lines = subscription.and_then(|subscription| subscription.lines.as_deref());
    let changed = lines.is_some_and(|lines| !same_lines(&ordered, Some(lines)));
    Ok(changed.then(|| {
        let text = "the subscription's items are no longer the order's";
        (ErrorReason::PlanMismatch, text.to_owned())
    }))
}

/// Stores what was read, and parks what was not ordered. What somebody changed at Stripe and
/// put back is forgotten.
async fn store(
    work: &Work,
    facts: &Facts,
    read: &Read,
    finding: Option<Finding>,
) -> Result<(), Error> {
    let (id, order, finding) = (work.id(), &facts.order, &finding);
    let put_back = finding.is_none() && order.error_reason == Some(ErrorReason::PlanMismatch);
    work.store(Step::SyncBilling, |tx, _| async move {
        billing::set_read(&tx, id, read).await?;
        if read.confirmed {
            orders::clear_waiting(&tx, id).await?;
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
    Ok(())
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
        stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. } => Outcome::Tried {
            reason: ErrorReason::BillingMismatch,
            message: error.to_string(),
        },
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
    let patience = work.app.settings.timing.patience;
    let grounds = facts.grounds().after_read(standing, patience, read_us);
    SubscriptionRead {
        status: subscription.status.clone(),
        current_period_end_us: micros(subscription.current_period_end),
        cancel_at_us: micros(subscription.cancel_at),
        ended_at_us: micros(subscription.ended_at),
        past_due_since_us: grounds.past_due_since_us,
        suspend_since_us: grounds.suspend_since_us,
    }
}

/// What of the payment is not what was ordered. `amount_total` is never compared:
/// tax and promotion codes change it.
fn mismatch(
    work: &Work,
    facts: &Facts,
    ordered: &[(String, i64)],
    session: &Session,
    subscription: Option<&Subscription>,
) -> Option<String> {
    let id = facts.order.id.to_string();
    let livemode = work.app.stripe.livemode();
    if session.livemode != livemode {
        return Some("the session is of the other mode".to_owned());
    }
    if session.client_reference_id.as_deref() != Some(id.as_str()) {
        return Some("the session is another order's".to_owned());
    }
    if session.currency.as_deref() != Some(facts.order.currency.as_str()) {
        return Some("the session is in another currency".to_owned());
    }
    if session.amount_subtotal != Some(facts.order.price_minor) {
        return Some("the session's subtotal is not the order's price".to_owned());
    }
    if !same_lines(ordered, session.lines.as_deref()) {
        return Some("the session's lines are not the order's".to_owned());
    }
    let subscription = subscription?;
    if subscription.livemode != livemode {
        return Some("the subscription is of the other mode".to_owned());
    }
    if !same_lines(ordered, subscription.lines.as_deref()) {
        return Some("the subscription's items are not the order's".to_owned());
    }
    None
}

/// Compared by price, never by position: Stripe promises no order.
fn same_lines(ordered: &[(String, i64)], found: Option<&[Line]>) -> bool {
    let Some(found) = found else { return false };
    let mut ordered: Vec<(&str, i64)> = ordered
        .iter()
        .map(|(price, quantity)| (price.as_str(), *quantity))
        .collect();
    let mut found: Vec<(&str, i64)> = found
        .iter()
        .map(|line| (line.price.as_str(), line.quantity))
        .collect();
    ordered.sort_unstable();
    found.sort_unstable();
    ordered == found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_by_price() {
        let line = |price: &str, quantity| Line {
            price: price.to_owned(),
            quantity,
        };
        let ordered = [("a".to_owned(), 1), ("b".to_owned(), 1)];
        assert!(same_lines(&ordered, Some(&[line("b", 1), line("a", 1)])));
        assert!(!same_lines(&ordered, Some(&[line("a", 1)])));
        assert!(!same_lines(&ordered, Some(&[line("a", 2), line("b", 1)])));
        assert!(!same_lines(&ordered, None));
    }
}
