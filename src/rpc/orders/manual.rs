//! CompleteManualAddon.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, orders},
    domain::error::Violations,
    rpc::{convert::orders::order_to, proto, validate},
};

pub(super) async fn complete(
    app: &Arc<App>,
    caller: Caller,
    message: proto::CompleteManualAddonRequest,
) -> Result<proto::CompleteManualAddonResponse, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, &message.order_id);
    validate::id(&mut violations, "addon_id", &message.addon_id);
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    violations.finish()?;
    let addon_id = &message.addon_id;
    let facts = orders::complete_manual_addon(app, &caller, id, addon_id, request_id).await?;
    Ok(proto::CompleteManualAddonResponse {
        order: Some(order_to(&facts)),
    })
}
