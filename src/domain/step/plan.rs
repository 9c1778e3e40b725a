//! The next step of an order, from its facts alone.
//!
//! Planning is pure: it compares what the customer is entitled to with what is
//! known of Stripe and the panel. A lost message, a crash, a duplicate or a
//! second replica changes only when a step is taken, never which.

use super::{Step, Timing, provision::provision_step};
use crate::domain::{
    DAY_US, MINUTE_US,
    entitlement::Entitlement,
    order::{Billing, Changing, EndWish, ErrorReason, Facts, WaitingReason},
};

/// So long before the end of its period the subscription of what was never delivered, or is gone,
/// is to end.
pub const UNDELIVERED_ENDS_US: i64 = DAY_US;

/// Where Stripe did not plan that end it is told again after this.
const TOLD_AGAIN_US: i64 = 60 * MINUTE_US;

/// What a dispute is that could not be read is asked again after this; then as long as it has been
/// known, up to the longest.
const UNREAD_AGAIN_US: i64 = MINUTE_US;
const UNREAD_LONGEST_US: i64 = 60 * MINUTE_US;

/// What a guard keeps from being suspended looks again after this. Whoever releases the guard
/// wakes it: this is for a process that died in between.
const HELD_AGAIN_US: i64 = 15 * MINUTE_US;

/// The next step. Every combination of facts has one.
pub fn next_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    match step_now(facts, timing, now_us) {
        Step::Wait { until_us, reason } => Step::Wait {
            until_us: own_times(facts, now_us).fold(until_us, i64::min),
            reason,
        },
        // What time alone will change is looked at then.
        Step::Rest(reason) => match looks_again_us(facts, timing, now_us) {
            Some(until_us) => Step::Wait { until_us, reason },
            None => Step::Rest(reason),
        },
        step => step,
    }
}

fn step_now(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    if facts.billing.over() {
        // What it paid goes back before its server goes; tried in vain, that waits for its own
        // time and holds up nothing.
        if refund_due(facts, now_us) {
            return Step::Refund;
        }
        // What a bank takes back after the end still takes a commission with it.
        let told = facts.billing.hints > facts.billing.hints_read;
        if facts.billing.disputes_open > 0 && told || unread_due(facts, now_us) {
            return Step::SyncBilling;
        }
        return wind_down(facts, timing, now_us);
    }
    match billing_step(facts, timing, now_us) {
        Some(step) if step.kind().is_some() => return step,
        _ if refund_due(facts, now_us) => return Step::Refund,
        // Nobody is charged for another period because the panel is in trouble, or because what
        // was paid is not what was ordered.
        _ if ends_before_all(facts, now_us) => return Step::PlanEnd,
        Some(_) if given_up(facts, timing, now_us) => return Step::Refund,
        Some(step) => return step,
        None => {}
    }
    if let Some(step) = settle_step(facts, timing, now_us) {
        return step;
    }
    if given_up(facts, timing, now_us) {
        return Step::Refund;
    }
    match entitled_step(facts, timing, now_us) {
        Some(step) if step.kind().is_some() => step,
        // Whatever else it waits for, and parked or not.
        _ if wanted_end(facts, now_us).is_some() => Step::PlanEnd,
        _ if facts.server.exists() && facts.server.missing_us.is_some() => missing_step(facts),
        _ if change_due(facts, now_us) => Step::ChangePlan,
        Some(step) => step,
        // A server that ran and failed later keeps its place; parked means hands off.
        None if parked(facts) => Step::Rest(None),
        None if usable(facts) && follows(facts) => Step::ApplySpec,
        // It would let a server go on that stands still.
        None if usable(facts) && wants_reinstall(facts) => Step::Reinstall,
        None => provision_step(facts, timing, now_us),
    }
}

/// Whatever is done to a server that is gone would fail, and nobody pays for more of it.
fn missing_step(facts: &Facts) -> Step {
    match facts.order.error_reason {
        None | Some(ErrorReason::PlanMismatch) => Step::Park(ErrorReason::ServerMissing),
        Some(_) => Step::Rest(None),
    }
}

/// Whether somebody has to act first. Another plan at Stripe is shown, and hinders nothing
/// that is under way.
fn parked(facts: &Facts) -> bool {
    match facts.order.error_reason {
        None => false,
        Some(ErrorReason::PlanMismatch) => !facts.server.exists(),
        Some(_) => true,
    }
}

/// When the facts ask for another step although nothing is heard: also of a parked order.
pub fn looks_again_us(facts: &Facts, timing: &Timing, now_us: i64) -> Option<i64> {
    let changes_us = facts
        .grounds()
        .changes_us(facts.patience(timing.patience), now_us);
    // Once the server is gone nothing is left to stop or delete.
    let changes_us = changes_us.filter(|_| !facts.billing.over() || facts.server.exists());
    let end_us = read_at_end_us(facts, timing).filter(|end_us| *end_us > now_us);
    let gives_up_us = gives_up_us(facts, timing).filter(|up_us| *up_us > now_us);
    changes_us
        .into_iter()
        .chain(end_us)
        .chain(gives_up_us)
        .chain(ends_undelivered_us(facts).filter(|ends_us| *ends_us > now_us))
        .chain(own_times(facts, now_us))
        .min()
}

/// How the subscription is to end: as its customer wishes, else with its period where nothing was
/// delivered by then or the server is gone, so that nobody pays for another one; and not after all
/// where it came.
pub fn wanted_end(facts: &Facts, now_us: i64) -> Option<EndWish> {
    let billing = &facts.billing;
    if billing.wish.is_some() || billing.over() {
        return billing.wish;
    }
    if facts.server.delivered() {
        return billing.ends_undelivered_us.map(|_| EndWish::Never);
    }
    let due = ends_undelivered_us(facts).is_some_and(|ends_us| ends_us <= now_us);
    due.then_some(EndWish::WithItsPeriod)
}

/// Whether the subscription's end with its period is planned whatever else is to be done: for want
/// of a server; or as its customer wishes, where nothing else is done for the order.
fn ends_before_all(facts: &Facts, now_us: i64) -> bool {
    let billing = &facts.billing;
    let alone = billing.wish.is_none() || !billing.confirmed();
    alone && charged(billing) && wanted_end(facts, now_us) == Some(EndWish::WithItsPeriod)
}

/// Whether its customer pays for it as long as its subscription goes on: it is confirmed, or paid
/// and not what was ordered.
fn charged(billing: &Billing) -> bool {
    billing.confirmed() || billing.paid() && billing.subscription_id.is_some()
}

/// When the end of a subscription is planned unless its server is there by then.
fn ends_undelivered_us(facts: &Facts) -> Option<i64> {
    let billing = &facts.billing;
    let undelivered =
        charged(billing) && !billing.over() && billing.wish.is_none() && !facts.server.delivered();
    let period_us = billing.current_period_end_us.filter(|_| undelivered)?;
    // Whoever planned an end: one beyond the period costs another one.
    if billing
        .cancel_at_us
        .is_some_and(|end_us| end_us <= period_us)
    {
        return None;
    }
    let ends_us = period_us.saturating_sub(UNDELIVERED_ENDS_US);
    // Told in vain: Stripe is asked again, but the server may still come meanwhile.
    let again_us = billing
        .ends_undelivered_us
        .map(|told_us| told_us + TOLD_AGAIN_US);
    Some(again_us.map_or(ends_us, |again_us| again_us.max(ends_us)))
}

/// What has times of its own, whatever else the order waits for.
fn own_times(facts: &Facts, now_us: i64) -> impl Iterator<Item = i64> {
    let looks_us = changing(facts).and_then(|change| change.look_us);
    let looks_us = looks_us.filter(|look_us| *look_us > now_us);
    refund_us(facts, now_us)
        .into_iter()
        .chain(looks_us)
        .chain(unread_us(facts).filter(|unread_us| *unread_us > now_us))
        .chain(held_until_us(facts, now_us))
}

/// When a dispute is asked for again that could not be read. Meanwhile its order goes on: one that
/// can never be read must not hold up everything else of it.
fn unread_us(facts: &Facts) -> Option<i64> {
    let noted_us = facts.billing.dispute_unread_us?;
    // Its event has it read at once.
    let read_us = facts.billing.read_us.unwrap_or(noted_us);
    let known_us = read_us.saturating_sub(noted_us);
    Some(read_us.saturating_add(known_us.clamp(UNREAD_AGAIN_US, UNREAD_LONGEST_US)))
}

fn unread_due(facts: &Facts, now_us: i64) -> bool {
    unread_us(facts).is_some_and(|unread_us| unread_us <= now_us)
}

/// Until when a disputed server runs on because the guard of a sweep holds. Meanwhile its order
/// goes on like that of any server that runs.
fn held_until_us(facts: &Facts, now_us: i64) -> Option<i64> {
    let held_us = facts.server.suspend_held_us;
    let until_us = held_us.filter(|_| stops_for_disputes(facts))? + HELD_AGAIN_US;
    (until_us > now_us).then_some(until_us)
}

/// Whether it runs on because nobody can say whether the bank still has its money.
fn runs_on_unread(facts: &Facts) -> bool {
    facts.billing.dispute_unread_us.is_some() && stops_for_disputes(facts)
}

/// Whether disputes alone are to stop a server that the panel was not told of yet.
fn stops_for_disputes(facts: &Facts) -> bool {
    let server = &facts.server;
    let stands_still = server.suspended_us.is_some() && !server.let_go();
    let told = stands_still || server.suspend_sent_us.is_some();
    !told && usable(facts) && facts.disputed_alone()
}

/// A change of plan that Stripe has a say in: not paid, and its subscription lives.
fn changing(facts: &Facts) -> Option<&Changing> {
    let change = facts.change.as_ref()?;
    let open = change.paid_us.is_none() && !facts.billing.over() && facts.billing.confirmed();
    open.then_some(change)
}

/// Whether Stripe is to be told of a change of plan, or asked what became of it.
fn change_due(facts: &Facts, now_us: i64) -> bool {
    let Some(change) = changing(facts) else {
        return false;
    };
    facts.billing.subscription_id.is_some()
        && change.look_us.is_none_or(|look_us| look_us <= now_us)
}

/// Whether name or limits on the panel are to follow the order's.
fn follows(facts: &Facts) -> bool {
    facts.server.respec_us.is_some() || facts.server.rename_us.is_some()
}

/// Whether its install script is to run again, and may.
fn wants_reinstall(facts: &Facts) -> bool {
    let server = &facts.server;
    server.reinstall_us.is_some() && server.suspended_us.or(server.suspend_sent_us).is_none()
}

/// Whether its customer can use its server, or could.
fn usable(facts: &Facts) -> bool {
    facts.server.exists() && facts.server.ever_ran()
}

/// Whether a payment is to go back now.
fn refund_due(facts: &Facts, now_us: i64) -> bool {
    let billing = &facts.billing;
    billing.refunds_due > 0
        && billing
            .refund_next_us
            .is_none_or(|next_us| next_us <= now_us)
}

/// When one is tried again that was tried in vain.
fn refund_us(facts: &Facts, now_us: i64) -> Option<i64> {
    let billing = &facts.billing;
    billing
        .refund_next_us
        .filter(|next_us| billing.refunds_due > 0 && *next_us > now_us)
}

/// Whether a paid order had no server for so long that its payment goes back.
pub fn given_up(facts: &Facts, timing: &Timing, now_us: i64) -> bool {
    gives_up_us(facts, timing).is_some_and(|up_us| up_us <= now_us)
}

/// When an order is given up unless its server is ready by then. Not while a create is in
/// doubt, and not where its end is wanted anyway.
fn gives_up_us(facts: &Facts, timing: &Timing) -> Option<i64> {
    let (billing, server) = (&facts.billing, &facts.server);
    let undelivered = !server.ever_ran()
        && !server.in_doubt()
        && !billing.over()
        && billing.wish != Some(EndWish::Now)
        && server.terminated_us.is_none();
    // What is not what was ordered was paid, nobody knows when: before its session ended.
    let paid_us = charged(billing).then(|| session_end_us(billing));
    let since_us = billing.confirmed_at_us.or(paid_us);
    let since_us = since_us.filter(|_| undelivered)?;
    Some(since_us.saturating_add(timing.refund_unfulfillable_after_us?))
}

/// What Stripe has to be told or asked, before anything else.
fn billing_step(facts: &Facts, timing: &Timing, now_us: i64) -> Option<Step> {
    let billing = &facts.billing;
    if billing.session_id.is_none() {
        return Some(Step::OpenSession);
    }
    // Whoever is charged and does not want it any more waits for nothing.
    let unwanted = billing.wish == Some(EndWish::Now) || facts.server.terminated_us.is_some();
    if unwanted && billing.subscription_id.is_some() {
        return Some(Step::CancelSubscription);
    }
    if billing.hints > billing.hints_read || unread_due(facts, now_us) {
        return Some(Step::SyncBilling);
    }
    // What ends by time alone is read first: its customer may have paid meanwhile.
    if read_at_end_us(facts, timing).is_some_and(|end_us| end_us <= now_us) {
        return Some(Step::SyncBilling);
    }
    if billing.confirmed() {
        let grace_ended = billing.suspend_since_us.is_none()
            && matches!(
                facts.grounds().entitle(facts.patience(timing.patience), now_us),
                Entitlement::Suspended(reasons) if reasons.billing
            );
        return grace_ended.then_some(Step::SyncBilling);
    }
    let complete = billing.session_status.as_deref() == Some("complete");
    // Parked, it waits for a person, but what it holds still ends with its session.
    if facts.order.error_reason.is_some() && complete {
        return Some(Step::Rest(None));
    }
    let ask_us = if complete && billing.paid() {
        // Paid, but its subscription was not there yet.
        billing.read_us.unwrap_or(0) + timing.settle_again_us
    } else if complete {
        billing.read_us.unwrap_or(0) + timing.delayed_payment_us
    } else if billing.expire_requested {
        // Stripe may refuse to end it while its customer pays: asked again, but not at once.
        billing
            .read_us
            .map_or(now_us, |read| read + timing.settle_again_us)
    } else {
        // Asked once past its expiry; a session still open then is ended by the same step.
        (session_end_us(billing) + timing.session_grace_us).max(
            billing
                .read_us
                .map_or(0, |read| read + timing.session_grace_us),
        )
    };
    if ask_us <= now_us {
        return Some(Step::SyncBilling);
    }
    Some(Step::Wait {
        until_us: ask_us,
        reason: Some(WaitingReason::AwaitingPayment),
    })
}

/// When the session ends unless it is paid.
fn session_end_us(billing: &Billing) -> i64 {
    billing
        .session_expires_us
        .unwrap_or(billing.request_expires_us)
}

/// When a subscription with a known end is read though nobody told that it came: once it
/// is past, then every hour while Stripe has not ended it.
fn read_at_end_us(facts: &Facts, timing: &Timing) -> Option<i64> {
    let billing = &facts.billing;
    if billing.over() || !charged(billing) {
        return None;
    }
    let end_us = billing.cancel_at_us? + timing.session_grace_us;
    let read_us = billing.read_us.filter(|read_us| *read_us >= end_us);
    Some(read_us.map_or(end_us, |read_us| read_us + timing.delayed_payment_us))
}

/// Brings the server to what its customer is entitled to: stops it, lets it go on, or ends
/// its subscription before it goes. `None` where nothing of that is to be done.
fn entitled_step(facts: &Facts, timing: &Timing, now_us: i64) -> Option<Step> {
    let server = &facts.server;
    let usable = usable(facts);
    match facts
        .grounds()
        .entitle(facts.patience(timing.patience), now_us)
    {
        Entitlement::Ended if facts.billing.subscription_over() => {
            server.exists().then_some(Step::Delete)
        }
        Entitlement::Ended => Some(Step::CancelSubscription),
        Entitlement::Suspended(_) if usable => {
            let runs_on = held_until_us(facts, now_us).is_some() || runs_on_unread(facts);
            // What is over and gone finds that out by this, and is done with.
            let there = server.missing_us.is_none() || facts.billing.over();
            let stands_still = server.suspended_us.is_some() && !server.let_go();
            (!stands_still && there && !runs_on).then_some(Step::Suspend)
        }
        // Not made for somebody who does not pay for it, or whose bank takes the money back;
        // nothing else would look again.
        Entitlement::Suspended(reasons)
            if (reasons.billing || reasons.dispute) && !server.exists() =>
        {
            let read_us = facts.billing.read_us.unwrap_or(0);
            let until_us = read_us + timing.delayed_payment_us;
            Some(if until_us <= now_us {
                Step::SyncBilling
            } else {
                Step::Wait {
                    until_us,
                    reason: Some(WaitingReason::AwaitingPayment),
                }
            })
        }
        // Also where Stripe's word is not one that we know: what kept it stopped has ended.
        Entitlement::Running | Entitlement::Unchanged if usable && !facts.billing.over() => {
            let told = server.suspend_sent_us.or(server.suspended_us);
            let there = server.missing_us.is_none();
            (told.is_some() && there).then_some(Step::Unsuspend)
        }
        Entitlement::Suspended(_) | Entitlement::Running | Entitlement::Unchanged => None,
    }
}

/// Settles a create whose answer never came. Two looks of a live order, three
/// late ones of an order that has ended. And a reinstall: one that lands late lets a server go
/// on that was stopped meanwhile.
fn settle_step(facts: &Facts, timing: &Timing, now_us: i64) -> Option<Step> {
    let server = &facts.server;
    let there = server.missing_us.is_none();
    if server.reinstall_sent_us.is_some() && usable(facts) && there && !parked(facts) {
        return Some(Step::Reinstall);
    }
    if !server.in_doubt() {
        return None;
    }
    let sent_us = server.create_sent_us?;
    let looks = usize::try_from(server.settle_looks).unwrap_or(usize::MAX);
    let look_us = if facts.billing.over() {
        let [.., last_us] = timing.late_looks_us;
        let look_us = timing.late_looks_us.get(looks).copied().unwrap_or(last_us);
        sent_us + look_us.max(timing.settle_us)
    } else if looks == 0 {
        sent_us + timing.settle_us
    } else {
        let first_look_us = server.looked_us.unwrap_or(sent_us + timing.settle_us);
        first_look_us.max(sent_us + timing.settle_us) + timing.settle_again_us
    };
    if look_us <= now_us {
        return Some(Step::SettleCreate);
    }
    Some(Step::Wait {
        until_us: look_us,
        reason: Some(WaitingReason::OutcomeUnknown),
    })
}

/// How many look-ups that find nothing settle a create.
pub fn looks_to_settle(over: bool) -> i32 {
    if over { 3 } else { 2 }
}

/// Ends what an ended order still holds. A server that its customer used stands still for as
/// long as it is kept; one that never came into use goes at once.
fn wind_down(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    if let Some(step) = settle_step(facts, timing, now_us) {
        return step;
    }
    if facts.server.exists() {
        if !facts.server.ever_ran() {
            return Step::Delete;
        }
        return entitled_step(facts, timing, now_us).unwrap_or(Step::Rest(None));
    }
    if facts.hold_node.is_some() || facts.ports > 0 || facts.change.is_some() {
        return Step::Release;
    }
    Step::Rest(None)
}
