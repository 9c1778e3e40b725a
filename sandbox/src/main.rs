//! `spawnpoint-sandbox`: a whole shop on loopback, to watch a purchase become a server.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use sandbox::{
    demo::{self, Story},
    lifecycle,
    world::{Addresses, EXAMPLE_CATALOG, Error, Options, World},
};
use tracing_subscriber::EnvFilter;

/// Starts Spawnpoint, its gateway and stand-ins for Stripe and the panel on loopback.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Buy one server, check it, and exit: 0 only if it runs.
    #[arg(long)]
    once: bool,
    /// After the purchase, live the rest: an unpaid bill, a suspension, a payment, a cancel.
    #[arg(long, requires = "once")]
    lifecycle: bool,
    /// Deliver no webhook: the sweep alone must find the payment.
    #[arg(long)]
    no_webhook: bool,
    /// PostgreSQL or SQLite; a temporary SQLite file by default.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The catalog to apply; the example by default.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// How long an install takes on the panel, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    install_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
    let once = args.once;
    let ended = tokio::select! {
        ended = run(args) => ended,
        // A shop that stays open listens itself; the temporary folder goes in both cases.
        () = stopped(), if once => Err(Error::from("interrupted")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Story::default().line(&format!("\nFAILED: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

/// Resolves at Ctrl-C or SIGTERM.
async fn stopped() {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened to");
                return std::future::pending().await;
            }
        };
    tokio::select! {
        signal = tokio::signal::ctrl_c() => {
            if let Err(error) = signal {
                tracing::warn!(%error, "Ctrl-C cannot be listened to");
            }
        }
        _ = terminate.recv() => {}
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn run(args: Args) -> Result<(), Error> {
    let story = Story::default();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("spawnpoint.db");
    let catalog = match &args.catalog {
        None => EXAMPLE_CATALOG.to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
    };
    let database_url = args
        .database_url
        .unwrap_or_else(|| format!("sqlite://{}", file.display()));
    let addresses = if args.once {
        Addresses::free()
    } else {
        Addresses::documented()
    };
    let options = Options {
        addresses,
        catalog,
        webhooks: !args.no_webhook,
        install: Duration::from_millis(args.install_ms),
        ..Options::quick(database_url)
    };
    let world = World::open(&options).await?;
    story.tell(&format!("Stripe stand-in at {}", world.stripe.url()));
    story.tell(&format!("panel stand-in at {}", world.panel.url()));
    story.tell(&format!("Spawnpoint serves gRPC at {}", world.grpc_addr));
    story.tell(&format!(
        "gateway takes webhooks at http://{}/stripe-webhook",
        world.gateway
    ));
    story.tell(&format!("catalog: {}", world.catalog));
    let ended = if args.once {
        act(&world, &story, args.lifecycle).await
    } else {
        stay(&world, &story).await
    };
    world.close().await;
    ended
}

/// Buys a server; in the second act, lives with it.
async fn act(world: &World, story: &Story, lifecycle: bool) -> Result<(), Error> {
    let purchase = demo::Purchase::new(world, story).await?;
    let order_id = demo::buy(&purchase).await?;
    if lifecycle {
        lifecycle::live(&purchase, &order_id).await?;
    }
    Ok(())
}

/// Stays open with a checkout to pay by hand, until Ctrl-C.
async fn stay(world: &World, story: &Story) -> Result<(), Error> {
    let purchase = demo::Purchase::new(world, story).await?;
    purchase.wait_for_sales().await?;
    let (order, url) = purchase.checkout().await?;
    let (addr, operator) = (world.grpc_addr, &world.tokens.operator);
    let call = |method: &str, body: &str| {
        format!(
            "  grpcurl -plaintext -H 'authorization: Bearer {operator}' -d '{body}' {addr} spawnpoint.v1.{method}"
        )
    };
    let id = &order.id;
    let by_order = format!("{{\"order_id\":\"{id}\"}}");
    story.line("\nReady to paste:");
    story.line(&format!(
        "  grpcurl -plaintext -H 'authorization: Bearer {operator}' {addr} list"
    ));
    story.line(&call(
        "CatalogService/ListPlans",
        "{\"game\":\"minecraft\"}",
    ));
    story.line(&call(
        "CatalogService/CheckAvailability",
        "{\"plan_id\":\"mc-2gb\"}",
    ));
    story.line(&call("OrderService/GetOrder", &by_order));
    story.line(&call("OrderService/WatchOrder", &by_order));
    story.line(&call("OrderService/ListOrderEvents", &by_order));
    story.line(&call("ProvisioningService/GetServer", &by_order));
    story.line(&call("ProvisioningService/ListNodes", "{}"));
    story.line(&format!(
        "\nAn order waits to be paid. Open its checkout page in a browser:\n  {url}"
    ));
    story.line("\nCtrl-C ends the shop.\n");
    tokio::select! {
        followed = purchase.follow(id, Duration::MAX) => {
            match followed {
                Ok(()) => {
                    let server = purchase.inspect(id).await?;
                    story.tell(&format!("{} runs at {}", server.name, server.address));
                }
                Err(error) => story.tell(&format!("the order was not delivered: {error}")),
            }
            stopped().await;
        }
        () = stopped() => {}
    }
    story.tell("closing");
    Ok(())
}
