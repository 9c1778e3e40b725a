//! The soak: real processes on one PostgreSQL sell servers for as long as one likes, while
//! calls fail, webhooks go astray, installs and ports are lost, processes are killed and
//! stand still, and the database goes away. The invariants are audited all along, and once
//! more when everything has come to rest.

mod chaos;
mod conductor;
mod fleet;
mod process;
mod shopper;
mod tally;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use self::{chaos::Chaos, conductor::Conductor, shopper::Market, tally::Tally};
use crate::{
    audit::Auditor,
    demo::{Purchase, Story},
    postgres::Cluster,
    world::{EXAMPLE_CATALOG, Error, Options as WorldOptions, World},
};

/// Customers at a time.
const SHOPPERS: u64 = 6;
/// Different people; some come back.
const USERS: usize = 60;
/// Ports beyond those of the example panel, on each node: nothing is to be sold out.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=31_500;
/// All that the panel may be asked in a minute.
const PANEL_RATE: u32 = 6_000;
/// From here on a run is long enough to have had every kind of trouble.
const ALL_KINDS: Duration = Duration::from_secs(240);

/// How long, and by which choices.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long customers come.
    pub lasts: Duration,
    /// Where random choices begin. What the machine does in between is its own.
    pub seed: u64,
}

/// Runs a soak and tells of it; fails with the first thing that must not be.
///
/// # Errors
/// An invariant was broken, a process ended by itself, or the run proved too little.
pub async fn run(options: Options, story: &Story) -> Result<(), Error> {
    let folder = TempDir::with_prefix("spawnpoint-soak.")?;
    let ended = soak(options, story, &folder).await;
    if ended.is_err() {
        let kept = folder.keep();
        story.line(&format!("the processes' logs: {}", kept.display()));
    }
    ended
}

async fn soak(options: Options, story: &Story, folder: &TempDir) -> Result<(), Error> {
    let cluster = Arc::new(Cluster::start()?);
    let database_url = cluster.url("postgres");
    let world = open(&database_url, story).await?;
    let fleet = fleet::start(&world, &database_url, folder.path()).await?;
    story.tell("three control planes and the gateway run as processes of their own");
    let mut rng = StdRng::seed_from_u64(options.seed);
    let endpoint = format!("http://{}", world.grpc_addr);
    let market = Arc::new(Market {
        channel: Channel::from_shared(endpoint)?.connect_lazy(),
        tokens: world.tokens.clone(),
        stripe: world.stripe.controls(),
        tally: Tally::default(),
        users: (0..USERS).map(|_| Uuid::from_u128(rng.random())).collect(),
    });
    let cancel = CancellationToken::new();
    let shoppers: Vec<_> = (1..=SHOPPERS)
        .map(|number| {
            let seed = options.seed.wrapping_add(number);
            tokio::spawn(Arc::clone(&market).shop(seed, cancel.clone()))
        })
        .collect();
    let mut chaos = Chaos::new(&world.panel, world.stripe.controls(), rng.random());
    let mut conductor = Conductor {
        world: &world,
        auditor: Auditor::open(&database_url).await?,
        market: &market,
        fleet,
        cluster: Arc::clone(&cluster),
        story,
    };
    let until = Instant::now() + options.lasts;
    let conducted = async {
        let ended = conductor.conduct(until, rng).await;
        cancel.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(conducted, chaos.run(&cancel));
    for shopper in shoppers {
        shopper.await?;
    }
    let struck = || {
        let mut struck = chaos.fired();
        struck.extend(conductor::KINDS.map(|kind| (kind, market.tally.of(kind))));
        struck
    };
    story.tell(&format!("struck: {}", listed(&struck())));
    ended?;
    conductor.finish().await?;
    // Counted again: what was to land late has landed.
    let struck = struck();
    let never: Vec<&str> = struck
        .iter()
        .filter(|(_, times)| **times == 0)
        .map(|(name, _)| *name)
        .collect();
    if options.lasts >= ALL_KINDS && !never.is_empty() {
        return Err(format!("the run proved too little: never struck: {never:?}").into());
    }
    drop(conductor);
    world.close().await;
    Ok(())
}

/// The example shop with room for all, and with its own control plane and gateway stopped.
async fn open(database_url: &str, story: &Story) -> Result<World, Error> {
    let mut options = WorldOptions::quick(database_url.to_owned());
    options.install = Duration::from_millis(300);
    options.webhooks = false;
    options.variables = fleet::settings();
    options.catalog = EXAMPLE_CATALOG
        .replace("max_ram_gb = 64", "max_ram_gb = 65536")
        .replace("max_disk_gb = 1000", "max_disk_gb = 1000000");
    let mut world = World::open(&options).await?;
    world.panel.set_rate_limit(PANEL_RATE);
    for (node, ip) in [(1, "203.0.113.10"), (2, "203.0.113.11")] {
        world.panel.add_allocations(node, ip.parse()?, PORTS);
    }
    let silent = Story::silent();
    Purchase::new(&world, &silent)
        .await?
        .wait_for_sales()
        .await?;
    story.tell("the shop sells");
    world.stop_gateway().await;
    world.stop_cores().await;
    Ok(world)
}

fn listed(counts: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    parts.join(", ")
}
