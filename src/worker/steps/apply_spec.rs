//! ApplySpec: gives a server the name or the limits that its order has by now, whichever was
//! changed. What was held for a change of plan goes back with it.
//!
//! The panel's traps: both calls write whole, so that what is left out is lost; and an answer of
//! the limits says nothing of the node, which learns of them at the server's next start.

use super::{created, fresh};
use crate::{
    app::Error,
    db::{holds, order_changes, orders, servers},
    domain::{
        catalog::Spec,
        order::{Facts, WaitingReason},
        step::Step,
    },
    panel::{Build, Details, Features, Limits, Server},
    worker::{claim::Work, driver::Outcome},
};

/// The panel's word for a disk without a limit.
const UNLIMITED: i64 = 0;

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let mut server = match fresh::look(work, facts, (Step::ApplySpec, panel_id), false).await? {
        Ok(server) => server,
        Err(instead) => return Ok(work.slowed(instead)),
    };
    if matches!(
        server.status.as_deref(),
        Some("installing" | "restoring_backup")
    ) {
        return Ok(work.patiently(WaitingReason::Installing));
    }
    let order = &facts.order;
    if facts.server.rename_us.is_some() && server.name != order.server_name {
        if !work.outlasts_a_call() {
            return Ok(work.later(WaitingReason::PanelUnavailable));
        }
        let details = Details {
            name: order.server_name.clone(),
            user: server.user,
            external_id: work.id().to_string(),
            description: server.description.clone(),
        };
        server = match work.app.panel.set_details(panel_id, &details).await {
            Ok(server) => server,
            Err(error) => return Ok(work.slowed(work.panel_failed(&error))),
        };
    }
    let build = build(&server, &order.spec);
    let differs =
        |server: &Server| (server.limits, server.features) != (build.limits, build.features);
    if facts.server.respec_us.is_some() && differs(&server) {
        // After the lease's end somebody else may have given it other limits meanwhile.
        if !work.outlasts_a_call() {
            return Ok(work.later(WaitingReason::PanelUnavailable));
        }
        server = match work.app.panel.set_build(panel_id, &build).await {
            Ok(server) => server,
            Err(error) => return Ok(work.slowed(work.panel_failed(&error))),
        };
        if differs(&server) {
            return Ok(work.patiently(WaitingReason::PanelUnavailable));
        }
    }
    follows(work, facts, &server).await
}

/// What the panel is told. A port more or less than the plan's is the customer's to make, and
/// stays; how the server is started stays too.
fn build(server: &Server, spec: &Spec) -> Build {
    Build {
        allocation: server.allocation,
        limits: Limits {
            memory: spec.ram_mb,
            swap: spec.swap_mb,
            disk: match server.limits.disk {
                UNLIMITED => UNLIMITED,
                // It may have been given more by hand, and use it.
                disk => spec.disk_mb.max(disk),
            },
            io: server.limits.io,
            cpu: spec.cpu_percent,
        },
        features: Features {
            databases: i64::from(spec.databases),
            allocations: i64::from(spec.ports + spec.allocations),
            backups: i64::from(spec.backups),
        },
    }
}

/// Stores what the server has now.
async fn follows(work: &Work, facts: &Facts, server: &Server) -> Result<Outcome, Error> {
    let (id, mut observed) = (work.id(), created::observed(server));
    // That somebody else stopped it, or let it go on, is the sweep `servers`' news.
    let either = |status: &String| matches!(status.as_str(), "" | "suspended");
    let known = facts.server.observed_status.clone().filter(either);
    if let Some(known) = known.filter(|_| either(&observed.status)) {
        observed.status = known;
    }
    let observed = &observed;
    let wanted_us = (facts.server.rename_us, facts.server.respec_us);
    let need = facts.order.spec.need();
    let paid = facts
        .change
        .as_ref()
        .is_some_and(|change| change.paid_us.is_some());
    work.store(Step::ApplySpec, |tx, now_us| async move {
        servers::set_observed(&tx, id, observed, false, now_us).await?;
        servers::set_followed(&tx, id, wanted_us, now_us).await?;
        if paid {
            order_changes::remove(&tx, id).await?;
            holds::resize(&tx, id, need).await?;
        }
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
