//! The gRPC server: where it listens, what it allows a connection, and how it
//! goes away without failing a call that it has begun.
//!
//! Services come in as routes; health and reflection are added here. Knows
//! nothing of what the services do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

use super::{
    auth::Auth,
    door::{Admission, DoorLayer, Limit, Rules},
    proto,
};
use crate::{app::tokens::Tokens, config::Tls};

mod health;

pub use health::Health;

/// Largest message that a method reads, except RecordStripeEvent.
pub const DECODE_BYTES: usize = 1 << 20;
/// Largest message of OrderService: an event of 1 MiB, which is the gateway's cap, and its frame.
pub const EVENT_DECODE_BYTES: usize = 1_200_000;

const STREAMS_PER_CONNECTION: u32 = 100;
const HEADER_BYTES: u32 = 16 << 10;
/// Finds dead peers behind silent middle boxes.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// Lets a balancer in front spread clients anew.
const CONNECTION_AGE: Duration = Duration::from_secs(30 * 60);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// No call takes longer until its answer begins.
    pub call_cap: Duration,
    /// Calls at once, over all connections.
    pub calls: usize,
    /// Open streams at once, over all connections.
    pub streams: usize,
    /// How long calls may go on once the server goes away.
    pub drain: Duration,
    /// Certificates; plain text where there are none.
    pub tls: Option<Tls>,
    /// Whether a call without a token is the operator's; refused unless on loopback.
    pub insecure_loopback: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_cap: Duration::from_secs(10),
            calls: 1024,
            streams: 1024,
            drain: Duration::from_secs(10),
            tls: None,
            insecure_loopback: false,
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {problem}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// In words, with what to do.
        problem: String,
    },
    /// Calls without a token would be the operator's, from anywhere.
    #[error("--insecure-loopback needs a loopback address, and {0} is none")]
    NotLoopback(SocketAddr),
    /// The certificate or the key cannot be used.
    #[error("the TLS certificate or key cannot be used")]
    Tls(#[source] tonic::transport::Error),
    /// The descriptor set is broken.
    #[error("reflection could not be built")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Listens on an address; port 0 takes any free one.
pub async fn bind(addr: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(addr).await.map_err(|error| {
        let problem = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use; is another instance running?".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "not allowed; ports below 1024 need a privilege".to_owned()
            }
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            _ => error.to_string(),
        };
        Error::Bind { addr, problem }
    })
}

/// A server that accepts calls.
#[derive(Debug)]
pub struct Serving {
    addr: SocketAddr,
    health: Health,
    closing: CancellationToken,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
    drain: Duration,
}

/// Starts to serve `routes` on `listener`. Health says NOT_SERVING until told
/// otherwise. `closing` fires when the server goes away: handlers of streams may hold it.
pub async fn start(
    listener: TcpListener,
    routes: Routes,
    tokens: Arc<Tokens>,
    settings: Settings,
    closing: CancellationToken,
) -> Result<Serving, Error> {
    let unusable = |error: std::io::Error| Error::Bind {
        addr: SocketAddr::from(([0, 0, 0, 0], 0)),
        problem: error.to_string(),
    };
    let addr = listener.local_addr().map_err(unusable)?;
    if settings.insecure_loopback && !addr.ip().is_loopback() {
        return Err(Error::NotLoopback(addr));
    }
    let door = DoorLayer::new(Rules {
        auth: Auth::new(tokens, settings.insecure_loopback),
        admission: Admission::new(settings.calls, settings.streams),
        limit: Limit::new(settings.call_cap),
        closing: closing.clone(),
    });
    let health = Health::new().await;
    let routes = with_common(routes, &health)?;
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_connection_age(CONNECTION_AGE);
    if let Some(tls) = settings.tls {
        server = server.tls_config(tls_config(tls)).map_err(Error::Tls)?;
    }
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = async move {
        // A dropped sender stops the server as well.
        let _ = stopped.await;
    };
    let serving = server
        .layer(door)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, signal);
    let task = tokio::spawn(serving);
    Ok(Serving {
        addr,
        health,
        closing,
        stop,
        task,
        drain: settings.drain,
    })
}

fn with_common(routes: Routes, health: &Health) -> Result<Routes, Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // With these, grpcurl shows the details of an error in words.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let health = HealthService::from_health_reporter(health.reporter());
    Ok(routes
        .add_service(HealthServer::new(health))
        .add_service(reflection().build_v1().map_err(Error::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(Error::Reflection)?))
}

fn tls_config(tls: Tls) -> ServerTlsConfig {
    let identity = Identity::from_pem(tls.certificate, tls.key);
    let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
    match tls.client_ca {
        None => config,
        Some(authority) => config.client_ca_root(Certificate::from_pem(authority)),
    }
}

impl Serving {
    /// Where it listens: tells the port where any was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What health answers.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Says NOT_SERVING, accepts no further call, ends streams, and lets calls
    /// finish for as long as the settings allow.
    pub async fn stop(self) {
        let Self {
            health,
            closing,
            stop,
            mut task,
            drain,
            ..
        } = self;
        health.set(false).await;
        closing.cancel();
        // Fails only where the server has ended already.
        let _ = stop.send(());
        match timeout(drain, &mut task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the gRPC server failed"),
            Ok(Err(error)) => tracing::error!(%error, "the gRPC server's task failed"),
            Err(_elapsed) => {
                task.abort();
                tracing::warn!("some calls did not finish in time and were cut off");
            }
        }
    }
}

#[cfg(test)]
mod tests;
