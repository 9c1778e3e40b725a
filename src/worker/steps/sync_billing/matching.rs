//! Whether what is at Stripe is what was ordered.

use crate::{
    app::{Error, checkout::form},
    db::billing,
    domain::order::{ErrorReason, Facts},
    stripe::{Session, Subscription},
    worker::claim::Work,
};

/// So many items are named: more than any order of ours has.
const SHOWN: usize = 10;

/// Why the order is parked, and in words.
pub(super) type Finding = (ErrorReason, String);

/// What of the payment is not what was ordered.
pub(super) async fn of_payment(
    work: &Work,
    facts: &Facts,
    session: &Session,
    subscription: Option<&Subscription>,
) -> Result<Option<Finding>, Error> {
    let stored = billing::request(work.app.db.read(), work.id()).await?;
    let text = mismatch(work, facts, &form::lines(&stored), session, subscription);
    Ok(text.map(|text| (ErrorReason::BillingMismatch, text)))
}

/// How the items of a subscription compare with what was ordered.
pub(super) enum Compared {
    /// They are what was ordered.
    Same,
    /// Nobody can say: Stripe's answer does not hold them, or a change of plan is on its way, which
    /// is looked at by the step for it.
    Unknown,
    /// They are not.
    Differs(Finding),
}

/// What somebody changed at Stripe of a subscription that was what was ordered.
pub(super) async fn of_subscription(
    work: &Work,
    facts: &Facts,
    subscription: &Subscription,
) -> Result<Compared, Error> {
    let Some(lines) = subscription.lines.as_deref() else {
        return Ok(Compared::Unknown);
    };
    let ordered = billing::ordered(work.app.db.read(), work.id()).await?;
    if form::same_lines(&form::items(&ordered), Some(lines)) {
        return Ok(Compared::Same);
    }
    if facts.wanted_plan().is_some() {
        return Ok(Compared::Unknown);
    }
    let items: Vec<String> = lines
        .iter()
        .take(SHOWN)
        .map(|line| format!("{} x {}", line.quantity, line.price))
        .collect();
    let text = format!(
        "the subscription's items are no longer the order's, but {}: ChangePlan says what it is \
         to be",
        items.join(", ")
    );
    Ok(Compared::Differs((ErrorReason::PlanMismatch, text)))
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
    if !form::same_lines(ordered, session.lines.as_deref()) {
        return Some("the session's lines are not the order's".to_owned());
    }
    let subscription = subscription?;
    if subscription.livemode != livemode {
        return Some("the subscription is of the other mode".to_owned());
    }
    if !form::same_lines(ordered, subscription.lines.as_deref()) {
        return Some("the subscription's items are not the order's".to_owned());
    }
    None
}
