//! Planning is tested three ways: by examples that read as the design does, by
//! invariants over the product of all facts, and by a model that lives orders to
//! their end.

use super::*;
use crate::domain::{
    DAY_US,
    order::{
        EndWish, Facts,
        tests::{EXPIRES_US, MADE_US, NODE, facts},
    },
};

mod held;
mod lenience;
mod lost;
mod model;
mod product;
mod properties;
mod reinstall;
mod scenario;
mod undelivered;
mod unread;

/// Times of these tests: the defaults.
fn timing() -> Timing {
    Timing::default()
}

fn plan(facts: &Facts, now_us: i64) -> Step {
    next_step(facts, &timing(), now_us)
}

/// An order whose session is open.
fn open() -> Facts {
    let mut facts = facts();
    facts.billing.session_id = Some("cs_1".to_owned());
    facts.billing.session_status = Some("open".to_owned());
    facts.billing.session_expires_us = Some(EXPIRES_US);
    facts
}

/// An order that our own read of Stripe has confirmed as paid.
fn paid() -> Facts {
    let mut facts = open();
    facts.billing.session_status = Some("complete".to_owned());
    facts.billing.payment_status = Some("paid".to_owned());
    facts.billing.subscription_id = Some("sub_1".to_owned());
    facts.billing.subscription_status = Some("active".to_owned());
    facts.billing.confirmed_at_us = Some(MADE_US);
    facts.billing.read_us = Some(MADE_US);
    facts
}

/// A paid order with its account, and a request that only has to be sent.
fn placed() -> Facts {
    let mut facts = paid();
    facts.panel_user = Some(7);
    facts.server.attempt = 1;
    facts.server.node_id = Some(NODE);
    facts.server.has_create_request = true;
    facts
}

/// A paid order whose create was sent at `MADE_US` and never answered.
fn in_doubt() -> Facts {
    let mut facts = placed();
    facts.server.create_sent_us = Some(MADE_US);
    facts
}

/// A paid order whose server is being installed since `MADE_US`.
fn installing() -> Facts {
    let mut facts = placed();
    facts.server.has_create_request = false;
    facts.server.panel_id = Some(9);
    facts.server.install_since_us = Some(MADE_US);
    facts.server.observed_status = Some("installing".to_owned());
    facts
}

fn cancel(mut facts: Facts) -> Facts {
    facts.billing.subscription_status = Some("canceled".to_owned());
    facts
}

fn expire(mut facts: Facts) -> Facts {
    facts.billing.session_status = Some("expired".to_owned());
    facts
}

#[test]
fn a_purchase_goes_from_one_step_to_the_next() {
    assert_eq!(plan(&facts(), MADE_US), Step::OpenSession);
    let until_us = EXPIRES_US + timing().session_grace_us;
    let reason = Some(WaitingReason::AwaitingPayment);
    assert_eq!(plan(&open(), MADE_US), Step::Wait { until_us, reason });
    let mut told = open();
    told.billing.hints = 1;
    assert_eq!(plan(&told, MADE_US), Step::SyncBilling);
    assert_eq!(plan(&paid(), MADE_US), Step::EnsureOwner);
    let mut owned = paid();
    owned.panel_user = Some(7);
    assert_eq!(plan(&owned, MADE_US), Step::Place);
    assert_eq!(plan(&placed(), MADE_US), Step::CreateServer);
    let until_us = MADE_US + timing().install_limit_us;
    let reason = Some(WaitingReason::Installing);
    assert_eq!(
        plan(&installing(), MADE_US),
        Step::Wait { until_us, reason }
    );
    assert_eq!(plan(&running(), MADE_US), Step::Rest(None));
}

#[test]
fn without_any_event_the_session_is_read_a_minute_after_its_expiry() {
    let due_us = EXPIRES_US + timing().session_grace_us;
    assert!(matches!(plan(&open(), due_us - 1), Step::Wait { .. }));
    assert_eq!(plan(&open(), due_us), Step::SyncBilling);
    // Read and still open: read again, but not at once.
    let mut read = open();
    read.billing.read_us = Some(due_us);
    let until_us = due_us + timing().session_grace_us;
    assert_eq!(
        plan(&read, due_us),
        Step::Wait {
            until_us,
            reason: Some(WaitingReason::AwaitingPayment)
        }
    );
}

#[test]
fn a_session_that_is_to_end_early_is_ended_now() {
    let mut asked = open();
    asked.billing.expire_requested = true;
    assert_eq!(plan(&asked, MADE_US), Step::SyncBilling);
    // A read before the request does not put it off for long, and one after it that
    // could not end the session does not make a hot loop.
    asked.billing.read_us = Some(MADE_US);
    let until_us = MADE_US + timing().settle_again_us;
    let reason = Some(WaitingReason::AwaitingPayment);
    assert_eq!(plan(&asked, MADE_US), Step::Wait { until_us, reason });
    assert_eq!(plan(&asked, until_us), Step::SyncBilling);
}

#[test]
fn a_paid_session_that_names_no_subscription_yet_is_read_again_soon() {
    let mut facts = open();
    facts.billing.session_status = Some("complete".to_owned());
    facts.billing.read_us = Some(MADE_US);
    let reason = Some(WaitingReason::AwaitingPayment);
    for paid in ["paid", "no_payment_required"] {
        facts.billing.payment_status = Some(paid.to_owned());
        let until_us = MADE_US + timing().settle_again_us;
        assert_eq!(
            plan(&facts, MADE_US),
            Step::Wait { until_us, reason },
            "{paid}"
        );
        assert_eq!(plan(&facts, until_us), Step::SyncBilling, "{paid}");
    }
    // A delayed method takes days.
    facts.billing.payment_status = Some("unpaid".to_owned());
    let until_us = MADE_US + timing().delayed_payment_us;
    assert_eq!(plan(&facts, MADE_US), Step::Wait { until_us, reason });
}

#[test]
fn a_create_is_sent_only_for_what_is_held_where_it_goes() {
    let spoilt: [fn(&mut Facts); 5] = [
        |f| f.server.attempt = 0,
        |f| f.server.has_create_request = false,
        |f| f.hold_node = None,
        |f| f.hold_node = Some(NODE + 1),
        |f| f.ports -= 1,
    ];
    for (index, spoil) in spoilt.into_iter().enumerate() {
        let mut facts = placed();
        spoil(&mut facts);
        assert_eq!(plan(&facts, MADE_US), Step::Place, "{index}");
    }
}

#[test]
fn nothing_is_made_on_an_old_read_of_stripe() {
    let fresh_us = MADE_US + timing().billing_fresh_us;
    for facts in [paid(), placed()] {
        assert_ne!(plan(&facts, fresh_us), Step::SyncBilling);
        assert_eq!(plan(&facts, fresh_us + 1), Step::SyncBilling);
    }
    let doubt = plan(&in_doubt(), fresh_us + 1);
    assert_eq!(doubt, Step::SettleCreate, "a look makes nothing");
}

#[test]
fn a_create_in_doubt_is_looked_for_twice() {
    let timing = timing();
    let first_us = MADE_US + timing.settle_us;
    let reason = Some(WaitingReason::OutcomeUnknown);
    let mut facts = in_doubt();
    assert_eq!(
        plan(&facts, MADE_US),
        Step::Wait {
            until_us: first_us,
            reason
        }
    );
    assert_eq!(plan(&facts, first_us), Step::SettleCreate);
    facts.server.settle_looks = 1;
    let second_us = first_us + timing.settle_again_us;
    assert_eq!(
        plan(&facts, first_us),
        Step::Wait {
            until_us: second_us,
            reason
        }
    );
    assert_eq!(plan(&facts, second_us), Step::SettleCreate);
    assert_eq!(looks_to_settle(false), 2);
    // Parked or not: what may be there is looked for.
    facts.order.error_reason = Some(ErrorReason::PanelRejected);
    assert_eq!(plan(&facts, second_us), Step::SettleCreate);
}

#[test]
fn a_create_of_an_ended_order_is_looked_for_three_times_before_room_is_given_back() {
    let mut facts = cancel(in_doubt());
    for look_us in timing().late_looks_us {
        let due_us = MADE_US + look_us;
        assert!(matches!(plan(&facts, due_us - 1), Step::Wait { .. }));
        assert_eq!(plan(&facts, due_us), Step::SettleCreate);
        facts.server.settle_looks += 1;
    }
    assert_eq!(looks_to_settle(true), facts.server.settle_looks);
    // More looks than are planned are never a reason to look too early.
    assert!(matches!(plan(&facts, MADE_US), Step::Wait { .. }));
    facts.server.create_sent_us = None;
    assert_eq!(plan(&facts, MADE_US), Step::Release);
}

#[test]
fn an_ended_order_gives_back_what_it_holds() {
    let mut facts = expire(open());
    assert_eq!(plan(&facts, MADE_US), Step::Release);
    facts.hold_node = None;
    assert_eq!(plan(&facts, MADE_US), Step::Release);
    facts.ports = 0;
    assert_eq!(plan(&facts, MADE_US), Step::Rest(None));

    let mut half_made = cancel(installing());
    assert_eq!(plan(&half_made, MADE_US), Step::Delete);
    half_made.server.deleted_us = Some(MADE_US);
    assert_eq!(plan(&half_made, MADE_US), Step::Release);
}

/// A server that its customer used.
fn running() -> Facts {
    let mut facts = installing();
    facts.server.observed_status = Some(String::new());
    facts.server.first_running_us = Some(MADE_US);
    facts
}

/// As a read at `MADE_US` stores this word of Stripe's.
fn read(mut facts: Facts, status: &str) -> Facts {
    facts.billing.subscription_status = Some(status.to_owned());
    let standing = facts.billing.standing();
    let patience = facts.patience(timing().patience);
    let grounds = facts.grounds().after_read(standing, patience, MADE_US);
    facts.billing.past_due_since_us = grounds.past_due_since_us;
    facts.billing.suspend_since_us = grounds.suspend_since_us;
    facts
}

fn suspended(mut facts: Facts) -> Facts {
    facts.server.suspend_sent_us = Some(MADE_US);
    facts.server.suspended_us = Some(MADE_US);
    facts.server.observed_status = Some("suspended".to_owned());
    facts
}

#[test]
fn a_used_server_stands_still_and_goes_after_the_retention() {
    let kept_us = MADE_US + timing().patience.retention_us;
    let kept = Step::Wait {
        until_us: kept_us,
        reason: None,
    };
    let over = read(running(), "canceled");
    assert_eq!(plan(&over, MADE_US), Step::Suspend);
    let over = suspended(over);
    assert_eq!(plan(&over, MADE_US), kept);
    assert_eq!(plan(&over, kept_us), Step::Delete);
    let mut gone = over;
    gone.server.deleted_us = Some(kept_us);
    assert_eq!(plan(&gone, kept_us), Step::Release);
    // What may still be charged ends at Stripe first.
    for status in ["unpaid", "paused"] {
        let lapsed = read(running(), status);
        assert_eq!(plan(&lapsed, MADE_US), Step::Suspend);
        let lapsed = suspended(lapsed);
        assert_eq!(plan(&lapsed, MADE_US), kept);
        assert_eq!(plan(&lapsed, kept_us), Step::CancelSubscription);
    }
}

#[test]
fn a_payment_that_fails_is_read_again_when_the_grace_time_ends() {
    let ends_us = MADE_US + timing().patience.grace_us;
    let due = read(running(), "past_due");
    let graced = Step::Wait {
        until_us: ends_us,
        reason: None,
    };
    assert_eq!(plan(&due, MADE_US), graced);
    assert_eq!(plan(&due, ends_us), Step::SyncBilling);
    let mut stopped = due;
    stopped.billing.suspend_since_us = Some(ends_us);
    assert_eq!(plan(&stopped, ends_us), Step::Suspend);
    let stopped = suspended(stopped);
    // As long as Stripe tries, nothing is deleted.
    assert_eq!(plan(&stopped, ends_us * 2), Step::Rest(None));
    let paid = read(stopped, "active");
    assert_eq!(plan(&paid, ends_us), Step::Unsuspend);
    // Also where nobody knows whether the panel heard of the suspension.
    let mut in_doubt = paid;
    in_doubt.server.suspended_us = None;
    assert_eq!(plan(&in_doubt, ends_us), Step::Unsuspend);
}

#[test]
fn a_planned_end_is_read_when_it_is_past() {
    let mut facts = running();
    let end_us = MADE_US + 20 * MINUTE_US;
    facts.billing.cancel_at_us = Some(end_us);
    let read_us = end_us + timing().session_grace_us;
    let wait = |until_us| Step::Wait {
        until_us,
        reason: None,
    };
    assert_eq!(plan(&facts, MADE_US), wait(read_us));
    assert_eq!(plan(&facts, read_us), Step::SyncBilling);
    // Stripe may be late.
    facts.billing.read_us = Some(read_us);
    assert_eq!(
        plan(&facts, read_us),
        wait(read_us + timing().delayed_payment_us)
    );
}

#[test]
fn an_operator_stops_a_server_that_is_paid_for() {
    let mut facts = running();
    facts.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&facts, MADE_US), Step::Suspend);
    let mut facts = suspended(facts);
    assert_eq!(plan(&facts, MADE_US * 2), Step::Rest(None));
    facts.server.operator_suspended_us = None;
    assert_eq!(plan(&facts, MADE_US), Step::Unsuspend);
    // Not while it is being made: the panel would forget the install.
    let mut facts = installing();
    facts.server.operator_suspended_us = Some(MADE_US);
    assert!(matches!(plan(&facts, MADE_US), Step::Wait { .. }));
}

#[test]
fn nothing_is_made_for_somebody_who_does_not_pay_for_it() {
    let reason = Some(WaitingReason::AwaitingPayment);
    let until_us = MADE_US + timing().delayed_payment_us;
    let kept_us = MADE_US + timing().patience.retention_us;
    for facts in [paid(), placed()] {
        let lapsed = read(facts, "unpaid");
        assert_eq!(plan(&lapsed, MADE_US), Step::Wait { until_us, reason });
        assert_eq!(plan(&lapsed, until_us), Step::SyncBilling);
        assert_eq!(plan(&lapsed, kept_us), Step::CancelSubscription);
    }
}

#[test]
fn a_word_that_nobody_knows_changes_nothing() {
    let facts = read(running(), "hibernating");
    assert_eq!(plan(&facts, MADE_US * 2), Step::Rest(None));
    let facts = read(suspended(read(running(), "unpaid")), "hibernating");
    assert_eq!(plan(&facts, MADE_US * 2), Step::Rest(None));
}

#[test]
fn what_ends_by_another_word_than_stripes_lifts_whatever_stripe_says() {
    let mut facts = read(suspended(running()), "hibernating");
    for reason in [
        |facts: &mut Facts, since_us| facts.server.operator_suspended_us = since_us,
        |facts: &mut Facts, since_us| facts.billing.disputed_since_us = since_us,
    ] {
        reason(&mut facts, Some(MADE_US));
        assert_eq!(plan(&facts, MADE_US * 2), Step::Rest(None));
        reason(&mut facts, None);
        assert_eq!(plan(&facts, MADE_US * 2), Step::Unsuspend);
        // What billing began goes on until Stripe says a word that ends it.
        let mut unpaid = read(read(facts.clone(), "unpaid"), "hibernating");
        reason(&mut unpaid, Some(MADE_US));
        assert_eq!(plan(&unpaid, MADE_US * 2), Step::Rest(None));
        reason(&mut unpaid, None);
        assert_eq!(plan(&unpaid, MADE_US * 2), Step::Rest(None));
    }
}

#[test]
fn a_payment_goes_back_at_once_and_one_tried_in_vain_holds_up_nothing() {
    let due = |mut facts: Facts, next_us: Option<i64>| {
        facts.billing.refunds_due = 1;
        facts.billing.refund_next_us = next_us;
        facts
    };
    let later_us = MADE_US + SECOND_US;
    for (facts, instead) in [
        (paid(), Step::EnsureOwner),
        (cancel(installing()), Step::Delete),
        (
            running(),
            Step::Wait {
                until_us: later_us,
                reason: None,
            },
        ),
        (
            installing(),
            Step::Wait {
                until_us: later_us,
                reason: Some(WaitingReason::Installing),
            },
        ),
    ] {
        assert_eq!(plan(&due(facts.clone(), None), MADE_US), Step::Refund);
        let waits = due(facts, Some(later_us));
        assert_eq!(plan(&waits, MADE_US), instead);
        assert_eq!(plan(&waits, later_us), Step::Refund);
    }
    // Its own subscription ends first.
    let mut wanted = due(paid(), None);
    wanted.billing.wish = Some(EndWish::Now);
    assert_eq!(plan(&wanted, MADE_US), Step::CancelSubscription);
    // Also where somebody has to act, it is tried again in its time.
    let mut parked = due(paid(), Some(later_us));
    parked.order.error_reason = Some(ErrorReason::EggNotFound);
    let until = Step::Wait {
        until_us: later_us,
        reason: None,
    };
    assert_eq!(plan(&parked, MADE_US), until);
}

#[test]
fn what_cannot_be_delivered_is_given_up_where_that_is_the_policy() {
    let policy = Timing {
        refund_unfulfillable_after_us: Some(DAY_US),
        ..timing()
    };
    let late_us = MADE_US + DAY_US;
    let mut parked = paid();
    parked.order.error_reason = Some(ErrorReason::EggNotFound);
    assert_eq!(plan(&parked, late_us), Step::Rest(None));
    let until = Step::Wait {
        until_us: late_us,
        reason: None,
    };
    assert_eq!(next_step(&parked, &policy, MADE_US), until);
    for facts in [parked.clone(), placed(), installing()] {
        assert_eq!(next_step(&facts, &policy, late_us), Step::Refund);
    }
    // Settled first, for it may have been done.
    assert_eq!(next_step(&in_doubt(), &policy, late_us), Step::SettleCreate);
    assert_eq!(next_step(&running(), &policy, late_us), Step::Rest(None));
    parked.billing.wish = Some(EndWish::Now);
    assert_eq!(
        next_step(&parked, &policy, late_us),
        Step::CancelSubscription
    );
}

#[test]
fn an_install_gets_one_second_chance() {
    for failed in ["install_failed", "reinstall_failed"] {
        let mut facts = installing();
        facts.server.observed_status = Some(failed.to_owned());
        assert_eq!(plan(&facts, MADE_US), Step::RetryInstall);
        facts.server.reinstalls = 1;
        assert_eq!(
            plan(&facts, MADE_US),
            Step::Park(ErrorReason::InstallFailed)
        );
    }
    // One that never ends has failed too.
    let mut facts = installing();
    let late_us = MADE_US + timing().install_limit_us;
    assert_eq!(plan(&facts, late_us), Step::RetryInstall);
    // The second time too the panel is looked at before anything is said of it.
    facts.server.reinstalls = 1;
    assert_eq!(plan(&facts, late_us), Step::RetryInstall);
}
