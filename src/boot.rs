//! Builds the service out of its configuration, starts it, and stops it in order.
//!
//! The same way for the binary, the sandbox and the tests: nothing else knows how
//! the parts fit together.
//!
//! Going away: health says NOT_SERVING, no call is taken any more, calls under way
//! finish, the worker finishes its steps and gives its leases back, then the store
//! is left. Whatever a kill interrupts instead is picked up by the next process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    app::{App, tokens::Tokens},
    config::{Config, Listen},
    db::{Db, migrate::FileGuard, orders::leases, sweeps},
    ops::{self, Ops},
    probe::Probe,
    rpc::{
        catalog::CatalogRpc,
        orders::OrderRpc,
        proto::{
            catalog_service_server::CatalogServiceServer, order_service_server::OrderServiceServer,
            provisioning_service_server::ProvisioningServiceServer,
        },
        provisioning::ProvisioningRpc,
        server::{self, DECODE_BYTES, EVENT_DECODE_BYTES, Serving},
    },
    worker,
};

mod build;
mod error;
mod store;

pub use error::Error;

/// How long the worker may finish its steps. What takes longer is safe to be cut
/// off, and most supervisors lose their patience after 30 seconds in all.
const WORKER_STOP: Duration = Duration::from_secs(15);

/// The panel's own worst case for a create, and a little more.
const SETTLED: Duration = Duration::from_secs(35);

/// Which parts run in this process. Splitting them needs PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Services and worker.
    #[default]
    All,
    /// Services only.
    NoWorker,
    /// The worker only; of the services, health and reflection.
    WorkerOnly,
}

/// The service, started.
pub struct Running {
    /// Where gRPC listens.
    pub grpc_addr: SocketAddr,
    /// Where metrics and probes listen.
    pub metrics_addr: SocketAddr,
    /// Handles to everything, for tests and the sandbox.
    pub app: Arc<App>,
    grpc: Serving,
    ops: Ops,
    worker: Option<worker::Handle>,
    /// Carries nudges between replicas where no worker does.
    listener: TaskTracker,
    store_watch: JoinHandle<()>,
    /// Ends the store's watch; everything else ends with the gRPC server.
    watch_closing: CancellationToken,
    _guard: Option<FileGuard>,
}

/// Starts the service: health says SERVING when this returns.
pub async fn start(config: Config, mode: Mode) -> Result<Running, Error> {
    start_probed(config, mode, None).await
}

/// As [`start`], with a test beside every step and transaction.
pub async fn start_probed(
    config: Config,
    mode: Mode,
    probe: Option<Arc<dyn Probe>>,
) -> Result<Running, Error> {
    // An installed provider stays: every one that can be installed is good enough.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(problem) = config.worker.lease_problem() {
        return Err(Error::Lease(problem));
    }
    let metrics = ops::recorder().map_err(Error::Metrics)?;
    let guard = FileGuard::take(&config.database.options().url)?;
    let db = store::open(&config.database).await?.with_probe(probe);
    if !db.is_postgres() {
        if mode != Mode::All {
            return Err(Error::SplitNeedsPostgres);
        }
        // The guard says that no other process works on these orders.
        free_leases(&db).await?;
    }
    let app = Arc::new(build::app(&config, db.clone()).await?);
    let grpc_listener = server::bind(config.listen.grpc_addr).await?;
    let ops_listener = server::bind(config.listen.metrics_addr).await?;
    warn_of_risks(&config);

    let ops = Ops::start(ops_listener, db.clone(), metrics).map_err(Error::Ops)?;
    let closing = CancellationToken::new();
    let tokens = Arc::new(Tokens::new(db.clone()));
    let routes = routes(&app, mode);
    let settings = server_settings(&config.listen);
    let grpc = server::start(grpc_listener, routes, tokens, settings, closing.clone()).await?;
    let listener = TaskTracker::new();
    let worker = match mode {
        Mode::All | Mode::WorkerOnly => {
            let settings = build::worker_settings(&config);
            Some(worker::start(
                Arc::clone(&app),
                settings,
                CancellationToken::new(),
            ))
        }
        Mode::NoWorker => {
            worker::listen(&listener, &app, &closing);
            None
        }
    };
    grpc.health().set(true).await;
    let watch_closing = closing.child_token();
    let watch = store::watch(db, grpc.health().clone(), watch_closing.clone());
    let store_watch = tokio::spawn(watch);
    tracing::info!(
        grpc = %grpc.addr(),
        metrics = %ops.addr(),
        ?mode,
        livemode = app.stripe.livemode(),
        "serving"
    );
    Ok(Running {
        grpc_addr: grpc.addr(),
        metrics_addr: ops.addr(),
        app,
        grpc,
        ops,
        worker,
        listener,
        store_watch,
        watch_closing,
        _guard: guard,
    })
}

/// The service without its clockwork, for tests that decide themselves whose turn it is.
/// Nothing listens, nothing runs by itself, and a dropped call is a process that died.
pub async fn by_hand(
    config: &Config,
    probe: Option<Arc<dyn Probe>>,
) -> Result<(Arc<App>, worker::ByHand), Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let db = store::open(&config.database).await?.with_probe(probe);
    if !db.is_postgres() {
        free_leases(&db).await?;
    }
    let app = Arc::new(build::app(config, db).await?);
    let worker = worker::ByHand::new(Arc::clone(&app), build::worker_settings(config));
    Ok((app, worker))
}

/// What the process before this one held. Only where it surely is the only one.
async fn free_leases(db: &Db) -> Result<(), Error> {
    leases::clear_all(db).await.map_err(Error::Store)?;
    sweeps::clear_all(db).await.map_err(Error::Store)
}

impl Running {
    /// Stops everything in order.
    pub async fn stop(self) {
        tracing::info!("stopping");
        // First, so that it does not say SERVING again.
        self.watch_closing.cancel();
        if let Err(error) = self.store_watch.await {
            tracing::error!(%error, "the store's watch failed");
        }
        self.grpc.stop().await;
        if let Some(worker) = self.worker
            && timeout(WORKER_STOP, worker.stop()).await.is_err()
        {
            tracing::warn!("some steps did not finish in time; their leases end by themselves");
        }
        self.listener.close();
        self.listener.wait().await;
        self.ops.stop().await;
        tracing::info!("stopped");
    }
}

fn routes(app: &Arc<App>, mode: Mode) -> Routes {
    if mode == Mode::WorkerOnly {
        return Routes::default();
    }
    let catalog = CatalogRpc {
        app: Arc::clone(app),
    };
    let orders = OrderRpc {
        app: Arc::clone(app),
    };
    let provisioning = ProvisioningRpc {
        app: Arc::clone(app),
    };
    Routes::new(CatalogServiceServer::new(catalog).max_decoding_message_size(DECODE_BYTES))
        .add_service(OrderServiceServer::new(orders).max_decoding_message_size(EVENT_DECODE_BYTES))
        .add_service(
            ProvisioningServiceServer::new(provisioning).max_decoding_message_size(DECODE_BYTES),
        )
}

fn server_settings(listen: &Listen) -> server::Settings {
    server::Settings {
        call_cap: listen.call_cap,
        calls: listen.max_calls,
        streams: listen.max_streams,
        drain: listen.drain,
        tls: listen.tls.clone(),
        insecure_loopback: listen.insecure_loopback,
    }
}

fn warn_of_risks(config: &Config) {
    let listen = &config.listen;
    if listen.tls.is_none() && !listen.grpc_addr.ip().is_loopback() {
        tracing::warn!(
            addr = %listen.grpc_addr,
            "gRPC is served without TLS beyond this machine: tokens cross the network in the \
             clear unless something in front encrypts"
        );
    }
    if config.worker.settle < SETTLED {
        tracing::warn!(
            "SETTLE_SECONDS is below 35: a create that lands late could be made twice over"
        );
    }
    if listen.insecure_loopback {
        tracing::warn!("calls without a token are the operator's: --insecure-loopback");
    }
}

#[cfg(test)]
mod tests;
