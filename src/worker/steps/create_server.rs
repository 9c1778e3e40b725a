//! CreateServer: the one POST that makes the server.
//!
//! Before it, "sent" is committed; from then on the outcome is unknown until the
//! panel's answer or look-ups settle it. The same request is repeated after a doubt;
//! another is made only after a definite rejection.

use std::time::Duration;

use super::{created, place::ELSEWHERE};
use crate::{
    app::Error,
    db::{
        allocations, node_sightings, nodes,
        servers::{self, CreateLimits},
    },
    domain::{
        self,
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    panel::{self, NewServer, Trouble},
    worker::{claim::Work, driver::Outcome, jittered, micros},
};

/// How soon a free create slot is looked for again.
const SLOT_WAIT: Duration = Duration::from_millis(200);

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let request: Option<NewServer> = servers::create_request(work.app.db.read(), work.id()).await?;
    let (Some(request), Some(node_id)) = (request, facts.server.node_id) else {
        return Ok(Outcome::Again);
    };
    if let Some(outcome) = avoided(work, facts, node_id).await? {
        return Ok(outcome);
    }
    let later = |after| Outcome::Later {
        after,
        waiting: facts.order.waiting_reason,
    };
    if !work.outlasts_a_call() {
        return Ok(later(Duration::ZERO));
    }
    if !mark_sent(work, node_id).await? {
        return Ok(later(jittered(SLOT_WAIT)));
    }
    // The commit may have taken long: a POST after the lease's end could meet another's.
    if !work.outlasts_a_call() {
        clear(work, true).await?;
        return Ok(later(Duration::ZERO));
    }
    let begin_by = work.last_call_begins();
    match work.app.panel.create_server(&request, begin_by).await {
        Ok(server) => {
            created::store(work, Step::CreateServer, &server).await?;
            Ok(Outcome::Again)
        }
        Err(error) => failed(work, facts, &request, node_id, error).await,
    }
}

/// What is done instead of a create on a node where another one failed since this order was
/// placed: many that wait for such a node would keep all slots from the others.
async fn avoided(work: &Work, facts: &Facts, node_id: i32) -> Result<Option<Outcome>, Error> {
    let db = &work.app.db;
    let until_us = nodes::avoided_until(db.read(), node_id).await?;
    let now_us = db.now().await?;
    if until_us <= now_us {
        return Ok(None);
    }
    if facts.server.looked_us.is_none() {
        // Nothing was ever sent, or it was surely not done: it may go elsewhere.
        clear(work, false).await?;
        return Ok(Some(Outcome::Again));
    }
    // An earlier POST may have been on its way: what is repeated is the same, on this node.
    let wait_us = u64::try_from(until_us - now_us).unwrap_or(0);
    Ok(Some(Outcome::Later {
        after: Duration::from_micros(wait_us),
        waiting: Some(WaitingReason::PanelUnavailable),
    }))
}

/// Takes a create slot and commits that the create is about to be sent. Without a free slot
/// nothing is written, nor where one is under way: whatever this step was planned on.
async fn mark_sent(work: &Work, node_id: i32) -> Result<bool, Error> {
    let (db, settings, id) = (&work.app.db, &work.app.settings, work.id());
    let limits = CreateLimits {
        total: settings.max_creates,
        per_node: settings.max_creates_per_node,
    };
    let now_us = db.now().await?;
    if !servers::create_slot_free(db.read(), node_id, limits, now_us).await? {
        return Ok(false);
    }
    let slot_us = micros(work.settings.longest_call + work.settings.lease_margin);
    let marked = work
        .mark(|tx| async move {
            let now_us = db.now_in(&tx).await?;
            let free = servers::lock_create_slot(&tx, node_id, limits, now_us).await?;
            // Whoever had the slot before may have just found out that the node fails.
            if !free || nodes::avoided_until(&*tx, node_id).await? > now_us {
                return Err(domain::Error::RateLimited { after: SLOT_WAIT }.into());
            }
            // Read again: the slot may have been waited for.
            let sent_us = db.now_in(&tx).await?;
            let slot_until_us = sent_us + slot_us;
            if !servers::set_create_sent(&tx, id, sent_us, slot_until_us).await? {
                return Err(domain::Error::RateLimited { after: SLOT_WAIT }.into());
            }
            Ok(())
        })
        .await;
    match marked {
        Ok(()) => Ok(true),
        Err(Error::Refused(domain::Error::RateLimited { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn clear(work: &Work, keep_request: bool) -> Result<(), Error> {
    let id = work.id();
    work.store(Step::CreateServer, |tx, _| async move {
        Ok(servers::clear_create(&tx, id, keep_request).await?)
    })
    .await?;
    Ok(())
}

async fn failed(
    work: &Work,
    facts: &Facts,
    request: &NewServer,
    node_id: i32,
    error: panel::Error,
) -> Result<Outcome, Error> {
    tracing::warn!(%error, "create");
    if error.may_have_been_done() || error.violates("external_id", "unique") {
        // A repeat that meets its own external id is not proof either: the first may
        // still be taken back. Look-ups settle it in their time.
        metrics::counter!("spawnpoint_creates_in_doubt_total").increment(1);
        return Ok(Outcome::Again);
    }
    let taken = taken_ports(request, &error);
    if !taken.is_empty() {
        let (id, taken) = (work.id(), &taken);
        work.store(Step::CreateServer, |tx, _| async move {
            // What we know of the node's ports is old: the next sweep reads them again.
            node_sightings::set_ports_read(&tx, node_id, 0).await?;
            allocations::mark_foreign(&tx, taken).await?;
            Ok(servers::clear_create(&tx, id, false).await?)
        })
        .await?;
        // A taken port is a new choice, not a try, and however many there are it is no circle.
        return Ok(Outcome::Later {
            after: Duration::ZERO,
            waiting: facts.order.waiting_reason,
        });
    }
    if error
        == (panel::Error::NotDone {
            trouble: Trouble::Node,
        })
    {
        return node_failed(work, facts, node_id).await;
    }
    if error.violates("egg", "exists") {
        clear(work, false).await?;
        let message = format!("the panel has no egg {}", request.egg);
        return Ok(Outcome::Park {
            reason: ErrorReason::EggNotFound,
            message,
        });
    }
    let rejected = matches!(error, panel::Error::Rejected { .. });
    clear(work, !rejected).await?;
    Ok(work.panel_failed(&error))
}

/// A node failed the create. Other orders keep away from it for a while, but an order that
/// fails wherever it goes is trouble of its own: it must not take the nodes from the others.
/// Its waits grow, and after some failures its word on a node counts only beside another's.
async fn node_failed(work: &Work, facts: &Facts, node_id: i32) -> Result<Outcome, Error> {
    let (id, failures) = (work.id(), facts.server.node_failures + 1);
    let often = failures >= ELSEWHERE;
    let avoid_us = micros(work.settings.avoid_node);
    work.store(Step::CreateServer, |tx, now_us| async move {
        servers::clear_create(&tx, id, false).await?;
        servers::add_node_failure(&tx, id).await?;
        // With the slot: whoever gets it next knows of the node.
        let until_us = now_us + avoid_us;
        Ok(nodes::mark_avoided(&*tx, node_id, id, often, now_us, until_us).await?)
    })
    .await?;
    if often {
        metrics::counter!("spawnpoint_creates_failing_everywhere_total").increment(1);
    }
    let doubled = work.settings.retry * (1 << (failures - 1).clamp(0, 16));
    let longest = work.settings.avoid_node.max(work.settings.retry);
    Ok(Outcome::Later {
        after: jittered(doubled.min(longest)),
        waiting: Some(WaitingReason::PanelUnavailable),
    })
}

/// The ports of a request that the panel says are not free.
fn taken_ports(request: &NewServer, error: &panel::Error) -> Vec<i64> {
    let mut taken = Vec::new();
    if error.violates("allocation.default", "exists") {
        taken.push(request.allocation);
    }
    for (index, port) in request.additional.iter().enumerate() {
        if error.violates(&format!("allocation.additional.{index}"), "exists") {
            taken.push(*port);
        }
    }
    taken
}
