use proptest::prelude::*;

use super::*;

const CALLS: [Call; 8] = [
    Call::Read,
    Call::CreateUser,
    Call::UpdateUser,
    Call::DeleteUser,
    Call::CreateServer,
    Call::UpdateServer,
    Call::ActOnServer,
    Call::DeleteServer,
];

const PAGE: &[u8] = b"<html><body>502 Bad Gateway</body></html>";

fn error_body(code: &str) -> Vec<u8> {
    format!(r#"{{"errors":[{{"code":"{code}","status":"0","detail":"secret words"}}]}}"#)
        .into_bytes()
}

fn coded(call: Call, status: u16, code: &str, charged: bool) -> Error {
    let (content, retry_after) = (error_body(code), None);
    sort(
        call,
        &Answer {
            status,
            charged,
            retry_after,
            content: &content,
        },
    )
}

fn uncoded(call: Call, status: u16, content: &[u8]) -> Error {
    sort(
        call,
        &Answer {
            status,
            charged: false,
            retry_after: None,
            content,
        },
    )
}

fn unknown(trouble: Trouble) -> Error {
    Error::Unknown { trouble }
}

#[test]
fn a_node_failure_is_never_taken_for_the_panels_word() {
    for status in [401, 403, 404, 409, 422, 429, 500, 502, 504] {
        for call in [Call::CreateServer, Call::ActOnServer, Call::DeleteServer] {
            let error = coded(call, status, "DaemonConnectionException", true);
            assert_eq!(error, not_done(Trouble::Node), "{call:?} {status}");
        }
        // Written before the node is told, or not at all: nobody takes it back.
        let error = coded(
            Call::UpdateServer,
            status,
            "DaemonConnectionException",
            true,
        );
        assert_eq!(error, unknown(Trouble::Node), "{status}");
    }
}

#[test]
fn statuses_with_a_code_of_the_panel() {
    for (status, code, charged, expected) in [
        (301, "Any", false, not_done(Trouble::Redirected)),
        (
            401,
            "AuthenticationException",
            false,
            not_done(Trouble::KeyRefused),
        ),
        (
            403,
            "AccessDeniedHttpException",
            true,
            not_done(Trouble::KeyRefused),
        ),
        (
            400,
            "TwoFactorAuthRequiredException",
            false,
            not_done(Trouble::KeyRefused),
        ),
        (
            404,
            "NotFoundHttpException",
            false,
            not_done(Trouble::NotThePanel),
        ),
        (
            405,
            "MethodNotAllowedHttpException",
            false,
            not_done(Trouble::NotThePanel),
        ),
        (
            404,
            "SomethingElseException",
            true,
            not_done(Trouble::Failing),
        ),
        (409, "ConflictHttpException", true, not_done(Trouble::Node)),
        (
            413,
            "PostTooLargeException",
            false,
            not_done(Trouble::Failing),
        ),
        (503, "HttpException", false, not_done(Trouble::Failing)),
        (500, "QueryException", false, not_done(Trouble::Failing)),
    ] {
        for call in CALLS {
            assert_eq!(
                coded(call, status, code, charged),
                expected,
                "{call:?} {status} {code}"
            );
        }
    }
}

#[test]
fn a_404_is_believed_only_of_an_object_and_when_charged() {
    for call in CALLS {
        let expected = match call {
            Call::CreateUser | Call::CreateServer => not_done(Trouble::Failing),
            _ => Error::NotFound,
        };
        assert_eq!(
            coded(call, 404, "NotFoundHttpException", true),
            expected,
            "{call:?}"
        );
        assert_eq!(
            uncoded(call, 404, PAGE),
            not_done(Trouble::NotThePanel),
            "{call:?}"
        );
    }
}

#[test]
fn a_5xx_of_a_changing_call_is_unknown_unless_it_surely_stopped_before() {
    for (code, charged, create, act) in [
        (
            "DataValidationException",
            true,
            not_done(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "UniqueConstraintViolationException",
            true,
            not_done(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "QueryException",
            true,
            unknown(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "TransportException",
            true,
            unknown(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "TypeError",
            true,
            unknown(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "FatalError",
            false,
            unknown(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
        (
            "ConnectionException",
            false,
            unknown(Trouble::Failing),
            unknown(Trouble::Failing),
        ),
    ] {
        for call in [
            Call::CreateUser,
            Call::UpdateUser,
            Call::CreateServer,
            Call::UpdateServer,
        ] {
            assert_eq!(coded(call, 500, code, charged), create, "{call:?} {code}");
        }
        for call in [Call::ActOnServer, Call::DeleteServer, Call::DeleteUser] {
            assert_eq!(coded(call, 500, code, charged), act, "{call:?} {code}");
        }
        let read = coded(Call::Read, 500, code, charged);
        assert_eq!(read, not_done(Trouble::Failing), "{code}");
    }
}

#[test]
fn a_proxys_page_is_not_the_panel() {
    for status in [500, 502, 503, 504, 520, 408, 499, 202] {
        for call in CALLS {
            let expected = call.doubtful(Trouble::NotThePanel);
            assert_eq!(uncoded(call, status, PAGE), expected, "{call:?} {status}");
        }
    }
    for status in [400, 401, 403, 404, 405, 413, 422] {
        for call in CALLS {
            let expected = not_done(Trouble::NotThePanel);
            assert_eq!(uncoded(call, status, PAGE), expected, "{call:?} {status}");
            assert_eq!(
                uncoded(call, status, br#"{"message":"no"}"#),
                expected,
                "{call:?}"
            );
        }
    }
    assert_eq!(
        uncoded(Call::CreateServer, 302, PAGE),
        not_done(Trouble::Redirected)
    );
}

#[test]
fn a_429_waits_as_long_as_it_says_within_reason() {
    let throttled = error_body("ThrottleRequestsException");
    for (retry_after, after) in [
        (None, 60),
        (Some(54), 54),
        (Some(0), 1),
        (Some(86_400), 300),
    ] {
        for content in [&throttled[..], PAGE, b""] {
            let retry_after = retry_after.map(Duration::from_secs);
            let answer = Answer {
                status: 429,
                charged: true,
                retry_after,
                content,
            };
            let after = Duration::from_secs(after);
            for call in CALLS {
                assert_eq!(sort(call, &answer), Error::RateLimited { after });
            }
        }
    }
}

#[test]
fn violations_are_field_and_rule_in_the_panels_order() {
    let content = br#"{"errors":[
        {"code":"ValidationException","detail":"secret words","meta":{"source_field":"allocation.default","rule":"exists"}},
        {"code":"ValidationException","meta":{"source_field":"environment.A","rule":null}},
        {"code":"ValidationException","meta":[]},
        {"code":"ValidationException"}]}"#;
    let error = uncoded(Call::CreateServer, 422, content);
    assert!(error.violates("allocation.default", "exists") && error.violates("environment.A", ""));
    assert!(
        matches!(&error, Error::Rejected { status: 422, code, violations }
        if code == "ValidationException" && violations.len() == 2)
    );
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_rejection_without_fields_keeps_its_code() {
    for code in [
        "DisplayException",
        "NoViableNodeException",
        "InvalidFilterQuery",
        "BadRequestHttpException",
    ] {
        let error = coded(Call::CreateServer, 400, code, true);
        let violations = Vec::new();
        assert_eq!(
            error,
            Error::Rejected {
                status: 400,
                code: code.to_owned(),
                violations
            }
        );
    }
}

#[test]
fn names_from_the_panel_are_cut() {
    let long = "é".repeat(5_000);
    let content = format!(
        r#"{{"errors":[{{"code":"ValidationException","meta":{{"source_field":"{long}"}}}}]}}"#
    );
    let error = uncoded(Call::CreateUser, 422, content.as_bytes());
    assert!(matches!(&error, Error::Rejected { violations, .. }
        if violations[0].field.chars().count() == NAME_MAX));
}

#[test]
fn a_body_that_broke_off_after_a_success_is_garbage_only_where_something_was_made() {
    assert!(matches!(
        Call::CreateServer.broken_off(201),
        Error::Garbage { .. }
    ));
    assert!(matches!(
        Call::UpdateUser.broken_off(200),
        Error::Garbage { .. }
    ));
    assert!(matches!(
        Call::UpdateServer.broken_off(200),
        Error::Garbage { .. }
    ));
    assert_eq!(
        Call::UpdateServer.broken_off(500),
        unknown(Trouble::NoAnswer)
    );
    assert_eq!(
        Call::CreateServer.broken_off(500),
        unknown(Trouble::NoAnswer)
    );
    assert_eq!(
        Call::DeleteServer.broken_off(200),
        unknown(Trouble::NoAnswer)
    );
    assert_eq!(Call::Read.broken_off(200), not_done(Trouble::NoAnswer));
}

fn any_call() -> impl Strategy<Value = Call> {
    prop::sample::select(&CALLS[..])
}

fn any_content() -> impl Strategy<Value = Vec<u8>> {
    let code = prop::sample::select(vec![
        "DaemonConnectionException",
        "ValidationException",
        "NotFoundHttpException",
        "QueryException",
        "ThrottleRequestsException",
        "X",
    ]);
    prop_oneof![
        any::<Vec<u8>>(),
        code.prop_map(error_body),
        "\\{\"errors\":\\[.{0,40}\\]\\}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_answer_is_sorted(
        call in any_call(), status in any::<u16>(), charged: bool, wait: Option<u64>,
        content in any_content(),
    ) {
        let retry_after = wait.map(Duration::from_secs);
        let error = sort(call, &Answer { status, charged, retry_after, content: &content });
        // A read changes nothing, so nothing about it is ever left open.
        if call == Call::Read {
            prop_assert!(!error.may_have_been_done(), "{error:?}");
        }
        // An error status is never a success that could not be read.
        let garbage = matches!(error, Error::Garbage { .. });
        prop_assert!(!garbage, "{error:?}");
        if let Error::RateLimited { after } = error {
            prop_assert!(after >= Duration::from_secs(1) && after <= LONGEST_WAIT);
        }
    }

    #[test]
    fn a_server_is_never_called_gone_on_less_than_the_panels_word(
        status in any::<u16>(), charged: bool, content in any_content(),
    ) {
        let answer = Answer { status, charged, retry_after: None, content: &content };
        if sort(Call::DeleteServer, &answer) == Error::NotFound {
            let text = String::from_utf8_lossy(&content);
            prop_assert!(status == 404 && charged && text.contains("NotFoundHttpException"));
        }
    }
}

/// P-17: what is stored with an order must be storable.
#[test]
fn names_hold_no_control_characters() {
    let body = r#"{"errors":[{"code":"ValidationException","meta":
        {"source_field":"na\u0000me\u001b[31m","rule":"re\nquired"}}]}"#;
    let answer = Answer {
        status: 422,
        charged: true,
        retry_after: None,
        content: body.as_bytes(),
    };
    let sorted = sort(Call::CreateUser, &answer);
    assert!(sorted.violates("name[31m", "required"), "{sorted:?}");
}
