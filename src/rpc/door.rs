//! What every call passes before its handler, in this order: load, time limit,
//! caller. And after it: an error of the framework gets its reason, the call gets
//! its one log line and its sample in the metrics.
//!
//! One layer, because the order matters and because each layer would cost a boxed
//! future on every call. Knows methods by their names only; never reads a body.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::{auth::Auth, methods, status};
use crate::app;

mod admission;
mod body;
mod limit;
mod record;

pub use admission::Admission;
use body::{CallBody, Ending};
pub use limit::{AnswerBy, Limit};
use record::Record;

/// Names the trace in the answer to a call that failed, for whoever asks the operator about it.
const TRACE_HEADER: &str = "x-spawnpoint-trace-id";

/// Everything that the door decides with.
#[derive(Debug)]
pub struct Rules {
    /// Finds the caller.
    pub auth: Auth,
    /// How many calls run at once.
    pub admission: Admission,
    /// How long a call may take.
    pub limit: Limit,
    /// Fires when streams must end because the process goes away.
    pub closing: CancellationToken,
}

/// Puts the door before all services.
#[derive(Clone, Debug)]
pub struct DoorLayer(Arc<Rules>);

impl DoorLayer {
    /// A door with these rules.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door {
            inner,
            rules: Arc::clone(&self.0),
        }
    }
}

/// The services behind the door.
#[derive(Clone, Debug)]
pub struct Door<S> {
    inner: S,
    rules: Arc<Rules>,
}

/// What is known of a call before its handler runs.
struct Call {
    trace_id: String,
    began: Instant,
    record: Record,
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clock starts here and not at the first poll: see `limit`.
        let began = Instant::now();
        let method = methods::at(request.uri().path());
        let trace_id = super::auth::trace_id(request.headers());
        let span = tracing::info_span!(
            "rpc",
            method = method.label,
            trace_id,
            role = tracing::field::Empty
        );
        let record = Record::start(method, span.clone(), began);
        let call = Call {
            trace_id,
            began,
            record,
        };
        // The service that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        let rules = Arc::clone(&self.rules);
        Box::pin(async move { Ok(pass(&rules, inner, request, call).await) }.instrument(span))
    }
}

async fn pass<S>(
    rules: &Rules,
    mut inner: S,
    mut request: Request<Body>,
    call: Call,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Call {
        trace_id,
        began,
        record,
    } = call;
    let method = record.method();
    let shown = HeaderValue::from_str(&trace_id).ok();
    let permit = match rules.admission.enter(method) {
        Ok(permit) => permit,
        Err(error) => return refuse(record, status::refused(&error), shown),
    };
    let client = rules.limit.asked(request.headers());
    let limit = rules.limit.capped(client);
    let until = began + limit;
    if Instant::now() >= until {
        return refuse(record, status::deadline(limit), shown);
    }
    let answer_by = AnswerBy::of(began, limit);
    request.extensions_mut().insert(answer_by);
    let handled = AssertUnwindSafe(async {
        if !method.open {
            let caller = rules.auth.find(request.headers(), trace_id).await?;
            Span::current().record("role", caller.role.as_str());
            request.extensions_mut().insert(caller);
        }
        let Ok(response) = inner.call(request).await;
        Ok::<_, app::Error>(response)
    });
    let response = match timeout_at(until, handled.catch_unwind()).await {
        Err(_elapsed) => return refuse(record, status::deadline(limit), shown),
        Ok(Err(_panic)) => return refuse(record, status::panicked(), shown),
        Ok(Ok(Err(error))) => return refuse(record, status::status(error), shown),
        Ok(Ok(Ok(response))) => response,
    };
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::Ok => {
            record.finish(Code::Ok);
            response
        }
        Some(status) if status.details().is_empty() => {
            refuse(record, status::from_framework(&status), shown)
        }
        Some(status) => refuse(record, status, shown),
        None => {
            let ending = method.streaming.then(|| {
                let client = client.map(|limit| (began + limit, limit));
                Ending::new(rules.closing.clone(), client)
            });
            response.map(|body| Body::new(CallBody::new(body, record, ending, permit)))
        }
    }
}

fn refuse(record: Record, status: Status, trace_id: Option<HeaderValue>) -> Response<Body> {
    record.finish(status.code());
    let mut response: Response<Body> = status.into_http();
    if let Some(trace_id) = trace_id {
        response.headers_mut().insert(TRACE_HEADER, trace_id);
    }
    response
}
