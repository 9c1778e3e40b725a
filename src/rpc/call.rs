//! What every service does with a call: who calls, which page, which resource.

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{auth, door::AnswerBy, page, status::status};
use crate::{
    app::{Caller, Error},
    domain::{self, Violation, error::Violations},
};

const ROUND_THE_DOOR: Duration = Duration::from_secs(5);

/// One call from message to answer.
pub(super) async fn answer<M, A, F>(
    method: &'static str,
    request: Request<M>,
    verb: impl FnOnce(Caller, M) -> F,
) -> Result<Response<A>, Status>
where
    F: Future<Output = Result<A, Error>>,
{
    let caller = auth::caller(&request).map_err(status)?;
    caller.may(method).map_err(status)?;
    verb(caller, request.into_inner())
        .await
        .map(Response::new)
        .map_err(status)
}

/// When the call should be answered; a call that came round the door has a moment.
pub(super) fn answer_by<M>(request: &Request<M>) -> Instant {
    let known = request.extensions().get::<AnswerBy>();
    known.map_or_else(|| Instant::now() + ROUND_THE_DOOR, |known| known.0)
}

/// Reads size and token of a page. A wrong size is noted with what else is wrong.
pub(super) fn page(
    violations: &mut Violations,
    size: i32,
    token: &str,
    scope: &[&str],
) -> Result<page::Page, domain::Error> {
    match page::read(size, token, scope) {
        Err(domain::Error::Invalid(problems)) => {
            for Violation { field, problem } in problems {
                violations.add(field, problem);
            }
            Ok(page::Page {
                limit: 1,
                after: None,
            })
        }
        other => other,
    }
}

/// The resource of a create or an update.
pub(super) fn resource<T: Default>(
    violations: &mut Violations,
    field: &str,
    sent: Option<T>,
) -> Result<T, domain::Error> {
    match sent {
        Some(sent) => Ok(sent),
        None => {
            violations.add(field, "is required");
            std::mem::take(violations).finish().map(|()| T::default())
        }
    }
}

/// Empty means none.
pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
