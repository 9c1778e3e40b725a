//! Unsuspend: a server that we suspended goes on. What others suspended on the panel stays so.

use super::fresh;
use crate::{
    app::Error,
    db::{order_events, orders, servers::suspension},
    domain::{
        order::{Facts, WaitingReason},
        step::Step,
    },
    worker::{claim::Work, driver::Outcome},
};

const THEIRS: &str = "nothing keeps it stopped here, but somebody else has suspended it on the \
                      panel: it stays so until they let it go on";

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let id = work.id();
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let mut server = match fresh::look(work, facts, (Step::Unsuspend, panel_id), false).await? {
        Ok(server) => server,
        Err(instead) => return Ok(instead),
    };
    let ours = facts.server.suspend_sent_us.is_some();
    if ours && server.status.as_deref() == Some("suspended") {
        if let Err(error) = work.app.panel.unsuspend_server(panel_id).await {
            return Ok(work.panel_failed(&error));
        }
        // Its node may have refused: then it is suspended again, and only a look tells.
        server = match fresh::look(work, facts, (Step::Unsuspend, panel_id), false).await? {
            Ok(server) => server,
            Err(instead) => return Ok(instead),
        };
        if server.status.as_deref() == Some("suspended") {
            return Ok(work.later(WaitingReason::PanelUnavailable));
        }
    }
    let status = &server.status.unwrap_or_default();
    let theirs = !ours && status == "suspended";
    let note = &work.note(Step::Unsuspend.name());
    work.store(Step::Unsuspend, |tx, now_us| async move {
        suspension::set_unsuspended(&tx, id, status, now_us).await?;
        if theirs {
            order_events::remark(&tx, id, THEIRS, note, now_us).await?;
        }
        Ok(orders::set_done(&tx, id).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
