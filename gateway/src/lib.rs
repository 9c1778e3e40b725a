//! The HTTP edge for Stripe: a signed webhook becomes one gRPC call.
//!
//! `POST /stripe-webhook` checks size, signature and time on the raw bytes,
//! hands them to `OrderService.RecordStripeEvent` with a deadline, and answers
//! 200 only after the core's OK, which means that the event is on disk.
//! `GET /healthz` says that the process lives, `GET /readyz` that the core
//! serves. There is no database and no business rule here, and the payload is
//! never looked into.
//!
//! | what happened | answer |
//! |---|---|
//! | the core said OK (new or duplicate) | 200 |
//! | signature, time window or header wrong; the core said INVALID_ARGUMENT | 400 |
//! | another method | 405 |
//! | body slower than its time-out | 408 |
//! | body over the cap | 413 |
//! | any other code, no answer in time, core unreachable | 503 with Retry-After |
//!
//! [`start`] runs a gateway inside another process; [`serve`] is the program.

pub mod clock;
pub mod config;
pub mod metrics;
mod routes;
pub mod secrets;
mod server;
pub mod signature;
pub mod upstream;

/// Messages and client of the core, generated from the shared proto files.
#[allow(missing_docs, clippy::all, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("spawnpoint.v1");
}

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use crate::clock::Clock;
pub use crate::config::Config;
use crate::metrics::Metrics;
use crate::routes::Edge;
use crate::server::ConnectionLimits;
use crate::upstream::Upstream;

/// How often histogram samples are folded into buckets.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Scrapers are few; the rest is somebody's mistake.
const METRICS_CONNECTIONS: usize = 32;

/// Why a gateway could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("{key} {addr} cannot be listened on")]
    Listen {
        /// The variable that set it.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The core's address or certificate authority cannot be used.
    #[error("SPAWNPOINT_URL or SPAWNPOINT_CA_FILE cannot be used")]
    Upstream(#[source] tonic::transport::Error),
    /// The metrics could not be set up.
    #[error("metrics cannot be set up")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    /// A task of the gateway died.
    #[error("the gateway stopped abnormally")]
    Stopped(#[source] tokio::task::JoinError),
}

/// A gateway at work. Dropping it does not stop it; the token given to `start` does.
#[derive(Debug)]
pub struct Running {
    /// Where webhooks arrive.
    pub addr: SocketAddr,
    /// Where metrics are served, if anywhere.
    pub metrics_addr: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Returns once the gateway was shut down and its requests have ended.
    pub async fn wait(self) -> Result<(), Error> {
        for task in self.tasks {
            task.await.map_err(Error::Stopped)?;
        }
        Ok(())
    }
}

/// Listens and serves in the background until `shutdown` is cancelled.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, Error> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let metrics = Arc::new(Metrics::new().map_err(Error::Metrics)?);
    let upstream = Upstream::new(&config.upstream, metrics.clone()).map_err(Error::Upstream)?;
    let (listener, addr) = listen("GATEWAY_ADDR", config.listen_addr).await?;
    let metrics_listener = match config.metrics_addr {
        Some(addr) => Some(listen("GATEWAY_METRICS_ADDR", addr).await?),
        None => None,
    };

    let limits = config.limits;
    let connection_limits = |max_connections, metrics| ConnectionLimits {
        max_connections,
        header_timeout: limits.header_timeout,
        shutdown_grace: limits.shutdown_grace,
        metrics,
    };
    let mut tasks = vec![
        tokio::spawn(config.webhook_secrets.clone().watch(
            limits.secret_poll,
            metrics.clone(),
            shutdown.clone(),
        )),
        tokio::spawn(config.upstream.token.clone().watch(
            limits.secret_poll,
            metrics.clone(),
            shutdown.clone(),
        )),
        tokio::spawn(keep_up(metrics.clone(), shutdown.clone())),
    ];
    let metrics_addr = metrics_listener.as_ref().map(|(_, addr)| *addr);
    if let Some((listener, _)) = metrics_listener {
        tasks.push(tokio::spawn(server::serve(
            listener,
            routes::metrics(metrics.clone()),
            connection_limits(METRICS_CONNECTIONS, None),
            shutdown.clone(),
        )));
    }
    let connections = connection_limits(limits.max_connections, Some(metrics.clone()));
    let edge = Arc::new(Edge {
        secrets: config.webhook_secrets,
        upstream,
        limits,
        clock: config.clock,
        metrics,
    });
    tasks.push(tokio::spawn(server::serve(
        listener,
        routes::public(edge),
        connections,
        shutdown,
    )));
    tracing::info!(%addr, core = %config.upstream.url, "gateway listening");
    Ok(Running {
        addr,
        metrics_addr,
        tasks,
    })
}

/// Runs a gateway until `shutdown` is cancelled and its requests have ended.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    start(config, shutdown).await?.wait().await
}

async fn listen(key: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { key, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn keep_up(metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => metrics.upkeep(),
        }
    }
}
