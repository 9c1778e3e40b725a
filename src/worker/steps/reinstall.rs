//! Reinstall: the install script failed once; it gets a second chance.

use crate::{
    app::Error,
    db::servers,
    domain::{
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    panel,
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work, facts: &Facts) -> Result<Outcome, Error> {
    let id = work.id();
    let Some(panel_id) = facts.server.panel_id else {
        return Ok(Outcome::Again);
    };
    match work.app.panel.server(panel_id).await {
        Ok(Some(server)) if server.external_id.as_deref() == Some(&id.to_string()) => {
            let installing = server.status.as_deref() == Some("installing");
            if !failed(server.status.as_deref()) && !installing {
                // It ended meanwhile: the poll of all servers tells how.
                return Ok(work.later(WaitingReason::Installing));
            }
            if installing && failed(facts.server.observed_status.as_deref()) {
                // An earlier try came through and nobody noted it: once more would cut
                // short the install that runs.
                return noted(work).await;
            }
        }
        Ok(_) => return missing(work).await,
        Err(error) => return Ok(work.panel_failed(&error)),
    }
    match work.app.panel.reinstall_server(panel_id).await {
        Ok(()) => {}
        // It may run now: the deadline of the install covers the other case.
        Err(panel::Error::Unknown { .. }) => {}
        Err(error) => return Ok(work.panel_failed(&error)),
    }
    noted(work).await
}

fn failed(status: Option<&str>) -> bool {
    matches!(status, Some("install_failed" | "reinstall_failed"))
}

async fn noted(work: &Work) -> Result<Outcome, Error> {
    let id = work.id();
    work.store(Step::Reinstall, |tx, now_us| async move {
        Ok(servers::set_reinstalled(&tx, id, now_us).await?)
    })
    .await?;
    Ok(Outcome::Again)
}

/// It is not where it was: only if the panel does not have it under our id either is it
/// gone. It is never made again by itself.
async fn missing(work: &Work) -> Result<Outcome, Error> {
    match work
        .app
        .panel
        .server_by_external_id(&work.id().to_string())
        .await
    {
        Ok(None) => Ok(Outcome::Park {
            reason: ErrorReason::ServerMissing,
            message: "the server is gone from the panel".to_owned(),
        }),
        Ok(Some(_)) => Ok(work.later(WaitingReason::PanelChanged)),
        Err(error) => Ok(work.panel_failed(&error)),
    }
}
