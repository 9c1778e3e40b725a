//! CreateServer: the one POST that makes the server.
//!
//! Before it, "sent" is committed; from then on the outcome is unknown until the
//! panel's answer or look-ups settle it. The same request is repeated after a doubt;
//! another is made only after a definite rejection.

use std::time::Duration;

use super::created;
use crate::{
    app::Error,
    db::{allocations, node_sightings, nodes, servers},
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
    if !work.outlasts_a_call() {
        return Ok(Outcome::Later {
            after: Duration::ZERO,
            waiting: facts.order.waiting_reason,
        });
    }
    if !mark_sent(work, node_id).await? {
        return Ok(Outcome::Later {
            after: jittered(SLOT_WAIT),
            waiting: facts.order.waiting_reason,
        });
    }
    // The commit may have taken long: a POST after the lease's end could meet another's.
    if !work.outlasts_a_call() {
        clear(work, true).await?;
        return Ok(Outcome::Later {
            after: Duration::ZERO,
            waiting: facts.order.waiting_reason,
        });
    }
    match work.app.panel.create_server(&request).await {
        Ok(server) => {
            created::store(work, Step::CreateServer, &server).await?;
            Ok(Outcome::Again)
        }
        Err(error) => failed(work, facts, &request, node_id, error).await,
    }
}

/// Takes a create slot and commits that the create is about to be sent. Without a
/// free slot nothing is written.
async fn mark_sent(work: &Work, node_id: i32) -> Result<bool, Error> {
    let (settings, id) = (&work.app.settings, work.id());
    let slot_us = micros(work.settings.longest_call + work.settings.lease_margin);
    let marked = work
        .store(Step::CreateServer, |tx, now_us| async move {
            let free = servers::take_create_slot(
                &tx,
                node_id,
                settings.max_creates,
                settings.max_creates_per_node,
                now_us,
            )
            .await?;
            if !free {
                return Err(domain::Error::RateLimited { after: SLOT_WAIT }.into());
            }
            // Read again: the slot may have been waited for.
            let sent_us = work.app.db.now_in(&tx).await?;
            Ok(servers::set_create_sent(&tx, id, sent_us, sent_us + slot_us).await?)
        })
        .await;
    match marked {
        Ok(_) => Ok(true),
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
        clear(work, false).await?;
        let until_us = work.app.db.now().await? + micros(work.settings.avoid_node);
        nodes::mark_avoided(work.app.db.write(), node_id, until_us).await?;
        return Ok(work.later(WaitingReason::PanelUnavailable));
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
