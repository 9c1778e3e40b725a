//! The loop: claim what is due, work on each order until it waits or rests.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{Settings, claim::Work, jittered, micros, steps};
use crate::{
    app::{App, Error},
    db::{self, orders::leases},
    domain::{
        order::{ErrorReason, Facts},
        step::{Step, next_step},
    },
    probe::Moment,
};

/// More steps in a row than any order needs: past it, something goes in circles.
const STEPS_IN_A_ROW: usize = 24;

pub(super) struct Driver {
    pub(super) app: Arc<App>,
    pub(super) settings: Arc<Settings>,
    pub(super) cancel: CancellationToken,
}

/// What a step ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The facts changed: plan again.
    Again,
    /// Not the order's fault: come back later, shown as waiting.
    Later {
        /// After this long.
        after: Duration,
        /// Shown meanwhile.
        waiting: Option<crate::domain::order::WaitingReason>,
    },
    /// A definite answer about this very order: counts as a try.
    Tried {
        /// Shown if it parks.
        reason: ErrorReason,
        /// In words.
        message: String,
    },
    /// No further try can help.
    Park {
        /// Shown.
        reason: ErrorReason,
        /// In words.
        message: String,
    },
}

impl Driver {
    pub(super) async fn run(&self) {
        let slots = Arc::new(Semaphore::new(self.settings.concurrency));
        let tasks = TaskTracker::new();
        while !self.cancel.is_cancelled() {
            let free = slots.available_permits();
            let claimed = if free == 0 {
                Ok(Vec::new())
            } else {
                self.app.db.within_reason(self.claim(free)).await
            };
            match claimed {
                Ok(claims) if claims.is_empty() => self.idle(&slots).await,
                Ok(claims) => {
                    for work in claims {
                        let Ok(permit) = Arc::clone(&slots).acquire_owned().await else {
                            break;
                        };
                        let cancel = self.cancel.clone();
                        let span = tracing::info_span!(
                            "order",
                            order_id = %work.id(),
                            trace_id = work.trace_id()
                        );
                        tasks.spawn(
                            async move {
                                drive(work, &cancel).await;
                                drop(permit);
                            }
                            .instrument(span),
                        );
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "orders could not be claimed");
                    self.pause().await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    pub(super) async fn claim(&self, free: usize) -> Result<Vec<Work>, db::Error> {
        // Measured before the claim: the lease can only end later than we believe.
        let began = Instant::now();
        let now_us = self.app.db.now().await?;
        let until_us = now_us + micros(self.settings.lease);
        let limit = u64::try_from(free).unwrap_or(1);
        let claims =
            leases::claim(&self.app.db, &self.settings.owner, now_us, until_us, limit).await?;
        let work = claims.into_iter().map(|claim| {
            Work::new(
                Arc::clone(&self.app),
                Arc::clone(&self.settings),
                claim,
                began,
            )
        });
        Ok(work.collect())
    }

    /// Until something may be due, and a slot is free for it.
    async fn idle(&self, slots: &Semaphore) {
        let something_due = async {
            if slots.available_permits() == 0 {
                // What is due already waits for a slot, not for a nudge.
                drop(slots.acquire().await);
            } else {
                self.app.nudge.due().await;
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = something_due => {}
            () = tokio::time::sleep(self.settings.poll) => {}
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(jittered(self.settings.poll)) => {}
        }
    }
}

/// Takes an order's steps until it waits, rests, or is somebody else's.
pub(super) async fn drive(work: Work, cancel: &CancellationToken) {
    let keeper = work.keep_lease();
    let ended = AssertUnwindSafe(take_steps(&work, cancel)).catch_unwind();
    let ended = match ended.await {
        Ok(ended) => ended,
        // Between two steps, where only we can be at fault; it must come to light as well.
        Err(_) => panicked(&work).await,
    };
    drop(keeper);
    match ended {
        Ok(()) => {}
        Err(Error::Store(db::Error::ClaimLost)) => {
            tracing::warn!("the claim was lost: somebody else goes on");
        }
        Err(error) => {
            tracing::error!(error = %chain(&error), "work on the order failed");
            // The lease would run out by itself; giving it back is faster.
            work.postpone().await;
        }
    }
}

async fn take_steps(work: &Work, cancel: &CancellationToken) -> Result<(), Error> {
    for _ in 0..STEPS_IN_A_ROW {
        let Some(facts) = work.read().await? else {
            return Ok(());
        };
        if cancel.is_cancelled() {
            return work.abandon().await;
        }
        let now_us = work.app.db.now().await?;
        let step = next_step(&facts, &work.app.settings.timing, now_us);
        tracing::debug!(step = step.name(), "next step");
        match step {
            Step::Wait { until_us, reason } => {
                return work.close(&facts, Some(until_us), reason, None).await;
            }
            Step::Rest(reason) => return work.close(&facts, None, reason, None).await,
            Step::Park(reason) => {
                let text = parked(reason).to_owned();
                return work.park(&facts, now_us, reason, text).await;
            }
            _ => {}
        }
        let began = Instant::now();
        let taken = AssertUnwindSafe(take_probed(work, &facts, step)).catch_unwind();
        let outcome = match timeout(work.settings.step_limit, taken).await {
            Ok(Ok(Ok(outcome))) => outcome,
            Ok(Ok(Err(error))) => poisoned(error, step)?,
            // A poisoned order must not take others with it: it is tried, and parks.
            Ok(Err(_)) => internal(step),
            Err(_) => overdue(work, &facts, step),
        };
        metrics::histogram!("spawnpoint_step_seconds", "step" => step.name())
            .record(began.elapsed().as_secs_f64());
        match outcome {
            Outcome::Again => {}
            Outcome::Later { after, waiting } => {
                let next_us = work.app.db.now().await? + micros(after);
                return work.close(&facts, Some(next_us), waiting, None).await;
            }
            Outcome::Tried { reason, message } => {
                let planned = (step, now_us);
                return work.tried(&facts, planned, reason, message).await;
            }
            Outcome::Park { reason, message } => {
                return work.park(&facts, now_us, reason, message).await;
            }
        }
    }
    tracing::error!("the order goes in circles");
    let Some(facts) = work.read().await? else {
        return Ok(());
    };
    let planned = (Step::Rest(None), work.app.db.now().await?);
    let message = "its steps go in circles".to_owned();
    work.tried(&facts, planned, ErrorReason::Internal, message)
        .await
}

/// A panic while the next step was planned or the claim closed counts as a try too.
async fn panicked(work: &Work) -> Result<(), Error> {
    let Some(facts) = work.read().await? else {
        return Ok(());
    };
    let planned = (Step::Rest(None), work.app.db.now().await?);
    let message = "its planning failed; the log tells why".to_owned();
    work.tried(&facts, planned, ErrorReason::Internal, message)
        .await
}

/// A step, and what a test does to it.
async fn take_probed(work: &Work, facts: &Facts, step: Step) -> Result<Outcome, Error> {
    let (db, id) = (&work.app.db, work.id());
    let (Some(probe), Some(kind)) = (db.probe(), step.kind()) else {
        return steps::take(work, facts, step).await;
    };
    db.reach(Moment::StepBegins(id, kind)).await?;
    let mut outcome = steps::take(work, facts, step).await?;
    if probe.repeats(id, kind) {
        outcome = steps::take(work, facts, step).await?;
    }
    db.reach(Moment::StepEnds(id, kind)).await?;
    Ok(outcome)
}

/// A step that hangs would keep its lease for ever: nobody else could go on.
fn overdue(work: &Work, facts: &Facts, step: Step) -> Outcome {
    metrics::counter!("spawnpoint_steps_overdue_total").increment(1);
    tracing::error!(step = step.name(), "a step did not end in time");
    Outcome::Later {
        after: jittered(work.settings.retry),
        waiting: facts.order.waiting_reason,
    }
}

/// A failure of our own that would come again and again counts as a try, so that the
/// order parks where somebody sees it. Trouble of the store does not.
fn poisoned(error: Error, step: Step) -> Result<Outcome, Error> {
    match error {
        Error::Store(db::Error::Again(_) | db::Error::Unavailable(_) | db::Error::ClaimLost) => {
            Err(error)
        }
        Error::Internal(_) | Error::Refused(_) | Error::Store(_) => {
            tracing::error!(step = step.name(), error = %chain(&error), "a step failed");
            Ok(internal(step))
        }
    }
}

/// Shown to customers too: the cause goes to the log only.
fn internal(step: Step) -> Outcome {
    Outcome::Tried {
        reason: ErrorReason::Internal,
        message: format!("{} failed; the log tells why", step.name()),
    }
}

/// Why planning itself parks an order.
fn parked(reason: ErrorReason) -> &'static str {
    match reason {
        ErrorReason::InstallFailed => "the install failed, and failed again when repeated",
        ErrorReason::ServerMissing => "the server is gone although its order goes on",
        _ => "somebody has to look at it",
    }
}

/// An error with its causes, for one log line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
