//! Reinstall: runs the install script of a used server again, because its customer wants that.
//!
//! The script may wipe what is on the server, so a call whose answer was lost is not repeated
//! before it is sure that nothing came of it. The panel's traps: a reinstall lets a suspended
//! server go on; it is done from any state; and no answer says whether one is under way.

use std::time::Duration;

use super::{created, fresh};
use crate::{
    app::Error,
    db::{
        order_events, orders,
        servers::{self, installs},
    },
    domain::{
        entitlement::Entitlement,
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    panel::{self, Server},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let over = facts.billing.over();
    let server = match fresh::look(work, facts, (Step::Reinstall, panel_id), over).await? {
        Ok(server) => server,
        Err(instead) => return Ok(work.slowed(instead)),
    };
    let known = &facts.server;
    let wanted = known.reinstall_us.is_some();
    match (server.status.as_deref(), known.reinstall_sent_us) {
        (Some("installing"), _) if !wanted => Ok(Outcome::Park {
            reason: ErrorReason::InstallFailed,
            message: "the install takes too long".to_owned(),
        }),
        // By us, or by its customer on the panel: one is enough.
        (Some("installing"), _) => started(work).await,
        (Some("restoring_backup"), _) => Ok(work.patiently(WaitingReason::Installing)),
        (Some("suspended"), _) => {
            let text = "not reinstalled: it is suspended on the panel";
            over_with(work, &server, Some(text)).await
        }
        (_, Some(sent_us)) => settle(work, facts, &server, sent_us).await,
        (_, None) if wanted => send(work, &server).await,
        // It took long, and is over.
        (_, None) => over_with(work, &server, None).await,
    }
}

async fn send(work: &Work, server: &Server) -> Result<Outcome, Error> {
    let (id, changed_at) = (work.id(), server.changed_at);
    let marked = work
        .store(Step::Reinstall, |tx, now_us| async move {
            Ok(installs::set_reinstall_sent(&tx, id, changed_at, now_us).await?)
        })
        .await?;
    if marked.server.reinstall_us.is_none() {
        return over_with(work, server, None).await;
    }
    // After the lease's end somebody else may have stopped it meanwhile.
    if !work.outlasts_a_call() {
        return Ok(work.later(WaitingReason::OutcomeUnknown));
    }
    match work.app.panel.reinstall_server(server.id).await {
        Ok(()) => started(work).await,
        // What the node failed the panel takes back, and the node may do it all the same.
        Err(error) if error.may_have_been_done() || is_the_nodes(&error) => {
            tracing::warn!(%error, "panel");
            Ok(work.later(WaitingReason::OutcomeUnknown))
        }
        Err(error) => {
            work.store(Step::Reinstall, |tx, _| async move {
                Ok(installs::clear_reinstall_sent(&tx, id).await?)
            })
            .await?;
            Ok(work.slowed(work.panel_failed(&error)))
        }
    }
}

/// What came of a call without an answer, where no script runs now: it has run already, or
/// nothing came of it. The panel's time of its last change tells the two apart; where something
/// else changed it, once too seldom is better than once too often.
async fn settle(
    work: &Work,
    facts: &Facts,
    server: &Server,
    sent_us: i64,
) -> Result<Outcome, Error> {
    let before = facts.server.reinstall_over;
    if before.is_none() || server.changed_at != before {
        let text = "the panel did not answer; by its word the server has changed since, so it \
                    is not told to reinstall it again";
        return over_with(work, server, Some(text)).await;
    }
    let lands_until_us = sent_us + work.app.settings.timing.settle_us;
    let left_us = lands_until_us.saturating_sub(work.app.db.now().await?);
    if let Ok(left_us) = u64::try_from(left_us)
        && left_us > 0
    {
        return Ok(Outcome::Later {
            after: Duration::from_micros(left_us),
            waiting: Some(WaitingReason::OutcomeUnknown),
        });
    }
    // It would let a server go on that is to stand still by now, and take what is kept on it.
    if may_run(work, facts).await? {
        send(work, server).await
    } else {
        let text = "not reinstalled: it is to stand still";
        over_with(work, server, Some(text)).await
    }
}

async fn may_run(work: &Work, facts: &Facts) -> Result<bool, Error> {
    let patience = facts.patience(work.app.settings.timing.patience);
    let entitled = facts.grounds().entitle(patience, work.app.db.now().await?);
    let runs = matches!(entitled, Entitlement::Running | Entitlement::Unchanged);
    Ok(runs && !facts.billing.over())
}

fn is_the_nodes(error: &panel::Error) -> bool {
    let node = panel::Trouble::Node;
    matches!(error, panel::Error::NotDone { trouble } if *trouble == node)
}

/// Notes that the script runs again.
async fn started(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::Reinstall, |tx, now_us| async move {
        installs::set_reinstalled(&tx, id, now_us).await?;
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}

/// Notes that nothing is left to do, what the server is now, and why in words.
async fn over_with(work: &Work, server: &Server, text: Option<&str>) -> Result<Outcome, Error> {
    let (id, observed) = (work.id(), &created::observed(server));
    let note = &work.note(Step::Reinstall.name());
    work.store(Step::Reinstall, |tx, now_us| async move {
        installs::clear_reinstall(&tx, id).await?;
        servers::set_observed(&tx, id, observed, false, now_us).await?;
        if let Some(text) = text {
            order_events::remark(&tx, id, text, note, now_us).await?;
        }
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
