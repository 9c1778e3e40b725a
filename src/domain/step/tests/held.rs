//! Servers that the guard of a sweep keeps from being suspended.

use super::*;

/// Disputed, and held back at `MADE_US`.
fn held() -> Facts {
    let mut facts = running();
    facts.billing.disputes_open = 1;
    facts.billing.disputed_since_us = Some(MADE_US);
    assert_eq!(plan(&facts, MADE_US), Step::Suspend);
    facts.server.suspend_held_us = Some(MADE_US);
    facts
}

const AGAIN_US: i64 = MADE_US + 15 * MINUTE_US;

#[test]
fn it_runs_on_and_looks_again() {
    let facts = held();
    let wait = Step::Wait {
        until_us: AGAIN_US,
        reason: None,
    };
    assert_eq!(plan(&facts, MADE_US), wait);
    assert_eq!(plan(&facts, AGAIN_US - 1), wait);
    assert_eq!(plan(&facts, AGAIN_US), Step::Suspend);
    let mut parked = facts.clone();
    parked.order.error_reason = Some(ErrorReason::PlanMismatch);
    assert_eq!(plan(&parked, MADE_US), wait);
    assert_eq!(looks_again_us(&parked, &timing(), MADE_US), Some(AGAIN_US));
    let mut won = facts;
    won.billing.disputed_since_us = None;
    assert_eq!(plan(&won, MADE_US), Step::Rest(None));
}

#[test]
fn what_others_say_of_it_is_done_at_once() {
    let mut ordered = held();
    ordered.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&ordered, MADE_US), Step::Suspend);
    assert_eq!(plan(&read(held(), "unpaid"), MADE_US), Step::Suspend);
    assert_eq!(plan(&read(held(), "canceled"), MADE_US), Step::Suspend);
    let mut gone = held();
    gone.server.terminated_us = Some(MADE_US);
    assert_eq!(plan(&gone, MADE_US), Step::CancelSubscription);
    // The panel may have been told: that is brought to its end.
    let mut told = held();
    told.server.suspend_sent_us = Some(MADE_US);
    assert_eq!(plan(&told, MADE_US), Step::Suspend);
}

/// Somebody else had stopped it, and let it go on: it waits for the guard like any that runs.
#[test]
fn what_others_let_go_on_is_held_too() {
    let mut let_go = held();
    let_go.server.suspended_us = Some(MADE_US);
    let_go.server.observed_status = Some(String::new());
    let wait = Step::Wait {
        until_us: AGAIN_US,
        reason: None,
    };
    assert_eq!(plan(&let_go, MADE_US), wait);
    assert_eq!(plan(&let_go, AGAIN_US), Step::Suspend);
    let_go.server.observed_status = Some("suspended".to_owned());
    assert_eq!(plan(&let_go, MADE_US), Step::Rest(None));
}

#[test]
fn its_customer_waits_for_nothing() {
    let mut leaves = held();
    leaves.billing.wish = Some(EndWish::WithItsPeriod);
    assert_eq!(plan(&leaves, MADE_US), Step::PlanEnd);
    let mut changed = held();
    changed.server.respec_us = Some(MADE_US);
    assert_eq!(plan(&changed, MADE_US), Step::ApplySpec);
}
