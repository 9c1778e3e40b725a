//! The one call to the core, and what its answer means for Stripe.
//!
//! Owns the channel, the deadline and the table from gRPC codes to HTTP. A call
//! is never repeated here: Stripe delivers again and the core's sweeps find
//! what was never delivered. Must not know what is in the payload.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::config::UpstreamConfig;
use crate::metrics::Metrics;
use crate::proto::RecordStripeEventRequest;
use crate::proto::order_service_client::OrderServiceClient;
use crate::secrets::{BearerToken, Rotating};

/// `/readyz` asks the core at most this often, however often it is asked itself.
const READINESS_TTL: Duration = Duration::from_secs(1);
/// A core that takes longer than this to say that it serves does not.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);

/// What the core made of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// On disk, now or since an earlier delivery.
    Stored {
        /// It was there before.
        duplicate: bool,
    },
    /// Not stored, with this code.
    Failed(Code),
}

impl Answer {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::Stored { .. } => Code::Ok,
            Self::Failed(code) => code,
        }
    }
}

/// The HTTP status that makes Stripe do the right thing after this code: stop
/// (200), stop and show the event as failed (400), or deliver again (503).
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whether a person must act: nothing that an overload or a restart brings.
pub fn raises_alarm(code: Code) -> bool {
    !matches!(
        code,
        Code::Ok
            | Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::Unavailable
            | Code::DeadlineExceeded
    )
}

/// The connection to the core.
pub(crate) struct Upstream {
    orders: OrderServiceClient<Channel>,
    health: HealthClient<Channel>,
    token: Arc<Rotating<BearerToken>>,
    deadline: Duration,
    readiness: Mutex<Option<(Instant, bool)>>,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// Prepares the channel; it connects with the first call and again after each loss.
    pub(crate) fn new(
        config: &UpstreamConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, tonic::transport::Error> {
        let mut endpoint = Endpoint::from(config.url.clone())
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .user_agent(concat!("spawnpoint-gateway/", env!("CARGO_PKG_VERSION")))?;
        if config.url.scheme_str() == Some("https") {
            let tls = match &config.ca_pem {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_enabled_roots(),
            };
            endpoint = endpoint.tls_config(tls)?;
        }
        let channel = endpoint.connect_lazy();
        Ok(Self {
            orders: OrderServiceClient::new(channel.clone()),
            health: HealthClient::new(channel),
            token: config.token.clone(),
            deadline: config.deadline,
            readiness: Mutex::new(None),
            metrics,
        })
    }

    /// Hands one verified event to the core; answers within the deadline.
    pub(crate) async fn record_event(&self, payload: Bytes, received: SystemTime) -> Answer {
        let mut request = Request::new(RecordStripeEventRequest {
            payload,
            receive_time: Some(prost_types::Timestamp::from(received)),
        });
        request
            .metadata_mut()
            .insert("authorization", self.token.current().value());
        // Tells the core when nobody will listen any more; the timer below is ours.
        request.set_timeout(self.deadline);
        let started = Instant::now();
        let mut orders = self.orders.clone();
        let call = orders.record_stripe_event(request);
        let answer = match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(response)) => Answer::Stored {
                duplicate: response.into_inner().duplicate,
            },
            Ok(Err(status)) => Answer::Failed(self.sort(&status, started.elapsed())),
            Err(_) => Answer::Failed(Code::DeadlineExceeded),
        };
        self.metrics
            .upstream_call(code_name(answer.code()), started.elapsed());
        if raises_alarm(answer.code()) {
            self.metrics
                .alarm(format!("upstream_{}", code_name(answer.code())));
        }
        answer
    }

    /// The code that tells what happened, where the client library's own does not.
    fn sort(&self, status: &Status, took: Duration) -> Code {
        // A source means that the core never said this: it was made up on our side.
        let Some(source) = status.source() else {
            return status.code();
        };
        tracing::warn!(problem = %chain(source), "no answer from the core");
        match status.code() {
            // The library's timer for `grpc-timeout` may fire just before ours.
            Code::Cancelled if took >= self.deadline => Code::DeadlineExceeded,
            // A connection that broke in mid-call.
            Code::Unknown | Code::Cancelled => Code::Unavailable,
            code => code,
        }
    }

    /// Whether the core says that it serves. Remembered for a moment.
    pub(crate) async fn is_ready(&self) -> bool {
        // Held across the call, so that many askers make one call.
        let mut known = self.readiness.lock().await;
        if let Some((at, ready)) = *known
            && at.elapsed() < READINESS_TTL
        {
            return ready;
        }
        let ready = self.ask_health().await;
        *known = Some((Instant::now(), ready));
        ready
    }

    async fn ask_health(&self) -> bool {
        let mut health = self.health.clone();
        // The empty name stands for the whole server.
        let call = health.check(HealthCheckRequest {
            service: String::new(),
        });
        match tokio::time::timeout(READINESS_TIMEOUT, call).await {
            Ok(Ok(response)) => response.into_inner().status() == ServingStatus::Serving,
            Ok(Err(status)) => {
                tracing::debug!(
                    code = code_name(status.code()),
                    "health check of the core failed"
                );
                false
            }
            Err(_) => false,
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The code as the gRPC specification writes it.
pub fn code_name(code: Code) -> &'static str {
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
