//! The refusals of a fault that only the panel can word.

use super::errors::Refusal;
use super::gate::Answer;
use crate::faults::FaultAction;

/// The answer in the panel's words. A limit is told by its size, if that is known.
pub(crate) fn reply(action: &FaultAction, limit: Option<u32>) -> Answer {
    let refusal = match action {
        FaultAction::RateLimited { .. } => {
            Refusal::new(429, "ThrottleRequestsException", "Too Many Attempts.")
        }
        FaultAction::LockTimeout { .. } => Refusal::internal("QueryException"),
        FaultAction::Conflict => Refusal::new(
            409,
            "ConflictHttpException",
            "Cannot toggle suspension status on a server that is currently being transferred.",
        ),
        _ => Refusal::internal("Exception"),
    };
    let mut answer = Answer::json(refusal.status, &refusal.body());
    if let (FaultAction::RateLimited { .. }, Some(limit)) = (action, limit) {
        answer.push("X-RateLimit-Limit", limit.to_string());
        answer.push("X-RateLimit-Remaining", "0");
    }
    if let FaultAction::RateLimited { retry_after } | FaultAction::LockTimeout { retry_after } =
        action
        && let Some(seconds) = retry_after
    {
        answer.push("Retry-After", seconds.to_string());
    }
    answer
}
