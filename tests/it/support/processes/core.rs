//! `spawnpoint serve` on the store and the stand-ins of an open shop.

use std::{net::SocketAddr, ops::Deref};

use serde_json::Value;

use super::{
    super::live::{Live, PATIENCE},
    Binary, Program,
};

/// Lets a starting process take its address: another socket may have it for a moment.
const STARTS: usize = 20;

/// A control plane, or a part of it, in a process of its own.
pub struct CoreProcess {
    program: Program,
    /// Where it serves gRPC.
    #[allow(dead_code, reason = "part of the harness, whichever tests there are")]
    pub grpc: SocketAddr,
    /// Where it serves metrics and probes.
    pub probes: SocketAddr,
}

#[allow(dead_code, reason = "part of the harness, whichever tests there are")]
impl CoreProcess {
    /// `serve --worker-only`, a replica beside whatever else runs; needs PostgreSQL.
    pub async fn start(live: &Live, further: &[(&str, &str)]) -> Self {
        Self::start_part(live, &["serve", "--worker-only"], any(), further).await
    }

    /// `serve --no-worker`, at the address that the gateway and the clients of the shop
    /// know; needs PostgreSQL, and the shop's own core stopped.
    pub async fn start_services(live: &Live, further: &[(&str, &str)]) -> Self {
        let known = live.world.grpc_addr;
        Self::start_part(live, &["serve", "--no-worker"], known, further).await
    }

    /// `serve`, at the address that the gateway and the clients of the shop know, whose
    /// own core was stopped.
    pub async fn start_all(live: &Live, further: &[(&str, &str)]) -> Self {
        Self::start_part(live, &["serve"], live.world.grpc_addr, further).await
    }

    /// A whole `serve` as a further replica, at an address of its own; needs PostgreSQL.
    pub async fn start_replica(live: &Live, further: &[(&str, &str)]) -> Self {
        Self::start_part(live, &["serve"], any(), further).await
    }

    async fn start_part(
        live: &Live,
        args: &[&str],
        grpc: SocketAddr,
        further: &[(&str, &str)],
    ) -> Self {
        let env = environment(live, grpc, further);
        for _ in 1..STARTS {
            let program = Program::spawn(Binary::Core, args, &env);
            let serving = program.logged("the core serves", PATIENCE, |line| {
                line.contains("port is in use")
                    .then_some(None)
                    .or_else(|| addresses(line).map(Some))
            });
            if let Some((grpc, probes)) = serving.await {
                return Self {
                    program,
                    grpc,
                    probes,
                };
            }
            program.exited(PATIENCE).await;
        }
        panic!("{grpc} stays in use");
    }
}

impl Deref for CoreProcess {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// What a shop's own core has as well; later variables win.
fn environment<'a>(
    live: &Live,
    grpc: SocketAddr,
    further: &[(&'a str, &str)],
) -> Vec<(&'a str, String)> {
    let world = &live.world;
    let mut env = vec![
        ("DATABASE_URL", live.store.url.clone()),
        ("STRIPE_SECRET_KEY", world.stripe.secret_key()),
        ("STRIPE_API_BASE", world.stripe.url()),
        ("PTERO_APP_KEY", world.panel.key().to_owned()),
        ("PANEL_URL", world.panel.url()),
        ("SPAWNPOINT_GRPC_ADDR", grpc.to_string()),
        ("SPAWNPOINT_METRICS_ADDR", any().to_string()),
        (
            "CHECKOUT_ALLOWED_ORIGINS",
            sandbox::world::SHOP_ORIGIN.to_owned(),
        ),
        ("SWEEP_INSTALL_SECONDS", "0.2".to_owned()),
        ("SWEEP_PENDING_SECONDS", "1".to_owned()),
        ("SWEEP_PORTS_SECONDS", "0.5".to_owned()),
        ("SETTLE_SECONDS", "1".to_owned()),
        ("RETRY_SECONDS", "0.3".to_owned()),
        // The line that tells the addresses is of this level.
        ("RUST_LOG", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    env.retain(|(known, _)| further.iter().all(|(name, _)| name != known));
    env.extend(
        further
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    env
}

/// The addresses of gRPC and of the probes, from the line that says that both are served.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "serving" {
        return None;
    }
    let addr = |name: &str| line[name].as_str()?.parse().ok();
    Some((addr("grpc")?, addr("metrics")?))
}
