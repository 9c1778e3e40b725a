//! Suspend: the panel stops a server that is not paid for, or that an operator suspends.
//!
//! The panel's traps: suspended during an install it forgets the install; a suspension that
//! its node refuses shows for a moment and leaves "normal" behind; and a second call for one
//! that is suspended tells the node nothing.

use super::{disputes, forced, fresh, guarded};
use crate::{
    app::Error,
    db::{orders, servers::suspension},
    domain::{
        order::{Facts, WaitingReason},
        step::Step,
    },
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    if guarded::holds(work, facts).await? {
        return Ok(Outcome::Again);
    }
    let over = facts.billing.over();
    let server = match fresh::look(work, facts, (Step::Suspend, panel_id), over).await? {
        Ok(server) => server,
        Err(instead) => return Ok(work.slowed(instead)),
    };
    let told = facts.server.suspend_sent_us.is_some();
    match server.status.as_deref() {
        Some("installing" | "restoring_backup") => {
            return Ok(work.patiently(WaitingReason::Installing));
        }
        // By somebody else on the panel: it stands still, and is not ours to let go on.
        Some("suspended") if !told => return stands_still(work).await,
        _ => {}
    }
    // An operator's word needs no other; all else is asked for at the last moment.
    if (over || facts.suspension_reasons().billing)
        && let Err(instead) = fresh::still_so(work, facts).await?
    {
        return Ok(work.slowed(instead));
    }
    if facts.disputed_alone()
        && let Err(instead) = disputes::still_open(work, facts).await?
    {
        return Ok(work.slowed(instead));
    }
    let panel = &work.app.panel;
    if server.status.as_deref() == Some("suspended") {
        // Ours, whose answer was lost: whether the node heard of it nobody knows, and it would
        // not hear of a second one.
        if let Err(error) = panel.unsuspend_server(panel_id).await {
            return Ok(work.slowed(work.panel_failed(&error)));
        }
    }
    if !guarded::send(work, facts).await? {
        return Ok(Outcome::Again);
    }
    // After the lease's end somebody else may have let it go on meanwhile.
    if !work.outlasts_a_call() {
        return Ok(work.later(WaitingReason::PanelUnavailable));
    }
    match panel.suspend_server(panel_id).await {
        Ok(()) => stands_still(work).await,
        // Its customer cannot use it either: it is kept for as long as one that stands still.
        Err(error) if over && forced::is_of_node(&error) => {
            let kept_us = facts
                .patience(work.app.settings.timing.patience)
                .retention_us;
            forced::withstood(work, facts, (Step::Suspend, panel_id), &error, kept_us).await
        }
        Err(error) => Ok(work.slowed(work.panel_failed(&error))),
    }
}

async fn stands_still(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::Suspend, |tx, now_us| async move {
        suspension::set_suspended(&tx, id, now_us).await?;
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
