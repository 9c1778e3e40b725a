//! What each answer that is no success means, and how often it was asked for.

use super::*;

/// What a row of the error table expects: the error and how many requests it took.
type Expected = (fn(&Error) -> bool, usize);

#[tokio::test]
async fn each_error_answer_has_its_meaning_and_its_number_of_tries() {
    let reused = r#"{"error":{"type":"idempotency_error","message":"Keys for ..."}}"#;
    let inactive = r#"{"error":{"type":"invalid_request_error","code":"price_inactive",
        "param":"line_items[0][price]","message":"m"}}"#;
    let lost_path = r#"{"error":{"type":"invalid_request_error",
        "message":"Unrecognized request URL (POST: /v1/v1/customers)."}}"#;
    let replayed = [("Idempotent-Replayed", "true")];
    let invalid: fn(&Error) -> bool = |error| {
        let Error::Invalid {
            code,
            param,
            request_id,
        } = error
        else {
            return false;
        };
        let said = (code.as_str(), param.as_str(), request_id.as_str());
        said == ("price_inactive", "line_items[0][price]", "req_400")
    };
    let unknown: fn(&Error) -> bool = |error| {
        let Error::Unknown {
            status: Some(status),
            replayed: false,
            request_id,
        } = error
        else {
            return false;
        };
        *request_id == format!("req_{status}")
    };
    let any_invalid: fn(&Error) -> bool = |error| matches!(error, Error::Invalid { .. });
    let not_found: fn(&Error) -> bool =
        |error| matches!(error, Error::NotFound { request_id } if request_id == "req_404");
    let refused: fn(&Error) -> bool = |error| {
        matches!(
            error,
            Error::KeyRefused {
                status: 401 | 403,
                ..
            }
        )
    };
    let garbage: fn(&Error) -> bool = |error| matches!(error, Error::Garbage { .. });
    let limited: fn(&Error) -> bool =
        |error| matches!(error, Error::RateLimited { after } if *after == Duration::from_secs(5));
    let stored: fn(&Error) -> bool = |error| {
        matches!(
            error,
            Error::Unknown {
                status: Some(500),
                replayed: true,
                ..
            }
        )
    };
    let reuse: fn(&Error) -> bool = |error| matches!(error, Error::KeyReused { .. });
    let silent: fn(&Error) -> bool = |error| {
        matches!(
            error,
            Error::Unknown {
                status: None,
                replayed: false,
                ..
            }
        )
    };
    let table: Vec<(&str, Act, Expected)> = vec![
        ("price inactive", json(400, &[], inactive), (invalid, 1)),
        ("key reused", json(400, &[], reused), (reuse, 1)),
        ("400 of a proxy", html(400), (garbage, 1)),
        ("401", json(401, &[], NO_SUCH), (refused, 1)),
        ("401 of a proxy", html(401), (garbage, 1)),
        ("402", json(402, &[], NO_SUCH), (any_invalid, 1)),
        ("403", json(403, &[], NO_SUCH), (refused, 1)),
        ("403 of a proxy", html(403), (garbage, 1)),
        ("404", json(404, &[], NO_SUCH), (not_found, 1)),
        ("404 of a proxy", html(404), (garbage, 1)),
        ("404 without an error", json(404, &[], "{}"), (garbage, 1)),
        (
            "404 of a wrong base",
            json(404, &[], lost_path),
            (garbage, 1),
        ),
        ("408", html(408), (unknown, 3)),
        ("409", json(409, &[], NO_SUCH), (unknown, 3)),
        ("424", json(424, &[], NO_SUCH), (unknown, 3)),
        ("429", json(429, &[], NO_SUCH), (limited, 3)),
        ("500", json(500, &[], NO_SUCH), (unknown, 3)),
        ("500 replayed", json(500, &replayed, NO_SUCH), (stored, 1)),
        ("502 of a proxy", html(502), (unknown, 3)),
        ("503", html(503), (unknown, 3)),
        ("504", html(504), (unknown, 3)),
        ("301", html(301), (garbage, 1)),
        (
            "304",
            Act::Reply(b"HTTP/1.1 304 X\r\n\r\n".to_vec()),
            (garbage, 1),
        ),
        ("200 HTML", html(200), (garbage, 1)),
        (
            "200 of another shape",
            json(200, &[], r#"{"id":7}"#),
            (garbage, 1),
        ),
        ("200 empty", json(200, &[], ""), (garbage, 3)),
        ("200 cut", cut(200, CUSTOMER), (garbage, 3)),
        ("404 cut", cut(404, NO_SUCH), (garbage, 3)),
        ("closed", Act::Close, (silent, 3)),
        (
            "not HTTP",
            Act::ReplyAndClose(b"220 mail.example ESMTP\r\n".to_vec()),
            (silent, 3),
        ),
    ];
    for (name, act, (expected, tries)) in table {
        let server = Server::start(vec![act; tries]).await;
        let (result, seen) = create(&server).await;
        let error = result.unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
        assert_eq!(seen.len(), tries, "{name}");
        let shown = format!("{error} {error:?}");
        for secret in ["someone", "sk_test_abc", "html", "No such check"] {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_post_that_may_have_run_stays_unknown_and_a_read_does_not_care() {
    let script = || {
        [
            json(500, &[], "{}"),
            json(429, &[], "{}"),
            json(429, &[], "{}"),
        ]
    };
    let server = Server::start(script()).await;
    let error = create(&server).await.0.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unknown {
                status: Some(500),
                ..
            }
        ),
        "{error:?}"
    );
    let server = Server::start(script()).await;
    let error = client(&server).price("price_1").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
}
