//! A stateful stand-in for Stripe: customers, prices, Checkout, subscriptions, invoices,
//! events and webhooks, with the parts of Stripe that hurt.
//!
//! It knows nothing of the shop. It answers over HTTP what Stripe would answer,
//! refuses what Stripe would refuse (and says so where it does not play a part of
//! Stripe), and lets a test decide what goes wrong. All state lives in memory
//! behind one lock; all time comes from one clock.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::serving;

mod answer;
mod api;
mod auth;
mod calls;
mod charges;
mod clock;
mod config;
mod control;
mod controls;
mod customers;
mod disputes;
mod errors;
mod events;
mod expand;
mod faults;
mod form;
mod idempotency;
mod ids;
mod invoice_payments;
mod invoices;
mod list_faults;
mod page;
mod periods;
mod portal;
mod prices;
mod refunds;
mod routes;
mod schema;
mod sessions;
mod subscriptions;
mod table;
mod version;
mod views;
mod webhooks;
mod world;

pub use crate::faults::{DripFrom, FaultAction, FaultId, Moment};
pub use calls::Call;
pub use config::StripeConfig;
pub use controls::Controls;
pub use disputes::{DisputeOutcome, DisputeStatus, DisputedPayments};
pub use errors::Refusal;
pub use faults::{Effect, Fault};
pub use periods::Interval;
pub use prices::PriceSpec;
pub use sessions::complete::PayMode;
pub use sessions::{PaymentStatus, Promotion, SessionStatus};
pub use subscriptions::SubscriptionStatus;
pub use subscriptions::lag::{LagCounts, SubscriptionLag};
pub use version::ApiVersion;
pub use views::{
    CustomerView, DisputeView, EventView, PaymentView, PortalView, RefundView, SessionView,
    SubscriptionView,
};
pub use webhooks::delivery::DeliveryPolicy;
pub use webhooks::{Delivery, ReleaseOrder, Rendering, WebhookCounts, WebhookSwitches, sign};

use webhooks::Webhooks;
use world::{App, World};

/// How often due things happen when nobody calls.
const TICK: Duration = Duration::from_millis(500);

/// Starts stand-ins.
pub struct Stripe;

impl Stripe {
    /// Serves a new, empty account on `addr`; port 0 takes any free one.
    pub async fn start(config: StripeConfig, addr: SocketAddr) -> io::Result<RunningStripe> {
        let invalid = |refusal: Refusal| io::Error::new(io::ErrorKind::InvalidInput, refusal);
        let account_version = ApiVersion::parse(&config.api_version).map_err(invalid)?;
        let listener = TcpListener::bind(addr).await?;
        let local = listener.local_addr()?;
        let base_url = match &config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{local}"),
        };
        // Refused only if a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (outbox, jobs) = mpsc::unbounded_channel();
        let policy = config.delivery;
        let webhooks = Webhooks::new(outbox);
        let app = App::new(World::new(config, account_version, base_url, webhooks));
        let tasks = vec![
            tokio::spawn(serve(
                listener,
                routes::router(app.clone()),
                app.stop.clone(),
            )),
            tokio::spawn(webhooks::delivery::run(app.clone(), jobs, policy)),
            tokio::spawn(tick(app.clone())),
        ];
        Ok(RunningStripe {
            controls: Controls { app },
            addr: local,
            tasks,
        })
    }
}

/// A stand-in that serves until it is stopped or dropped.
pub struct RunningStripe {
    controls: Controls,
    addr: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningStripe {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A handle to give away.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Stops serving and delivering, and waits for both.
    pub async fn stop(mut self) {
        self.controls.app.stop.cancel();
        for task in self.tasks.drain(..) {
            // A task that panicked has nothing left to wait for.
            let _ = task.await;
        }
    }
}

impl Deref for RunningStripe {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl Drop for RunningStripe {
    fn drop(&mut self) {
        self.controls.app.stop.cancel();
    }
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = move |_, request: http::Request<Incoming>| {
        let routed = router.clone().oneshot(request.map(Body::new));
        async move {
            match routed.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    serving::serve(listener, stop, service).await;
}

async fn tick(app: App) {
    let mut every = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = every.tick() => app.world().tick(),
        }
    }
}
