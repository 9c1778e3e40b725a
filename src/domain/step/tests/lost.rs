//! Servers that are gone although their orders go on.

use super::*;
use crate::domain::order::ErrorReason;

#[test]
fn a_server_that_the_panel_lost_waits_for_somebody() {
    let mut facts = running();
    facts.server.missing_us = Some(MADE_US);
    facts.server.respec_us = Some(MADE_US);
    let park = Step::Park(ErrorReason::ServerMissing);
    for reason in [None, Some(ErrorReason::PlanMismatch)] {
        facts.order.error_reason = reason;
        assert_eq!(plan(&facts, MADE_US), park, "{reason:?}");
    }
    // Nobody can stop it either.
    facts.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&facts, MADE_US), park);
    for reason in [ErrorReason::ServerMissing, ErrorReason::InstallFailed] {
        facts.order.error_reason = Some(reason);
        let waits = plan(&facts, MADE_US);
        assert!(
            matches!(waits, Step::Rest(_) | Step::Wait { .. }),
            "{waits:?}"
        );
    }
}

#[test]
fn a_server_that_the_panel_lost_is_kept_no_longer_than_one_that_stands_still() {
    let mut facts = running();
    facts.order.error_reason = Some(ErrorReason::ServerMissing);
    facts.billing.subscription_status = Some("unpaid".to_owned());
    facts.billing.suspend_since_us = Some(MADE_US);
    facts.server.missing_us = Some(MADE_US + DAY_US);
    let last_us = MADE_US + 8 * DAY_US;
    assert_ne!(plan(&facts, last_us - 1), Step::CancelSubscription);
    assert_eq!(plan(&facts, last_us), Step::CancelSubscription);
}

#[test]
fn nobody_pays_for_another_period_of_a_server_that_is_gone() {
    let mut facts = running();
    let end_us = MADE_US + 40 * DAY_US;
    let ends_us = end_us - UNDELIVERED_ENDS_US;
    facts.billing.subscription_id = Some("sub_1".to_owned());
    facts.billing.current_period_end_us = Some(end_us);
    facts.billing.read_us = Some(MADE_US);
    assert_eq!(wanted_end(&facts, ends_us), None, "it is there");
    facts.server.missing_us = Some(MADE_US);
    facts.order.error_reason = Some(ErrorReason::ServerMissing);
    assert_eq!(looks_again_us(&facts, &timing(), MADE_US), Some(ends_us));
    assert_eq!(wanted_end(&facts, ends_us - 1), None);
    assert_eq!(plan(&facts, ends_us), Step::PlanEnd);
    // Stripe knows; and if it comes back the end is taken back.
    facts.billing.ends_undelivered_us = Some(ends_us);
    facts.billing.cancel_at_us = Some(end_us);
    assert_ne!(plan(&facts, ends_us), Step::PlanEnd);
    facts.server.missing_us = None;
    facts.order.error_reason = None;
    assert_eq!(wanted_end(&facts, ends_us), Some(EndWish::Never));
    assert_eq!(plan(&facts, ends_us), Step::PlanEnd);
}

/// Nothing of the panel stands in the way of what is to be told to Stripe, nor is planned in a circle.
#[test]
fn what_is_gone_is_neither_stopped_nor_let_go_nor_reinstalled() {
    let mut facts = running();
    facts.billing.subscription_id = Some("sub_1".to_owned());
    facts.server.missing_us = Some(MADE_US);
    facts.order.error_reason = Some(ErrorReason::ServerMissing);
    let rests = |facts: &Facts| {
        let step = plan(facts, MADE_US);
        assert!(
            matches!(step, Step::Rest(_) | Step::Wait { .. }),
            "{step:?}"
        );
    };
    let mut stopped = facts.clone();
    stopped.server.suspend_sent_us = Some(MADE_US);
    stopped.server.suspended_us = Some(MADE_US);
    rests(&stopped);
    let mut installing = facts.clone();
    installing.order.error_reason = None;
    installing.server.reinstall_sent_us = Some(MADE_US);
    assert_eq!(
        plan(&installing, MADE_US),
        Step::Park(ErrorReason::ServerMissing)
    );
    // What its customer wants of the subscription is done.
    for wish in [EndWish::WithItsPeriod, EndWish::Never] {
        for facts in [&facts, &stopped] {
            let mut wished = facts.clone();
            wished.billing.wish = Some(wish);
            assert_eq!(plan(&wished, MADE_US), Step::PlanEnd, "{wish:?}");
        }
    }
}

#[test]
fn a_server_that_is_gone_is_never_made_again() {
    let mut facts = installing();
    facts.server.deleted_us = Some(MADE_US);
    assert_eq!(
        plan(&facts, MADE_US),
        Step::Park(ErrorReason::ServerMissing)
    );
}
