//! The three routes, and the order of the checks on a webhook.
//!
//! Method and path, size, header, time window, HMAC over the raw bytes, then the
//! call to the core; 2xx only once the core has said OK. The body is opaque: no
//! JSON, no decompression, no content type. Answers are short fixed texts and
//! logs carry numbers and words of ours, never anything a sender wrote.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout};

use crate::clock::Clock;
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::secrets::Rotating;
use crate::signature::{self, Rejection, WebhookSecrets};
use crate::upstream::{self, Answer, Upstream};

/// A hint to whoever retries; Stripe keeps its own schedule.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("10");
/// What is read and thrown away of a body that is too long: a sender that is
/// still writing when we close would see a reset instead of the answer.
const DISCARD_LIMIT_BYTES: usize = 4 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// What every request needs.
pub(crate) struct Edge {
    pub(crate) secrets: Arc<Rotating<WebhookSecrets>>,
    pub(crate) upstream: Upstream,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

/// All routes of the public address.
pub(crate) fn public(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/stripe-webhook", post(stripe_webhook))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(edge)
}

/// The route of the metrics address.
pub(crate) fn metrics(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(render_metrics))
        .with_state(metrics)
}

async fn render_metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], metrics.render()).into_response()
}

async fn readyz(State(edge): State<Arc<Edge>>) -> Response {
    if edge.upstream.is_ready().await {
        "ready\n".into_response()
    } else {
        let retry = [(RETRY_AFTER, RETRY_AFTER_SECONDS)];
        (StatusCode::SERVICE_UNAVAILABLE, retry, "core not ready\n").into_response()
    }
}

/// How one webhook request ended.
enum Outcome {
    Answered(Answer),
    Rejected(Rejection),
    TooLarge,
    TooSlow,
    Broken,
}

async fn stripe_webhook(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    // The head has just arrived: the time that the signature is judged by.
    let received = edge.clock.now();
    let started = Instant::now();
    let outcome = edge.take(request, received).await;
    let response = outcome.response();
    edge.metrics.webhook(response.status(), started.elapsed());
    edge.report(&outcome, response.status(), started.elapsed());
    response
}

impl Edge {
    async fn take(&self, request: Request, received: std::time::SystemTime) -> Outcome {
        let (head, body) = request.into_parts();
        let body = match self.read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let secrets = self.secrets.current();
        let tolerance = self.limits.tolerance;
        match signature::verify(&head.headers, &body, &secrets, received, tolerance) {
            Ok(age) => self.metrics.event_age(age),
            Err(rejection) => return Outcome::Rejected(rejection),
        }
        Outcome::Answered(self.upstream.record_event(body, received).await)
    }

    /// The whole body, never holding more than the cap and one read beyond it.
    async fn read_body(&self, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Outcome> {
        let cap = self.limits.body_bytes;
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        if declared.is_some_and(|length| length > cap as u64) {
            // A sender that asks first has not begun to write.
            if !headers.contains_key(EXPECT) {
                discard(body).await;
            }
            return Err(Outcome::TooLarge);
        }
        let mut bytes = Vec::new();
        let reading = async {
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|_| Outcome::Broken)?.into_data() else {
                    continue;
                };
                if bytes.len() + data.len() > cap {
                    return Err(Outcome::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
            Ok(())
        };
        match timeout(self.limits.body_timeout, reading).await {
            Ok(Ok(())) => Ok(Bytes::from(bytes)),
            Ok(Err(outcome)) => {
                if matches!(outcome, Outcome::TooLarge) {
                    drop(bytes);
                    discard(body).await;
                }
                Err(outcome)
            }
            Err(_) => Err(Outcome::TooSlow),
        }
    }

    /// One line per request.
    fn report(&self, outcome: &Outcome, status: StatusCode, took: Duration) {
        let status = status.as_u16();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Outcome::Answered(answer) => {
                let upstream_code = upstream::code_name(answer.code());
                if upstream::raises_alarm(answer.code()) {
                    tracing::error!(status, upstream_code, took_ms, "webhook not stored");
                } else if let Answer::Stored { duplicate } = answer {
                    tracing::info!(status, upstream_code, duplicate, took_ms, "webhook stored");
                } else {
                    tracing::warn!(status, upstream_code, took_ms, "webhook not stored");
                }
            }
            Outcome::Rejected(rejection) => {
                let reason = rejection.reason();
                self.metrics.rejection(reason);
                if rejection.is_authentic() {
                    self.metrics.alarm("clock_or_replay");
                    tracing::error!(
                        status,
                        reason,
                        took_ms,
                        "webhook rightly signed but at another time: a clock is wrong, or a replay"
                    );
                } else {
                    tracing::info!(status, reason, took_ms, "webhook rejected");
                }
            }
            Outcome::TooLarge => tracing::info!(status, took_ms, "webhook too large"),
            Outcome::TooSlow => tracing::info!(status, took_ms, "webhook body too slow"),
            Outcome::Broken => tracing::info!(status, took_ms, "webhook body broken off"),
        }
    }
}

impl Outcome {
    fn response(&self) -> Response {
        let close = [(CONNECTION, HeaderValue::from_static("close"))];
        match self {
            Self::Answered(answer) => match upstream::http_status(answer.code()) {
                StatusCode::OK => "stored\n".into_response(),
                StatusCode::BAD_REQUEST => {
                    (StatusCode::BAD_REQUEST, "event refused\n").into_response()
                }
                status => {
                    let retry = [(RETRY_AFTER, RETRY_AFTER_SECONDS)];
                    (status, retry, "not stored, deliver again\n").into_response()
                }
            },
            // One text for all reasons: a forger learns nothing from it.
            Self::Rejected(_) => {
                (StatusCode::BAD_REQUEST, "signature not accepted\n").into_response()
            }
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, close, "body too large\n").into_response()
            }
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, close, "body too slow\n").into_response()
            }
            Self::Broken => (StatusCode::BAD_REQUEST, close, "body broken\n").into_response(),
        }
    }
}

async fn discard(mut body: Body) {
    let reading = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DISCARD_LIMIT_BYTES {
                return;
            }
        }
    };
    // Whether it ended or not, the answer goes out now.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}
