//! Sorts what came back from Stripe into a value or a [`Failure`].
//!
//! Pure: a status, headers and a body go in. The rule of thumb: only Stripe's own JSON
//! is believed when it says no. A 404 page of some proxy must never pass for "this
//! session does not exist", because room and ports are given up on that word. The body
//! never leaves this module, and of Stripe's error only `code` and `param` do, since its
//! message may quote what a customer typed.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::retry::{Failure, RETRY_AFTER_CAP};

/// Said to callers where Stripe limits us but does not say for how long.
const DEFAULT_RATE_PAUSE: Duration = Duration::from_secs(5);

/// Longest piece of Stripe's text that is kept for logs and errors.
const MAX_TEXT: usize = 255;

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// The connection or the time ended before the body did.
    Cut,
    /// Longer than we are willing to hold.
    TooLarge,
}

/// The head of an answer: what matters before its body is looked at.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// HTTP status.
    pub status: StatusCode,
    /// `Request-Id`, or empty.
    pub request_id: String,
    replayed: bool,
    should_retry: Option<bool>,
    retry_after: Option<Duration>,
}

impl Head {
    /// Reads the headers that we know; odd ones count as absent.
    pub fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            request_id: plain(text("request-id").unwrap_or_default()),
            replayed: text("idempotent-replayed") == Some("true"),
            should_retry: match text("stripe-should-retry") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
            retry_after: text("retry-after")
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
        }
    }

    /// The object in the answer, or what went wrong.
    pub fn sort<W: DeserializeOwned>(
        &self,
        body: Result<Vec<u8>, BodyFault>,
    ) -> Result<W, Failure> {
        match self.status.as_u16() {
            200..=299 => self.decode(body),
            // Whether Stripe ran the request cannot be told. A replayed answer is a stored
            // one: asking again under the key would only repeat it.
            408 | 409 | 424 | 500..=599 => Err(self.failure(self.unknown(), !self.replayed)),
            429 => {
                let after = self
                    .retry_after
                    .unwrap_or(DEFAULT_RATE_PAUSE)
                    .min(RETRY_AFTER_CAP);
                Err(self.failure(Error::RateLimited { after }, true))
            }
            400..=499 => Err(self.refusal(body)),
            status => Err(Failure::last(
                self.garbage(format!("status {status} is not Stripe's")),
            )),
        }
    }

    fn decode<W: DeserializeOwned>(&self, body: Result<Vec<u8>, BodyFault>) -> Result<W, Failure> {
        let body = body.map_err(|fault| self.unread(fault))?;
        serde_json::from_slice(&body).map_err(|fault| {
            // Line, column and kind only: serde's own text may quote the body.
            let error = self.garbage(format!(
                "{:?} fault at line {} column {}",
                fault.classify(),
                fault.line(),
                fault.column()
            ));
            if fault.is_eof() {
                Failure::passing(error)
            } else {
                Failure::last(error)
            }
        })
    }

    fn refusal(&self, body: Result<Vec<u8>, BodyFault>) -> Failure {
        let body = match body {
            Ok(body) => body,
            Err(fault) => return self.unread(fault),
        };
        let Ok(ErrorBody { error: said }) = serde_json::from_slice::<ErrorBody>(&body) else {
            let status = self.status.as_u16();
            return Failure::last(self.garbage(format!("status {status} without Stripe's JSON")));
        };
        let request_id = self.request_id.clone();
        let error = match self.status.as_u16() {
            400 if said.kind.as_deref() == Some("idempotency_error") => {
                Error::KeyReused { request_id }
            }
            status @ (401 | 403) => Error::KeyRefused { status, request_id },
            404 if said.is_about_the_path() => self.garbage("no such path, check the base".into()),
            404 => Error::NotFound { request_id },
            _ => Error::Invalid {
                code: plain(&said.code.unwrap_or_default()),
                param: plain(&said.param.unwrap_or_default()),
                request_id,
            },
        };
        self.failure(error, false)
    }

    fn unread(&self, fault: BodyFault) -> Failure {
        match fault {
            BodyFault::Cut => Failure::passing(self.garbage("the body was cut".into())),
            BodyFault::TooLarge => Failure::last(self.garbage("the body is too large".into())),
        }
    }

    /// Stripe's own word on a retry wins over ours.
    fn failure(&self, error: Error, retry: bool) -> Failure {
        let retry = self.should_retry.unwrap_or(retry);
        Failure {
            error,
            retry,
            after: self.retry_after,
        }
    }

    fn unknown(&self) -> Error {
        Error::Unknown {
            status: Some(self.status.as_u16()),
            replayed: self.replayed,
            request_id: self.request_id.clone(),
        }
    }

    fn garbage(&self, what: String) -> Error {
        Error::Garbage {
            what,
            request_id: self.request_id.clone(),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    message: Option<String>,
}

impl Said {
    /// Stripe's 404 for a URL it does not serve says nothing about any object. It is told
    /// from the other one by having no code.
    fn is_about_the_path(&self) -> bool {
        let unrecognized = |text: &String| text.starts_with("Unrecognized request URL");
        self.code.is_none() && self.message.as_ref().is_some_and(unrecognized)
    }
}

/// Text of Stripe's that is fit for a log line: visible ASCII, of bounded length.
fn plain(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_graphic)
        .take(MAX_TEXT)
        .collect()
}

#[cfg(test)]
mod tests;
