use std::collections::HashMap;

use super::*;

const ID: &str = "0192f0c1-2f3a-7c4d-9e5f-0123456789ab";

/// The fields that a check complains about.
fn fields(check: impl FnOnce(&mut Violations)) -> Vec<String> {
    let mut violations = Violations::default();
    check(&mut violations);
    violations
        .into_vec()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

/// Every good value passes and every bad one is noted under its own field.
fn table(check: impl Fn(&mut Violations, &str, &str), good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(fields(|v| check(v, "it", value)), [""; 0], "{value:?}");
    }
    for value in bad {
        assert_eq!(fields(|v| check(v, "it", value)), ["it"], "{value:?}");
    }
}

#[test]
fn uuids_have_one_spelling() {
    let mut violations = Violations::default();
    assert_eq!(uuid(&mut violations, "request_id", ID).to_string(), ID);
    assert_eq!(order_id(&mut violations, ID).to_string(), ID);
    assert_eq!(user_id(&mut violations, ID).to_string(), ID);
    assert_eq!(optional_uuid(&mut violations, "request_id", ""), None);
    assert!(optional_uuid(&mut violations, "request_id", ID).is_some());
    assert!(violations.is_empty());
    let upper = ID.to_uppercase();
    table(
        |v, field, text| _ = uuid(v, field, text),
        &[ID],
        &["", "1", &upper, &ID[1..]],
    );
    assert_eq!(fields(|v| _ = order_id(v, "x")), ["order_id"]);
    assert_eq!(fields(|v| _ = user_id(v, "x")), ["user_id"]);
    assert_eq!(
        fields(|v| _ = optional_uuid(v, "request_id", "x")),
        ["request_id"]
    );
}

#[test]
fn e_mail_addresses() {
    let long_good = format!("{}@{}.example", "a".repeat(64), "b".repeat(60));
    let long = format!(
        "{}@{}.{}.example",
        "a".repeat(64),
        "b".repeat(63),
        "c".repeat(63)
    );
    table(
        email,
        &[
            "a@b.co",
            "first.last+tag@shop.example",
            "o'neil@sub.shop.example",
            "j\u{FC}rgen@mueller.example",
            &long_good,
        ],
        &[
            "",
            // Stripe wants the form with xn--.
            "juergen@m\u{FC}ller.example",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a@@b.co",
            "a b@c.co",
            "a@b .co",
            "a@b..co",
            "a@.b.co",
            "a@-b.co",
            "a@b-.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "a\n@b.co",
            "a@b.co\r\n",
            "a\0@b.co",
            "<a@b.co>",
            "a@b.co,c@d.co",
            "\"a\"@b.co",
            "a@[127.0.0.1]",
            &long,
        ],
    );
}

#[test]
fn server_names() {
    let (longest, too_long) = ("\u{FC}".repeat(64), "x".repeat(65));
    table(
        server_name,
        &[
            "a",
            "My server #1",
            "\u{1F3AE} caf\u{E9}",
            "'; DROP TABLE orders; --",
            "%s%n",
            &longest,
        ],
        &[
            "",
            " ",
            "\u{3000}",
            "a\nb",
            "a\u{202E}b",
            "\u{200B}",
            "a\0",
            &too_long,
        ],
    );
}

#[test]
fn ids_and_regions() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    table(
        id,
        &["a", "mc-2gb", "7days", &longest],
        &["", "-a", "A", "a_b", "a b", "\u{E9}", &too_long],
    );
    table(
        region,
        &["eu", "us-east"],
        &["", "US", "us east", "-eu", &"a".repeat(33)],
    );
}

#[test]
fn addresses() {
    let long = format!("https://shop.example/{}", "a".repeat(2048));
    table(
        url,
        &[
            "https://shop.example",
            "http://localhost:3000/done?session={CHECKOUT_SESSION_ID}#top",
            "https://[::1]/x",
        ],
        &[
            "",
            "shop.example",
            "/done",
            "//shop.example",
            "ftp://shop.example",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            " https://shop.example",
            "https://shop.example\n",
            "https://shop.example\\@evil.example",
            "https://user@shop.example",
            "https://user:word@shop.example",
            "https://shop.example/\u{E9}",
            &long,
        ],
    );
}

#[test]
fn texts_and_referral_codes() {
    table(
        |v, f, t| text(v, f, t, 0, 3),
        &["", "abc", "\u{FC}\u{FC}\u{FC}"],
        &["abcd", "a\tb"],
    );
    table(|v, f, t| text(v, f, t, 1, 3), &["a"], &["", "a\u{7f}"]);
    let check = |v: &mut Violations, f: &str, t: &str| _ = referral_code(v, f, t);
    table(
        check,
        &["", "FRIEND-10", "a_b"],
        &["a b", "\u{E9}", "a;b", &"a".repeat(33)],
    );
    let mut violations = Violations::default();
    assert_eq!(referral_code(&mut violations, "referral_code", ""), None);
    assert_eq!(
        referral_code(&mut violations, "referral_code", "X").as_deref(),
        Some("X")
    );
}

#[test]
fn codes_of_affiliates() {
    let check = |v: &mut Violations, f: &str, t: &str| _ = affiliate_code(v, f, t);
    table(
        check,
        &["abc", "FRIEND-10", "a-b"],
        &["", "ab", "a_b", "a b", "\u{E9}ab", &"a".repeat(33)],
    );
    let mut violations = Violations::default();
    assert_eq!(affiliate_code(&mut violations, "code", "ABC"), "abc");
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn environments() {
    let of = |sent| fields(|v| _ = environment(v, "environment", sent));
    let (longest, too_long) = ("\u{FC}".repeat(2048), "x".repeat(2049));
    assert_eq!(
        of(map(&[
            ("SERVER_JARFILE", "a b"),
            ("_x9", ""),
            ("LONG", &longest)
        ])),
        [""; 0]
    );
    assert_eq!(of(map(&[("9x", "")])), ["environment"]);
    assert_eq!(of(map(&[("", "")])), ["environment"]);
    assert_eq!(of(map(&[("A-B", "")])), ["environment"]);
    assert_eq!(of(map(&[(&*"A".repeat(65), "")])), ["environment"]);
    assert_eq!(
        of(map(&[("B", &too_long), ("A", "\0"), ("GOOD", "")])),
        ["environment[A]", "environment[B]"]
    );
    let many = (0..65).map(|i| (format!("V{i}"), String::new())).collect();
    assert_eq!(of(many), ["environment"]);
    let mut violations = Violations::default();
    let kept = environment(
        &mut violations,
        "environment",
        map(&[("B", "2"), ("A", "1")]),
    );
    assert_eq!(
        kept.into_iter().collect::<Vec<_>>(),
        [
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "2".to_owned())
        ]
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let noted = fields(|violations| {
        uuid(violations, "request_id", "");
        email(violations, "email", "");
        server_name(violations, "server_name", "");
        region(violations, "region", "");
        url(violations, "success_url", "");
    });
    assert_eq!(
        noted,
        [
            "request_id",
            "email",
            "server_name",
            "region",
            "success_url"
        ]
    );
}
