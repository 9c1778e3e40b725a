//! Add-ons that people deliver: shown on the order until one of them has.

use std::sync::Arc;

use uuid::Uuid;

use super::change::{Change, live, refuse};
use crate::{
    app::{App, Caller, Error},
    db::orders,
    domain::{self, OrderId, error::Kind, order::Facts},
};

/// Notes that somebody has delivered an add-on of the order.
pub async fn complete_manual_addon(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    addon_id: &str,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let change = Change::new(
        caller,
        "OrderService/CompleteManualAddon",
        id,
        request_id,
        addon_id.as_bytes(),
    );
    change
        .make(app, |tx, facts, _, _| async move {
            live(&facts)?;
            if !facts.billing.confirmed() {
                return Err(refuse(&facts, "ORDER_NOT_PAID", "the order is not paid"));
            }
            let mut addons = facts.order.manual_addons;
            let found = addons.iter_mut().find(|(known, _)| known == addon_id);
            let (_, done) = found.ok_or_else(|| domain::Error::not_found(Kind::Addon, addon_id))?;
            *done = true;
            Ok(orders::set_manual_addons(&tx, id, &addons).await?)
        })
        .await
}
