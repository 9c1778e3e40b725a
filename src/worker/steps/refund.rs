//! Refund: gives a payment back in full, once: of a second session of the order, of one that
//! was paid after its cancellation, or of an order that could not be fulfilled. Its
//! subscription ends first, so that nothing is charged after it.

use std::time::Duration;

use super::{PATIENCE, cancel_subscription::void_invoices, fresh};
use crate::{
    app::Error,
    db::{
        affiliates, order_events, orders,
        refunds::{self, Done},
    },
    domain::{
        OrderId,
        entitlement::Standing,
        order::{Facts, is_settled},
        refund::{DueRefund, RefundReason},
        step::Step,
    },
    stripe::{self, Form, Payment, Session},
    worker::{claim::Work, driver::Outcome, jittered, micros},
};

mod give_up;

/// What Stripe refuses may be possible tomorrow; more often nobody asks.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Why a payment did not go back yet.
enum NotDone {
    /// It waits for something: a payment that is under way, an end that is still to come.
    Waits,
    /// Stripe's answer, or none.
    Failed(stripe::Error),
    /// Stripe knows the payment, and gave nothing back.
    InVain,
    /// The order may be somebody else's by now.
    Lost(Outcome),
    /// The store's trouble, or a bug.
    Own(Error),
}

impl From<stripe::Error> for NotDone {
    fn from(error: stripe::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// A refund has tries and times of its own: whatever becomes of it, it neither parks its order
/// nor holds up another step.
pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(refund) = refunds::due(work.app.db.read(), work.id()).await? else {
        return give_up::take(work, facts).await;
    };
    let failure = match attempt(work, facts, &refund).await {
        Ok(paid_back) => {
            done(work, facts, &refund, &paid_back).await?;
            return Ok(Outcome::Again);
        }
        Err(NotDone::Own(error)) => return Err(error),
        Err(NotDone::Lost(outcome)) => return Ok(outcome),
        Err(NotDone::Waits) => None,
        Err(NotDone::InVain) => Some("Stripe took it and gave nothing back".to_owned()),
        Err(NotDone::Failed(error)) => {
            tracing::warn!(%error, "a refund was not made");
            Some(shown(&error))
        }
    };
    again_later(work, &refund, failure.as_deref()).await?;
    Ok(Outcome::Again)
}

/// For the order's events: the same answer reads the same.
fn shown(error: &stripe::Error) -> String {
    match error {
        stripe::Error::Invalid { code, .. } => format!("Stripe refused it: {code}"),
        stripe::Error::NotFound { .. } => "Stripe knows no such object".to_owned(),
        stripe::Error::KeyRefused { .. } => "Stripe refused our key for it".to_owned(),
        _ => "Stripe did not answer".to_owned(),
    }
}

async fn again_later(work: &Work, refund: &DueRefund, failure: Option<&str>) -> Result<(), Error> {
    let retry = work.settings.retry;
    let wait = match failure {
        None => PATIENCE * retry,
        Some(_) => retry.saturating_mul(1 << refund.attempts.clamp(0, 16)),
    };
    let wait_us = micros(jittered(wait.min(LONGEST_WAIT)));
    let (id, note) = (work.id(), &work.note(Step::Refund.name()));
    let news = failure.filter(|failure| *failure != refund.last_error);
    if failure.is_some() {
        metrics::counter!("spawnpoint_refunds_failed_total").increment(1);
    }
    work.store(Step::Refund, |tx, now_us| async move {
        refunds::set_tried(&tx, id, refund, failure, now_us + wait_us).await?;
        if let Some(news) = news {
            let text = format!(
                "the refund of {} is not made yet: {news}",
                refund.session_id
            );
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

async fn attempt(work: &Work, facts: &Facts, refund: &DueRefund) -> Result<Done, NotDone> {
    let session = match work.app.stripe.session(&refund.session_id).await {
        Ok(session) => session,
        Err(stripe::Error::NotFound { .. }) if knows_the_order(work, facts).await => {
            tracing::error!(session_id = refund.session_id, "Stripe has no such session");
            return Ok(Done::default());
        }
        Err(error) => return Err(error.into()),
    };
    let ours = session.client_reference_id.as_deref() == Some(&work.id().to_string())
        && session.livemode == work.app.stripe.livemode();
    if !ours {
        tracing::error!(session_id = refund.session_id, "no payment of this order");
        return Ok(Done::default());
    }
    let subscription_id = match (session.status.as_str(), session.payment_status.as_str()) {
        ("expired", _) => return Ok(Done::default()),
        ("open", _) => return Err(expire(work, facts, &refund.session_id).await),
        ("complete", word) if is_settled(word) => session.subscription.as_deref(),
        // A delayed payment is under way, or a word that nobody knows.
        _ => None,
    };
    // The subscription is made a moment after the payment.
    let subscription_id = subscription_id.ok_or(NotDone::Waits)?;
    end(work, facts, subscription_id).await?;
    pay_back(
        work,
        facts.order.fence,
        &session,
        subscription_id,
        refund.reason,
    )
    .await
}

/// Whether the account that our key leads to is the order's: else nothing that is missing there
/// means anything.
async fn knows_the_order(work: &Work, facts: &Facts) -> bool {
    match &facts.billing.session_id {
        Some(own) => work.app.stripe.session(own).await.is_ok(),
        None => false,
    }
}

/// Ends a session that nobody has paid yet. Its customer may be doing that this very moment: what
/// it is then decides.
async fn expire(work: &Work, facts: &Facts, session_id: &str) -> NotDone {
    let key = format!("expire:{session_id}:{}", facts.order.fence);
    match work.app.stripe.expire_session(session_id, &key).await {
        Ok(_) | Err(stripe::Error::Invalid { .. }) => NotDone::Waits,
        Err(error) => error.into(),
    }
}

async fn ours_still(work: &Work) -> Result<(), NotDone> {
    fresh::ours_still(work).await?.map_err(NotDone::Lost)
}

/// Ends the subscription whose payment goes back. The order's own ended before, by the step for
/// it.
async fn end(work: &Work, facts: &Facts, subscription_id: &str) -> Result<(), NotDone> {
    let stripe = &work.app.stripe;
    let own = facts.billing.subscription_id.as_deref() == Some(subscription_id);
    let found = stripe.subscription(subscription_id).await?;
    let over = found.ended_at.is_some() || Standing::of(Some(&found.status)) == Standing::Over;
    if own && !over {
        // Nothing of an order that goes on is given back.
        return Err(NotDone::Waits);
    }
    if !over {
        ours_still(work).await?;
        match stripe.cancel_subscription(subscription_id).await {
            Ok(_) => {}
            // One that has ended this very moment is refused like one that never was: it is
            // read again before anything goes back.
            Err(stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. }) => {
                metrics::counter!("spawnpoint_cancels_refused_total").increment(1);
                return Err(NotDone::Waits);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(void_invoices(work, facts.order.fence, subscription_id).await?)
}

/// Gives back all that was paid for a subscription. Every payment is looked at first: whatever
/// went back before, by this step or by a person, does not go back again.
async fn pay_back(
    work: &Work,
    fence: i64,
    session: &Session,
    subscription_id: &str,
    reason: RefundReason,
) -> Result<Done, NotDone> {
    let payments = payments(work, subscription_id).await?;
    if payments.is_empty() && session.payment_status == "paid" {
        // Stripe says that money came in, and does not say yet where.
        return Err(NotDone::Waits);
    }
    let mut paid_back = Done::default();
    for payment in payments {
        ours_still(work).await?;
        for refund in give_back(work, fence, &payment, reason).await? {
            paid_back.amount_minor += refund.amount;
            paid_back.currency = refund.currency;
            paid_back.refund_ids.push(refund.id);
        }
    }
    Ok(paid_back)
}

/// The payments of a subscription's paid invoices.
async fn payments(work: &Work, subscription_id: &str) -> Result<Vec<Payment>, stripe::Error> {
    let stripe = &work.app.stripe;
    let mut payments = Vec::new();
    for invoice_id in stripe.paid_invoices(subscription_id).await? {
        payments.extend(stripe.payments_of(&invoice_id).await?);
    }
    Ok(payments)
}

async fn give_back(
    work: &Work,
    fence: i64,
    payment: &Payment,
    reason: RefundReason,
) -> Result<Vec<stripe::Refund>, NotDone> {
    let stripe = &work.app.stripe;
    let mut refunds = stripe.refunds_of(&payment.id).await?;
    let before: i64 = refunds.iter().map(|refund| refund.amount).sum();
    if payment.amount.is_some_and(|amount| before >= amount) {
        return Ok(refunds);
    }
    // Without an amount all that is left goes back, and a second time nothing is: so each claim
    // may have a key of its own, and no stored failure stands in the way of the next.
    let key = format!("refund:{}:{fence}", payment.id);
    let form = form(work.id(), &payment.id, reason);
    match stripe.refund(&form, &key).await {
        Ok(refund) if refund.in_vain() => return Err(NotDone::InVain),
        Ok(refund) => refunds.push(refund),
        Err(stripe::Error::Invalid { code, .. }) if code == "charge_already_refunded" => {
            refunds = stripe.refunds_of(&payment.id).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(refunds)
}

fn form(id: OrderId, payment: &str, reason: RefundReason) -> Form {
    let word = match reason {
        RefundReason::PaidTwice => "duplicate",
        RefundReason::Unfulfillable | RefundReason::PaidAfterCancel => "requested_by_customer",
    };
    let pairs = [
        ("payment_intent", payment),
        ("reason", word),
        ("metadata[order_id]", &id.to_string()),
        ("metadata[reason]", reason.as_str()),
    ];
    let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    owned.into()
}

/// Stores what went back, and says so in the order's events.
async fn done(work: &Work, facts: &Facts, refund: &DueRefund, done: &Done) -> Result<(), Error> {
    let (id, note) = (work.id(), &work.note(Step::Refund.name()));
    let why = refund.reason.text();
    let text = &if done.refund_ids.is_empty() {
        format!("nothing to refund in {} ({why})", refund.session_id)
    } else {
        metrics::counter!("spawnpoint_refunds_total", "reason" => refund.reason.as_str())
            .increment(1);
        format!(
            "refunded {} {} (minor units) of {}: {why} ({})",
            done.amount_minor,
            done.currency,
            refund.session_id,
            done.refund_ids.join(", ")
        )
    };
    // A second session's payment is none that earned anything.
    let own = facts.billing.session_id.as_deref() == Some(&refund.session_id);
    let reverses = own && done.amount_minor > 0;
    work.store(Step::Refund, |tx, now_us| async move {
        refunds::set_done(&tx, id, refund, done, now_us).await?;
        if reverses {
            affiliates::reverse(&tx, id, None).await?;
        }
        order_events::remark(&tx, id, text, note, now_us).await?;
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(())
}
