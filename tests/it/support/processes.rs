//! The real program as processes of their own, beside the shop of a test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{
    live::{Live, PATIENCE},
    wait,
};

/// `spawnpoint serve --worker-only`; killed when dropped.
pub struct Worker {
    child: Child,
    probes: SocketAddr,
    _folder: TempDir,
}

impl Worker {
    /// Starts a worker on the shop's store and stand-ins, and waits until it serves.
    pub async fn start(live: &Live, further: &[(&str, &str)]) -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0);
        // Free a moment ago; a clash would show as a worker that never serves.
        let probes = TcpListener::bind(any).unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_spawnpoint"))
            .args(["serve", "--worker-only"])
            .current_dir(folder.path())
            .env_clear()
            .env("DATABASE_URL", &live.store.url)
            .env("STRIPE_SECRET_KEY", live.world.stripe.secret_key())
            .env("STRIPE_API_BASE", live.world.stripe.url())
            .env("PTERO_APP_KEY", live.world.panel.key())
            .env("PANEL_URL", live.world.panel.url())
            .env("SPAWNPOINT_GRPC_ADDR", "127.0.0.1:0")
            .env("SPAWNPOINT_METRICS_ADDR", probes.to_string())
            .env("SWEEP_INSTALL_SECONDS", "0.1")
            .env("RUST_LOG", "error")
            .envs(further.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let worker = Self {
            child,
            probes,
            _folder: folder,
        };
        wait::until("the worker process serves", PATIENCE, || async {
            TcpStream::connect(worker.probes).is_ok()
        })
        .await;
        worker
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
