//! CreateBillingPortalSession.

use std::sync::Arc;

use crate::{
    app::{App, Caller, Error, orders},
    domain::error::Violations,
    rpc::{proto, validate},
};

pub(super) async fn create(
    app: &Arc<App>,
    caller: Caller,
    message: proto::CreateBillingPortalSessionRequest,
) -> Result<proto::CreateBillingPortalSessionResponse, Error> {
    let mut violations = Violations::default();
    let id = validate::order_id(&mut violations, &message.order_id);
    validate::url(&mut violations, "return_url", &message.return_url);
    violations.finish()?;
    let return_url = &message.return_url;
    let url = orders::create_billing_portal_session(app, &caller, id, return_url).await?;
    Ok(proto::CreateBillingPortalSessionResponse { url })
}
