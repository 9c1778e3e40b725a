//! A control plane on a runtime of its own, so that it can die as a process dies: from
//! one instruction to the next, without giving anything back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use spawnpoint::{
    app::App,
    boot::{self, Mode},
    config::Config,
    probe::Probe,
};
use tokio::runtime::{Builder, Runtime};

use crate::world::Error;

/// Threads of one control plane.
const THREADS: usize = 2;
/// A thread that does not come back by then is left behind.
const DEAD_BY: Duration = Duration::from_secs(10);

/// A running control plane; killed when dropped.
pub struct Core {
    /// Where gRPC listens.
    pub grpc_addr: SocketAddr,
    /// Where metrics and probes listen.
    pub metrics_addr: SocketAddr,
    /// Handles to everything.
    pub app: Arc<App>,
    running: Option<boot::Running>,
    runtime: Option<Runtime>,
}

impl Core {
    /// Starts one.
    pub async fn start(
        config: Config,
        mode: Mode,
        probe: Option<Arc<dyn Probe>>,
    ) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("core")
            .enable_all()
            .build()?;
        let started = runtime.spawn(boot::start_probed(config, mode, probe)).await;
        let started = started.map_err(Error::from);
        let running = match started.and_then(|started| started.map_err(Error::from)) {
            Ok(running) => running,
            Err(error) => {
                // A runtime must not be waited for inside another.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(Self {
            grpc_addr: running.grpc_addr,
            metrics_addr: running.metrics_addr,
            app: Arc::clone(&running.app),
            running: Some(running),
            runtime: Some(runtime),
        })
    }

    /// Stops it in order, as SIGTERM does.
    pub async fn stop(mut self) {
        if let (Some(running), Some(runtime)) = (self.running.take(), &self.runtime)
            && let Err(error) = runtime.spawn(running.stop()).await
        {
            tracing::error!(%error, "a control plane did not stop in order");
        }
    }

    /// Ends it at once, as SIGKILL does: nothing is finished, nothing given back.
    pub async fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Only when no thread of it runs any more may another process begin.
            let dead = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DEAD_BY));
            if let Err(error) = dead.await {
                tracing::error!(%error, "a control plane could not be killed");
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
