//! SuspendServer, UnsuspendServer, ReinstallServer and TerminateServer.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    app::{App, Caller, Error, servers},
    domain::{OrderId, error::Violations},
    rpc::{convert::orders::order_to, proto, validate},
};

const NOTE_CHARS: usize = 500;

fn checked(order_id: &str, note: &str, request_id: &str) -> Result<(OrderId, Option<Uuid>), Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, order_id);
    validate::text(&mut violations, "note", note, 0, NOTE_CHARS);
    let request_id = validate::optional_uuid(&mut violations, "request_id", request_id);
    violations.finish()?;
    Ok((id, request_id))
}

pub(super) async fn suspend(
    app: &Arc<App>,
    caller: Caller,
    message: proto::SuspendServerRequest,
) -> Result<proto::SuspendServerResponse, Error> {
    let note = &message.note;
    let (id, request_id) = checked(&message.order_id, note, &message.request_id)?;
    let facts = servers::suspend_server(app, &caller, id, note, request_id).await?;
    Ok(proto::SuspendServerResponse {
        order: Some(order_to(&facts)),
    })
}

pub(super) async fn unsuspend(
    app: &Arc<App>,
    caller: Caller,
    message: proto::UnsuspendServerRequest,
) -> Result<proto::UnsuspendServerResponse, Error> {
    let note = &message.note;
    let (id, request_id) = checked(&message.order_id, note, &message.request_id)?;
    let facts = servers::unsuspend_server(app, &caller, id, note, request_id).await?;
    Ok(proto::UnsuspendServerResponse {
        order: Some(order_to(&facts)),
    })
}

pub(super) async fn reinstall(
    app: &Arc<App>,
    caller: Caller,
    message: proto::ReinstallServerRequest,
) -> Result<proto::ReinstallServerResponse, Error> {
    let (id, request_id) = checked(&message.order_id, "", &message.request_id)?;
    let facts = servers::reinstall_server(app, &caller, id, request_id).await?;
    Ok(proto::ReinstallServerResponse {
        order: Some(order_to(&facts)),
    })
}

pub(super) async fn terminate(
    app: &Arc<App>,
    caller: Caller,
    message: proto::TerminateServerRequest,
) -> Result<proto::TerminateServerResponse, Error> {
    let note = &message.note;
    let (id, request_id) = checked(&message.order_id, note, &message.request_id)?;
    let facts = servers::terminate_server(app, &caller, id, note, request_id).await?;
    Ok(proto::TerminateServerResponse {
        order: Some(order_to(&facts)),
    })
}
