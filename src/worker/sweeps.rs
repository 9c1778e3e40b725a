//! Sweeps: what looks at Stripe or the panel as a whole. Each runs on a timer, on one
//! replica at a time, and only stores facts; orders act on them by their own steps.

use std::{
    convert::Infallible, error::Error as StdError, fmt::Display, future::Future, pin::Pin,
    sync::Arc, time::Duration,
};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Settings, driver::chain, jittered, lasting, micros};
use crate::{
    app::{App, Error},
    db::{self, sweeps::Turn},
    domain::guard::{CHARGES, SERVERS},
};

mod charges;
mod commissions;
mod hint;
mod install_watch;
mod panel_mirror;
mod payloads;
mod pending_sessions;
mod profiles;
mod request_keys;
mod sequencer;
mod servers;
mod stripe_events;
mod subscriptions;

pub(super) use panel_mirror::egg;

/// How often each sweep runs.
#[derive(Clone, Debug)]
pub struct Periods {
    /// One look at all servers of the panel.
    pub install_watch: Duration,
    /// Sessions that were paid without our hearing of it.
    pub pending_sessions: Duration,
    /// Nodes, free ports and eggs of the panel.
    pub panel_mirror: Duration,
    /// Events of Stripe that no webhook brought.
    pub stripe_events: Duration,
    /// Whose the money is that events told of.
    pub charges: Duration,
    /// Subscriptions that changed without any event.
    pub subscriptions: Duration,
    /// What the invoices of referred orders earn.
    pub commissions: Duration,
    /// Servers that are gone from the panel.
    pub servers: Duration,
    /// Profiles that Stripe and the panel are to follow.
    pub profiles: Duration,
    /// Old request keys.
    pub request_keys: Duration,
    /// Payloads of old events.
    pub payloads: Duration,
    /// Order events that a lost nudge left without a number.
    pub sequencer: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            install_watch: Duration::from_secs(10),
            pending_sessions: Duration::from_secs(30),
            panel_mirror: Duration::from_secs(30),
            stripe_events: Duration::from_secs(300),
            charges: Duration::from_secs(30),
            subscriptions: Duration::from_secs(6 * 3600),
            commissions: Duration::from_secs(300),
            servers: Duration::from_secs(300),
            profiles: Duration::from_secs(5),
            request_keys: Duration::from_secs(3600),
            payloads: Duration::from_secs(6 * 3600),
            sequencer: Duration::from_secs(5),
        }
    }
}

/// What a run tells: what it found to do, and where the next one goes on.
#[derive(Clone, Debug, Default)]
struct Found {
    finds: i32,
    cursor: String,
    /// It has looked at as much as one run may, and there is more: the next one does not wait for
    /// its time.
    more: bool,
    /// It was cut short, and its time is long: the next one does not wait for it.
    soon: bool,
}

/// Tells and counts that a run, or a look of it, saw less than it was to, because Stripe, the panel or the
/// store did not let it. The next one looks again.
fn cut_short(sweep: &'static str, error: &(dyn StdError + 'static), what: &'static str) {
    count_cut_short(sweep);
    tracing::warn!(sweep, error = %chain(error), what, "a sweep was cut short");
}

fn count_cut_short(sweep: &'static str) {
    metrics::counter!("spawnpoint_sweeps_cut_short_total", "sweep" => sweep).increment(1);
}

/// What came of one of many. Trouble with it that would come again is told, and must not hide the
/// news of all others; what passes ends the run.
fn one_of_many<T: Default>(
    sweep: &'static str,
    which: &impl Display,
    done: Result<T, Error>,
) -> Result<T, Error> {
    match done {
        Err(error) if !error.is_passing() => {
            count_cut_short(sweep);
            tracing::error!(sweep, %which, error = %chain(&error), "it could not be looked at");
            Ok(T::default())
        }
        done => done,
    }
}

/// No sweep is asked for more often.
const SHORTEST_TICK: Duration = Duration::from_millis(20);
/// A sweep that is due before this is asked for only then; and after a run that left something to
/// the next one, so much is left of Stripe and the panel to others.
const SOON: Duration = Duration::from_secs(1);
/// What was cut short is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

type Run = for<'a> fn(
    &'a Arc<App>,
    &'a str,
) -> Pin<Box<dyn Future<Output = Result<Found, Error>> + Send + 'a>>;

/// Starts all sweeps.
pub(super) fn spawn(
    tasks: &TaskTracker,
    app: &Arc<App>,
    settings: &Arc<Settings>,
    cancel: &CancellationToken,
) {
    let periods = &settings.periods;
    for (name, period, run) in timed(periods) {
        let (app, settings, cancel) = (Arc::clone(app), Arc::clone(settings), cancel.clone());
        let lasts = cancel.clone();
        tasks.spawn(lasting(name, lasts, async move || {
            // The timer is finer than the period: another replica may have stopped in its turn.
            let tick = (period / 4).max(SHORTEST_TICK);
            loop {
                let mut pause = tick;
                let turn = turn(&app, &settings, name, period, run);
                match timeout(settings.step_limit, turn).await {
                    // What is due soon is not asked for before.
                    Ok(Ok(Some(due_in))) => pause = due_in.clamp(SHORTEST_TICK, tick.max(SOON)),
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => {
                        cut_short(name, &error, "its run");
                        pause = AGAIN.min(tick);
                    }
                    Err(_elapsed) => {
                        count_cut_short(name);
                        tracing::error!(sweep = name, "a sweep did not end in time");
                    }
                }
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(jittered(pause)) => {}
                }
            }
        }));
    }
    let (app, period, cancel) = (Arc::clone(app), periods.sequencer, cancel.clone());
    let lasts = cancel.clone();
    tasks.spawn(lasting(SEQUENCER, lasts, async move || {
        sequencer::run(&app, period, &cancel).await;
    }));
}

/// The names of those that tell of themselves.
const INSTALL_WATCH: &str = "install_watch";
const PENDING_SESSIONS: &str = "pending_sessions";
const PANEL_MIRROR: &str = "panel_mirror";
const STRIPE_EVENTS: &str = "stripe_events";
const SUBSCRIPTIONS: &str = "subscriptions";
const COMMISSIONS: &str = "commissions";
const PROFILES: &str = "profiles";

/// The one that is no sweep of others: it gives what happened its numbers.
const SEQUENCER: &str = "sequencer";

/// The sweeps that a timer starts.
fn timed(periods: &Periods) -> [(&'static str, Duration, Run); 11] {
    [
        (INSTALL_WATCH, periods.install_watch, |app, _| {
            Box::pin(install_watch::run(app))
        }),
        (PENDING_SESSIONS, periods.pending_sessions, |app, cursor| {
            Box::pin(pending_sessions::run(app, cursor))
        }),
        (PANEL_MIRROR, periods.panel_mirror, |app, cursor| {
            Box::pin(panel_mirror::run(app, cursor))
        }),
        (STRIPE_EVENTS, periods.stripe_events, |app, cursor| {
            Box::pin(stripe_events::run(app, cursor))
        }),
        (CHARGES, periods.charges, |app, cursor| {
            Box::pin(charges::run(app, cursor))
        }),
        (SUBSCRIPTIONS, periods.subscriptions, |app, cursor| {
            Box::pin(subscriptions::run(app, cursor))
        }),
        (COMMISSIONS, periods.commissions, |app, cursor| {
            Box::pin(commissions::run(app, cursor))
        }),
        (SERVERS, periods.servers, |app, cursor| {
            Box::pin(servers::run(app, cursor))
        }),
        (PROFILES, periods.profiles, |app, cursor| {
            Box::pin(profiles::run(app, cursor))
        }),
        ("request_keys", periods.request_keys, |app, _| {
            Box::pin(request_keys::run(app))
        }),
        ("payloads", periods.payloads, |app, cursor| {
            Box::pin(payloads::run(app, cursor))
        }),
    ]
}

/// Gives every sweep its turn now, or only that of this name; the first failure ends the
/// round.
pub(super) async fn once(
    app: &Arc<App>,
    settings: &Settings,
    only: Option<&str>,
) -> Result<(), Error> {
    for (name, _, run) in timed(&settings.periods) {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        turn(app, settings, name, Duration::ZERO, run).await?;
    }
    match only {
        None | Some(SEQUENCER) => sequencer::once(app).await,
        Some(_) => Ok(()),
    }
}

/// Renews a sweep's lease for as long as its turn lasts.
async fn keep_turn(app: &App, settings: &Settings, name: &str, lease_us: i64) -> Infallible {
    loop {
        tokio::time::sleep(settings.lease / 4).await;
        let renewed = async {
            let until_us = app.db.now().await? + lease_us;
            db::sweeps::renew(&app.db, name, &settings.owner, until_us).await
        };
        if let Err(error) = app.db.within_reason(renewed).await {
            tracing::warn!(sweep = name, %error, "a sweep's turn could not be renewed");
        }
    }
}

fn from_micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

/// Runs a sweep if it is its time and nobody else has the turn. Tells in what time it is due
/// next, where that is known.
async fn turn(
    app: &Arc<App>,
    settings: &Settings,
    name: &'static str,
    period: Duration,
    run: Run,
) -> Result<Option<Duration>, Error> {
    let began_us = app.db.now().await?;
    let lease_us = micros(settings.lease.max(settings.longest_call));
    let (owner, period_us) = (settings.owner.as_str(), micros(period));
    let taken = db::sweeps::take(&app.db, name, owner, period_us, lease_us, began_us).await?;
    let cursor = match taken {
        Turn::Taken(cursor) => cursor,
        Turn::NotYet { due_in_us } => return Ok(due_in_us.map(from_micros)),
    };
    let found = tokio::select! {
        found = run(app, &cursor) => found,
        never = keep_turn(app, settings, name, lease_us) => match never {},
    };
    let ended_us = app.db.now().await?;
    let next = found.as_ref().map(|found| found.cursor.clone());
    let next = next.unwrap_or_else(|_| cursor.clone());
    let run = db::sweeps::Run {
        began_us,
        duration_ms: (ended_us - began_us) / 1000,
        finds: found.as_ref().map_or(0, |found| found.finds),
        cursors: (cursor, next),
    };
    let due_in = match &found {
        Ok(found) if found.more => Some(SOON),
        Ok(found) if found.soon => Some(AGAIN.min(period)),
        // It has not looked, whatever it is that came between.
        Err(_) => Some(AGAIN.min(period)),
        Ok(_) => None,
    };
    if let Some(due_in) = due_in {
        db::sweeps::break_off(&app.db, name, owner, &run).await?;
        return found.map(|_| Some(due_in));
    }
    db::sweeps::finish(&app.db, name, owner, &run).await?;
    found.map(|_| Some(from_micros(began_us + period_us - ended_us)))
}
