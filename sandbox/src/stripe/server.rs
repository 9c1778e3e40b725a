//! The HTTP server. Its own accept loop, because a fault may have to close a
//! connection without any answer, which a router alone cannot do.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::answer::CloseConnection;

/// Accepts connections until the token ends, and then ends them all.
pub(super) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
            },
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Small answers must not wait for more bytes.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(router.clone(), request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        result = serving => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

/// An error makes hyper close the connection without an answer.
async fn answer(router: Router, request: http::Request<Incoming>) -> io::Result<Response> {
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.extensions().get::<CloseConnection>().is_some() {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(response)
}
