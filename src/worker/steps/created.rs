//! What is stored once a server is known to exist, by our own create or by a look-up.

use crate::{
    app::Error,
    db::{
        Tx, allocations, holds, nodes, order_events,
        orders::{self, Progress, leases},
        servers::{self, Known, Observed},
    },
    domain::{OrderId, order::ErrorReason, step::Step},
    panel::{NewServer, Server},
    worker::claim::Work,
};

/// Stores the server. Where the panel's word differs from what was asked for, the
/// panel's word goes into our ledger, and the difference into the order's events.
pub(super) async fn store(work: &Work, step: Step, server: &Server) -> Result<(), Error> {
    let id = work.id();
    displace(work, step, server.id).await?;
    let node = nodes::find_by_panel_id(work.app.db.read(), server.node).await?;
    let known = &Known {
        panel_id: server.id,
        identifier: server.identifier.clone(),
        uuid: server.uuid.clone(),
        owner_id: server.user,
        egg_id: server.egg,
        node_id: node.map(|node| node.id),
    };
    let note = &work.note(step.name());
    work.store(step, |tx, now_us| async move {
        let asked: Option<NewServer> = servers::create_request(&*tx, id).await?;
        servers::set_created(&tx, id, known, now_us).await?;
        orders::set_done(&tx, id).await?;
        holds::in_use(&tx, id).await?;
        // `status` null is no proof of a finished install right after a create: the
        // poll of all servers says when it runs.
        let mut observed = observed(server);
        if observed.status.is_empty() {
            observed.status = "installing".to_owned();
        }
        servers::set_observed(&tx, id, &observed, false, now_us).await?;
        let mut differences = reconcile_ports(&tx, id, server).await?;
        if let Some(node_id) = known.node_id {
            nodes::mark_well(&*tx, node_id).await?;
        }
        if let Some(node_id) = known.node_id
            && holds::follow(&tx, id, node_id).await?
        {
            differences.push("another node".to_owned());
        }
        if let Some(asked) = asked {
            differences.extend((asked.user != server.user).then(|| "another owner".to_owned()));
            differences.extend((asked.egg != server.egg).then(|| "another egg".to_owned()));
        }
        if !differences.is_empty() {
            metrics::counter!("spawnpoint_servers_other_than_asked_total").increment(1);
            let text = format!("the panel made it with {}", differences.join(", "));
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// A panel that was set back gives its ids out a second time: whoever of ours had this one has no
/// server any more.
async fn displace(work: &Work, step: Step, panel_id: i64) -> Result<(), Error> {
    let known = servers::orders_of_panel_ids(work.app.db.read(), &[panel_id]).await?;
    for (_, other) in known.into_iter().filter(|(_, other)| *other != work.id()) {
        let note = &work.note(step.name());
        work.app
            .db
            .tx(|tx| async move {
                let now_us = work.app.db.now_in(&tx).await?;
                let Some(locked) = orders::lock(&tx, other).await? else {
                    return Ok(());
                };
                let server = &locked.facts.server;
                if server.panel_id != Some(panel_id) || !server.exists() {
                    return Ok(());
                }
                servers::set_deleted(&tx, other, now_us).await?;
                let text = "its server is gone: the panel gave its id to another one";
                if !locked.facts.billing.over() {
                    let missing = Progress {
                        error: Some((ErrorReason::ServerMissing, text.to_owned())),
                        ..Progress::default()
                    };
                    orders::set_progress(&tx, other, &missing).await?;
                }
                order_events::remark(&tx, other, text, note, now_us).await?;
                leases::add_fact(&tx, other, now_us).await?;
                orders::seal(&tx, locked, note, now_us).await?;
                Ok::<_, Error>(())
            })
            .await?;
        work.app.nudge.order(other);
    }
    Ok(())
}

/// Makes our ledger of the order's ports the panel's.
async fn reconcile_ports(tx: &Tx, id: OrderId, server: &Server) -> Result<Vec<String>, Error> {
    allocations::assign(tx, id).await?;
    let Some(ports) = &server.allocations else {
        return Ok(Vec::new());
    };
    let theirs: Vec<i64> = ports.iter().map(|port| port.id).collect();
    let held = allocations::of_order(&**tx, id).await?;
    let lost: Vec<i64> = held
        .iter()
        .map(|port| port.panel_id)
        .filter(|port| !theirs.contains(port))
        .collect();
    let unexpected: Vec<i64> = theirs
        .into_iter()
        .filter(|port| held.iter().all(|ours| ours.panel_id != *port))
        .collect();
    if lost.is_empty() && unexpected.is_empty() {
        return Ok(Vec::new());
    }
    allocations::mark_foreign(tx, &lost).await?;
    allocations::adopt(tx, id, &unexpected).await?;
    Ok(vec![format!(
        "other ports: {} lost, {} unexpected",
        lost.len(),
        unexpected.len()
    )])
}

/// Stores what a look at a server showed: it is ready, or its install failed.
pub(super) async fn observe(work: &Work, step: Step, server: &Server) -> Result<(), Error> {
    let (id, observed) = (work.id(), &observed(server));
    let ready = observed.status.is_empty();
    work.store(step, |tx, now_us| async move {
        Ok(servers::set_observed(&tx, id, observed, ready, now_us).await?)
    })
    .await?;
    Ok(())
}

pub(super) fn observed(server: &Server) -> Observed {
    Observed {
        status: server.status.clone().unwrap_or_default(),
        name: server.name.clone(),
        memory_mb: server.limits.memory,
        disk_mb: server.limits.disk,
        cpu: server.limits.cpu,
    }
}
