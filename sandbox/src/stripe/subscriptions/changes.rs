//! Every way in which a subscription changes: payment, dunning, people, the clock.
//!
//! A change is told as `customer.subscription.updated` only if it can be seen.

use super::super::errors::Refusal;
use super::super::events::Subject;
use super::super::invoices;
use super::super::periods::Interval;
use super::super::sessions::Session;
use super::super::table::Row;
use super::super::world::{Due, World};
use super::{Item, Subscription, SubscriptionStatus, pending};

/// Makes the subscription of a paid session; it is told once its invoice exists.
pub(in super::super) fn start(
    world: &mut World,
    session: &Session,
    status: SubscriptionStatus,
) -> String {
    let mut items = Vec::new();
    let mut period = (Interval::Month, 1);
    for line in &session.lines {
        let Some(interval) = line.price.spec.interval else {
            continue;
        };
        period = (interval, line.price.spec.interval_count);
        items.push(Item {
            id: world.ids.make("si_"),
            created: world.now(),
            price: line.price.clone(),
            quantity: line.quantity,
            metadata: line.metadata.clone(),
        });
    }
    let subscription = Subscription {
        id: world.ids.make("sub_"),
        created: world.now(),
        livemode: world.livemode,
        status,
        customer: session.customer.clone().unwrap_or_default(),
        currency: session.currency.clone(),
        metadata: session.subscription_metadata.clone(),
        description: session.subscription_description.clone(),
        billing_mode: session.billing_mode.clone(),
        items,
        interval: period.0,
        interval_count: period.1,
        periods: 1,
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        ended_at: None,
        reason: None,
        feedback: None,
        comment: None,
        latest_invoice: None,
        pending: None,
        card_declines: false,
        collection_paused: false,
    };
    let id = subscription.id.clone();
    world
        .due
        .insert((subscription.period_end(), Due::Subscription(id.clone())));
    world.subscriptions.put(subscription);
    id
}

/// Links the first invoice and tells of the new subscription.
pub(in super::super) fn announce_start(world: &mut World, id: &str, invoice: &str) {
    if let Ok(subscription) = world.subscriptions.find_mut(id) {
        subscription.latest_invoice = Some(invoice.to_owned());
        let subject = Subject::Subscription(Box::new(subscription.clone()));
        world.emit("customer.subscription.created", subject, None);
    }
}

/// Applies a change and tells of it if it can be seen.
pub(in super::super) fn change(
    world: &mut World,
    id: &str,
    apply: impl FnOnce(&mut Subscription),
) -> Result<(), Refusal> {
    let subscription = world.subscriptions.find_mut(id)?;
    let before = subscription.clone();
    apply(subscription);
    let after = subscription.clone();
    if after.looks_like(&before) {
        return Ok(());
    }
    if let Some(end) = after.planned_end() {
        world.due.insert((end, Due::Subscription(after.id.clone())));
    }
    let (after, before) = (Box::new(after), Box::new(before));
    world.emit(
        "customer.subscription.updated",
        Subject::Subscription(after),
        Some(Subject::Subscription(before)),
    );
    Ok(())
}

/// Applies a change that may be of the planned end; for another end Stripe gives up what waits for
/// its payment.
pub(in super::super) fn change_end(
    world: &mut World,
    id: &str,
    apply: impl FnOnce(&mut Subscription),
) -> Result<(), Refusal> {
    let before = world.subscriptions.find(id)?;
    let end = before.planned_end();
    let mut after = before.clone();
    apply(&mut after);
    if after.planned_end() != end {
        pending::abandon(world, id)?;
        after.pending = None;
    }
    change(world, id, |subscription| *subscription = after)
}

/// Plans the end of a subscription for the end of its period.
pub(in super::super) fn plan_end(
    world: &mut World,
    id: &str,
    reason: &'static str,
) -> Result<(), Refusal> {
    let now = world.now();
    if world.subscriptions.find(id)?.status.is_final() {
        return Err(Refusal::not_found(Subscription::OBJECT, id));
    }
    change_end(world, id, |subscription| {
        subscription.cancel_at_period_end = true;
        subscription.canceled_at = Some(now);
        subscription.reason = Some(reason);
    })
}

/// Ends a subscription now, and gives up what waits for its payment.
pub(in super::super) fn cancel(
    world: &mut World,
    id: &str,
    reason: &'static str,
) -> Result<(), Refusal> {
    let now = world.now();
    if world.subscriptions.find(id)?.status.is_final() {
        // Stripe answers as if it were gone.
        return Err(Refusal::not_found(Subscription::OBJECT, id));
    }
    pending::abandon(world, id)?;
    let subscription = world.subscriptions.find_mut(id)?;
    subscription.status = SubscriptionStatus::Canceled;
    subscription.canceled_at.get_or_insert(now);
    subscription.ended_at = Some(now);
    subscription.reason = Some(reason);
    let ended = Box::new(subscription.clone());
    world.emit(
        "customer.subscription.deleted",
        Subject::Subscription(ended),
        None,
    );
    Ok(())
}

/// Puts a subscription into a status, as dunning or an operator in the Dashboard would.
pub(in super::super) fn set_status(
    world: &mut World,
    id: &str,
    status: SubscriptionStatus,
) -> Result<(), Refusal> {
    let before = world.subscriptions.find(id)?.status;
    if status == SubscriptionStatus::Canceled {
        return cancel(world, id, "payment_failed");
    }
    if before.is_final() {
        let text = "A canceled subscription never becomes anything else.";
        return Err(Refusal::invalid(text).by_state());
    }
    if status.is_final() {
        pending::abandon(world, id)?;
    }
    let now = world.now();
    change(world, id, |subscription| {
        subscription.status = status;
        if status == SubscriptionStatus::IncompleteExpired {
            subscription.ended_at = Some(now);
        }
    })?;
    let event = match (before, status) {
        (SubscriptionStatus::Paused, SubscriptionStatus::Paused) => return Ok(()),
        (_, SubscriptionStatus::Paused) => "customer.subscription.paused",
        (SubscriptionStatus::Paused, _) => "customer.subscription.resumed",
        _ => return Ok(()),
    };
    let subject = Subject::Subscription(Box::new(world.subscriptions.find(id)?.clone()));
    world.emit(event, subject, None);
    Ok(())
}

/// Stops collecting for a subscription, as in the Dashboard, or goes on.
pub(in super::super) fn pause_collection(
    world: &mut World,
    id: &str,
    paused: bool,
) -> Result<(), Refusal> {
    if world.subscriptions.find(id)?.status.is_final() {
        return Err(Refusal::not_found(Subscription::OBJECT, id));
    }
    change(world, id, |subscription| {
        subscription.collection_paused = paused;
    })
}

/// A renewal that could not be paid: an open invoice, and the subscription is past due.
pub(in super::super) fn fail_payment(world: &mut World, id: &str) -> Result<String, Refusal> {
    let subscription = world.subscriptions.find(id)?.clone();
    if subscription.status.is_final() {
        let text = "A canceled subscription has no payments.";
        return Err(Refusal::invalid(text).by_state());
    }
    let invoice = invoices::renewal(world, &subscription, false);
    change(world, id, |subscription| {
        subscription.latest_invoice = Some(invoice.clone());
        subscription.status = SubscriptionStatus::PastDue;
    })?;
    Ok(invoice)
}

/// What the clock brings: the end of a wait for a payment, the planned end, or the next period.
/// Called for each due time.
pub(in super::super) fn tick(world: &mut World, id: &str, at: i64) {
    pending::lapse(world, id, at);
    let Ok(subscription) = world.subscriptions.find(id) else {
        return;
    };
    if subscription.status.is_final() {
        return;
    }
    if subscription.planned_end().is_some_and(|end| end <= at) {
        let reason = subscription.reason.unwrap_or("cancellation_requested");
        // It was found above and is not over, so there is nothing to refuse.
        let _ = cancel(world, id, reason);
        return;
    }
    if subscription.period_end() > at {
        return;
    }
    let renews = subscription.status.renews();
    let paid = subscription.status != SubscriptionStatus::PastDue;
    let mut next = subscription.clone();
    next.periods += 1;
    world
        .due
        .insert((next.period_end(), Due::Subscription(id.to_owned())));
    if !renews {
        if let Ok(subscription) = world.subscriptions.find_mut(id) {
            subscription.periods = next.periods;
        }
        return;
    }
    let invoice = if next.collection_paused {
        invoices::voided_renewal(world, &next)
    } else {
        invoices::renewal(world, &next, paid)
    };
    // The row exists, so there is nothing to refuse.
    let _ = change(world, id, |subscription| {
        subscription.periods = next.periods;
        subscription.latest_invoice = Some(invoice);
    });
}
