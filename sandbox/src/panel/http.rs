//! The wire: accepts connections, reads requests, lets injected faults strike, writes answers.
//!
//! The work of a request is a task of its own: a client that hangs up does not stop it, as PHP would
//! not notice either. A connection is closed without an answer by failing its service.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use axum::body::{Body, Bytes};
use http::{Request, Response};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::control;
use super::faults::{Fault, FaultAction};
use super::gate::{Answer, Arrival, answer};
use super::state::Shared;

const MAX_BODY: usize = 4 << 20;

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped on purpose")]
pub(crate) struct Dropped;

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    connections.spawn(connection(stream, peer.ip(), Arc::clone(&shared)));
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    // Small answers must not wait for the caller's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "panel stand-in: no TCP_NODELAY");
    }
    let service = service_fn(move |request| respond(Arc::clone(&shared), peer, request));
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "panel stand-in: connection ended");
    }
}

async fn respond(
    shared: Arc<Shared>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), MAX_BODY)
        .await
        .map_err(|_| Dropped)?;
    let header = |name| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let method = parts.method.as_str().to_owned();
    if path.starts_with(control::PREFIX) {
        return write(control::answer(&shared, &method, &path, &body));
    }
    let (sequence, fault) = {
        let mut state = shared.lock();
        let sequence = state.log.begin(&method, &path, &query);
        let fault = state.faults.strike(&method, &path);
        let word = fault.as_ref().map(|fault| fault.action.word().to_owned());
        state.log.update(sequence, |call| call.fault = word);
        (sequence, fault)
    };
    let arrival = Arrival {
        sequence,
        method,
        path,
        query,
        host: header("host").unwrap_or_else(|| "localhost".to_owned()),
        authorization: header("authorization"),
        accept: header("accept"),
        content_type: header("content-type"),
        peer,
        body: body.to_vec(),
    };
    match fault {
        None => write(work(shared, arrival).await?),
        Some(fault) => struck(shared, arrival, fault).await,
    }
}

/// Does the work in a task of its own and logs its status.
async fn work(shared: Arc<Shared>, arrival: Arrival) -> Result<Answer, Dropped> {
    let task = tokio::spawn(async move {
        let answered = answer(&shared, &arrival).await;
        let status = answered.as_ref().map(|answer| answer.status);
        shared
            .lock()
            .log
            .update(arrival.sequence, |call| call.status = status);
        answered
    });
    task.await.ok().flatten().ok_or(Dropped)
}

async fn struck(
    shared: Arc<Shared>,
    arrival: Arrival,
    fault: Fault,
) -> Result<Response<Body>, Dropped> {
    let works_first = fault.after_work || fault.action == FaultAction::Truncate;
    let mut real = None;
    let mut arrival = Some(arrival);
    if works_first && let Some(arrival) = arrival.take() {
        real = Some(work(Arc::clone(&shared), arrival).await?);
    }
    tokio::time::sleep(fault.action.wait()).await;
    let answer = match fault.action {
        FaultAction::Delay { .. } => match (real, arrival) {
            (Some(real), _) => real,
            (None, Some(arrival)) => work(shared, arrival).await?,
            (None, None) => return Err(Dropped),
        },
        FaultAction::Hang { .. } | FaultAction::Drop => return Err(Dropped),
        FaultAction::Truncate => return truncated(real.ok_or(Dropped)?),
        FaultAction::Garbage => Answer::new(
            200,
            "application/json",
            "{\"object\":\"server\",\"attributes\":",
        ),
        FaultAction::HtmlPage { status } => Answer::new(
            status,
            "text/html",
            format!("<html><head><title>{status}</title></head><body>{status}</body></html>"),
        ),
        FaultAction::Redirect { location } => {
            let mut answer = Answer::new(302, "text/html", "");
            answer.headers.push(("Location".to_owned(), location));
            answer
        }
        FaultAction::Status {
            status,
            body,
            content_type,
            headers,
        } => {
            let content_type = content_type.as_deref().unwrap_or("application/json");
            let mut answer = Answer::new(status, content_type, body);
            answer.headers.extend(headers);
            answer
        }
    };
    write(answer)
}

fn write(answer: Answer) -> Result<Response<Body>, Dropped> {
    let body = Body::from(answer.body);
    response(answer.status, answer.headers, body)
}

fn response(
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
) -> Result<Response<Body>, Dropped> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(|_| Dropped)
}

/// Announces the whole body, sends half of it, closes the connection.
fn truncated(answer: Answer) -> Result<Response<Body>, Dropped> {
    let mut headers = answer.headers;
    headers.push(("Content-Length".to_owned(), answer.body.len().to_string()));
    let mut half = answer.body;
    half.truncate(half.len() / 2);
    response(
        answer.status,
        headers,
        Body::new(CutBody(Some(Bytes::from(half)))),
    )
}

/// A body that fails after its only part.
struct CutBody(Option<Bytes>);

impl hyper::body::Body for CutBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        Poll::Ready(Some(self.0.take().map(Frame::data).ok_or(Dropped)))
    }
}
