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
fn a_server_that_is_gone_is_never_made_again() {
    let mut facts = installing();
    facts.server.deleted_us = Some(MADE_US);
    assert_eq!(
        plan(&facts, MADE_US),
        Step::Park(ErrorReason::ServerMissing)
    );
}
