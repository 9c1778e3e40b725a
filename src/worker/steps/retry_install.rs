//! RetryInstall: an install failed or takes too long. The panel is looked at first, because
//! what we know may be old; the script gets a second chance, and not a third.

use super::{created, fresh};
use crate::{
    app::Error,
    db::servers::installs,
    domain::{
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    let seen_failed = is_failed(facts.server.observed_status.as_deref());
    let server = match fresh::look(work, facts, (Step::RetryInstall, panel_id), false).await? {
        Ok(server) => server,
        Err(instead) => return Ok(instead),
    };
    match server.status.as_deref() {
        // It became ready, and nobody had looked.
        None => {
            created::observe(work, Step::RetryInstall, &server).await?;
            return Ok(Outcome::Again);
        }
        // An earlier try came through although its answer was lost.
        Some("installing") if seen_failed => return started(work).await,
        // It failed, and nobody had looked: what is shown of it must be that.
        status if is_failed(status) && !seen_failed => {
            created::observe(work, Step::RetryInstall, &server).await?;
            return Ok(Outcome::Again);
        }
        status if status == Some("installing") || is_failed(status) => {}
        Some(_) => return Ok(work.later(WaitingReason::Installing)),
    }
    if facts.server.reinstalls > 0 {
        return Ok(Outcome::Park {
            reason: ErrorReason::InstallFailed,
            message: "the install takes too long, also when repeated".to_owned(),
        });
    }
    // Without an answer nothing is noted: a try that never arrived is none.
    match work.app.panel.reinstall_server(panel_id).await {
        Ok(()) => started(work).await,
        Err(error) => Ok(work.panel_failed(&error)),
    }
}

fn is_failed(status: Option<&str>) -> bool {
    matches!(status, Some("install_failed" | "reinstall_failed"))
}

/// Notes that the script runs again.
async fn started(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::RetryInstall, |tx, now_us| async move {
        Ok(installs::set_reinstalled(&tx, id, now_us).await?)
    })
    .await?;
    Ok(Outcome::Again)
}
