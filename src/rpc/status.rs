//! The one place that makes a `tonic::Status`, so that every error a caller
//! sees has a stable reason and everything it needs to act on it.
//!
//! Details always hold an ErrorInfo of domain `spawnpoint`. What is not meant
//! for callers (a bug, a failed statement) becomes a fixed text, and its chain
//! goes to the log here and nowhere else. Knows nothing of messages or methods.

use std::{collections::HashMap, error::Error as StdError, fmt::Write as _, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{app, db, domain};

mod reasons;

pub use reasons::{REASONS, code_of};

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "spawnpoint";

/// When to come back while the store does not answer: longer than a fail-over blink, short
/// enough that a gateway's retry still meets Stripe's patience.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// Details travel in a header, and many clients refuse more than 8 KiB of them: values that a
/// caller sent are shown up to here.
const VALUE_BYTES: usize = 128;
/// As `VALUE_BYTES`, for texts.
const TEXT_BYTES: usize = 400;
/// As `VALUE_BYTES`, for the number of violations; the last one then tells how many more.
const VIOLATIONS: usize = 24;

/// What a caller is told.
pub fn status(error: app::Error) -> Status {
    match error {
        app::Error::Refused(error) => refused(&error),
        app::Error::Store(error @ (db::Error::Unavailable(_) | db::Error::Again(_))) => {
            tracing::warn!(error = chain(&error), "the store does not answer");
            refused(&domain::Error::Unavailable {
                reason: "STORE_UNAVAILABLE",
                message: "the store does not answer",
                after: STORE_RETRY,
            })
        }
        app::Error::Store(error) => internal(&error),
        app::Error::Internal(_) => internal(&error),
    }
}

/// The same for a refusal that never reached a verb.
pub fn refused(error: &domain::Error) -> Status {
    let reason = error.reason();
    let code = code_of(reason).unwrap_or_else(|| {
        tracing::error!(reason, "a reason is missing in the table");
        Code::Internal
    });
    let message = match error {
        domain::Error::Invalid(violations) => format!("invalid: {}", fields(violations)),
        other => other.to_string(),
    };
    let message = cut(&message, TEXT_BYTES);
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, metadata(error));
    match error {
        domain::Error::Invalid(violations) => add_violations(&mut details, violations),
        domain::Error::NotFound { what, id } => {
            details.set_resource_info(what.to_string(), cut(id, VALUE_BYTES), "", &message);
        }
        domain::Error::Exists { metadata, .. } => {
            if let Some((kind, id)) = metadata.first() {
                details.set_resource_info(*kind, cut(id, VALUE_BYTES), "", &message);
            }
        }
        domain::Error::Precondition { metadata, .. } => {
            let subject = metadata.first().map_or("", |(_, value)| value.as_str());
            let subject = cut(subject, VALUE_BYTES);
            details.add_precondition_failure_violation(reason, subject, &message);
        }
        domain::Error::RateLimited { after } | domain::Error::Unavailable { after, .. } => {
            details.set_retry_info(Some(*after));
        }
        domain::Error::BadRequest { .. }
        | domain::Error::EtagMismatch { .. }
        | domain::Error::Unauthenticated
        | domain::Error::RoleForbidden { .. }
        | domain::Error::UserHeaderRequired => {}
    }
    Status::with_error_details(code, message, details)
}

/// The fixed answer for what is our fault; the chain goes to the log, whose line
/// carries the trace id of the call's span.
fn internal(error: &(dyn StdError + 'static)) -> Status {
    tracing::error!(error = chain(error), "a call failed");
    plain(
        Code::Internal,
        "INTERNAL",
        "internal error; the log of the service has the cause",
    )
}

/// A call panicked; the panic itself was reported by the process's hook.
pub fn panicked() -> Status {
    plain(
        Code::Internal,
        "INTERNAL",
        "internal error; the log of the service has the cause",
    )
}

/// The call's own time-out, or the cap, ran out.
pub fn deadline(limit: Duration) -> Status {
    let mut details = ErrorDetails::new();
    let limit_ms = limit.as_millis().to_string();
    let metadata = HashMap::from([("limit_ms".to_owned(), limit_ms.clone())]);
    details.set_error_info("DEADLINE_EXCEEDED", DOMAIN, metadata);
    let message = format!("the call took longer than {limit_ms} ms");
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// The process is going away; another replica, or the next process, takes the call.
pub fn shutting_down() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("SHUTTING_DOWN", DOMAIN, HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, "the service is shutting down", details)
}

/// A status that the framework made before any handler ran, with an ErrorInfo added: an
/// unreadable or oversized message, an unknown method, an unknown compression.
pub fn from_framework(status: &Status) -> Status {
    if status.message().contains("message length too large") {
        return plain(Code::OutOfRange, "MESSAGE_TOO_LARGE", status.message());
    }
    match status.code() {
        // Ours carry details, so this is the codec's: the sender's fault, not our bug.
        Code::Internal => plain(
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
            "the message cannot be decoded as the method's request",
        ),
        Code::Unimplemented => {
            let text = match status.message() {
                "" => "no such method, or not in this release",
                text => text,
            };
            plain(Code::Unimplemented, "UNIMPLEMENTED", text)
        }
        code => plain(code, word(code), status.message()),
    }
}

fn plain(code: Code, reason: &'static str, message: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, cut(message, TEXT_BYTES), details)
}

/// Every value that the message names.
fn metadata(error: &domain::Error) -> HashMap<String, String> {
    let named = |pairs: &[(&str, String)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), cut(value, VALUE_BYTES)))
            .collect()
    };
    match error {
        domain::Error::Invalid(violations) => named(&[("field", fields(violations))]),
        domain::Error::BadRequest { metadata, .. }
        | domain::Error::Exists { metadata, .. }
        | domain::Error::Precondition { metadata, .. } => named(metadata),
        domain::Error::NotFound { what, id } | domain::Error::EtagMismatch { what, id } => {
            named(&[(what.id_field(), id.clone())])
        }
        domain::Error::RoleForbidden { role, method } => named(&[
            ("role", (*role).to_owned()),
            ("method", (*method).to_owned()),
        ]),
        domain::Error::Unauthenticated
        | domain::Error::UserHeaderRequired
        | domain::Error::RateLimited { .. }
        | domain::Error::Unavailable { .. } => HashMap::new(),
    }
}

fn fields(violations: &[domain::Violation]) -> String {
    let names: Vec<&str> = violations
        .iter()
        .take(VIOLATIONS)
        .map(|violation| violation.field.as_str())
        .collect();
    names.join(", ")
}

fn add_violations(details: &mut ErrorDetails, violations: &[domain::Violation]) {
    for violation in violations.iter().take(VIOLATIONS) {
        let field = cut(&violation.field, VALUE_BYTES);
        details.add_bad_request_violation(field, cut(&violation.problem, VALUE_BYTES));
    }
    let more = violations.len().saturating_sub(VIOLATIONS);
    if more > 0 {
        details.add_bad_request_violation("", format!("and {more} more field(s)"));
    }
}

/// At most so many bytes, marked where something is missing.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(bytes)])
}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// A code's name as callers know it.
pub fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;
