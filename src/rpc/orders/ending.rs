//! CancelOrder and ResumeOrder.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, orders},
    domain::error::Violations,
    rpc::{convert::orders::order_to, proto, validate},
};

pub(super) async fn cancel(
    app: &Arc<App>,
    caller: Caller,
    message: proto::CancelOrderRequest,
) -> Result<proto::CancelOrderResponse, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, &message.order_id);
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    violations.finish()?;
    let at_period_end = message.at_period_end;
    let facts = orders::cancel_order(app, &caller, id, at_period_end, request_id).await?;
    Ok(proto::CancelOrderResponse {
        order: Some(order_to(&facts)),
    })
}

pub(super) async fn resume(
    app: &Arc<App>,
    caller: Caller,
    message: proto::ResumeOrderRequest,
) -> Result<proto::ResumeOrderResponse, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, &message.order_id);
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    violations.finish()?;
    let facts = orders::resume_order(app, &caller, id, request_id).await?;
    Ok(proto::ResumeOrderResponse {
        order: Some(order_to(&facts)),
    })
}
