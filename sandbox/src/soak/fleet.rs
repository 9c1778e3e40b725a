//! The shop's processes: three control planes on one PostgreSQL, and the gateway.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use super::process::{Process, Recipe};
use crate::{
    stripe::ApiVersion,
    world::{Error, SHOP_ORIGIN, WEBHOOK_SECRET, World},
};

/// What the store and both stand-ins are to every control plane.
pub(super) fn settings() -> Vec<(String, String)> {
    [
        // A stopped process may send what it was about to send this much later: the create
        // is believed to be settled only after that.
        ("SETTLE_SECONDS", "12"),
        ("LEASE_SECONDS", "4"),
        ("LEASE_MARGIN_SECONDS", "0.5"),
        ("CALL_TIMEOUT_SECONDS", "3"),
        ("RETRY_SECONDS", "1"),
        ("SWEEP_INSTALL_SECONDS", "0.5"),
        ("SWEEP_PENDING_SECONDS", "2"),
        ("SWEEP_EVENTS_SECONDS", "5"),
        ("SWEEP_SUBSCRIPTIONS_SECONDS", "20"),
        ("SWEEP_SERVERS_SECONDS", "20"),
        ("SWEEP_CHARGES_SECONDS", "2"),
        ("SWEEP_PORTS_SECONDS", "2"),
        ("PANEL_MAX_CREATES", "16"),
        ("PANEL_MAX_CREATES_PER_NODE", "8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Starts all processes on the store and the stand-ins of an opened shop whose own control
/// plane was stopped, and lets Stripe's webhooks go to the gateway.
pub(super) async fn start(
    world: &World,
    database_url: &str,
    folder: &Path,
) -> Result<Vec<Process>, Error> {
    let parts = [
        ("core A", vec!["serve", "--no-worker"], world.grpc_addr),
        ("core B", vec!["serve", "--worker-only"], free()?),
        ("core C", vec!["serve"], free()?),
    ];
    let mut fleet = Vec::new();
    for (name, args, grpc) in parts {
        let metrics = free()?;
        let recipe = Recipe {
            name,
            program: beside("spawnpoint")?,
            args,
            env: environment(world, database_url, grpc, metrics),
            listens: metrics,
        };
        fleet.push(Process::start(recipe, folder).await?);
    }
    let addr = free()?;
    let env = [
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
        ("SPAWNPOINT_TOKEN", world.tokens.gateway.clone()),
        ("SPAWNPOINT_URL", format!("http://{}", world.grpc_addr)),
        ("GATEWAY_ADDR", addr.to_string()),
        ("GATEWAY_METRICS_ADDR", "off".to_owned()),
    ];
    let recipe = Recipe {
        name: "gateway",
        program: beside("spawnpoint-gateway")?,
        args: Vec::new(),
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        listens: addr,
    };
    fleet.push(Process::start(recipe, folder).await?);
    let url = format!("http://{addr}/stripe-webhook");
    world
        .stripe
        .set_webhook_endpoint(&url, WEBHOOK_SECRET, ApiVersion::NEW)
        .map_err(|refusal| refusal.message.clone())?;
    Ok(fleet)
}

fn environment(
    world: &World,
    database_url: &str,
    grpc: SocketAddr,
    metrics: SocketAddr,
) -> Vec<(String, String)> {
    let mut env = settings();
    let own = [
        ("DATABASE_URL", database_url.to_owned()),
        ("STRIPE_SECRET_KEY", world.stripe.secret_key()),
        ("STRIPE_API_BASE", world.stripe.url()),
        ("PTERO_APP_KEY", world.panel.key().to_owned()),
        ("PANEL_URL", world.panel.url()),
        ("SPAWNPOINT_GRPC_ADDR", grpc.to_string()),
        ("SPAWNPOINT_METRICS_ADDR", metrics.to_string()),
        ("CHECKOUT_ALLOWED_ORIGINS", SHOP_ORIGIN.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("RUST_LOG", "info".to_owned()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    env
}

/// Free a moment ago; whoever takes it meanwhile shows as a process that does not start.
fn free() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A program built into the folder of this one.
fn beside(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not built: run scripts/soak", path.display()).into())
}
