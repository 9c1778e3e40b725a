//! The end of a subscription whose server never came.

use super::*;

#[test]
fn what_is_not_delivered_ends_with_its_period_and_goes_on_if_it_comes() {
    let mut facts = placed();
    let ends_us = MADE_US + 40 * UNDELIVERED_ENDS_US;
    facts.billing.current_period_end_us = Some(ends_us + UNDELIVERED_ENDS_US);
    facts.billing.subscription_id = Some("sub_1".to_owned());
    facts.billing.read_us = Some(ends_us);
    assert_eq!(wanted_end(&facts, ends_us - 1), None);
    assert_eq!(wanted_end(&facts, ends_us), Some(EndWish::WithItsPeriod));
    assert_eq!(
        plan(&facts, ends_us),
        Step::PlanEnd,
        "also before it is made"
    );
    let mut parked = facts.clone();
    parked.order.error_reason = Some(ErrorReason::InstallFailed);
    assert_eq!(looks_again_us(&parked, &timing(), MADE_US), Some(ends_us));
    assert_eq!(plan(&parked, ends_us), Step::PlanEnd);
    let mut told = facts.clone();
    told.billing.ends_undelivered_us = Some(ends_us);
    let again_us = ends_us + 60 * MINUTE_US;
    assert_ne!(plan(&told, ends_us), Step::PlanEnd, "it may still come");
    assert_eq!(plan(&told, again_us), Step::PlanEnd, "told in vain");
    let mut in_doubt = facts.clone();
    in_doubt.server.create_sent_us = Some(ends_us);
    assert_eq!(plan(&in_doubt, ends_us), Step::PlanEnd);
    // It is planned, by whomever.
    facts.billing.cancel_at_us = facts.billing.current_period_end_us;
    assert_eq!(wanted_end(&facts, ends_us), None);
    // It came: what its customer planned stays.
    facts.server.panel_id = Some(9);
    facts.server.first_running_us = Some(ends_us);
    facts.server.observed_status = Some(String::new());
    assert_eq!(wanted_end(&facts, ends_us), None);
    facts.billing.ends_undelivered_us = Some(ends_us);
    assert_eq!(wanted_end(&facts, ends_us), Some(EndWish::Never));
    facts.billing.wish = Some(EndWish::WithItsPeriod);
    assert_eq!(wanted_end(&facts, ends_us), Some(EndWish::WithItsPeriod));
}

/// Paid, and parked because it is not what was ordered.
fn mismatched() -> Facts {
    let mut facts = paid();
    facts.billing.confirmed_at_us = None;
    facts.order.error_reason = Some(ErrorReason::BillingMismatch);
    facts
}

#[test]
fn what_was_paid_otherwise_than_ordered_ends_with_its_period() {
    let mut facts = mismatched();
    assert_eq!(plan(&facts, MADE_US), Step::Rest(None));
    let end_us = MADE_US + 40 * UNDELIVERED_ENDS_US;
    let ends_us = end_us - UNDELIVERED_ENDS_US;
    facts.billing.current_period_end_us = Some(end_us);
    let until = |until_us| Step::Wait {
        until_us,
        reason: None,
    };
    assert_eq!(plan(&facts, MADE_US), until(ends_us));
    assert_eq!(plan(&facts, ends_us), Step::PlanEnd);
    // A customer's own wish waits for nobody either.
    let mut wished = facts.clone();
    wished.billing.wish = Some(EndWish::WithItsPeriod);
    assert_eq!(plan(&wished, MADE_US), Step::PlanEnd);
    // Told in vain, and told again.
    facts.billing.ends_undelivered_us = Some(ends_us);
    let again_us = ends_us + 60 * MINUTE_US;
    assert_eq!(plan(&facts, ends_us), until(again_us));
    assert_eq!(plan(&facts, again_us), Step::PlanEnd);
    // Nobody may tell that it is over.
    facts.billing.cancel_at_us = Some(end_us);
    let read_us = end_us + timing().session_grace_us;
    assert_eq!(plan(&facts, ends_us), until(read_us));
    assert_eq!(plan(&facts, read_us), Step::SyncBilling);
    assert_eq!(plan(&cancel(facts), read_us), Step::Release);
    // What is not paid ends with its session.
    let mut unpaid = mismatched();
    unpaid.billing.current_period_end_us = Some(end_us);
    unpaid.billing.payment_status = Some("unpaid".to_owned());
    assert_eq!(plan(&unpaid, ends_us), Step::Rest(None));
}

#[test]
fn what_was_paid_otherwise_than_ordered_goes_back_where_that_is_the_policy() {
    let policy = Timing {
        refund_unfulfillable_after_us: Some(DAY_US),
        ..timing()
    };
    let facts = mismatched();
    let late_us = EXPIRES_US + DAY_US;
    let until = Step::Wait {
        until_us: late_us,
        reason: None,
    };
    assert_eq!(next_step(&facts, &policy, MADE_US), until);
    assert_eq!(next_step(&facts, &policy, late_us), Step::Refund);
    assert_eq!(plan(&facts, late_us), Step::Rest(None));
}
