//! Answers on the wire: Stripe's headers, replays, and the ways in which an answer can be spoilt.

use std::future::ready;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::errors::Refusal;
use super::faults::Effect;
use super::idempotency::Stored;

const HTML: &str = "<html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>502 Bad Gateway</h1></body></html>";

/// An answer before it is sent.
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    headers: Vec<(&'static str, String)>,
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
pub(super) struct CloseConnection;

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

    /// What a fault says in the place of the work.
    pub(super) fn instead(effect: &Effect, request_id: &str, livemode: bool) -> Self {
        match effect {
            Effect::RateLimited { retry_after } => {
                let mut answer = Self::refused(&Refusal::rate_limited(), request_id, livemode);
                answer.header("Retry-After", &retry_after.to_string());
                answer
            }
            Effect::Status {
                status,
                body: Some(body),
            } => Self::new(*status, body.clone(), request_id),
            Effect::Status { status, body: None } => {
                Self::refused(&Refusal::internal(*status), request_id, livemode)
            }
            // The others close the connection or never come so far.
            _ => Self::refused(&Refusal::internal(500), request_id, livemode),
        }
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }

    /// The response as it should be.
    pub(super) fn into_response(self) -> Response {
        let body = Body::from(self.body.clone());
        self.with_body(body)
    }

    /// 200 with bytes that are neither JSON nor UTF-8.
    pub(super) fn garbage(mut self) -> Response {
        self.status = 200;
        self.with_body(Body::from(&b"\x00\xff\xfe{\"id\": garbage"[..]))
    }

    /// 200 with a page of some proxy.
    pub(super) fn html(mut self) -> Response {
        self.status = 200;
        self.headers[0].1 = "text/html".to_owned();
        self.with_body(Body::from(HTML))
    }

    /// Promises the whole body, sends half of it and closes.
    pub(super) fn truncated(mut self) -> Response {
        self.status = 200;
        let length = self.body.len();
        let half = Bytes::copy_from_slice(&self.body.as_bytes()[..length / 2]);
        let cut = async {
            // Giving way once lets the server flush what it has before the cut.
            tokio::task::yield_now().await;
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
        };
        let parts = stream::once(ready(Ok(half))).chain(stream::once(cut));
        self.header("Content-Length", &length.to_string());
        self.with_body(Body::from_stream(parts))
    }

    /// No response at all.
    pub(super) fn dropped() -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(CloseConnection);
        response
    }

    fn with_body(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
