//! By examples for each word of Stripe's, and by lives of random words.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const T0: i64 = 1_800_000_000_000_000;

fn patience() -> Patience {
    Patience::default()
}

/// Of an order that was never read.
const NOTHING: Grounds = Grounds {
    standing: Standing::Unclear,
    past_due_since_us: None,
    suspend_since_us: None,
    kept_since_us: None,
    disputed: false,
    operator: false,
    terminated: false,
};

/// As a first read at `T0` leaves them.
fn first_read(status: &str) -> Grounds {
    read(NOTHING, status, T0)
}

/// As a further read leaves them, of a server that stands still as soon as it must.
fn read(grounds: Grounds, status: &str, read_us: i64) -> Grounds {
    read_with(patience(), grounds, status, read_us)
}

fn read_with(patience: Patience, grounds: Grounds, status: &str, read_us: i64) -> Grounds {
    let read = grounds.after_read(Standing::of(Some(status)), patience, read_us);
    Grounds {
        kept_since_us: read.suspend_since_us,
        ..read
    }
}

fn days(number: i64) -> i64 {
    T0 + number * DAY_US
}

const BILLING: Entitlement = Entitlement::Suspended(Reasons {
    billing: true,
    dispute: false,
    operator: false,
});

#[test]
fn what_is_paid_for_runs_for_ever() {
    for status in ["active", "trialing"] {
        let grounds = first_read(status);
        for day in [0, 3, 10, 4000] {
            assert_eq!(grounds.entitle(patience(), days(day)), Entitlement::Running);
        }
        assert_eq!(grounds.changes_us(patience(), T0), None);
    }
}

#[test]
fn past_due_runs_through_the_grace_time_and_is_never_deleted() {
    let grounds = first_read("past_due");
    assert_eq!(
        grounds.entitle(patience(), days(3) - 1),
        Entitlement::Running
    );
    assert_eq!(grounds.changes_us(patience(), T0), Some(days(3)));
    for day in [3, 10, 4000] {
        assert_eq!(grounds.entitle(patience(), days(day)), BILLING);
    }
    assert_eq!(grounds.changes_us(patience(), days(3)), None);
    // Read again, it counts from the first read.
    let read = grounds.after_read(Standing::PastDue, patience(), days(2));
    assert_eq!(read, grounds);
    let read = grounds.after_read(Standing::PastDue, patience(), days(4));
    assert_eq!(read.past_due_since_us, Some(T0));
    assert_eq!(read.suspend_since_us, Some(days(4)));
}

#[test]
fn what_is_not_paid_for_stands_still_at_once_and_goes_after_the_retention() {
    for status in ["unpaid", "paused", "canceled", "incomplete_expired"] {
        let grounds = first_read(status);
        assert_eq!(grounds.entitle(patience(), T0), BILLING, "{status}");
        assert_eq!(grounds.entitle(patience(), days(7) - 1), BILLING);
        assert_eq!(grounds.changes_us(patience(), T0), Some(days(7)));
        assert_eq!(grounds.entitle(patience(), days(7)), Entitlement::Ended);
    }
}

#[test]
fn retention_counts_from_the_suspension_not_from_the_end() {
    let suspended = read(first_read("past_due"), "past_due", days(3));
    let ended = read(suspended, "canceled", days(5));
    assert_eq!(ended.suspend_since_us, Some(days(3)));
    assert_eq!(ended.entitle(patience(), days(10) - 1), BILLING);
    assert_eq!(ended.entitle(patience(), days(10)), Entitlement::Ended);
    // Within the grace time it was not suspended yet.
    let ended = read(first_read("past_due"), "canceled", days(2));
    assert_eq!(ended.suspend_since_us, Some(days(2)));
}

#[test]
fn what_never_stood_still_is_not_kept_and_does_not_go() {
    let mut grounds = first_read("unpaid");
    grounds.kept_since_us = None;
    assert_eq!(grounds.entitle(patience(), days(4000)), BILLING);
    assert_eq!(grounds.changes_us(patience(), T0), None);
    grounds.kept_since_us = Some(days(5));
    assert_eq!(grounds.entitle(patience(), days(12) - 1), BILLING);
    assert_eq!(grounds.entitle(patience(), days(12)), Entitlement::Ended);
}

#[test]
fn a_payment_ends_what_billing_began_and_nothing_else() {
    for status in ["past_due", "unpaid", "paused"] {
        let mut grounds =
            first_read(status).after_read(Standing::of(Some(status)), patience(), days(4));
        grounds.operator = true;
        grounds.disputed = true;
        let all = Reasons {
            billing: true,
            dispute: true,
            operator: true,
        };
        assert_eq!(
            grounds.entitle(patience(), days(4)),
            Entitlement::Suspended(all)
        );
        let mut paid = grounds.after_read(Standing::Good, patience(), days(5));
        let others = Reasons {
            billing: false,
            dispute: true,
            operator: true,
        };
        assert_eq!(
            paid.entitle(patience(), days(400)),
            Entitlement::Suspended(others)
        );
        paid.disputed = false;
        let operator = Reasons {
            dispute: false,
            ..others
        };
        assert_eq!(
            paid.entitle(patience(), days(400)),
            Entitlement::Suspended(operator)
        );
        paid.operator = false;
        assert_eq!(paid.entitle(patience(), days(400)), Entitlement::Running);
        assert_eq!(
            (paid.past_due_since_us, paid.suspend_since_us),
            (None, None)
        );
    }
}

#[test]
fn an_operator_suspends_and_never_deletes() {
    let mut grounds = first_read("active");
    grounds.operator = true;
    let reasons: Vec<_> = match grounds.entitle(patience(), days(4000)) {
        Entitlement::Suspended(reasons) => reasons.iter().collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reasons, [SuspensionReason::Operator]);
}

#[test]
fn an_operator_who_wants_it_gone_waits_for_nothing() {
    for status in ["active", "past_due", "canceled", "hibernating"] {
        let mut grounds = first_read(status);
        grounds.terminated = true;
        assert_eq!(grounds.entitle(patience(), T0), Entitlement::Ended);
    }
}

#[test]
fn an_unknown_word_changes_nothing() {
    for unknown in ["hibernating", "incomplete", ""] {
        let standing = Standing::of(Some(unknown));
        let runs = first_read("active").after_read(standing, patience(), days(1));
        assert_eq!(runs.entitle(patience(), days(4000)), Entitlement::Unchanged);
        let stands = first_read("unpaid").after_read(standing, patience(), days(1));
        assert_eq!(stands.entitle(patience(), days(4000)), BILLING, "{unknown}");
        assert_eq!(stands.suspend_since_us, Some(T0));
        // Its grace time does not begin anew once it is understood again.
        let due = first_read("past_due").after_read(standing, patience(), days(1));
        let due = due.after_read(Standing::PastDue, patience(), days(2));
        assert_eq!(due.past_due_since_us, Some(T0));
    }
}

#[test]
fn only_a_word_that_is_not_in_the_contract_is_new() {
    for word in ["hibernating", ""] {
        assert!(Standing::is_new(word), "{word}");
    }
    let known = "incomplete incomplete_expired trialing active past_due canceled unpaid paused";
    for word in known.split(' ') {
        assert!(!Standing::is_new(word), "{word}");
    }
}

/// Words that are read, and how many hours later.
fn reads() -> impl Strategy<Value = Vec<(&'static str, i64)>> {
    let words = select(vec![
        "active",
        "trialing",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
        "incomplete",
        "hibernating",
    ]);
    vec((words, 0..200_i64), 1..12)
}

/// The shop's, a plan's, and none at all.
fn any_patience() -> impl Strategy<Value = Patience> {
    (0..=20_i64, 0..=20_i64).prop_map(|(grace, retention)| Patience {
        grace_us: grace * DAY_US,
        retention_us: retention * DAY_US,
    })
}

proptest! {
    /// However it came there: nothing goes that was not suspended for the whole retention,
    /// nothing that is paid for is suspended by billing, and what suspends was read so.
    #[test]
    fn nothing_goes_before_its_time(
        reads in reads(),
        later in 0..400_i64,
        patience in any_patience(),
    ) {
        let hour_us = DAY_US / 24;
        let read = |grounds, word, at_us| read_with(patience, grounds, word, at_us);
        let mut grounds = read(NOTHING, reads[0].0, T0);
        let mut now_us = T0;
        let mut stopped_us = grounds.suspend_since_us;
        for (word, hours) in reads {
            now_us += hours * hour_us;
            grounds = read(grounds, word, now_us);
            stopped_us = match (grounds.suspend_since_us, stopped_us) {
                (Some(_), known) => Some(known.unwrap_or(now_us)),
                (None, _) => None,
            };
        }
        let at_us = now_us + later * hour_us;
        match grounds.entitle(patience, at_us) {
            Entitlement::Ended => {
                prop_assert!(matches!(grounds.standing, Standing::Lapsed | Standing::Over));
                prop_assert!(stopped_us.unwrap() + patience.retention_us <= at_us);
            }
            Entitlement::Suspended(reasons) => {
                prop_assert!(reasons.billing && grounds.standing != Standing::Good);
                let due = grounds.past_due_since_us.map(|since_us| since_us + patience.grace_us);
                prop_assert!(stopped_us.is_some() || due.unwrap() <= at_us);
            }
            Entitlement::Running => {
                prop_assert!(matches!(grounds.standing, Standing::Good | Standing::PastDue));
            }
            Entitlement::Unchanged => prop_assert_eq!(grounds.standing, Standing::Unclear),
        }
        // Time alone changes it exactly when it is said to.
        if let Some(changes_us) = grounds.changes_us(patience, at_us) {
            let before = grounds.entitle(patience, changes_us - 1);
            prop_assert_eq!(before, grounds.entitle(patience, at_us));
            prop_assert_ne!(before, grounds.entitle(patience, changes_us));
        }
    }
}
