//! The worker: claims due orders, takes their steps, runs the sweeps.
//!
//! A step re-reads, acts, records. It carries nothing from one to the next, so a
//! crash is only an expired lease. No step retries inside: the next claim does.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::app::App;

pub mod budget;
mod by_hand;
mod claim;
mod driver;
mod listen;
mod steps;
mod sweeps;

pub use by_hand::ByHand;
pub use sweeps::Periods;

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names this process in leases: unique per start.
    pub owner: String,
    /// How long a claim lasts without renewal.
    pub lease: Duration,
    /// What must be left of a lease when a create is sent, beyond the call itself.
    pub lease_margin: Duration,
    /// The longest call of Stripe or the panel.
    pub longest_call: Duration,
    /// What a step may take in all, with its look-ups and waits: a lease is renewed for
    /// as long, and not longer.
    pub step_limit: Duration,
    /// Orders worked on at a time.
    pub concurrency: usize,
    /// Covers lost nudges.
    pub poll: Duration,
    /// How long an order waits after trouble of Stripe or the panel, before jitter.
    pub retry: Duration,
    /// How long a node that failed takes no new servers.
    pub avoid_node: Duration,
    /// Definite refusals after which an order is parked.
    pub max_attempts: i32,
    /// How often each sweep runs.
    pub periods: Periods,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            owner: uuid::Uuid::new_v4().to_string(),
            lease: Duration::from_secs(60),
            lease_margin: Duration::from_secs(10),
            longest_call: Duration::from_secs(40),
            step_limit: Duration::from_secs(200),
            concurrency: 16,
            poll: Duration::from_secs(1),
            retry: Duration::from_secs(10),
            avoid_node: Duration::from_secs(60),
            max_attempts: 10,
            periods: Periods::default(),
        }
    }
}

/// A loop that panics again and again must not fill the log.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Handle {
    /// Stops claiming, lets every order finish its step, gives the leases back.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Starts the worker. It ends when `cancel` is cancelled or the handle stopped.
pub fn start(app: Arc<App>, settings: Settings, cancel: CancellationToken) -> Handle {
    let tasks = TaskTracker::new();
    let settings = Arc::new(settings);
    let driver = driver::Driver {
        app: Arc::clone(&app),
        settings: Arc::clone(&settings),
        cancel: cancel.clone(),
    };
    tasks.spawn(lasting("driver", cancel.clone(), async move || {
        driver.run().await;
    }));
    sweeps::spawn(&tasks, &app, &settings, &cancel);
    listen(&tasks, &app, &cancel);
    Handle { tasks, cancel }
}

/// Begins a loop again that panicked. A worker that is gone in silence would let orders be
/// paid that nobody works on.
async fn lasting(name: &'static str, cancel: CancellationToken, run: impl AsyncFn()) {
    while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
        metrics::counter!("spawnpoint_worker_panics_total", "loop" => name).increment(1);
        tracing::error!(name, "a loop of the worker panicked and begins again");
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(jittered(AFTER_PANIC)) => {}
        }
    }
}

/// Carries nudges between replicas; needed also where only the RPC services run.
pub fn listen(tasks: &TaskTracker, app: &Arc<App>, cancel: &CancellationToken) {
    if app.db.is_postgres() {
        tasks.spawn(listen::run(Arc::clone(app), cancel.clone()));
    }
}

/// Between half and the whole of a duration, so that what failed together does not
/// come back together.
fn jittered(whole: Duration) -> Duration {
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

/// A duration in the unit of stored times.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
