//! The contract's known answers, its must-reject set and the edges of the window.

use super::*;

const BODY: &[u8] = br#"{"id":"evt_test_webhook","object":"event"}"#;
const SIGNED_AT: u64 = 1_700_000_000;
/// HMAC of `1700000000.` and the body under `whsec_test_secret`.
const KNOWN: &str = "d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";
/// The same under `whsec_rolled_secret`.
const KNOWN_ROLLED: &str = "73d94cc4a261effeb4192890b5339a177d16f10336f078f81bf5d2bade193da2";
const TOLERANCE: Duration = Duration::from_secs(300);

fn secrets(text: &str) -> WebhookSecrets {
    WebhookSecrets::parse(text).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for value in values {
        map.append(SIGNATURE_HEADER, value.parse().unwrap());
    }
    map
}

fn check(values: &[&str], configured: &str, body: &[u8], now: u64) -> Result<i64, Rejection> {
    verify(
        &headers(values),
        body,
        &secrets(configured),
        at(now),
        TOLERANCE,
    )
}

#[test]
fn both_known_answers_are_accepted_under_their_own_secret_only() {
    let first = format!("t={SIGNED_AT},v1={KNOWN}");
    let rolled = format!("t={SIGNED_AT},v1={KNOWN_ROLLED}");
    assert_eq!(
        check(&[&first], "whsec_test_secret", BODY, SIGNED_AT),
        Ok(0)
    );
    assert_eq!(
        check(&[&rolled], "whsec_rolled_secret", BODY, SIGNED_AT),
        Ok(0)
    );
    let wrong = Err(Rejection::SignatureWrong);
    assert_eq!(
        check(&[&first], "whsec_rolled_secret", BODY, SIGNED_AT),
        wrong
    );
    assert_eq!(
        check(&[&rolled], "whsec_test_secret", BODY, SIGNED_AT),
        wrong
    );
}

#[test]
fn any_v1_may_match_any_configured_secret() {
    let stranger = "0".repeat(64);
    for configured in [
        "whsec_test_secret",
        "whsec_other,whsec_test_secret",
        "whsec_test_secret,x",
    ] {
        for list in [
            format!("t={SIGNED_AT},v1={KNOWN},v1={stranger}"),
            format!("t={SIGNED_AT},v1={stranger},v1={KNOWN}"),
            format!("v1={KNOWN},t={SIGNED_AT}"),
            format!("t={SIGNED_AT},v0={stranger},v1={KNOWN},v2=later"),
            format!("t={SIGNED_AT},v1=short,v1={KNOWN}"),
        ] {
            assert_eq!(
                check(&[&list], configured, BODY, SIGNED_AT),
                Ok(0),
                "{list} {configured}"
            );
        }
    }
    let both = format!("t={SIGNED_AT},v1={KNOWN},v1={KNOWN_ROLLED}");
    for configured in ["whsec_test_secret", "whsec_rolled_secret"] {
        assert_eq!(check(&[&both], configured, BODY, SIGNED_AT), Ok(0));
    }
}

#[test]
fn malformed_headers_are_told_apart() {
    use Rejection::*;
    let t = format!("t={SIGNED_AT}");
    let with = |tail: &str| format!("{t},{tail}");
    let cases: Vec<(String, Rejection)> = vec![
        (String::new(), HeaderMalformed),
        ("garbage".to_owned(), HeaderMalformed),
        (with(""), HeaderMalformed),
        ("x".repeat(HEADER_LIMIT_BYTES + 1), HeaderMalformed),
        (format!("v1={KNOWN}"), TimestampMissing),
        (format!(" t={SIGNED_AT},v1={KNOWN}"), TimestampMissing),
        (format!("T={SIGNED_AT},v1={KNOWN}"), TimestampMissing),
        (format!("t=,v1={KNOWN}"), TimestampInvalid),
        (format!("t=-{SIGNED_AT},v1={KNOWN}"), TimestampInvalid),
        (format!("t=+{SIGNED_AT},v1={KNOWN}"), TimestampInvalid),
        (format!("t= {SIGNED_AT},v1={KNOWN}"), TimestampInvalid),
        (format!("t={SIGNED_AT}.0,v1={KNOWN}"), TimestampInvalid),
        (format!("t=0x65,v1={KNOWN}"), TimestampInvalid),
        (format!("t=soon,v1={KNOWN}"), TimestampInvalid),
        (
            format!("t=99999999999999999999,v1={KNOWN}"),
            TimestampInvalid,
        ),
        (format!("{t},{t},v1={KNOWN}"), TimestampRepeated),
        (t.clone(), SignatureMissing),
        (with("v1="), SignatureMissing),
        (with(&format!("v0={KNOWN}")), SignatureMissing),
        (with(&format!("V1={KNOWN}")), SignatureMissing),
        (with(&format!("v1={}", &KNOWN[1..])), SignatureMissing),
        (with(&format!("v1={KNOWN}0")), SignatureMissing),
        (
            with(&format!("v1={}", KNOWN.to_uppercase())),
            SignatureMissing,
        ),
        (with(&format!("v1={}g", &KNOWN[1..])), SignatureMissing),
        (with(&format!("v1={KNOWN} ")), SignatureMissing),
        (with(&format!("v1={KNOWN}{KNOWN}")), SignatureMissing),
        (with(&format!("v1={}", "0".repeat(64))), SignatureWrong),
    ];
    for (header, expected) in cases {
        // Trailing blanks would be trimmed by the HTTP parser; here they are kept.
        let seen = Header::parse(&header).and_then(|parsed| {
            let matches = parsed.matches(&secrets("whsec_test_secret"), BODY);
            if matches { Ok(()) } else { Err(SignatureWrong) }
        });
        let too_long = header.len() > HEADER_LIMIT_BYTES;
        assert_eq!(seen, Err(expected), "{header:.90}");
        if too_long {
            assert_eq!(
                check(
                    &[&format!("t={SIGNED_AT},v1={KNOWN},x={header}")],
                    "whsec_test_secret",
                    BODY,
                    SIGNED_AT
                ),
                Err(HeaderMalformed)
            );
        }
    }
}

#[test]
fn exactly_one_header_is_required() {
    let good = format!("t={SIGNED_AT},v1={KNOWN}");
    let secret = "whsec_test_secret";
    assert_eq!(
        check(&[], secret, BODY, SIGNED_AT),
        Err(Rejection::HeaderMissing)
    );
    assert_eq!(
        check(&[&good, &good], secret, BODY, SIGNED_AT),
        Err(Rejection::HeaderRepeated)
    );
    let mut binary = HeaderMap::new();
    let value = http::HeaderValue::from_bytes(b"t=1,v1=\xff").unwrap();
    binary.append(SIGNATURE_HEADER, value);
    let seen = verify(&binary, BODY, &secrets(secret), at(SIGNED_AT), TOLERANCE);
    assert_eq!(seen, Err(Rejection::HeaderMalformed));
}

#[test]
fn every_bit_of_the_body_counts() {
    let header = format!("t={SIGNED_AT},v1={KNOWN}");
    let longer = [BODY, b"\n"].concat();
    let wrong = Err(Rejection::SignatureWrong);
    assert_eq!(
        check(&[&header], "whsec_test_secret", &longer, SIGNED_AT),
        wrong
    );
    assert_eq!(
        check(&[&header], "whsec_test_secret", &BODY[1..], SIGNED_AT),
        wrong
    );
    assert_eq!(
        check(&[&header], "whsec_test_secret", b"", SIGNED_AT),
        wrong
    );
    for index in 0..BODY.len() {
        let mut changed = BODY.to_vec();
        changed[index] ^= 1;
        assert_eq!(
            check(&[&header], "whsec_test_secret", &changed, SIGNED_AT),
            wrong,
            "{index}"
        );
    }
    let moved = format!("t={},v1={KNOWN}", SIGNED_AT + 1);
    assert_eq!(
        check(&[&moved], "whsec_test_secret", BODY, SIGNED_AT),
        wrong
    );
}

#[test]
fn the_window_is_closed_at_300_seconds_on_both_sides() {
    let header = format!("t={SIGNED_AT},v1={KNOWN}");
    let secret = "whsec_test_secret";
    for (now, expected) in [
        (SIGNED_AT + 300, Ok(300)),
        (SIGNED_AT + 301, Err(Rejection::TooOld { authentic: true })),
        (SIGNED_AT + 600, Err(Rejection::TooOld { authentic: true })),
        (SIGNED_AT - 300, Ok(-300)),
        (SIGNED_AT - 301, Err(Rejection::TooNew { authentic: true })),
        (0, Err(Rejection::TooNew { authentic: true })),
    ] {
        assert_eq!(check(&[&header], secret, BODY, now), expected, "now {now}");
    }
    // A fraction of a second does not count against the sender.
    let late = at(SIGNED_AT + 300) + Duration::from_millis(999);
    assert_eq!(
        verify(
            &headers(&[&header]),
            BODY,
            &secrets(secret),
            late,
            TOLERANCE
        ),
        Ok(300)
    );
    let before_1970 = UNIX_EPOCH - Duration::from_secs(10);
    assert_eq!(
        verify(
            &headers(&[&header]),
            BODY,
            &secrets(secret),
            before_1970,
            TOLERANCE
        ),
        Err(Rejection::TooNew { authentic: true })
    );
}

#[test]
fn a_stranger_outside_the_window_is_not_taken_for_a_skewed_clock() {
    let forged = format!("t={SIGNED_AT},v1={}", "0".repeat(64));
    let seen = check(&[&forged], "whsec_test_secret", BODY, SIGNED_AT + 301).unwrap_err();
    assert_eq!(seen, Rejection::TooOld { authentic: false });
    assert!(!seen.is_authentic());
    let far = format!("t={},v1={KNOWN}", i64::MAX);
    let seen = check(&[&far], "whsec_test_secret", BODY, SIGNED_AT).unwrap_err();
    assert_eq!(seen, Rejection::TooNew { authentic: false });
}

#[test]
fn secret_lists_are_trimmed_and_checked() {
    for (text, count) in [
        ("whsec_a", 1),
        (" whsec_a \n", 1),
        ("whsec_a,whsec_b", 2),
        ("whsec_a, whsec_b,\n", 2),
        ("whsec_a\r\nwhsec_b\r\n", 2),
    ] {
        assert_eq!(secrets(text).count(), count, "{text:?}");
    }
    for text in [
        "",
        " ",
        ",",
        "\n",
        "whsec_a whsec_b",
        "sk_live_x",
        "whsec_a,rk_test_x",
    ] {
        let problem = WebhookSecrets::parse(text).unwrap_err();
        assert!(
            !problem.contains("_x"),
            "the fault must not repeat the value: {problem}"
        );
    }
    assert_eq!(
        format!("{:?}", secrets("whsec_a,whsec_b")),
        "WebhookSecrets(2 hidden)"
    );
}
