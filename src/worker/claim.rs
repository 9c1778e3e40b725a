//! The right to work on one order: its lease, and every write under its fence.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use super::{Settings, jittered, micros};
use crate::{
    app::{App, Error},
    db::{
        Tx,
        orders::{self, Note, Progress, leases, leases::Claim},
    },
    domain::{
        OrderId,
        order::{ErrorReason, Facts, WaitingReason},
        step::{Step, looks_again_us},
    },
};

/// Waits between definite refusals double up to this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(900);
/// How often a lock is waited for, two seconds at a time, before what a step learned is given
/// up. Together that is less than a lease.
const LOCK_WAITS: u32 = 4;
/// A parked order that is not paid is looked at this often.
const UNPAID_AGAIN: Duration = Duration::from_secs(3600);

/// One claimed order.
pub(super) struct Work {
    pub(super) app: Arc<App>,
    pub(super) settings: Arc<Settings>,
    claim: Claim,
    /// Until when the lease surely holds, by this process's own monotonic clock.
    leased_until: Arc<Mutex<Instant>>,
    /// Ties log lines and order events of one claim together, and names the replica.
    trace_id: String,
}

/// Renews a lease until it is dropped: also by a panic, else nobody could go on with the
/// order as long as the process lives.
pub(super) struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How much of a trace id is the same for all claims of one worker.
const OWNER_DIGITS: usize = 8;

/// Begins with the worker's own name: with many replicas, the first question about a
/// change is which of them made it.
fn new_trace_id(owner: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let owner = owner
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(OWNER_DIGITS);
    owner.chain(random.chars()).take(random.len()).collect()
}

impl Work {
    pub(super) fn new(
        app: Arc<App>,
        settings: Arc<Settings>,
        claim: Claim,
        began: Instant,
    ) -> Self {
        let leased_until = Arc::new(Mutex::new(began + settings.lease));
        let trace_id = new_trace_id(&settings.owner);
        Self {
            app,
            settings,
            claim,
            leased_until,
            trace_id,
        }
    }

    pub(super) fn id(&self) -> OrderId {
        self.claim.id
    }

    pub(super) fn trace_id(&self) -> &str {
        &self.trace_id
    }

    pub(super) fn note(&self, cause: &str) -> Note {
        Note {
            actor: "worker".to_owned(),
            cause: cause.to_owned(),
            trace_id: self.trace_id.clone(),
        }
    }

    /// Renews the lease in the background until it is lost or its keeper dropped.
    pub(super) fn keep_lease(&self) -> Keeper {
        let (app, settings, claim) = (
            Arc::clone(&self.app),
            Arc::clone(&self.settings),
            self.claim,
        );
        let leased_until = Arc::clone(&self.leased_until);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(settings.lease / 4).await;
                let began = Instant::now();
                let renewed = match app.db.now().await {
                    Ok(now_us) => {
                        let until_us = now_us + micros(settings.lease);
                        let renewed = leases::renew(&app.db, claim, until_us);
                        app.db.within_reason(renewed).await
                    }
                    Err(error) => Err(error),
                };
                match renewed {
                    Ok(true) => {
                        *leased_until.lock().unwrap_or_else(PoisonError::into_inner) =
                            began + settings.lease;
                    }
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, "a lease could not be renewed"),
                }
            }
        });
        Keeper(task.abort_handle())
    }

    /// Whether the lease outlasts the longest call and its margin.
    pub(super) fn outlasts_a_call(&self) -> bool {
        Instant::now() < self.last_call_begins()
    }

    /// A call that begins later might outlast the lease as it is now.
    pub(super) fn last_call_begins(&self) -> Instant {
        let needs = self.settings.longest_call + self.settings.lease_margin;
        let until = self.leased_until();
        until
            .checked_sub(needs)
            .unwrap_or(until - self.settings.lease)
    }

    pub(super) async fn read(&self) -> Result<Option<Facts>, Error> {
        let db = &self.app.db;
        Ok(db
            .within_reason(orders::find(db.read(), self.claim.id))
            .await?)
    }

    /// Writes what a step learned: locks the order, checks the fence, runs `body`,
    /// computes status and events, commits, and tells the watchers.
    ///
    /// What was done outside is not forgotten because the store was busy: a lock that was
    /// waited for too long is waited for again.
    pub(super) async fn store<F, Fut>(&self, step: Step, body: F) -> Result<Facts, Error>
    where
        F: Fn(Tx, i64) -> Fut + Sync,
        Fut: Future<Output = Result<(), Error>> + Send,
    {
        for waited in 1..LOCK_WAITS {
            match self.store_once(step, &body).await {
                Err(Error::Store(error)) if error.gave_up_waiting() => {
                    tracing::warn!(step = step.name(), waited, %error, "a lock is waited for again");
                }
                other => return other,
            }
        }
        self.store_once(step, &body).await
    }

    async fn store_once<F, Fut>(&self, step: Step, body: &F) -> Result<Facts, Error>
    where
        F: Fn(Tx, i64) -> Fut + Sync,
        Fut: Future<Output = Result<(), Error>> + Send,
    {
        let (note, claim) = (&self.note(step.name()), self.claim);
        let facts = self
            .app
            .db
            .tx(|tx| async move {
                let now_us = self.app.db.now_in(&tx).await?;
                let locked = orders::lock(&tx, claim.id).await?;
                let locked = locked.ok_or(crate::db::Error::ClaimLost)?;
                leases::holds(claim, locked.facts.order.fence)?;
                body(tx.clone(), now_us).await?;
                Ok::<_, Error>(orders::seal(&tx, locked, note, now_us).await?)
            })
            .await?;
        self.app.nudge.order(claim.id);
        Ok(facts)
    }

    /// As `store`, for what shows nowhere: only the order's row and fence are read, and no
    /// status is computed. For what must be short.
    pub(super) async fn mark<F, Fut>(&self, body: F) -> Result<(), Error>
    where
        F: Fn(Tx) -> Fut + Sync,
        Fut: Future<Output = Result<(), Error>> + Send,
    {
        let (body, claim) = (&body, self.claim);
        let marked = self.app.db.tx(|tx| async move {
            leases::lock(&tx, claim).await?;
            body(tx.clone()).await
        });
        marked.await
    }

    /// Ends the claim: shows what the order waits for or why it is parked, and sets
    /// when it is looked at next, unless a fact came meanwhile.
    pub(super) async fn close(
        &self,
        facts: &Facts,
        next_us: Option<i64>,
        waiting: Option<WaitingReason>,
        error: Option<(ErrorReason, String)>,
    ) -> Result<(), Error> {
        self.end(facts.order.facts_seq, next_us, waiting, error, None)
            .await
    }

    /// Ends the claim until somebody acts, or its customer's entitlement changes by time: what came
    /// due since it was planned is looked at at once.
    pub(super) async fn park(
        &self,
        facts: &Facts,
        planned_us: i64,
        reason: ErrorReason,
        message: String,
    ) -> Result<(), Error> {
        if facts.order.error_reason != Some(reason) {
            metrics::counter!("spawnpoint_orders_parked_total").increment(1);
        }
        let next_us = looks_again_us(facts, &self.app.settings.timing, planned_us);
        self.close(facts, next_us, None, Some((reason, message)))
            .await
    }

    /// Ends the claim after a definite refusal of a step that was planned then: counted, and parked
    /// after too many.
    pub(super) async fn tried(
        &self,
        facts: &Facts,
        (step, planned_us): (Step, i64),
        reason: ErrorReason,
        message: String,
    ) -> Result<(), Error> {
        let attempts = facts.order.attempts + 1;
        tracing::warn!(step = step.name(), attempts, %reason, message, "a try failed");
        let now_us = self.app.db.now().await?;
        if attempts >= self.settings.max_attempts {
            metrics::counter!("spawnpoint_orders_parked_total").increment(1);
            let error = Some((reason, message));
            // Before it is paid, what it holds must not be held for ever: its session's end
            // is still asked for, however rarely.
            let next_us = if facts.billing.confirmed() {
                looks_again_us(facts, &self.app.settings.timing, planned_us)
            } else {
                Some(now_us + micros(UNPAID_AGAIN))
            };
            return self
                .end(facts.order.facts_seq, next_us, None, error, Some(attempts))
                .await;
        }
        let doubled = self
            .settings
            .retry
            .saturating_mul(1 << attempts.clamp(0, 16));
        let next_us = now_us + micros(jittered(doubled.min(LONGEST_BACKOFF)));
        self.end(
            facts.order.facts_seq,
            Some(next_us),
            None,
            None,
            Some(attempts),
        )
        .await
    }

    async fn end(
        &self,
        facts_seq: i64,
        next_us: Option<i64>,
        waiting: Option<WaitingReason>,
        error: Option<(ErrorReason, String)>,
        attempts: Option<i32>,
    ) -> Result<(), Error> {
        let (note, claim, error) = (&self.note("plan"), self.claim, &error);
        let changed = self
            .app
            .db
            .tx(|tx| async move {
                let now_us = self.app.db.now_in(&tx).await?;
                let locked = orders::lock(&tx, claim.id).await?;
                let locked = locked.ok_or(crate::db::Error::ClaimLost)?;
                leases::holds(claim, locked.facts.order.fence)?;
                let order = &locked.facts.order;
                let kept = order.error_reason.map(|r| (r, order.error_message.clone()));
                let progress = Progress {
                    waiting,
                    error: error.clone().or(kept),
                    // An operator may have reset the count meanwhile.
                    attempts: attempts.map_or(order.attempts, |_| order.attempts + 1),
                };
                orders::set_progress(&tx, claim.id, &progress).await?;
                leases::release(&tx, claim, facts_seq, next_us, now_us).await?;
                let version = order.version;
                let facts = orders::seal(&tx, locked, note, now_us).await?;
                Ok::<_, Error>(facts.order.version != version || facts.order.facts_seq != facts_seq)
            })
            .await?;
        if changed {
            self.app.nudge.order(claim.id);
        }
        if let Some(next_us) = next_us {
            self.nudge_at(next_us).await?;
        }
        Ok(())
    }

    /// What comes due before the next poll is not left to it.
    async fn nudge_at(&self, next_us: i64) -> Result<(), Error> {
        let wait_us = next_us - self.app.db.now().await?;
        if wait_us < micros(self.settings.poll) {
            let (nudge, wait_us) = (self.app.nudge.clone(), u64::try_from(wait_us).unwrap_or(0));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(wait_us)).await;
                nudge.due_here();
            });
        }
        Ok(())
    }

    /// Gives the order back untouched, due now: another replica goes on at once.
    pub(super) async fn abandon(&self) -> Result<(), Error> {
        let db = &self.app.db;
        let now_us = db.now().await?;
        let abandoned = leases::abandon(db, self.claim, now_us);
        Ok(db.within_reason(abandoned).await?)
    }

    /// Gives the order back after a failure of our own, due a little later. While the store
    /// is away that is tried again: it may be back long before the lease runs out.
    pub(super) async fn postpone(&self) {
        let db = &self.app.db;
        let later = async || {
            let now_us = db.now().await?;
            let due_us = now_us + micros(jittered(self.settings.retry));
            leases::abandon(db, self.claim, due_us).await
        };
        while let Err(error) = db.within_reason(later()).await {
            let pause = jittered(self.settings.poll);
            if Instant::now() + pause >= self.leased_until() {
                tracing::warn!(%error, "a claim could not be given back: its lease will run out");
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn leased_until(&self) -> Instant {
        *self
            .leased_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
