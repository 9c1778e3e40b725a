//! Disputes that could not be read when they were last asked for.

use super::*;

/// Of which nothing could be read at `MADE_US`, so long after it became known.
fn unread(known_us: i64) -> Facts {
    let mut facts = running();
    facts.billing.disputes_open = 1;
    facts.billing.read_us = Some(MADE_US);
    facts.billing.dispute_unread_us = Some(MADE_US - known_us);
    facts
}

#[test]
fn it_is_asked_again_ever_more_seldom() {
    for (known_us, again_us) in [
        (0, MINUTE_US),
        (7 * MINUTE_US, 7 * MINUTE_US),
        (90 * MINUTE_US, 60 * MINUTE_US),
    ] {
        let (facts, again_us) = (unread(known_us), MADE_US + again_us);
        let wait = Step::Wait {
            until_us: again_us,
            reason: None,
        };
        assert_eq!(plan(&facts, MADE_US), wait);
        assert_eq!(plan(&facts, again_us), Step::SyncBilling);
        let mut parked = facts.clone();
        parked.order.error_reason = Some(ErrorReason::ServerMissing);
        assert_eq!(looks_again_us(&parked, &timing(), MADE_US), Some(again_us));
        assert_eq!(plan(&parked, again_us), Step::SyncBilling);
    }
}

#[test]
fn nothing_stops_for_it_and_all_else_goes_on() {
    let mut facts = unread(0);
    facts.billing.disputed_since_us = Some(MADE_US);
    assert_ne!(plan(&facts, MADE_US), Step::Suspend);
    let mut renamed = facts.clone();
    renamed.server.rename_us = Some(MADE_US);
    assert_eq!(plan(&renamed, MADE_US), Step::ApplySpec);
    let mut ordered = facts.clone();
    ordered.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&ordered, MADE_US), Step::Suspend);
    facts.billing.dispute_unread_us = None;
    assert_eq!(plan(&facts, MADE_US), Step::Suspend);
}

#[test]
fn what_was_told_is_brought_to_its_end() {
    let mut facts = unread(0);
    facts.billing.disputed_since_us = Some(MADE_US);
    facts.server.suspend_sent_us = Some(MADE_US);
    assert_eq!(plan(&facts, MADE_US), Step::Suspend);
}
