//! Accepts connections and bounds what each may take: how many, how long a
//! request head, how slow. Speaks HTTP/1.1 only, as webhook senders and their
//! proxies do; that keeps the head time-out in force from the first byte.
//! Knows nothing of the routes.

use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Duration, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;

/// Request line and headers together; Stripe sends less than 2 KiB.
const HEAD_LIMIT_BYTES: usize = 32 << 10;
/// Pause after a failed accept: out of file descriptors heals only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of one listener may take.
pub(crate) struct ConnectionLimits {
    pub(crate) max_connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    /// Where open connections are counted, for the listener that is watched.
    pub(crate) metrics: Option<Arc<Metrics>>,
}

/// Serves `router` until `shutdown`, then lets requests in flight finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    loop {
        // The permit comes first: beyond the limit, senders wait in the backlog.
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = permits.clone().acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let serving = connection(
            stream,
            router.clone(),
            limits.header_timeout,
            shutdown.clone(),
            cut_off.clone(),
        );
        let metrics = limits.metrics.clone();
        connections.spawn(async move {
            let _open = OpenConnection::new(metrics);
            serving.await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    if timeout(limits.shutdown_grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "requests still in flight are cut off"
        );
        cut_off.cancel();
        connections.wait().await;
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    header_timeout: Duration,
    shutdown: CancellationToken,
    cut_off: CancellationToken,
) {
    // Answers are one small segment; waiting to fill it only delays them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(HEAD_LIMIT_BYTES)
        .max_buf_size(HEAD_LIMIT_BYTES * 2)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = cut_off.cancelled() => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// Counts a connection for as long as it lives, however it ends.
struct OpenConnection(Option<Arc<Metrics>>);

impl OpenConnection {
    fn new(metrics: Option<Arc<Metrics>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.connections(1.0);
        }
        Self(metrics)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            metrics.connections(-1.0);
        }
    }
}
