//! How both stand-ins serve HTTP: an accept loop of their own, because a fault may have to close a
//! connection without any answer or let the answer drip, which no router can do.

use std::future::Future;
use std::io;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod drip;

pub(crate) use drip::Drip;
use drip::{Dripping, Valve};

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn into_response(mut self) -> Response {
        let body = Body::from(std::mem::take(&mut self.body));
        self.with_body(body)
    }

    /// Its status and headers with another body.
    pub(crate) fn with_body(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
struct CloseConnection;

/// No answer at all.
pub(crate) fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CloseConnection);
    response
}

/// Whether a response only closes its connection.
pub(crate) fn closes(response: &Response) -> bool {
    response.extensions().get::<CloseConnection>().is_some()
}

/// Accepts connections until the token ends, and then ends them all.
pub(crate) async fn serve<S, F>(listener: TcpListener, stop: CancellationToken, service: S)
where
    S: Fn(IpAddr, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer.ip(), service.clone()));
                }
                Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
            },
        }
    }
    connections.shutdown().await;
}

async fn connection<S, F>(stream: TcpStream, peer: IpAddr, service: S)
where
    S: Fn(IpAddr, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Small answers must not wait for the caller's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let valve = Valve::default();
    let stream = Dripping::new(stream, valve.clone());
    let answering = service_fn(move |request| {
        let answer = service(peer, request);
        let valve = valve.clone();
        async move { sent(answer.await, &valve) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answering)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// An error makes hyper close the connection without an answer.
fn sent(mut response: Response, valve: &Valve) -> io::Result<Response> {
    if closes(&response) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    if let Some(drip) = response.extensions_mut().remove::<Drip>() {
        // The valve stays as it is until the connection ends, so this is its last answer.
        let close = HeaderValue::from_static("close");
        response
            .headers_mut()
            .insert(http::header::CONNECTION, close);
        valve.turn(drip);
    }
    Ok(response)
}
