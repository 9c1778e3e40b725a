//! Answers on the wire: Stripe's headers, its errors, and replays.

use serde_json::Value;

use super::errors::Refusal;
use super::idempotency::Stored;
use crate::faults::FaultAction;
use crate::serving::Reply;

/// An answer before it is sent.
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    fn new(status: u16, body: String, request_id: &str) -> Self {
        let headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Request-Id", request_id.to_owned()),
        ];
        Self {
            status,
            body,
            headers,
        }
    }

    /// The object that was asked for.
    pub(super) fn done(value: &Value, request_id: &str) -> Self {
        Self::new(200, format!("{value:#}\n"), request_id)
    }

    /// An error.
    pub(super) fn refused(refusal: &Refusal, request_id: &str, livemode: bool) -> Self {
        let body = format!("{:#}\n", refusal.body(request_id, livemode));
        let mut answer = Self::new(refusal.status, body, request_id);
        if refusal.status == 401 {
            answer.header("WWW-Authenticate", "Basic realm=\"Stripe\"");
        }
        answer
    }

    /// The stored answer of an earlier call.
    pub(super) fn replay(stored: &Stored, request_id: &str, key: Option<&str>) -> Self {
        let mut answer = Self::new(stored.status, stored.body.clone(), request_id);
        answer.header("Idempotent-Replayed", "true");
        answer.header("Original-Request", &stored.request_id);
        if let Some(key) = key {
            answer.header("Idempotency-Key", key);
        }
        answer
    }

    /// A fault's refusal in Stripe's words.
    pub(super) fn own_words(
        action: &FaultAction,
        key: Option<&str>,
        request_id: &str,
        livemode: bool,
    ) -> Self {
        let refusal = match action {
            FaultAction::RateLimited { .. } => Refusal::rate_limited(),
            FaultAction::LockTimeout { .. } => Refusal::lock_timeout(),
            FaultAction::Conflict => Refusal::key_in_use(key.unwrap_or_default()),
            _ => Refusal::internal(500),
        };
        let mut answer = Self::refused(&refusal, request_id, livemode);
        if let FaultAction::RateLimited { retry_after } | FaultAction::LockTimeout { retry_after } =
            action
            && let Some(seconds) = retry_after
        {
            answer.header("Retry-After", &seconds.to_string());
        }
        answer
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let headers = answer.headers.into_iter();
        Self {
            status: answer.status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: answer.body.into_bytes(),
        }
    }
}
