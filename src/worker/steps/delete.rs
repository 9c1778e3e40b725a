//! Delete: removes a server that its ended order no longer entitles to: one that never came
//! into use at once, one that its customer used after the retention. Where its node has been
//! away for longer than the policy waits, the panel forgets it without the node.

use super::{created, fresh};
use crate::{
    app::Error,
    db::servers,
    domain::{MINUTE_US, order::Facts, step::Step},
    panel::{self, Trouble},
    worker::{claim::Work, driver::Outcome},
};

const HOUR_US: i64 = 60 * MINUTE_US;

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let server = match fresh::look(work, Step::Delete, panel_id, true).await? {
        Ok(server) => server,
        Err(instead) => return Ok(work.slowed(instead)),
    };
    if server.status.is_none() && !facts.server.ever_ran() {
        // It became usable before anybody noticed: its customer may have played on it, and
        // then it is kept for a while.
        created::observe(work, Step::Delete, &server).await?;
        return Ok(Outcome::Again);
    }
    if let Err(instead) = fresh::still_so(work, facts).await? {
        return Ok(work.slowed(instead));
    }
    if let Err(instead) = fresh::ours_still(work).await? {
        return Ok(instead);
    }
    match work.app.panel.delete_server(panel_id).await {
        Ok(()) => {
            fresh::set_gone(work, Step::Delete, None).await?;
            Ok(Outcome::Again)
        }
        Err(error) if withstands(&error) => by_force(work, facts, panel_id, &error).await,
        Err(error) => Ok(work.slowed(work.panel_failed(&error))),
    }
}

/// Whether the panel itself answers and cannot delete it: its node is away or fails, or a
/// database host does. Where the panel is away, force would help no more.
fn withstands(error: &panel::Error) -> bool {
    use panel::Error::{NotDone, Unknown};
    matches!(
        error,
        NotDone { trouble } | Unknown { trouble } if matches!(trouble, Trouble::Node | Trouble::Failing)
    )
}

/// Deletes it by force once it has withstood for as long as the policy waits; notes until then
/// since when it does.
async fn by_force(
    work: &Work,
    facts: &Facts,
    panel_id: i64,
    error: &panel::Error,
) -> Result<Outcome, Error> {
    let id = work.id();
    let Some(since_us) = facts.server.delete_failing_us else {
        work.store(Step::Delete, |tx, now_us| async move {
            Ok(servers::set_delete_failing(&tx, id, now_us).await?)
        })
        .await?;
        return Ok(work.slowed(work.panel_failed(error)));
    };
    let waited_us = work.app.db.now().await? - since_us;
    let policy = work.app.settings.force_delete_after_us;
    if policy.is_none_or(|after_us| waited_us < after_us) {
        return Ok(work.slowed(work.panel_failed(error)));
    }
    if let Err(instead) = fresh::ours_still(work).await? {
        return Ok(instead);
    }
    if let Err(error) = work.app.panel.force_delete_server(panel_id).await {
        return Ok(work.slowed(work.panel_failed(&error)));
    }
    metrics::counter!("spawnpoint_servers_deleted_by_force_total").increment(1);
    let hours = waited_us / HOUR_US;
    let text =
        format!("deleted by force after {hours} h in vain: what its node holds of it stays there");
    tracing::warn!(panel_id, hours, "deleted by force");
    fresh::set_gone(work, Step::Delete, Some(&text)).await?;
    Ok(Outcome::Again)
}
