//! What operators' machines ask over HTTP: metrics and probes.
//!
//! A port of its own, so that it is never shown to callers. `/healthz` says that
//! the process runs, `/readyz` that it can do its work: a panel or Stripe that is
//! down changes neither, because restarting us would not help.

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::db::Db;

mod standing;

/// A probe waits no longer: most probers give up after that themselves.
const PATIENCE: Duration = Duration::from_secs(1);
/// Samples are sorted into buckets this often, so that memory stays bounded without a scraper.
const UPKEEP: Duration = Duration::from_secs(5);
/// From a read out of memory to the longest call.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// The recorder is the process's, and a process may start the service more than once (tests).
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Collects what `metrics` macros record. Where another recorder was installed
/// before, that one keeps the samples and ours shows none.
pub fn recorder() -> Result<&'static PrometheusHandle, BuildError> {
    if let Some(handle) = RECORDER.get() {
        return Ok(handle);
    }
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("a metrics recorder was installed before");
    }
    Ok(RECORDER.get_or_init(|| handle))
}

#[derive(Clone)]
struct Probes {
    db: Db,
    metrics: &'static PrometheusHandle,
    closing: CancellationToken,
}

/// The HTTP server for operators' machines.
#[derive(Debug)]
pub struct Ops {
    addr: SocketAddr,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl Ops {
    /// Serves on `listener` until [`Ops::stop`].
    pub fn start(
        listener: TcpListener,
        db: Db,
        metrics: &'static PrometheusHandle,
    ) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let closing = CancellationToken::new();
        let probes = Probes {
            db,
            metrics,
            closing: closing.clone(),
        };
        let router = Router::new()
            .route("/metrics", get(render))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(probes);
        let ended = closing.child_token();
        let task = tokio::spawn(async move {
            let serve = axum::serve(listener, router);
            let upkeep = async {
                let mut ticks = tokio::time::interval(UPKEEP);
                loop {
                    ticks.tick().await;
                    metrics.run_upkeep();
                }
            };
            // Probes are short: nothing is lost by cutting one off.
            tokio::select! {
                () = ended.cancelled() => {}
                () = upkeep => {}
                result = serve => if let Err(error) = result {
                    tracing::error!(%error, "the metrics server failed");
                },
            }
        });
        Ok(Self {
            addr,
            closing,
            task,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it.
    pub async fn stop(self) {
        self.closing.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the metrics server's task failed");
        }
    }
}

async fn render(State(probes): State<Probes>) -> ([(&'static str, &'static str); 1], String) {
    let mut text = probes.metrics.render();
    // A store that does not answer has no number; what this process counted is shown all the same.
    match timeout(PATIENCE, standing::render(&probes.db)).await {
        Ok(Ok(gauges)) => text.push_str(&gauges),
        Ok(Err(error)) => tracing::warn!(%error, "orders could not be counted"),
        Err(_) => tracing::warn!("orders could not be counted in time"),
    }
    ([("content-type", "text/plain; version=0.0.4")], text)
}

async fn ready(State(probes): State<Probes>) -> (StatusCode, &'static str) {
    if probes.closing.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match timeout(PATIENCE, probes.db.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer\n",
        ),
    }
}

#[cfg(test)]
mod tests;
