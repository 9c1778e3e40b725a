//! Orders that were sold with another patience than the shop has now.

use super::*;
use crate::domain::{dispute::DisputePolicy, entitlement::Patience, lenience::Lenience};

/// An order that was sold with so many days of grace and retention.
fn sold(mut facts: Facts, grace: i64, retention: i64) -> Facts {
    facts.order.lenience = Some(Lenience {
        patience: Patience {
            grace_us: grace * DAY_US,
            retention_us: retention * DAY_US,
        },
        disputes: DisputePolicy::Suspend,
    });
    facts
}

fn waits(until_us: i64) -> Step {
    Step::Wait {
        until_us,
        reason: None,
    }
}

#[test]
fn a_grace_time_is_the_orders_own() {
    for days in [1, 20] {
        let ends_us = MADE_US + days * DAY_US;
        let due = read(sold(running(), days, 7), "past_due");
        assert_eq!(plan(&due, MADE_US), waits(ends_us));
        assert_eq!(plan(&due, ends_us - 1), waits(ends_us));
        assert_eq!(plan(&due, ends_us), Step::SyncBilling);
    }
    // Without any it stands still by the very read that shows it.
    let due = read(sold(running(), 0, 7), "past_due");
    assert_eq!(due.billing.suspend_since_us, Some(MADE_US));
    assert_eq!(plan(&due, MADE_US), Step::Suspend);
}

#[test]
fn a_retention_is_the_orders_own() {
    for days in [1, 30] {
        let kept_us = MADE_US + days * DAY_US;
        let over = suspended(read(sold(running(), 3, days), "canceled"));
        assert_eq!(plan(&over, kept_us - 1), waits(kept_us));
        assert_eq!(plan(&over, kept_us), Step::Delete);
        let lapsed = suspended(read(sold(running(), 3, days), "unpaid"));
        assert_eq!(plan(&lapsed, kept_us - 1), waits(kept_us));
        assert_eq!(plan(&lapsed, kept_us), Step::CancelSubscription);
    }
    // Nothing is kept: it goes as soon as it stands still, and not before.
    let over = read(sold(running(), 3, 0), "canceled");
    assert_ne!(plan(&over, MADE_US), Step::Delete);
    assert_eq!(plan(&suspended(over), MADE_US), Step::Delete);
}

#[test]
fn a_shop_that_changes_its_mind_changes_nothing_that_is_sold() {
    let mut hasty = timing();
    hasty.patience = Patience {
        grace_us: 0,
        retention_us: 0,
    };
    for facts in [
        read(running(), "past_due"),
        suspended(read(running(), "canceled")),
    ] {
        let before = next_step(&sold(facts.clone(), 3, 7), &timing(), MADE_US);
        let after = next_step(&sold(facts.clone(), 3, 7), &hasty, MADE_US);
        assert_eq!(after, before);
        assert_ne!(
            next_step(&facts, &hasty, MADE_US),
            before,
            "it was sold with nothing"
        );
    }
}
