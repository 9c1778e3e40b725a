//! RenameServer: the order has the new name at once, the panel a moment later.

use std::sync::Arc;

use uuid::Uuid;

use super::change::{Change, live};
use crate::{
    app::{App, Caller, Error},
    db::{orders, servers},
    domain::{OrderId, order::Facts},
};

/// Gives the server of an order another name.
pub async fn rename_server(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    name: &str,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let method = "OrderService/RenameServer";
    let change = Change::new(caller, method, id, request_id, name.as_bytes());
    change
        .make(app, |tx, facts, _, now_us| async move {
            live(&facts)?;
            if facts.order.server_name == name {
                return Ok(());
            }
            orders::set_server_name(&tx, id, name).await?;
            // Also where the server is still to be made: its create may be on its way.
            Ok(servers::set_rename(&tx, id, now_us).await?)
        })
        .await
}
