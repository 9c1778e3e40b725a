//! ChangePlan: has Stripe change what a subscription is for, and sees whether the difference is
//! paid. Until it is, the order and its server stay what they are, and the larger of both plans
//! is held; then the order has its new plan and the server follows.

use super::{fresh, sync_billing};
use crate::{
    app::Error,
    db::{
        billing, holds, order_changes, order_events,
        orders::{self, Bought, Progress},
        servers,
    },
    domain::{
        SECOND_US,
        entitlement::Standing,
        order::{ErrorReason, Facts, WaitingReason},
        plan_change::{self, Item, Next, PlanChange, Swap},
        step::Step,
    },
    stripe::{self, Form, Subscription},
    worker::{claim::Work, driver::Outcome},
};

/// Stripe forgets idempotency keys after a day: a request that was never answered is not
/// repeated after this.
const KEY_KNOWN_US: i64 = 23 * 3600 * SECOND_US;
/// One that was never sent is not sent any more after this.
const ASKED_US: i64 = 3600 * SECOND_US;

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let change = order_changes::find(work.app.db.read(), work.id()).await?;
    let (Some(change), Some(subscription_id)) = (change, &facts.billing.subscription_id) else {
        return Ok(Outcome::Again);
    };
    let found = match work.app.stripe.subscription(subscription_id).await {
        Ok(found) => found,
        Err(error) => return Ok(sync_billing::failed(work, &error)),
    };
    if found.ended_at.is_some() || Standing::of(Some(&found.status)) == Standing::Over {
        // With its subscription the order ends, and all that was on its way.
        return sync_billing::take(work, facts).await;
    }
    let Some(items) = items(&found) else {
        if is_stale(&change, work.app.db.now().await?) {
            let why = "Stripe did not tell what it is for";
            return drop_change(work, facts, &change, why).await;
        }
        return Ok(work.patiently(WaitingReason::StripeUnavailable));
    };
    match plan_change::next(&items, &change.prices, found.pending_until) {
        Next::Applied => paid(work, facts, &change).await,
        Next::Pending(until) => wait(work, &change, until).await,
        Next::Trim(ids) => trim(work, facts, &change, subscription_id, &ids).await,
        Next::Ask(_) if change.answered => {
            drop_change(work, facts, &change, "the difference was not paid").await
        }
        Next::Ask(_) if Standing::of(Some(&found.status)) != Standing::Good => {
            drop_change(work, facts, &change, "its subscription is not paid").await
        }
        Next::Ask(swaps) => ask(work, facts, &change, subscription_id, &swaps).await,
    }
}

/// Whether it is too late to send it, or to send it again.
fn is_stale(change: &PlanChange, now_us: i64) -> bool {
    match change.sent_us {
        Some(sent_us) => now_us - sent_us > KEY_KNOWN_US,
        // Nobody who asked so long ago expects to be charged now.
        None => now_us - change.asked_us > ASKED_US,
    }
}

/// The items of a subscription, where the answer held them all.
fn items(found: &Subscription) -> Option<Vec<Item>> {
    let lines = found.lines.as_ref()?;
    let items = lines.iter().map(|line| Item {
        id: line.id.clone(),
        price: line.price.clone(),
        quantity: line.quantity,
    });
    Some(items.collect())
}

/// Has Stripe change the items: at once if the difference can be taken, else when its customer
/// has paid it. What is sent is stored first, and a repeat is the very same.
async fn ask(
    work: &Work,
    facts: &Facts,
    change: &PlanChange,
    subscription_id: &str,
    swaps: &[Swap],
) -> Result<Outcome, Error> {
    let (id, now_us) = (work.id(), work.app.db.now().await?);
    if is_stale(change, now_us) {
        return drop_change(work, facts, change, "Stripe did not answer in time").await;
    }
    let request = match &change.request {
        Some(request) => request.clone(),
        None => swap_form(swaps),
    };
    if change.request.is_none() {
        let request = &request;
        let now = work
            .store(Step::ChangePlan, |tx, now_us| async move {
                // Much may have happened since it was asked for.
                let now = orders::find(&*tx, id).await?;
                if now.is_some_and(|now| plan_change::hindrance(&now).is_none()) {
                    order_changes::set_sent(&tx, id, request, now_us).await?;
                }
                Ok(())
            })
            .await?;
        if let Some(why) = plan_change::hindrance(&now) {
            return drop_change(work, facts, change, why).await;
        }
    }
    if let Err(instead) = fresh::ours_still(work).await? {
        return Ok(instead);
    }
    let key = format!("change:{id}:{}", change.asked_us);
    match work
        .app
        .stripe
        .change_items(subscription_id, &request, &key)
        .await
    {
        // A stored failure is answered for ever: the items tell.
        Ok(_) | Err(stripe::Error::Unknown { replayed: true, .. }) => {
            set_answered(work).await?;
            Ok(Outcome::Again)
        }
        Err(error @ (stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. })) => {
            tracing::warn!(%error, "Stripe");
            refused(work, facts, change, subscription_id).await
        }
        Err(error) => Ok(sync_billing::failed(work, &error)),
    }
}

/// Whether anything came of what Stripe refused: a card that declines may leave a change that waits
/// for its payment, and then its room has to be held.
async fn refused(
    work: &Work,
    facts: &Facts,
    change: &PlanChange,
    subscription_id: &str,
) -> Result<Outcome, Error> {
    let found = match work.app.stripe.subscription(subscription_id).await {
        Ok(found) => found,
        Err(error) => return Ok(sync_billing::failed(work, &error)),
    };
    let items = items(&found);
    let next = items.map(|items| plan_change::next(&items, &change.prices, found.pending_until));
    match next {
        Some(Next::Applied | Next::Pending(_) | Next::Trim(_)) => {
            set_answered(work).await?;
            Ok(Outcome::Again)
        }
        Some(Next::Ask(_)) => drop_change(work, facts, change, "Stripe refused it").await,
        None => Ok(work.patiently(WaitingReason::StripeUnavailable)),
    }
}

/// From here on its items tell.
async fn set_answered(work: &Work) -> Result<(), Error> {
    let id = work.id();
    work.store(Step::ChangePlan, |tx, _| async move {
        Ok(order_changes::set_answered(&tx, id).await?)
    })
    .await?;
    Ok(())
}

/// `items[n][...]` with the difference charged at once. A piece of a price that is only added
/// bears no id.
fn swap_form(swaps: &[Swap]) -> Form {
    let mut form = Form::new();
    for (index, swap) in swaps.iter().enumerate() {
        let mut add = |name: &str, value: &str| {
            form.push((format!("items[{index}][{name}]"), value.to_owned()));
        };
        if let Some(id) = &swap.id {
            add("id", id);
        }
        add("price", &swap.price);
        add("quantity", "1");
    }
    let behaviors = [
        ("payment_behavior", "pending_if_incomplete"),
        ("proration_behavior", "always_invoice"),
    ];
    form.extend(behaviors.map(|(name, value)| (name.to_owned(), value.to_owned())));
    form
}

/// Removes what the order no longer has; what was paid ahead for it becomes credit.
async fn trim(
    work: &Work,
    facts: &Facts,
    change: &PlanChange,
    subscription_id: &str,
    ids: &[String],
) -> Result<Outcome, Error> {
    if let Err(instead) = fresh::ours_still(work).await? {
        return Ok(instead);
    }
    let mut form = Form::new();
    for (index, id) in ids.iter().enumerate() {
        form.push((format!("items[{index}][id]"), id.clone()));
        form.push((format!("items[{index}][deleted]"), "true".to_owned()));
    }
    form.push(("proration_behavior".to_owned(), "always_invoice".to_owned()));
    // Each claim has a key of its own: no stored failure stands in the way of the next.
    let key = format!(
        "trim:{}:{}:{}",
        work.id(),
        change.asked_us,
        facts.order.fence
    );
    let stripe = &work.app.stripe;
    match stripe.change_items(subscription_id, &form, &key).await {
        Ok(now) if items(&now).is_some_and(|now| is_wanted(&now, change)) => {
            paid(work, facts, change).await
        }
        Ok(_) => Ok(work.patiently(WaitingReason::StripeUnavailable)),
        // What is wanted is paid, and delivered; what Stripe does not let go of shows as a
        // mismatch at the next read.
        Err(error @ (stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. })) => {
            tracing::warn!(%error, "Stripe");
            paid(work, facts, change).await
        }
        Err(error) => Ok(sync_billing::failed(work, &error)),
    }
}

fn is_wanted(items: &[Item], change: &PlanChange) -> bool {
    plan_change::next(items, &change.prices, None) == Next::Applied
}

/// Waits for a payment: its events tell of it, and where none comes it is looked for, the more
/// rarely the longer it takes.
async fn wait(work: &Work, change: &PlanChange, until: i64) -> Result<Outcome, Error> {
    let (id, timing) = (work.id(), work.app.settings.timing);
    let until_us = until.saturating_mul(SECOND_US) + timing.session_grace_us;
    work.store(Step::ChangePlan, |tx, now_us| async move {
        // An answer that was lost on its way is one; but the change may be somebody else's.
        if change.sent_us.is_some() {
            order_changes::set_answered(&tx, id).await?;
        }
        let age_us = now_us - change.asked_us;
        let next_us = now_us + age_us.max(timing.delayed_payment_us);
        let soonest_us = now_us + timing.session_grace_us;
        let look_us = until_us.clamp(soonest_us, next_us.max(soonest_us));
        Ok(order_changes::set_look(&tx, id, Some(look_us)).await?)
    })
    .await?;
    Ok(Outcome::Again)
}

/// The order has its new plan. The larger of both is held until the server has it too.
async fn paid(work: &Work, facts: &Facts, change: &PlanChange) -> Result<Outcome, Error> {
    let (id, order) = (work.id(), &facts.order);
    work.store(Step::ChangePlan, |tx, now_us| async move {
        // People may have delivered something meanwhile.
        let now = orders::find(&*tx, id).await?;
        let had = now.map(|now| now.order.manual_addons).unwrap_or_default();
        let delivered = |id: &String| had.contains(&(id.clone(), true));
        let manual = change.manual_addons.iter();
        let manual: Vec<(String, bool)> = manual.map(|id| (id.clone(), delivered(id))).collect();
        let bought = &Bought {
            plan_id: &change.plan_id,
            addons: &change.addons,
            manual_addons: &manual,
            spec: &change.spec,
            price_minor: change.price_minor,
            lenience: change.lenience,
        };
        orders::set_bought(&tx, id, bought).await?;
        billing::set_prices(&tx, id, &change.prices).await?;
        order_changes::set_paid(&tx, id, &order.plan_id, &order.spec, now_us).await?;
        servers::set_respec(&tx, id, now_us).await?;
        if order.error_reason == Some(ErrorReason::PlanMismatch) {
            // Its items are the order's again.
            orders::set_progress(&tx, id, &Progress::default()).await?;
        }
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    metrics::counter!("spawnpoint_plan_changes_total", "outcome" => "paid").increment(1);
    Ok(Outcome::Again)
}

/// Nothing comes of it: the order stays what it is, and so does what it holds.
async fn drop_change(
    work: &Work,
    facts: &Facts,
    change: &PlanChange,
    why: &str,
) -> Result<Outcome, Error> {
    let (id, need) = (work.id(), facts.order.spec.need());
    let note = &work.note(Step::ChangePlan.name());
    let text = &format!("the change to {} was given up: {why}", change.plan_id);
    work.store(Step::ChangePlan, |tx, now_us| async move {
        order_changes::remove(&tx, id).await?;
        holds::resize(&tx, id, need).await?;
        order_events::remark(&tx, id, text, note, now_us).await?;
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    metrics::counter!("spawnpoint_plan_changes_total", "outcome" => "dropped").increment(1);
    Ok(Outcome::Again)
}
