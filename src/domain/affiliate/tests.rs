use uuid::Uuid;

use super::*;

fn profile(id: u128, email: &str) -> Profile {
    Profile {
        user_id: UserId(Uuid::from_u128(id)),
        email: email.to_owned(),
        email_verified: false,
        first_name: String::new(),
        last_name: String::new(),
        stripe_customer_id: None,
        created_us: 0,
        updated_us: 0,
        stripe_follow_us: None,
        stripe_problem: None,
        panel_follow_us: None,
        panel_problem: None,
        panel_leaving_id: None,
        deleted_us: None,
    }
}

#[test]
fn codes_have_one_form() {
    for (text, wanted) in [
        ("abc", Some("abc")),
        ("Friend-10", Some("friend-10")),
        ("---", Some("---")),
        ("ab", None),
        ("", None),
        ("a b c", None),
        ("a_bc", None),
        ("\u{E4}bc", None),
        ("abc\n", None),
    ] {
        assert_eq!(code(text).as_deref(), wanted, "{text:?}");
    }
    assert!(code(&"a".repeat(32)).is_some());
    assert!(code(&"a".repeat(33)).is_none());
}

#[test]
fn made_codes_are_codes_and_follow_the_randomness() {
    let made: Vec<String> = (0..=255_u8).map(|byte| generated([byte; 10])).collect();
    for (at, made) in made.iter().enumerate() {
        assert_eq!(code(made).as_ref(), Some(made), "{at}");
    }
    assert_ne!(made[0], made[1]);
    let mut one = [0; 10];
    one[9] = 1;
    assert_eq!(generated(one), "0000000001");
}

#[test]
fn nobody_refers_themselves() {
    let affiliate = profile(1, "Ada@Mail.example ");
    assert!(refers_self(&profile(1, "other@mail.example"), &affiliate));
    assert!(refers_self(&profile(2, "ada@mail.EXAMPLE"), &affiliate));
    assert!(!refers_self(&profile(2, "bob@mail.example"), &affiliate));
}

#[test]
fn tax_and_balances_earn_nothing() {
    for (paid, total, untaxed, wanted) in [
        (1190, 1190, 1000, 1000),
        // Half of it paid by a balance.
        (595, 1190, 1000, 500),
        (699, 699, 699, 699),
        (0, 1190, 1000, 0),
        (0, -300, -300, 0),
        (500, 0, 0, 0),
        (500, 500, -1, 0),
        // What cannot be: never more than was paid.
        (500, 500, 700, 500),
        (900, 500, 500, 500),
        (i64::MAX, i64::MAX, i64::MAX, i64::MAX),
    ] {
        let base = paid_without_tax(paid, total, untaxed);
        assert_eq!(base, wanted, "{paid} {total} {untaxed}");
    }
}

#[test]
fn commissions_are_rounded_down() {
    for (base, percent, wanted) in [
        (699, 10, 69),
        (9, 10, 0),
        (699, 0, 0),
        (699, 100, 699),
        (-5, 10, 0),
        (i64::MAX, 100, i64::MAX),
    ] {
        assert_eq!(commission(base, percent), wanted, "{base} {percent}");
    }
}

#[test]
fn months_end_as_periods_do() {
    let at = |text: &str| {
        let format = &time::format_description::well_known::Rfc3339;
        let time = OffsetDateTime::parse(text, format).unwrap();
        time.unix_timestamp() * SECOND_US + 7
    };
    for (start, months, end) in [
        ("2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"),
        ("2024-01-31T10:00:00Z", 1, "2024-02-29T10:00:00Z"),
        ("2026-11-30T23:59:59Z", 12, "2027-11-30T23:59:59Z"),
        ("2026-12-01T00:00:00Z", 1, "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(months_after(at(start), months), at(end), "{start}");
    }
    assert_eq!(months_after(i64::MAX, 12), i64::MAX);
}

#[test]
fn a_look_follows_while_something_may_come() {
    let now_us = 1_000 * DAY_US;
    let next = |lives, earns_us| next_look(now_us, lives, earns_us);
    assert_eq!(next(true, None), Some(now_us + DAY_US));
    assert_eq!(next(false, None), None);
    assert_eq!(next(false, Some(now_us + 5)), Some(now_us + 5));
    assert_eq!(next(true, Some(now_us + 9 * DAY_US)), Some(now_us + DAY_US));
    // Nothing spins over what waits.
    assert_eq!(next(false, Some(now_us)), Some(now_us + DAY_US));
}

#[test]
fn news_is_what_was_heard_after_the_last_look() {
    let mut referral = Referral {
        order_id: OrderId(Uuid::nil()),
        affiliate: UserId(Uuid::nil()),
        referred_us: 1,
        percent: 10,
        months: 12,
        heard_us: 1,
        looked_us: None,
    };
    assert!(referral.has_news());
    referral.looked_us = Some(1);
    assert!(!referral.has_news());
    referral.heard_us = 2;
    assert!(referral.has_news());
}
