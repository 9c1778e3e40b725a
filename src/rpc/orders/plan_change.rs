//! ChangePlan and RenameServer.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, orders},
    domain::error::Violations,
    rpc::{convert::orders::order_to, proto, validate},
};

pub(super) async fn change(
    app: &Arc<App>,
    caller: Caller,
    message: proto::ChangePlanRequest,
) -> Result<proto::ChangePlanResponse, Error> {
    let mut violations = Violations::default();
    let v = &mut violations;
    let id = validate::order_id(v, &message.order_id);
    let request_id = validate::uuid(v, "request_id", &message.request_id);
    validate::id(v, "plan_id", &message.plan_id);
    validate::addon_ids(v, &message.addon_ids);
    violations.finish()?;
    let wanted = orders::Wanted {
        plan_id: message.plan_id,
        addon_ids: message.addon_ids,
    };
    let facts = orders::change_plan(app, &caller, id, &wanted, request_id).await?;
    Ok(proto::ChangePlanResponse {
        order: Some(order_to(&facts)),
    })
}

pub(super) async fn rename(
    app: &Arc<App>,
    caller: Caller,
    message: proto::RenameServerRequest,
) -> Result<proto::RenameServerResponse, Error> {
    let mut violations = Violations::default();
    let v = &mut violations;
    let id = validate::order_id(v, &message.order_id);
    let request_id = validate::optional_uuid(v, "request_id", &message.request_id);
    validate::server_name(v, "server_name", &message.server_name);
    violations.finish()?;
    let facts = orders::rename_server(app, &caller, id, &message.server_name, request_id).await?;
    Ok(proto::RenameServerResponse {
        order: Some(order_to(&facts)),
    })
}
