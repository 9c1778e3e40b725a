//! What every test needs: a gateway with a set clock, a signer, and patience
//! with a deadline instead of sleeps.

pub mod core;
#[path = "../../../tests/it/support/effort.rs"]
pub mod effort;
pub mod http;
pub mod process;
pub mod proxy;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::{Clock, Config, Running};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::core::{Behaviour, FakeCore};
pub use self::http::{Reply, exchange, get, post};

/// What the gateway's clock shows in every test.
pub const NOW: u64 = 1_700_000_000;
/// The signing secret unless a test sets others.
pub const SECRET: &str = "whsec_of_the_tests";
/// The token that the fake core sees.
pub const TOKEN: &str = "spt_of_the_tests";
/// A body as Stripe sends them, in small.
pub const EVENT: &[u8] = br#"{"id":"evt_1","object":"event","type":"invoice.paid"}"#;
/// Long enough for a busy machine; only failures take it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The lower-case hex signature of a body.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// A right header for a body, signed now.
pub fn signed(body: &[u8]) -> String {
    format!("t={NOW},v1={}", sign(SECRET, &NOW.to_string(), body))
}

/// A gateway that stops with the value.
pub struct Gateway {
    pub addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    pub shutdown: CancellationToken,
    pub running: Option<Running>,
    _guard: DropGuard,
}

impl Gateway {
    /// Starts one in front of `core`, after `change` had its say on the settings.
    pub async fn start(core: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(core, &[("STRIPE_WEBHOOK_SECRET", SECRET)], change).await
    }

    /// Starts one with these variables beside the common ones.
    pub async fn start_with(
        core: SocketAddr,
        vars: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let url = format!("http://{core}");
        let lookup = |key: &str| match key {
            "SPAWNPOINT_URL" => Some(url.clone()),
            "GATEWAY_ADDR" | "GATEWAY_METRICS_ADDR" => Some("127.0.0.1:0".to_owned()),
            _ => vars
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, v)| (*v).to_owned())
                .or_else(|| {
                    let named = vars
                        .iter()
                        .any(|(name, _)| *name == "SPAWNPOINT_TOKEN_FILE");
                    (key == "SPAWNPOINT_TOKEN" && !named).then(|| TOKEN.to_owned())
                }),
        };
        let mut config = Config::load(lookup, None).unwrap();
        config.clock = Clock::from_fn(now);
        config.limits.secret_poll = Duration::from_millis(20);
        change(&mut config);
        let shutdown = CancellationToken::new();
        let running = gateway::start(config, shutdown.clone()).await.unwrap();
        Self {
            addr: running.addr,
            metrics_addr: running.metrics_addr.unwrap(),
            running: Some(running),
            _guard: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    /// Posts a body under one signature header.
    pub async fn webhook(&self, body: &[u8], signature: &str) -> Reply {
        post(self.addr, &[("Stripe-Signature", signature)], body).await
    }

    /// Posts the usual event, rightly signed.
    pub async fn deliver(&self) -> Reply {
        self.webhook(EVENT, &signed(EVENT)).await
    }

    /// The value of one series, 0 if absent.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = get(self.metrics_addr, "/metrics").await.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

/// The set clock.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Asks again until it holds; fails the test when patience ends.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let trying = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, trying).await.is_ok(),
        "never happened: {what}"
    );
}
