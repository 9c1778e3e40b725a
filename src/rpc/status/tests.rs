use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{DOMAIN, REASONS, from_framework, refused, status, word};
use crate::{
    app, db,
    domain::{Error, Violation, error::Kind},
};

/// What clients were told. A line may be added, never changed.
const PUBLISHED: &str = "\
ABORTED ETAG_MISMATCH SERVER_BUSY
ALREADY_EXISTS CODE_TAKEN PANEL_USER_TAKEN REQUEST_ID_REUSED RESOURCE_EXISTS
DEADLINE_EXCEEDED DEADLINE_EXCEEDED
FAILED_PRECONDITION ADDON_WITHOUT_EFFECT CHANGE_PENDING DISK_SHRINK EGG_NOT_FOUND GUARD_HELD \
NOT_CANCELING NOT_PROVISIONABLE NO_CAPACITY ORDER_ACTIVE ORDER_ENDED ORDER_NOT_PAID \
PANEL_USER_FORBIDDEN PANEL_USER_UNRESOLVED PLAN_INACTIVE PLAN_INCOMPATIBLE PRICE_IN_USE \
SEQUENCE_EXPIRED SERVER_NOT_READY STRIPE_PRICE_INVALID TERM_NOT_OFFERED
INTERNAL INTERNAL
INVALID_ARGUMENT EVENT_MALFORMED EVENT_THIN FIELD_INVALID ITEM_TYPE_MISMATCH MESSAGE_MALFORMED \
PAGE_TOKEN_INVALID URL_NOT_ALLOWED
NOT_FOUND ADDON_NOT_FOUND AFFILIATE_NOT_FOUND DRIFT_NOT_FOUND EVENT_NOT_FOUND GAME_NOT_FOUND \
NODE_NOT_FOUND ORDER_NOT_FOUND PLAN_NOT_FOUND PROFILE_NOT_FOUND REGION_NOT_FOUND \
SERVER_NOT_FOUND SWEEP_NOT_FOUND
OUT_OF_RANGE MESSAGE_TOO_LARGE
PERMISSION_DENIED ROLE_FORBIDDEN USER_HEADER_REQUIRED
RESOURCE_EXHAUSTED RATE_LIMITED
UNAUTHENTICATED UNAUTHENTICATED_TOKEN
UNAVAILABLE PANEL_UNAVAILABLE SHUTTING_DOWN STORE_UNAVAILABLE STRIPE_UNAVAILABLE WARMING_UP
UNIMPLEMENTED UNIMPLEMENTED
";

#[test]
fn the_table_is_what_was_published() {
    let codes: BTreeSet<&str> = REASONS.iter().map(|(_, code)| word(*code)).collect();
    let mut text = String::new();
    for code in codes {
        let reasons: BTreeSet<&str> = REASONS
            .iter()
            .filter(|(_, its)| word(*its) == code)
            .map(|(reason, _)| *reason)
            .collect();
        let reasons: Vec<&str> = reasons.into_iter().collect();
        writeln!(text, "{code} {}", reasons.join(" ")).unwrap();
    }
    assert_eq!(text, PUBLISHED);
    let distinct: BTreeSet<&str> = REASONS.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(distinct.len(), REASONS.len(), "a reason has one code");
}

fn refusals() -> Vec<(Error, Code)> {
    let pair = || {
        vec![
            ("plan_id", "plan-a".to_owned()),
            ("term", "yearly".to_owned()),
        ]
    };
    vec![
        (
            Error::Invalid(vec![Violation {
                field: "region".into(),
                problem: "is empty".into(),
            }]),
            Code::InvalidArgument,
        ),
        (
            Error::BadRequest {
                reason: "EVENT_THIN",
                message: "thin".into(),
                metadata: pair(),
            },
            Code::InvalidArgument,
        ),
        (Error::not_found(Kind::Plan, "plan-a"), Code::NotFound),
        (
            Error::Exists {
                reason: "RESOURCE_EXISTS",
                message: "plan plan-a exists".into(),
                metadata: pair(),
            },
            Code::AlreadyExists,
        ),
        (
            Error::precondition(
                "TERM_NOT_OFFERED",
                "plan plan-a has no yearly price",
                pair(),
            ),
            Code::FailedPrecondition,
        ),
        (
            Error::precondition("SERVER_BUSY", "busy", pair()),
            Code::Aborted,
        ),
        (
            Error::EtagMismatch {
                what: Kind::Plan,
                id: "plan-a".into(),
            },
            Code::Aborted,
        ),
        (Error::Unauthenticated, Code::Unauthenticated),
        (
            Error::RoleForbidden {
                role: "viewer",
                method: "CatalogService/CreatePlan",
            },
            Code::PermissionDenied,
        ),
        (Error::UserHeaderRequired, Code::PermissionDenied),
        (
            Error::RateLimited {
                after: Duration::from_secs(3),
            },
            Code::ResourceExhausted,
        ),
        (
            Error::Unavailable {
                reason: "WARMING_UP",
                message: "warming up",
                after: Duration::from_secs(7),
            },
            Code::Unavailable,
        ),
    ]
}

#[test]
fn every_refusal_has_its_code_and_its_reason() {
    for (error, code) in refusals() {
        let reason = error.reason();
        let status = status(error.into());
        assert_eq!(status.code(), code, "{reason}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            (reason, DOMAIN)
        );
    }
}

#[test]
fn details_hold_what_the_caller_needs() {
    let of = |error: Error| status(error.into()).get_error_details();

    let details = of(Error::Invalid(vec![
        Violation {
            field: "region".into(),
            problem: "is empty".into(),
        },
        Violation {
            field: "plan.ram_gb".into(),
            problem: "must be positive".into(),
        },
    ]));
    let bad = details.bad_request().unwrap();
    assert_eq!(bad.field_violations.len(), 2);
    assert_eq!(bad.field_violations[1].field, "plan.ram_gb");
    assert_eq!(bad.field_violations[1].description, "must be positive");
    assert_eq!(
        details.error_info().unwrap().metadata["field"],
        "region, plan.ram_gb"
    );

    let details = of(Error::not_found(Kind::Plan, "plan-a"));
    assert_eq!(details.error_info().unwrap().metadata["plan_id"], "plan-a");
    assert_eq!(details.resource_info().unwrap().resource_name, "plan-a");

    let metadata = vec![("region", "eu".to_owned())];
    let details = of(Error::precondition(
        "NO_CAPACITY",
        "region eu is full",
        metadata,
    ));
    assert_eq!(details.error_info().unwrap().metadata["region"], "eu");
    let failure = &details.precondition_failure().unwrap().violations[0];
    assert_eq!(
        (failure.r#type.as_str(), failure.subject.as_str()),
        ("NO_CAPACITY", "eu")
    );

    let details = of(Error::RateLimited {
        after: Duration::from_secs(3),
    });
    assert_eq!(
        details.retry_info().unwrap().retry_delay,
        Some(Duration::from_secs(3))
    );

    let details = of(Error::EtagMismatch {
        what: Kind::Game,
        id: "minecraft".into(),
    });
    assert_eq!(
        details.error_info().unwrap().metadata["game_id"],
        "minecraft"
    );

    let details = of(Error::RoleForbidden {
        role: "viewer",
        method: "CatalogService/CreatePlan",
    });
    assert_eq!(details.error_info().unwrap().metadata["role"], "viewer");
}

#[test]
fn a_store_that_does_not_answer_is_told_with_a_time_to_come_back() {
    for error in [
        db::Error::Unavailable(sea_orm_error("pool timed out")),
        db::Error::Again(sea_orm_error("deadlock")),
    ] {
        let status = status(app::Error::Store(error));
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "STORE_UNAVAILABLE"
        );
        assert!(
            status
                .get_details_retry_info()
                .unwrap()
                .retry_delay
                .is_some()
        );
        assert!(!status.message().contains("pool"), "{}", status.message());
    }
}

#[test]
fn what_is_not_for_callers_becomes_a_fixed_text() {
    let secret = "UNIQUE constraint failed: orders.secret";
    for error in [
        app::Error::Internal(secret.to_owned()),
        app::Error::Store(db::Error::Conflict(secret.to_owned())),
        app::Error::Store(db::Error::Corrupt(secret.to_owned())),
        app::Error::Store(db::Error::Internal(sea_orm_error(secret))),
        app::Error::Store(db::Error::ClaimLost),
    ] {
        let status = status(error);
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!String::from_utf8_lossy(status.details()).contains("orders"));
        assert!(!status.message().contains("orders"));
    }
}

#[test]
fn a_huge_value_does_not_make_a_huge_header() {
    let id = "\u{1F3AE}".repeat(100_000);
    assert!(
        status(Error::not_found(Kind::Plan, &id).into())
            .details()
            .len()
            < 4096
    );
    let violations = (0..5_000)
        .map(|i| Violation {
            field: format!("environment[{id}{i}]"),
            problem: id.clone(),
        })
        .collect();
    let status = refused(&Error::Invalid(violations));
    let bad = status.get_details_bad_request().unwrap();
    assert_eq!(
        bad.field_violations.last().unwrap().description,
        "and 4976 more field(s)"
    );

    let violations = (0..100).map(|i| Violation {
        field: format!("a[{i}]"),
        problem: "is empty".into(),
    });
    assert!(
        refused(&Error::Invalid(violations.collect()))
            .details()
            .len()
            < 6 * 1024
    );
}

#[test]
fn what_the_framework_refuses_has_a_reason_too() {
    let too_large = "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes";
    for (raw, code, reason) in [
        (
            Status::out_of_range(too_large),
            Code::OutOfRange,
            "MESSAGE_TOO_LARGE",
        ),
        (
            Status::internal("failed to decode Protobuf message: Greeting.name: invalid UTF-8"),
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
        ),
        (
            Status::unimplemented(""),
            Code::Unimplemented,
            "UNIMPLEMENTED",
        ),
        (
            Status::not_found("service not registered"),
            Code::NotFound,
            "NOT_FOUND",
        ),
    ] {
        let status = from_framework(&raw);
        assert_eq!(status.code(), code);
        assert_eq!(status.get_details_error_info().unwrap().reason, reason);
        assert!(!status.message().is_empty());
    }
}

fn sea_orm_error(text: &str) -> sea_orm::DbErr {
    sea_orm::DbErr::Custom(text.to_owned())
}

/// Reads the sources: a reason that the table does not know would reach callers as INTERNAL.
#[test]
fn every_reason_written_in_the_sources_is_in_the_table() {
    let mut seen = BTreeSet::new();
    visit(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut |text| {
            for marker in ["reason: \"", "precondition(\""] {
                for (at, _) in text.match_indices(marker) {
                    // `waiting_reason` and its kin are words of their own.
                    if text[..at].ends_with('_') {
                        continue;
                    }
                    let rest = &text[at + marker.len()..];
                    seen.insert(rest[..rest.find('"').unwrap()].to_owned());
                }
            }
        },
    );
    assert!(
        seen.contains("REQUEST_ID_REUSED"),
        "the search finds what is there: {seen:?}"
    );
    for reason in seen {
        assert!(
            super::code_of(&reason).is_some(),
            "{reason} is not in REASONS"
        );
    }
}

fn visit(folder: &Path, read: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            visit(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            // Calls are broken over lines: join them without the white space between.
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let joined = lines.join("");
            // What follows the mark belongs to the tests of the file.
            read(joined.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}
