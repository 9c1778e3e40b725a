//! Delete: removes a server that its ended order no longer entitles to: one that never came
//! into use at once, one that its customer used after the retention.

use super::{created, forced, fresh};
use crate::{
    app::Error,
    domain::{order::Facts, step::Step},
    panel::{self, Trouble},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let server = match fresh::look(work, facts, (Step::Delete, panel_id), true).await? {
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
            fresh::set_gone(work, Step::Delete).await?;
            Ok(Outcome::Again)
        }
        Err(error) if forced::is_of_node(&error) || is_of_database(&error) => {
            forced::withstood(work, facts, (Step::Delete, panel_id), &error, 0).await
        }
        Err(error) => Ok(work.slowed(work.panel_failed(&error))),
    }
}

/// Whether a database host of the server may be what failed: the node has deleted it by then,
/// and the panel fails at every repetition.
fn is_of_database(error: &panel::Error) -> bool {
    matches!(
        error,
        panel::Error::Unknown {
            trouble: Trouble::Failing
        }
    )
}
