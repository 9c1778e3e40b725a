//! ReinstallServer: the install script of a server runs again. The wish is stored here; the
//! worker tells the panel.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    app::{
        App, Caller, Error,
        orders::{Change, live, refuse},
    },
    db::{
        order_events,
        orders::{self, Progress},
        servers::installs,
    },
    domain::{
        OrderId,
        order::{ErrorReason, Facts, ServerState},
    },
};

/// Has the install script of a used server run again. What that does to the customer's files is
/// the script's affair: many replace them.
pub async fn reinstall_server(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let method = "ProvisioningService/ReinstallServer";
    Change::new(caller, method, id, request_id, &[])
        .make(app, |tx, facts, note, now_us| async move {
            live(&facts)?;
            if let Some(why) = busy(&facts) {
                return Err(refuse(&facts, "SERVER_BUSY", why));
            }
            if facts.server.reinstall_us.is_some() {
                return Ok(());
            }
            if facts.order.error_reason == Some(ErrorReason::InstallFailed) {
                let progress = Progress {
                    waiting: None,
                    error: None,
                    attempts: 0,
                };
                orders::set_progress(&tx, id, &progress).await?;
            }
            installs::set_reinstall(&tx, id, now_us).await?;
            let text = "its install script is to run again";
            Ok(order_events::remark(&tx, id, text, &note, now_us).await?)
        })
        .await
}

/// Why it cannot run now; none where it can.
fn busy(facts: &Facts) -> Option<&'static str> {
    let server = &facts.server;
    if !server.exists() || !server.ever_ran() {
        return Some("the server is not ready yet");
    }
    // A reinstall would let it go on.
    if facts.suspension_reasons().any() || server.suspended_us.or(server.suspend_sent_us).is_some()
    {
        return Some("the server is suspended");
    }
    match facts.order.error_reason {
        None | Some(ErrorReason::PlanMismatch | ErrorReason::InstallFailed) => {}
        Some(_) => return Some("the order waits for an operator"),
    }
    match facts.server_state() {
        ServerState::Running | ServerState::InstallFailed => None,
        ServerState::Installing => Some("its install script runs"),
        ServerState::Suspended => Some("the server is suspended"),
        ServerState::None | ServerState::Deleted => Some("there is no server"),
    }
}
