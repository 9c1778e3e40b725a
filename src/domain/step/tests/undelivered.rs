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
