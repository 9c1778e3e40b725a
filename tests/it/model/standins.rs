//! Stripe and the panel of one run, on a runtime that outlives every core.

use std::{net::SocketAddr, time::Duration};

use sandbox::{
    panel::{KeySpec, Panel, PanelConfig, RunningPanel},
    stripe::{Interval, PriceSpec, RunningStripe, Stripe, StripeConfig},
    world::SHOP_ORIGIN,
};
use spawnpoint::config::{Config, Source};
use tokio::runtime::Runtime;

/// The same panel in every run, as far as its ids tell.
const PANEL_SEED: u64 = 7;
/// Enough for the orders of one run, and few enough to mirror quickly; more than the
/// mirror calls few, so that it does not read them at every sweep.
const PORTS: u16 = 24;
/// How long an install takes, on the panel's clock.
pub(super) const INSTALL: Duration = Duration::from_secs(30);
/// Calls give up after this, and so the Stripe client does not try again by itself:
/// every trouble reaches the worker. Far longer than any answer takes here.
const CALL_SECONDS: &str = "1.2";

/// Both stand-ins.
pub(super) struct Standins {
    pub stripe: RunningStripe,
    pub panel: RunningPanel,
}

impl Standins {
    /// Serves them. `delayed_subscription` says whether a delayed payment has its
    /// subscription before it settles: Stripe has done both.
    pub fn start(runtime: &Runtime, seed: u64, delayed_subscription: bool) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let price = |id, amount| PriceSpec::recurring(id, amount, Interval::Month, 1);
        let stripe = StripeConfig {
            prices: vec![
                price("price_mc", 699),
                price("price_mc_4gb", 1399),
                price("price_rust", 899),
            ],
            seed: Some(seed),
            delayed_creates_subscription: delayed_subscription,
            ..StripeConfig::default()
        };
        let panel = PanelConfig::shop()
            .with_seed(PANEL_SEED)
            .with_key(KeySpec::application("ptla_of_the_model", 1))
            .with_ports_per_node(PORTS)
            .with_install_delay(INSTALL)
            .with_race_window(Duration::ZERO)
            .with_rate_limit(1_000_000);
        runtime.block_on(async {
            Self {
                stripe: Stripe::start(stripe, any).await.unwrap(),
                panel: Panel::start(panel, any).await.unwrap(),
            }
        })
    }

    /// The configuration of a core between them.
    pub fn config(&self, database_url: &str) -> Config {
        let variables = [
            ("DATABASE_URL", database_url.to_owned()),
            ("DATABASE_MAX_CONNECTIONS", "2".to_owned()),
            ("STRIPE_SECRET_KEY", self.stripe.secret_key()),
            ("STRIPE_API_BASE", self.stripe.url()),
            ("PTERO_APP_KEY", self.panel.key().to_owned()),
            ("PANEL_URL", self.panel.url()),
            ("CHECKOUT_ALLOWED_ORIGINS", SHOP_ORIGIN.to_owned()),
            ("CALL_TIMEOUT_SECONDS", CALL_SECONDS.to_owned()),
        ];
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        Config::read(&Source::new(&lookup, None)).unwrap()
    }
}
