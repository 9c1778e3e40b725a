//! The gateway's settings: one struct per concern, checked as a whole.
//!
//! | variable | default | meaning and trade-off |
//! |---|---|---|
//! | `STRIPE_WEBHOOK_SECRET` (`_FILE`) | required | signing secrets of the endpoint, comma separated; keep the old one beside the new one while Stripe rolls |
//! | `SPAWNPOINT_URL` | `http://127.0.0.1:50051` | the core; `https` where the network is not trusted |
//! | `SPAWNPOINT_TOKEN` (`_FILE`) | required | a token of role gateway |
//! | `SPAWNPOINT_CA_FILE` | public roots | PEM of a private CA that signed the core's certificate |
//! | `GATEWAY_ADDR` | `127.0.0.1:8080` | where webhooks arrive |
//! | `GATEWAY_METRICS_ADDR` | `127.0.0.1:9465` | `GET /metrics`; `off` for none |
//! | `GATEWAY_DEADLINE_MS` | 6000 | the call to the core; longer than Stripe waits is useless, shorter than the core waits for its store (5 s) hides the core's own word |
//! | `GATEWAY_TOLERANCE_SECONDS` | 300 | age and lead of a signature; wider helps only attackers |
//! | `GATEWAY_BODY_LIMIT_BYTES` | 1048576 | the most one request may hold in memory |
//! | `GATEWAY_HEADER_TIMEOUT_MS`, `GATEWAY_BODY_TIMEOUT_MS` | 5000, 10000 | what a slow sender may hold |
//! | `GATEWAY_MAX_CONNECTIONS` | 4096 | further ones wait in the backlog; times the body limit it bounds memory |
//! | `GATEWAY_SHUTDOWN_GRACE_MS` | 20000 | what a request in flight gets at shutdown |
//!
//! Each comes from the environment, else from the same key in `spawnpoint.toml`.

mod source;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use self::source::Source;
pub use self::source::{Fault, Faults};
use crate::clock::Clock;
use crate::secrets::{BearerToken, Rotating};
use crate::signature::WebhookSecrets;

/// Stripe is told within 8 s that nothing was stored: this leaves room for the way back on
/// a busy machine. Above the 5 s that the core waits for a connection to its store, so that
/// a store that is away is told in the core's own words.
const DEADLINE_MS: u64 = 6_000;

const KNOWN_KEYS: [&str; 15] = [
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_WEBHOOK_SECRET_FILE",
    "SPAWNPOINT_URL",
    "SPAWNPOINT_TOKEN",
    "SPAWNPOINT_TOKEN_FILE",
    "SPAWNPOINT_CA_FILE",
    "GATEWAY_ADDR",
    "GATEWAY_METRICS_ADDR",
    "GATEWAY_DEADLINE_MS",
    "GATEWAY_TOLERANCE_SECONDS",
    "GATEWAY_BODY_LIMIT_BYTES",
    "GATEWAY_HEADER_TIMEOUT_MS",
    "GATEWAY_BODY_TIMEOUT_MS",
    "GATEWAY_MAX_CONNECTIONS",
    "GATEWAY_SHUTDOWN_GRACE_MS",
];

/// Everything `start` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where webhooks arrive; port 0 takes any free one.
    pub listen_addr: SocketAddr,
    /// Where `/metrics` is served, if anywhere.
    pub metrics_addr: Option<SocketAddr>,
    /// Signing secrets of the Stripe endpoint.
    pub webhook_secrets: Arc<Rotating<WebhookSecrets>>,
    /// How the core is reached.
    pub upstream: UpstreamConfig,
    /// What one sender may take.
    pub limits: Limits,
    /// The time of day.
    pub clock: Clock,
    /// Settings that work but deserve a look; `start` logs them.
    pub warnings: Vec<String>,
}

/// How the core is reached.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Scheme, host and port.
    pub url: Uri,
    /// Sent with every call.
    pub token: Arc<Rotating<BearerToken>>,
    /// PEM of the roots to trust instead of the public ones.
    pub ca_pem: Option<String>,
    /// The longest a call may take, connecting included.
    pub deadline: Duration,
    /// The longest a new connection may take.
    pub connect_timeout: Duration,
    /// How often the connection is probed, so that a dead one is noticed while idle.
    pub keep_alive_interval: Duration,
    /// How long a probe may stay unanswered.
    pub keep_alive_timeout: Duration,
}

/// What one sender may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Age and lead of a signature.
    pub tolerance: Duration,
    /// The longest body.
    pub body_bytes: usize,
    /// The longest wait for a complete request head, idle time included.
    pub header_timeout: Duration,
    /// The longest wait for a complete body.
    pub body_timeout: Duration,
    /// Connections served at once.
    pub max_connections: usize,
    /// What a request in flight gets at shutdown.
    pub shutdown_grace: Duration,
    /// How often secret files are read again.
    pub secret_poll: Duration,
}

impl Config {
    /// Reads all settings through `env`, else from the text of `spawnpoint.toml`.
    pub fn load(
        env: impl Fn(&str) -> Option<String>,
        file_text: Option<&str>,
    ) -> Result<Self, Faults> {
        let mut source = Source::new(&env, file_text, &KNOWN_KEYS);
        let secrets = source.secret(
            "STRIPE_WEBHOOK_SECRET",
            "STRIPE_WEBHOOK_SECRET_FILE",
            WebhookSecrets::parse,
        );
        let token = source.secret(
            "SPAWNPOINT_TOKEN",
            "SPAWNPOINT_TOKEN_FILE",
            BearerToken::parse,
        );
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen_addr = source.value("GATEWAY_ADDR", loopback(8080), address);
        let metrics_addr =
            source.value(
                "GATEWAY_METRICS_ADDR",
                Some(loopback(9465)),
                |text| match text {
                    "off" => Ok(None),
                    _ => address(text).map(Some),
                },
            );
        if metrics_addr == Some(listen_addr) && listen_addr.port() != 0 {
            source.fault(
                "GATEWAY_METRICS_ADDR",
                "must differ from GATEWAY_ADDR".to_owned(),
            );
        }
        let url = url(&mut source);
        let ca_pem = authority(&mut source, &url);
        let deadline = millis(&mut source, "GATEWAY_DEADLINE_MS", DEADLINE_MS);
        let limits = limits(&mut source);
        let warnings = source.finish();
        // A missing secret is a fault, so both are there whenever there is none.
        let (Some(webhook_secrets), Some(token)) = (secrets, token) else {
            return Err(warnings.err().unwrap_or(Faults(Vec::new())));
        };
        let upstream = UpstreamConfig {
            url,
            token,
            ca_pem,
            deadline,
            connect_timeout: Duration::from_secs(2),
            // Together the longest that a dead connection, made in the last moment of an
            // outage, can hold up what comes after it. Most of it is patience: a core that
            // is only slow must not lose every call under way.
            keep_alive_interval: Duration::from_secs(1),
            keep_alive_timeout: Duration::from_secs(3),
        };
        Ok(Self {
            listen_addr,
            metrics_addr,
            webhook_secrets,
            upstream,
            limits,
            clock: Clock::system(),
            warnings: warnings?,
        })
    }
}

fn limits(source: &mut Source<'_>) -> Limits {
    let tolerance = source.number("GATEWAY_TOLERANCE_SECONDS", 300, (1, 3_600));
    // The core takes messages of up to 4 MiB.
    let body_bytes = source.number("GATEWAY_BODY_LIMIT_BYTES", 1 << 20, (1_024, 4_000_000));
    let max_connections = source.number("GATEWAY_MAX_CONNECTIONS", 4_096, (1, 1_000_000));
    Limits {
        tolerance: Duration::from_secs(tolerance),
        body_bytes: usize::try_from(body_bytes).unwrap_or(usize::MAX),
        header_timeout: millis(source, "GATEWAY_HEADER_TIMEOUT_MS", 5_000),
        body_timeout: millis(source, "GATEWAY_BODY_TIMEOUT_MS", 10_000),
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        shutdown_grace: millis(source, "GATEWAY_SHUTDOWN_GRACE_MS", 20_000),
        secret_poll: Duration::from_secs(1),
    }
}

fn millis(source: &mut Source<'_>, key: &str, default: u64) -> Duration {
    Duration::from_millis(source.number(key, default, (10, 120_000)))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, like 127.0.0.1:8080".to_owned())
}

fn url(source: &mut Source<'_>) -> Uri {
    let default = Uri::from_static("http://127.0.0.1:50051");
    let url = source.value("SPAWNPOINT_URL", default, |text| {
        let shape = || "must be http:// or https:// with host and port and nothing else".to_owned();
        let url: Uri = text.parse().map_err(|_| shape())?;
        let plain_path = url.path_and_query().is_none_or(|p| p.as_str() == "/");
        let user = url.authority().is_some_and(|a| a.as_str().contains('@'));
        let scheme = matches!(url.scheme_str(), Some("http" | "https"));
        let host = url.host().is_some_and(|host| !host.is_empty());
        if scheme && host && plain_path && !user {
            Ok(url)
        } else {
            Err(shape())
        }
    });
    if url.scheme_str() == Some("http") && !is_loopback(&url) {
        source.warn(
            "SPAWNPOINT_URL is plain http beyond this machine: the token can be read on the way"
                .to_owned(),
        );
    }
    url
}

/// Checked here: the TLS library takes a file without any certificate for none.
fn authority(source: &mut Source<'_>, url: &Uri) -> Option<String> {
    const KEY: &str = "SPAWNPOINT_CA_FILE";
    let pem = source.file_text(KEY)?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        source.fault(KEY, "holds no certificate in PEM".to_owned());
    }
    if url.scheme_str() == Some("http") {
        source.warn(format!(
            "{KEY} has no effect, because SPAWNPOINT_URL is plain http"
        ));
    }
    Some(pem)
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
