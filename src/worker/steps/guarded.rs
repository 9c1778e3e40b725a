//! Suspends that only a sweep brought in, and the guard that counts them. All others pass: their
//! subscription was read just now, or somebody ordered them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    app::Error,
    db::{
        Tx,
        guards::{self, Asked, Verdict},
        order_events,
        servers::suspension,
        sweeps,
    },
    domain::{
        guard::{Act, CHARGES},
        order::Facts,
        step::Step,
    },
    worker::claim::Work,
};

const HELD: &str = "too many servers were to be suspended for disputes within an hour: this one \
                    runs on until an operator releases the guard of the sweep";

/// Whether the guard holds already; then nobody outside needs to be asked. Notes that the server
/// waits for it.
pub(super) async fn holds(work: &Work, facts: &Facts) -> Result<bool, Error> {
    if !guarded(facts) || !sweeps::is_held(work.app.db.read(), CHARGES).await? {
        return Ok(false);
    }
    let waits = AtomicBool::new(false);
    work.store(Step::Suspend, |tx, now_us| {
        let waits = &waits;
        async move {
            // Whoever releases it wakes those that are noted by then.
            let holds = guards::holds(&tx, CHARGES).await?;
            waits.store(holds, Ordering::Relaxed);
            if holds {
                hold(work, facts, &tx, now_us).await?;
            }
            Ok(())
        }
    })
    .await?;
    let waits = waits.into_inner();
    if waits {
        told(facts);
    }
    Ok(waits)
}

/// Notes that the panel is about to be told, unless the guard does not let it pass. Tells whether
/// it is to be told.
pub(super) async fn send(work: &Work, facts: &Facts) -> Result<bool, Error> {
    let (held, tripped) = (AtomicBool::new(false), AtomicBool::new(false));
    let id = work.id();
    work.store(Step::Suspend, |tx, now_us| {
        let (held, tripped) = (&held, &tripped);
        async move {
            let verdict = if facts.disputed_alone() {
                let asked = Asked {
                    sweep: CHARGES,
                    act: Act::Suspend,
                    order: id,
                    told: facts.server.suspend_sent_us.is_some(),
                };
                guards::pass(&tx, asked, now_us).await?
            } else {
                Verdict::Passed
            };
            // It may be run more than once: the last time counts.
            held.store(verdict != Verdict::Passed, Ordering::Relaxed);
            tripped.store(verdict == Verdict::Tripped, Ordering::Relaxed);
            match verdict {
                Verdict::Passed => Ok(suspension::set_suspend_sent(&tx, id, now_us).await?),
                Verdict::Held | Verdict::Tripped => hold(work, facts, &tx, now_us).await,
            }
        }
    })
    .await?;
    if tripped.into_inner() {
        tracing::warn!(
            sweep = CHARGES,
            "a sweep is held: too many servers were to be suspended within an hour"
        );
    }
    let held = held.into_inner();
    if held {
        told(facts);
    }
    Ok(!held)
}

/// What the panel was told already is brought to its end.
fn guarded(facts: &Facts) -> bool {
    facts.disputed_alone() && facts.server.suspend_sent_us.is_none()
}

async fn hold(work: &Work, facts: &Facts, tx: &Tx, now_us: i64) -> Result<(), Error> {
    let id = work.id();
    suspension::set_held(tx, id, now_us).await?;
    if facts.server.suspend_held_us.is_none() {
        let note = &work.note(Step::Suspend.name());
        order_events::remark(tx, id, HELD, note, now_us).await?;
    }
    Ok(())
}

/// Counts a server that waits, once.
fn told(facts: &Facts) {
    if facts.server.suspend_held_us.is_none() {
        metrics::counter!("spawnpoint_guard_holds_total", "sweep" => CHARGES).increment(1);
    }
}
