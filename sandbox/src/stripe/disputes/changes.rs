//! Every way in which a dispute changes: the bank, the answer to it, and what Stripe does then.

use super::super::charges::{self, Charge};
use super::super::errors::Refusal;
use super::super::events::Subject;
use super::super::subscriptions;
use super::super::world::{Due, World};
use super::{Dispute, DisputeOutcome, DisputeStatus, DisputedPayments, Move};

/// Reasons that a bank gives.
const REASONS: [&str; 15] = [
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
];

/// What Stripe asks for each dispute, minor units; it is not given back with the money.
const FEE: i64 = 1500;

/// Stripe acts on the subscription by its settings about so many seconds later.
const SETTINGS_AFTER: i64 = 3600;

/// Opens a dispute of a payment, or an inquiry into it; about the whole of it without an amount.
pub(in super::super) fn open(
    world: &mut World,
    name: &str,
    reason: &str,
    amount: Option<i64>,
    status: DisputeStatus,
) -> Result<String, Refusal> {
    let charge = charges::named(world, name)?;
    if !REASONS.contains(&reason) {
        let text = format!("Invalid reason: must be one of {}", REASONS.join(", "));
        return Err(Refusal::invalid(text).param("reason"));
    }
    let amount = amount.unwrap_or(charge.amount);
    if !(1..=charge.amount).contains(&amount) {
        let text = format!("A dispute is about 1 to {}.", charge.amount);
        return Err(Refusal::invalid(text).param("amount"));
    }
    let dispute = Dispute {
        id: world.ids.make("du_"),
        created: world.now(),
        livemode: world.livemode,
        status,
        reason: reason.to_owned(),
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        moves: Vec::new(),
        answered: false,
        refundable: status.is_inquiry() && charge.left() > 0,
    };
    let id = dispute.id.clone();
    world.disputes.put(dispute);
    if status.holds_money() {
        withdraw(world, &id)?;
    }
    tell(world, &id, "created", None)?;
    if status.holds_money() {
        tell(world, &id, "funds_withdrawn", None)?;
    }
    Ok(id)
}

/// Answers the bank with evidence.
pub(in super::super) fn answer(world: &mut World, id: &str) -> Result<(), Refusal> {
    let status = match world.disputes.find(id)?.status {
        DisputeStatus::WarningNeedsResponse => DisputeStatus::WarningUnderReview,
        DisputeStatus::NeedsResponse => DisputeStatus::UnderReview,
        _ => return Err(wrong_state("This dispute waits for no answer.")),
    };
    update(world, id, |dispute| {
        dispute.status = status;
        dispute.answered = true;
    })
}

/// An inquiry becomes a dispute: the same id, and no second `created`.
pub(in super::super) fn escalate(world: &mut World, id: &str) -> Result<(), Refusal> {
    let status = world.disputes.find(id)?.status;
    if !status.is_inquiry() || status.is_final() {
        return Err(wrong_state("This is no open inquiry."));
    }
    withdraw(world, id)?;
    update(world, id, |dispute| {
        dispute.status = DisputeStatus::NeedsResponse;
        dispute.answered = false;
        dispute.refundable = false;
    })?;
    tell(world, id, "funds_withdrawn", None)
}

/// Ends a dispute. Nobody wins one without an answer, so that one comes first.
pub(in super::super) fn close(
    world: &mut World,
    id: &str,
    outcome: DisputeOutcome,
) -> Result<(), Refusal> {
    let status = world.disputes.find(id)?.status;
    let (last, fits) = match outcome {
        DisputeOutcome::Won => (DisputeStatus::Won, !status.is_inquiry()),
        DisputeOutcome::Lost => (DisputeStatus::Lost, !status.is_inquiry()),
        DisputeOutcome::WarningClosed => (DisputeStatus::WarningClosed, status.is_inquiry()),
    };
    if status.is_final() {
        return Err(wrong_state("This dispute is closed."));
    }
    if !fits {
        return Err(wrong_state(
            "A dispute is won or lost, an inquiry is closed.",
        ));
    }
    let won = outcome == DisputeOutcome::Won;
    if won && status == DisputeStatus::NeedsResponse {
        answer(world, id)?;
    }
    let before = world.disputes.find(id)?.clone();
    let left = charges::by_id(world, &before.charge).is_some_and(|charge| charge.left() > 0);
    if won {
        shift(world, id, before.amount, 0)?;
    }
    let dispute = world.disputes.find_mut(id)?;
    dispute.status = last;
    // Whether a payment can go back after a dispute that was won, Stripe's text leaves open; the
    // money is there again.
    dispute.refundable = left && last != DisputeStatus::Lost;
    tell(world, id, "closed", Some(before))?;
    if won {
        tell(world, id, "funds_reinstated", None)?;
    }
    Ok(())
}

/// Whether a bank holds the money of a charge: then it does not go back a second time.
pub(in super::super) fn bar_refunds(world: &World, charge: &str) -> bool {
    let mut disputes = world.disputes.iter();
    disputes.any(|dispute| dispute.charge == charge && dispute.status.holds_money())
}

/// A payment that went back whole leaves nothing to ask about.
pub(in super::super) fn end_inquiries(world: &mut World, charge: &str) {
    let asking = |dispute: &&Dispute| {
        let status = dispute.status;
        dispute.charge == charge && status.is_inquiry() && !status.is_final()
    };
    let disputes = world.disputes.iter().filter(asking);
    let ids: Vec<String> = disputes.map(|dispute| dispute.id.clone()).collect();
    for id in ids {
        // It is an open inquiry, so there is nothing to refuse.
        let _ = close(world, &id, DisputeOutcome::WarningClosed);
    }
}

/// What the clock brings: the account's setting for the subscription of a dispute that is about
/// a whole payment and was not won meanwhile.
pub(in super::super) fn apply_setting(world: &mut World, id: &str) {
    let Some(dispute) = world.disputes.get(id) else {
        return;
    };
    let charge = charges::by_id(world, &dispute.charge);
    let whole = charge.is_some_and(|charge: Charge| charge.amount == dispute.amount);
    let subscription = charges::subscription_of(world, &dispute.payment_intent);
    let Some(subscription) = subscription.filter(|_| whole && dispute.status.holds_money()) else {
        return;
    };
    let reason = "payment_disputed";
    // One that ended meanwhile is refused, and has ended as well.
    let _ = match world.disputed_payments {
        DisputedPayments::Keep => Ok(()),
        DisputedPayments::Cancel => subscriptions::cancel(world, &subscription, reason),
        DisputedPayments::CancelAtPeriodEnd => {
            subscriptions::plan_end(world, &subscription, reason)
        }
    };
}

/// The bank takes the amount, and Stripe its fee.
fn withdraw(world: &mut World, id: &str) -> Result<(), Refusal> {
    let amount = world.disputes.find(id)?.amount;
    shift(world, id, -amount, FEE)?;
    let at = world.now() + SETTINGS_AFTER;
    world.due.insert((at, Due::Disputed(id.to_owned())));
    Ok(())
}

fn shift(world: &mut World, id: &str, amount: i64, fee: i64) -> Result<(), Refusal> {
    let (txn, at) = (world.ids.make("txn_"), world.now());
    let dispute = world.disputes.find_mut(id)?;
    dispute.moves.push(Move {
        id: txn,
        at,
        amount,
        fee,
    });
    Ok(())
}

/// Changes a dispute and tells of it.
fn update(world: &mut World, id: &str, apply: impl FnOnce(&mut Dispute)) -> Result<(), Refusal> {
    let dispute = world.disputes.find_mut(id)?;
    let before = dispute.clone();
    apply(dispute);
    tell(world, id, "updated", Some(before))
}

fn tell(world: &mut World, id: &str, what: &str, before: Option<Dispute>) -> Result<(), Refusal> {
    let dispute = world.disputes.find(id)?.clone();
    let before = before.map(|before| Subject::Dispute(Box::new(before)));
    let kind = format!("charge.dispute.{what}");
    world.emit(&kind, Subject::Dispute(Box::new(dispute)), before);
    Ok(())
}

fn wrong_state(text: &str) -> Refusal {
    Refusal::invalid(text).by_state()
}
