//! Refund: gives a payment back in full, once: of a second session of the order, of one that
//! was paid after its cancellation, or of an order that could not be fulfilled. Its
//! subscription ends first, so that nothing is charged after it.

use super::{cancel_subscription::void_invoices, fresh, sync_billing};
use crate::{
    app::Error,
    db::{
        billing, order_events, orders,
        refunds::{self, Done},
    },
    domain::{
        OrderId,
        entitlement::Standing,
        order::{EndWish, Facts, WaitingReason},
        refund::{DueRefund, RefundReason},
        step::{Step, given_up},
    },
    stripe::{self, Form, Payment, Session},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(refund) = refunds::due(work.app.db.read(), work.id()).await? else {
        return give_up(work, facts).await;
    };
    let session = match work.app.stripe.session(&refund.session_id).await {
        Ok(session) => Some(session),
        Err(stripe::Error::NotFound { .. }) if knows_the_order(work, facts).await => None,
        Err(error) => return Ok(failed(work, &error)),
    };
    let subscription_id = match to_refund(work, &refund, session.as_ref()) {
        ToRefund::This(subscription_id) => subscription_id,
        ToRefund::Nothing => {
            done(work, &refund, &Done::default()).await?;
            return Ok(Outcome::Again);
        }
        ToRefund::StillOpen => return expire(work, &refund.session_id).await,
        ToRefund::NotYet => return Ok(work.patiently(WaitingReason::StripeUnavailable)),
    };
    if let Err(instead) = end(work, facts, &subscription_id).await? {
        return Ok(instead);
    }
    let fence = facts.order.fence;
    match pay_back(work, fence, &subscription_id, refund.reason).await? {
        Ok(paid_back) => {
            done(work, &refund, &paid_back).await?;
            Ok(Outcome::Again)
        }
        Err(instead) => Ok(instead),
    }
}

/// Ends an order that could not be fulfilled: its subscription first, then the payment.
async fn give_up(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let now_us = work.app.db.now().await?;
    let given_up = given_up(facts, &work.app.settings.timing, now_us);
    let (Some(session_id), true) = (&facts.billing.session_id, given_up) else {
        return Ok(Outcome::Again);
    };
    metrics::counter!("spawnpoint_orders_given_up_total").increment(1);
    let (id, note) = (work.id(), &work.note(Step::Refund.name()));
    work.store(Step::Refund, |tx, now_us| async move {
        let reason = RefundReason::Unfulfillable;
        if refunds::decide(&tx, id, session_id, reason, now_us).await? {
            billing::set_wish(&tx, id, EndWish::Now, now_us).await?;
            let text = format!("given up: {}", reason.text());
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    })
    .await?;
    Ok(Outcome::Again)
}

/// What a session says of its payment.
enum ToRefund {
    /// It was paid, for this subscription.
    This(String),
    /// It was never paid and never will be, or is not the order's.
    Nothing,
    /// Its customer may yet pay it.
    StillOpen,
    /// A delayed payment is under way, or its subscription is still to be made.
    NotYet,
}

/// Only what Stripe itself says now counts, never what an event said.
fn to_refund(work: &Work, refund: &DueRefund, session: Option<&Session>) -> ToRefund {
    let Some(session) = session else {
        tracing::error!(session_id = refund.session_id, "Stripe has no such session");
        return ToRefund::Nothing;
    };
    let ours = session.client_reference_id.as_deref() == Some(&work.id().to_string())
        && session.livemode == work.app.stripe.livemode();
    match (session.status.as_str(), session.payment_status.as_str()) {
        _ if !ours => {
            tracing::error!(session_id = refund.session_id, "no payment of this order");
            ToRefund::Nothing
        }
        ("open", _) => ToRefund::StillOpen,
        ("complete", "paid" | "no_payment_required") => session
            .subscription
            .clone()
            .map_or(ToRefund::NotYet, ToRefund::This),
        ("complete", _) => ToRefund::NotYet,
        _ => ToRefund::Nothing,
    }
}

/// Whether the account that our key leads to is the order's: else nothing that is missing there
/// means anything.
async fn knows_the_order(work: &Work, facts: &Facts) -> bool {
    match &facts.billing.session_id {
        Some(own) => work.app.stripe.session(own).await.is_ok(),
        None => false,
    }
}

async fn expire(work: &Work, session_id: &str) -> Result<Outcome, Error> {
    let key = format!("expire:{session_id}");
    match work.app.stripe.expire_session(session_id, &key).await {
        // Its customer may have paid this very moment: what it is then decides.
        Ok(_) | Err(stripe::Error::Invalid { .. }) => {
            Ok(work.later(WaitingReason::StripeUnavailable))
        }
        Err(error) => Ok(failed(work, &error)),
    }
}

/// Ends the subscription whose payment goes back. The order's own ended before, by the step
/// for it; `Err` holds what the order is to do instead.
async fn end(
    work: &Work,
    facts: &Facts,
    subscription_id: &str,
) -> Result<Result<(), Outcome>, Error> {
    let own = facts.billing.subscription_id.as_deref() == Some(subscription_id);
    let found = match work.app.stripe.subscription(subscription_id).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(failed(work, &error))),
    };
    let over = found.ended_at.is_some() || Standing::of(Some(&found.status)) == Standing::Over;
    if own && !over {
        // Nothing of an order that goes on is given back.
        return Ok(Err(work.patiently(WaitingReason::StripeUnavailable)));
    }
    if !over {
        if let Err(instead) = fresh::ours_still(work).await? {
            return Ok(Err(instead));
        }
        if let Err(error) = work.app.stripe.cancel_subscription(subscription_id).await {
            // One that has ended this very moment is refused like one that never was: it is
            // read again before anything goes back.
            let ended = matches!(
                error,
                stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. }
            );
            return Ok(Err(if ended {
                work.patiently(WaitingReason::StripeUnavailable)
            } else {
                failed(work, &error)
            }));
        }
    }
    match void_invoices(work, subscription_id).await {
        Ok(()) => Ok(Ok(())),
        Err(error) => Ok(Err(failed(work, &error))),
    }
}

/// Gives back all that was paid for a subscription. Every payment is looked at first: whatever
/// went back before, by this step or by a person, does not go back again.
async fn pay_back(
    work: &Work,
    fence: i64,
    subscription_id: &str,
    reason: RefundReason,
) -> Result<Result<Done, Outcome>, Error> {
    let payments = match payments(work, subscription_id).await {
        Ok(payments) => payments,
        Err(error) => return Ok(Err(failed(work, &error))),
    };
    let mut paid_back = Done::default();
    for payment in payments {
        if let Err(instead) = fresh::ours_still(work).await? {
            return Ok(Err(instead));
        }
        match give_back(work, fence, &payment, reason).await {
            Ok(refunds) => {
                for refund in refunds {
                    paid_back.amount_minor += refund.amount;
                    paid_back.currency = refund.currency;
                    paid_back.refund_ids.push(refund.id);
                }
            }
            Err(error) => return Ok(Err(failed(work, &error))),
        }
    }
    Ok(Ok(paid_back))
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
) -> Result<Vec<stripe::Refund>, stripe::Error> {
    let stripe = &work.app.stripe;
    let mut refunds = stripe.refunds_of(&payment.id).await?;
    let before: i64 = refunds.iter().map(|refund| refund.amount).sum();
    if before >= payment.amount {
        return Ok(refunds);
    }
    // Without an amount all that is left goes back, and a second time nothing is: so each claim
    // may have a key of its own, and no stored failure stands in the way of the next.
    let key = format!("refund:{}:{fence}", payment.id);
    let form = form(work.id(), &payment.id, reason);
    match stripe.refund(&form, &key).await {
        Ok(refund) => refunds.push(refund),
        Err(stripe::Error::Invalid { code, .. }) if code == "charge_already_refunded" => {
            refunds = stripe.refunds_of(&payment.id).await?;
        }
        Err(error) => return Err(error),
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
async fn done(work: &Work, refund: &DueRefund, done: &Done) -> Result<(), Error> {
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
    work.store(Step::Refund, |tx, now_us| async move {
        refunds::set_done(&tx, id, refund, done, now_us).await?;
        order_events::remark(&tx, id, text, note, now_us).await?;
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(())
}

/// Nobody waits for it as for a server: each look costs calls.
fn failed(work: &Work, error: &stripe::Error) -> Outcome {
    work.slowed(sync_billing::failed(work, error))
}
