//! `serve`: starts the service, and stops it when it is told to.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::{
    boot::{self, Mode},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Serve gRPC only; another process works on orders (PostgreSQL only).
    #[arg(long, conflicts_with = "worker_only")]
    no_worker: bool,
    /// Work on orders only; another process serves gRPC (PostgreSQL only).
    #[arg(long)]
    worker_only: bool,
    /// Take calls without a token for the operator's. Only on a loopback address.
    #[arg(long)]
    insecure_loopback: bool,
}

impl Serve {
    pub(super) async fn run(self, mut config: Config) -> Result<(), Failure> {
        config.listen.insecure_loopback = self.insecure_loopback;
        // Before the start: a signal during a long migration must not be lost.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut told = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let running = tokio::select! {
            started = boot::start(config, self.mode()) => started?,
            () = told() => return Ok(()),
        };
        told().await;
        tokio::select! {
            () = running.stop() => Ok(()),
            () = told() => Err("told to stop twice: ended without finishing".into()),
        }
    }

    fn mode(&self) -> Mode {
        match (self.no_worker, self.worker_only) {
            (true, _) => Mode::NoWorker,
            (_, true) => Mode::WorkerOnly,
            _ => Mode::All,
        }
    }
}
