//! A whole shop on loopback: both stand-ins, the control plane and the gateway in
//! one process, with the example catalog applied. The demo shows it, tests use it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use spawnpoint::{
    app::{Role, catalog::file, tokens},
    boot,
    config::{Config, Source},
    db::{
        Db, catalog,
        orders::{self, Filter},
    },
    domain::catalog::{Price, Term},
    probe::Probe,
};
use tokio_util::sync::CancellationToken;

use crate::{
    core::Core,
    panel::{Panel, PanelConfig, RunningPanel},
    stripe::{ApiVersion, Interval, PriceSpec, RunningStripe, Stripe, StripeConfig},
};

/// The catalog that is shipped as an example.
pub const EXAMPLE_CATALOG: &str = include_str!("../../docs/catalog.example.toml");
/// Where the shop's own pages would be.
pub const SHOP_ORIGIN: &str = "https://shop.example";
/// How long a core that starts again waits for its port.
const PORT_PATIENCE: Duration = Duration::from_secs(20);
/// Shared by the Stripe stand-in and the gateway.
pub const WEBHOOK_SECRET: &str = "whsec_sandbox";

/// Anything that kept the shop from opening, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where everything listens; port 0 takes a free one.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The Stripe stand-in.
    pub stripe: SocketAddr,
    /// The panel stand-in.
    pub panel: SocketAddr,
    /// Spawnpoint's gRPC.
    pub grpc: SocketAddr,
    /// Spawnpoint's metrics.
    pub metrics: SocketAddr,
    /// The gateway.
    pub gateway: SocketAddr,
}

impl Addresses {
    /// Free ports of the loopback interface.
    pub fn free() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            stripe: any,
            panel: any,
            grpc: any,
            metrics: any,
            gateway: any,
        }
    }

    /// The documented ports.
    pub fn documented() -> Self {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            stripe: at(12_111),
            panel: at(8_081),
            grpc: at(50_051),
            metrics: at(9_464),
            gateway: at(8_080),
        }
    }
}

/// What the shop is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything listens.
    pub addresses: Addresses,
    /// `sqlite://...` or `postgres://...`.
    pub database_url: String,
    /// The catalog to apply.
    pub catalog: String,
    /// Whether Stripe's webhooks are delivered at all.
    pub webhooks: bool,
    /// Whether a delayed payment has its subscription before it settles: Stripe has done both.
    pub delayed_creates_subscription: bool,
    /// How long an install takes on the panel.
    pub install: Duration,
    /// Further variables, as in the environment; they win over the demo's own.
    pub variables: Vec<(String, String)>,
    /// A test beside every step and transaction of every control plane.
    pub probe: Option<Arc<dyn Probe>>,
}

impl Options {
    /// The example shop on free ports, quick enough to watch.
    pub fn quick(database_url: String) -> Self {
        Self {
            addresses: Addresses::free(),
            database_url,
            catalog: EXAMPLE_CATALOG.to_owned(),
            webhooks: true,
            delayed_creates_subscription: false,
            install: Duration::from_secs(1),
            variables: Vec::new(),
            probe: None,
        }
    }

    /// Sets a variable, in the place of one of that name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Sets many variables.
    pub fn set_all(&mut self, variables: &[(&str, &str)]) {
        for (name, value) in variables {
            self.set(name, value);
        }
    }
}

/// The shop, open.
pub struct World {
    /// The Stripe stand-in.
    pub stripe: RunningStripe,
    /// The panel stand-in.
    pub panel: RunningPanel,
    /// Where the first control plane serves.
    pub grpc_addr: SocketAddr,
    /// Every control plane that runs, the first one first.
    pub cores: Vec<Core>,
    /// Where webhooks go.
    pub gateway: SocketAddr,
    /// What applying the catalog did, in words.
    pub catalog: String,
    /// Tokens, one per role.
    pub tokens: Tokens,
    config: Config,
    probe: Option<Arc<dyn Probe>>,
    gateway_cancel: CancellationToken,
    gateway_task: Option<tokio::task::JoinHandle<()>>,
}

/// One token per role.
#[derive(Clone)]
pub struct Tokens {
    /// May do everything.
    pub operator: String,
    /// Buys for users.
    pub storefront: String,
    /// Records events.
    pub gateway: String,
    /// Reads.
    pub viewer: String,
}

impl World {
    /// Opens the shop.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let stripe = StripeConfig {
            delayed_creates_subscription: options.delayed_creates_subscription,
            ..StripeConfig::default()
        };
        let stripe = Stripe::start(stripe, options.addresses.stripe)
            .await
            .map_err(|error| taken("the Stripe stand-in", options.addresses.stripe, &error))?;
        let panel_config = PanelConfig::shop().with_install_delay(options.install);
        let panel = Panel::start(panel_config, options.addresses.panel)
            .await
            .map_err(|error| taken("the panel stand-in", options.addresses.panel, &error))?;
        let config = config(options, &stripe, &panel)?;
        let (catalog, tokens) = prepare(&config, &options.catalog, &stripe).await?;
        let probe = options.probe.clone();
        let core = Core::start(config.clone(), boot::Mode::All, probe.clone()).await?;
        let grpc_addr = core.grpc_addr;
        let gateway_cancel = CancellationToken::new();
        let gateway_config = gateway_config(options, grpc_addr, &tokens)?;
        let gateway = gateway::start(gateway_config, gateway_cancel.clone()).await?;
        let addr = gateway.addr;
        let gateway_task = tokio::spawn(async move {
            if let Err(error) = gateway.wait().await {
                tracing::error!(%error, "the gateway ended");
            }
        });
        if options.webhooks {
            let url = format!("http://{addr}/stripe-webhook");
            stripe
                .set_webhook_endpoint(&url, WEBHOOK_SECRET, ApiVersion::NEW)
                .map_err(|refusal| refusal.message.clone())?;
        }
        Ok(Self {
            stripe,
            panel,
            grpc_addr,
            cores: vec![core],
            gateway: addr,
            catalog,
            tokens,
            config,
            probe,
            gateway_cancel,
            gateway_task: Some(gateway_task),
        })
    }

    /// Closes the shop: the gateway first, so that nothing is acknowledged in vain.
    pub async fn close(mut self) {
        self.stop_gateway().await;
        for core in self.cores {
            core.stop().await;
        }
        self.stripe.stop().await;
        self.panel.stop().await;
    }

    /// Stops the gateway: from here on nothing is acknowledged.
    pub async fn stop_gateway(&mut self) {
        self.gateway_cancel.cancel();
        if let Some(task) = self.gateway_task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the gateway's task failed");
        }
    }

    /// Stops every control plane; the stand-ins and the gateway go on.
    pub async fn stop_cores(&mut self) {
        for core in self.cores.drain(..) {
            core.stop().await;
        }
    }

    /// Kills every control plane between two instructions; the stand-ins and the gateway
    /// go on.
    pub async fn kill_cores(&mut self) {
        for core in self.cores.drain(..) {
            core.kill().await;
        }
    }

    /// The configuration of the control planes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes what control planes are given that start from now on.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// Starts a control plane on the same store: the first one at the address that the
    /// gateway knows, each further one as a replica on a free port.
    pub async fn start_core(&mut self, mode: boot::Mode) -> Result<(), Error> {
        let mut config = self.config.clone();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen.grpc_addr = any;
        if self.cores.is_empty() {
            until_free(self.grpc_addr).await;
            config.listen.grpc_addr = self.grpc_addr;
        }
        config.listen.metrics_addr = any;
        let core = Core::start(config, mode, self.probe.clone()).await?;
        self.cores.push(core);
        Ok(())
    }
}

/// Waits for an address that was ours: meanwhile the system may have given its port to a
/// connection that somebody opened. Who binds it says so where that lasts.
async fn until_free(addr: SocketAddr) {
    let deadline = Instant::now() + PORT_PATIENCE;
    while std::net::TcpListener::bind(addr).is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn taken(what: &str, addr: SocketAddr, error: &std::io::Error) -> String {
    format!("{what} cannot listen on {addr}: {error}")
}

/// The control plane's configuration, as its environment would give it.
fn config(
    options: &Options,
    stripe: &RunningStripe,
    panel: &RunningPanel,
) -> Result<Config, Error> {
    let mut variables: Vec<(String, String)> = [
        ("DATABASE_URL", options.database_url.clone()),
        ("STRIPE_SECRET_KEY", stripe.secret_key()),
        ("STRIPE_API_BASE", stripe.url()),
        ("PTERO_APP_KEY", panel.key().to_owned()),
        ("PANEL_URL", panel.url()),
        ("SPAWNPOINT_GRPC_ADDR", options.addresses.grpc.to_string()),
        (
            "SPAWNPOINT_METRICS_ADDR",
            options.addresses.metrics.to_string(),
        ),
        ("CHECKOUT_ALLOWED_ORIGINS", SHOP_ORIGIN.to_owned()),
        // A customer of the demo does not want to wait for the polls of a real shop.
        ("SWEEP_INSTALL_SECONDS", "0.5".to_owned()),
        ("SWEEP_PENDING_SECONDS", "1".to_owned()),
        ("SWEEP_EVENTS_SECONDS", "10".to_owned()),
        ("SWEEP_SUBSCRIPTIONS_SECONDS", "60".to_owned()),
        ("SWEEP_SERVERS_SECONDS", "60".to_owned()),
        ("SWEEP_CHARGES_SECONDS", "1".to_owned()),
        ("SWEEP_PORTS_SECONDS", "1".to_owned()),
        ("SWEEP_PROFILES_SECONDS", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    variables.retain(|(name, _)| options.variables.iter().all(|(other, _)| other != name));
    variables.extend(options.variables.iter().cloned());
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
    };
    Ok(Config::read(&Source::new(&lookup, None))?)
}

fn gateway_config(
    options: &Options,
    grpc_addr: SocketAddr,
    tokens: &Tokens,
) -> Result<gateway::Config, Error> {
    let lookup = |name: &str| match name {
        "STRIPE_WEBHOOK_SECRET" => Some(WEBHOOK_SECRET.to_owned()),
        "SPAWNPOINT_TOKEN" => Some(tokens.gateway.clone()),
        "SPAWNPOINT_URL" => Some(format!("http://{grpc_addr}")),
        "GATEWAY_ADDR" => Some(options.addresses.gateway.to_string()),
        "GATEWAY_METRICS_ADDR" => Some("off".to_owned()),
        _ => None,
    };
    Ok(gateway::Config::load(lookup, None)?)
}

/// Migrates, applies the catalog and makes tokens, as an operator would before opening;
/// and teaches the Stripe stand-in the catalog's prices.
async fn prepare(
    config: &Config,
    catalog: &str,
    stripe: &RunningStripe,
) -> Result<(String, Tokens), Error> {
    let db = Db::open(&config.database.options()).await?;
    db.migrate().await?;
    let known = orders::list(db.read(), &Filter::default(), None, 1).await?;
    if !known.is_empty() {
        // The stand-ins forget with their process; their ids would mean something else.
        return Err("the database holds orders of an earlier run: give an empty one".into());
    }
    let applied = file::apply(&db, catalog).await?;
    for (id, price) in prices(&db).await? {
        tracing::debug!(
            id,
            price = price.stripe_price_id,
            "price at the Stripe stand-in"
        );
        stripe.add_price(spec(&price));
    }
    // Names are unique, and a run that sold nothing leaves its tokens behind.
    let run = uuid::Uuid::new_v4().simple().to_string();
    let token = async |role: Role| {
        let token = tokens::create(&db, role, &format!("sandbox-{role}-{run}"), None).await?;
        Ok::<_, Error>(token)
    };
    let tokens = Tokens {
        operator: token(Role::Operator).await?,
        storefront: token(Role::Storefront).await?,
        gateway: token(Role::Gateway).await?,
        viewer: token(Role::Viewer).await?,
    };
    Ok((applied.to_string(), tokens))
}

async fn prices(db: &Db) -> Result<Vec<(String, Price)>, Error> {
    let mut prices = Vec::new();
    for plan in catalog::plans::all(db.read()).await? {
        prices.extend(
            plan.prices
                .into_iter()
                .map(|price| (plan.id.clone(), price)),
        );
    }
    for addon in catalog::addons::all(db.read()).await? {
        prices.extend(
            addon
                .prices
                .into_iter()
                .map(|price| (addon.id.clone(), price)),
        );
    }
    Ok(prices)
}

fn spec(price: &Price) -> PriceSpec {
    let (interval, count) = match price.term {
        Term::Monthly => (Interval::Month, 1),
        Term::Quarterly => (Interval::Month, 3),
        Term::Semiannual => (Interval::Month, 6),
        Term::Yearly => (Interval::Year, 1),
    };
    PriceSpec {
        currency: price.amount.currency.clone(),
        ..PriceSpec::recurring(
            &price.stripe_price_id,
            price.amount.amount_minor,
            interval,
            count,
        )
    }
}
