//! A second opinion on every recorded outcome, from what is known of the panel alone: its table of
//! errors, and what each failed call may have left behind. Knows nothing of how the client sorts.

use std::time::Duration;

use serde_json::Value;

use crate::panel::RateSeen;

/// Refuses an outcome that says more, or something else, than the panel's answer does.
pub(super) fn review(name: &str, request: &Value, response: &Value, outcome: &str) {
    let wanted = wanted(request, response);
    let fits = wanted.iter().any(|wanted| outcome.starts_with(wanted));
    assert!(
        fits,
        "{name}: {outcome}, though the answer allows {wanted:?}"
    );
}

/// Refuses rate figures that the answer's headers do not give: the budget goes by them.
pub(super) fn figures(name: &str, response: &Value, outcome: &str, seen: RateSeen) {
    let number = |wanted: &str| {
        let mut headers = response["headers"].as_object()?.iter();
        let (_, value) = headers.find(|(key, _)| key.eq_ignore_ascii_case(wanted))?;
        value.as_str()?.parse::<u32>().ok()
    };
    let waits = outcome.starts_with("RateLimited(");
    let wait = number("retry-after").filter(|_| waits);
    let told = RateSeen {
        limit: number("x-ratelimit-limit"),
        remaining: number("x-ratelimit-remaining"),
        retry_after: wait.map(|wait| Duration::from_secs(wait.into())),
    };
    assert_eq!(seen, told, "{name}: {outcome}");
}

/// What may be concluded from an answer, as the beginning of a line of the table.
fn wanted(request: &Value, response: &Value) -> &'static [&'static str] {
    let status = response["status"].as_u64().unwrap_or_default();
    let code = response["body"]["errors"][0]["code"].as_str();
    let headers = response["headers"].as_object();
    let charged = headers.is_some_and(|headers| {
        let mut names = headers.keys();
        names.any(|name| name.eq_ignore_ascii_case("x-ratelimit-remaining"))
    });
    let reads = request["method"] == "GET";
    match (status, code) {
        (200..=299, _) => &["done"],
        (300..=399, _) => &["NotDone(Redirected)"],
        // Whatever its status: the node failed, and the panel took back what it had begun.
        (_, Some("DaemonConnectionException")) => &["NotDone(Node)"],
        // A server that is being moved to another node.
        (409, Some("ConflictHttpException")) => &["NotDone(Node)"],
        (429, _) => &["RateLimited("],
        (401, _) | (403, Some("AccessDeniedHttpException")) => &["NotDone(KeyRefused)"],
        (400, Some("TwoFactorAuthRequiredException")) => &["NotDone(KeyRefused)"],
        (400, Some(_)) => &["Rejected(400 "],
        (422, Some("ValidationException")) => &["Rejected(422 ValidationException) "],
        // Without a charge the route is missing, not the row.
        (404 | 405, Some(_)) if charged => &["NotFound"],
        (404 | 405, _) => &["NotDone(NotThePanel)"],
        // Nothing that was not charged has come to the controller.
        (500 | 503, Some(_)) if !charged => &["NotDone(Failing)"],
        // A lost race leaves nothing of this call; of an earlier one it might.
        (500, Some("DataValidationException")) => &["NotDone(Failing)"],
        (500, Some("QueryException" | "UniqueConstraintViolationException")) if !reads => {
            &["Unknown(Failing)", "NotDone(Failing)"]
        }
        // A mailer that fails leaves a user behind; any other class may leave anything.
        (500, Some(_)) if reads => &["NotDone(Failing)"],
        (500, Some(_)) => &["Unknown(Failing)"],
        // A page for people: a proxy's, or the panel's for a caller that asked for no JSON.
        (_, None) if reads => &["NotDone(NotThePanel)", "RateLimited("],
        (_, None) => &["Unknown(NotThePanel)", "NotDone(NotThePanel)"],
        _ => &[],
    }
}
