//! A control plane that works by hand, and dies as a process dies: with its runtime, and
//! with every task on it.

use std::{future::Future, sync::Arc};

use spawnpoint::{app::App, boot, config::Config, probe::Probe, worker::ByHand};
use tokio::runtime::{Builder, Runtime};

use super::striker::Striker;

/// The running one.
pub(super) struct Core {
    pub app: Arc<App>,
    pub worker: ByHand,
    striker: Option<Arc<Striker>>,
    runtime: Runtime,
}

impl Core {
    /// Starts one on the store that the configuration names.
    pub fn start(config: &Config, striker: Option<Arc<Striker>>) -> Result<Self, String> {
        // One thread: between two calls nothing of it moves.
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let probe = striker.clone().map(|striker| striker as Arc<dyn Probe>);
        let started = runtime.block_on(boot::by_hand(config, probe));
        let (app, worker) = started.map_err(|error| format!("it does not start: {error:?}"))?;
        Ok(Self {
            app,
            worker,
            striker,
            runtime,
        })
    }

    /// Lets it work; nothing comes back where it died over it.
    pub fn call<F: Future>(&self, work: F) -> Option<F::Output> {
        let Some(striker) = &self.striker else {
            return Some(self.runtime.block_on(work));
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = striker.died() => None,
                done = work => Some(done),
            }
        })
    }

    /// As [`Core::call`], but it dies as soon as `reached` holds.
    pub fn call_until<F: Future>(&self, reached: impl Fn() -> bool, work: F) -> Option<F::Output> {
        let watch = async {
            while !reached() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        self.call(async {
            tokio::select! {
                () = watch => None,
                done = work => Some(done),
            }
        })
        .flatten()
    }

    /// Ends it between two instructions.
    pub fn end(self) {
        self.runtime.shutdown_background();
    }
}
