//! What is stored once a server is known to exist, by our own create or by a look-up.

use crate::{
    app::Error,
    db::{
        allocations, nodes, order_events,
        servers::{self, Known, Observed},
    },
    domain::step::Step,
    panel::Server,
    worker::claim::Work,
};

/// Stores the server. Where the panel's word differs from our ledger, the panel wins.
pub(super) async fn store(work: &Work, step: Step, server: &Server) -> Result<(), Error> {
    let id = work.id();
    let node = nodes::find_by_panel_id(work.app.db.read(), server.node).await?;
    let known = &Known {
        panel_id: server.id,
        identifier: server.identifier.clone(),
        uuid: server.uuid.clone(),
        owner_id: server.user,
        egg_id: server.egg,
        node_id: node.map(|node| node.id),
    };
    let observed = &observed(server);
    let note = &work.note(step.name());
    work.store(step, |tx, now_us| async move {
        servers::set_created(&tx, id, known, now_us).await?;
        // `status` null is no proof of a finished install right after a create: the
        // poll of all servers says when it runs.
        let mut observed = observed.clone();
        if observed.status.is_empty() {
            observed.status = "installing".to_owned();
        }
        servers::set_observed(&tx, id, &observed, false, now_us).await?;
        allocations::assign(&tx, id).await?;
        let held = allocations::of_order(&*tx, id).await?;
        let theirs: Vec<i64> = match &server.allocations {
            Some(ports) => ports.iter().map(|port| port.id).collect(),
            None => return Ok(()),
        };
        let lost: Vec<i64> =
            held.iter().map(|p| p.panel_id).filter(|port| !theirs.contains(port)).collect();
        let unexpected: Vec<i64> = theirs
            .into_iter()
            .filter(|port| held.iter().all(|ours| ours.panel_id != *port))
            .collect();
        if !lost.is_empty() || !unexpected.is_empty() {
            allocations::mark_foreign(&tx, &lost).await?;
            allocations::adopt(&tx, id, &unexpected).await?;
            let text = format!(
                "the panel gave other ports: {} lost, {} unexpected",
                lost.len(),
                unexpected.len()
            );
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

fn observed(server: &Server) -> Observed {
    Observed {
        status: server.status.clone().unwrap_or_default(),
        name: server.name.clone(),
        memory_mb: server.limits.memory,
        disk_mb: server.limits.disk,
        cpu: server.limits.cpu,
    }
}
