use http::HeaderValue;
use serde_json::{Value, json};

use super::*;

fn head(status: u16, headers: &[(&'static str, &str)]) -> Head {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    Head::new(StatusCode::from_u16(status).unwrap(), &headers)
}

fn sort(status: u16, body: Result<&str, BodyFault>) -> Result<Value, Failure> {
    let body = body.map(|text| text.as_bytes().to_vec());
    head(status, &[("request-id", "req_1")]).sort(body)
}

fn refused(kind: &str, code: Option<&str>) -> String {
    json!({"error": {"type": kind, "code": code, "param": "p", "message": "m"}}).to_string()
}

#[test]
fn a_value_comes_of_any_2xx_that_can_be_read() {
    for status in [200, 201, 202, 299] {
        assert_eq!(sort(status, Ok(r#"{"a":1}"#)).unwrap(), json!({"a": 1}));
    }
}

#[test]
fn only_a_body_that_ended_early_is_asked_for_again() {
    for (body, retry) in [
        (Err(BodyFault::Cut), true),
        (Ok(r#"{"a":"#), true),
        (Ok(""), true),
        (Err(BodyFault::TooLarge), false),
        (Ok("<html>"), false),
        (Ok(r#"{"a":1} trailing"#), false),
    ] {
        let failure = sort(200, body).unwrap_err();
        assert_eq!(failure.retry, retry, "{body:?}");
        let Error::Garbage { what, request_id } = failure.error else {
            unreachable!()
        };
        assert_eq!(request_id, "req_1");
        assert!(!what.contains("trailing"), "{what}");
    }
}

#[test]
fn a_shape_that_does_not_fit_is_named_without_its_text() {
    let body = br#"{"error":"someone@example.com"}"#.to_vec();
    let failure = head(200, &[]).sort::<ErrorBody>(Ok(body)).err().unwrap();
    let shown = format!("{}", failure.error);
    assert!(shown.contains("Data fault at line 1 column"), "{shown}");
    assert!(!shown.contains("someone"), "{shown}");
}

#[test]
fn no_status_is_left_over_and_none_that_is_definite_is_retried() {
    let body = refused("invalid_request_error", Some("resource_missing"));
    for status in 100..=999 {
        let sorted = sort(status, Ok(&body));
        if (200..300).contains(&status) {
            assert!(sorted.is_ok());
            continue;
        }
        let failure = sorted.unwrap_err();
        let doubtful = matches!(status, 408 | 409 | 424 | 429 | 500..=599);
        assert_eq!(failure.retry, doubtful, "{status}");
        assert_eq!(
            matches!(
                failure.error,
                Error::Unknown { .. } | Error::RateLimited { .. }
            ),
            doubtful,
            "{status}: {:?}",
            failure.error
        );
    }
}

#[test]
fn a_key_is_reused_only_where_stripe_says_so() {
    let reused = refused("idempotency_error", None);
    assert!(matches!(
        sort(400, Ok(&reused)).unwrap_err().error,
        Error::KeyReused { .. }
    ));
    let busy = sort(409, Ok(&reused)).unwrap_err();
    assert!(
        matches!(
            busy.error,
            Error::Unknown {
                status: Some(409),
                ..
            }
        ) && busy.retry
    );
}

#[test]
fn text_of_stripe_is_bounded_and_printable() {
    let body = json!({"error": {"code": "a\u{7}b\u{e9}c\n", "param": "x".repeat(10_000)}});
    let error = sort(400, Ok(&body.to_string())).unwrap_err().error;
    let Error::Invalid { code, param, .. } = error else {
        unreachable!("{error:?}")
    };
    assert_eq!(code, "abc");
    assert_eq!(param.len(), 255);
    let long = "r".repeat(5000);
    assert_eq!(head(200, &[("request-id", &long)]).request_id.len(), 255);
}

#[test]
fn odd_headers_count_as_absent() {
    let odd = head(
        503,
        &[
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("stripe-should-retry", "TRUE?"),
            ("idempotent-replayed", "1"),
        ],
    );
    let failure = odd.sort::<Value>(Ok(Vec::new())).unwrap_err();
    assert!(failure.retry && failure.after.is_none());
    assert!(matches!(
        failure.error,
        Error::Unknown {
            replayed: false,
            ..
        }
    ));
    let asked = head(503, &[("retry-after", "7")])
        .sort::<Value>(Ok(Vec::new()))
        .unwrap_err();
    assert_eq!(asked.after, Some(Duration::from_secs(7)));
}
