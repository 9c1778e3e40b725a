//! Servers of orders, as last seen on the panel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{App, Caller, Error, orders::visible};
use crate::{
    db::{
        accounts, allocations, catalog, nodes, order_events,
        orders::{self, Note},
        servers::{self, Observed},
    },
    domain::{
        self, OrderId,
        error::Kind,
        order::{Facts, ServerState},
        port::Port,
    },
};

mod reinstall;
mod stopping;

pub use reinstall::reinstall_server;
pub use stopping::{suspend_server, terminate_server, unsuspend_server};

/// A server with all that its customer needs to reach it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The order's facts.
    pub facts: Facts,
    /// What was last seen.
    pub observed: Option<Observed>,
    /// Its ports, the default one first.
    pub ports: Vec<Port>,
    /// Egg variables that hold the numbers of the further ports, in their order.
    pub port_variables: Vec<String>,
    /// Display name of its node.
    pub node_name: String,
    /// Where its customer logs in.
    pub panel_url: String,
    /// Under which name.
    pub panel_username: String,
}

/// The server of an order.
pub async fn get_server(app: &App, caller: &Caller, id: OrderId) -> Result<Shown, Error> {
    let scope = caller.may("ProvisioningService/GetServer")?;
    let facts = visible(app, scope, id).await?;
    if facts.server_state() == ServerState::None {
        return Err(domain::Error::not_found(Kind::Server, id).into());
    }
    let connection = app.db.read();
    let node = match facts.server.node_id {
        Some(node_id) => nodes::find(connection, node_id).await?,
        None => None,
    };
    let account = accounts::find(connection, facts.order.user_id).await?;
    let game = catalog::games::find(connection, &facts.order.spec.game).await?;
    Ok(Shown {
        observed: servers::observed(connection, id).await?,
        ports: allocations::of_order(connection, id).await?,
        port_variables: game.map(|game| game.port_variables).unwrap_or_default(),
        node_name: node.map(|node| node.set.name).unwrap_or_default(),
        panel_url: app.settings.panel_url.clone(),
        panel_username: account.map(|account| account.username).unwrap_or_default(),
        facts,
    })
}

const REVEAL: &str = "ProvisioningService/RevealServerSecrets";

/// The environment of a server, read from the panel now. The call is noted before
/// anything is shown; the values are stored nowhere.
pub async fn reveal_server_secrets(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
) -> Result<BTreeMap<String, String>, Error> {
    let scope = caller.may(REVEAL)?;
    let facts = visible(app, scope, id).await?;
    let missing = || domain::Error::not_found(Kind::Server, id);
    let panel_id = facts
        .server
        .panel_id
        .filter(|_| facts.server.exists())
        .ok_or_else(missing)?;
    // Panel ids are reused after a rebuild: the server must still be this order's.
    let server = app
        .panel
        .server(panel_id)
        .await
        .map_err(|error| unavailable(&error))?;
    let ours =
        server.is_some_and(|server| server.external_id.as_deref() == Some(id.to_string().as_str()));
    if !ours {
        return Err(missing().into());
    }
    let note = &Note {
        actor: caller.actor(),
        cause: REVEAL.to_owned(),
        trace_id: caller.trace_id.clone(),
    };
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            if let Some(locked) = orders::lock(&tx, id).await? {
                order_events::remark(&tx, id, "secrets were revealed", note, now_us).await?;
                orders::seal(&tx, locked, note, now_us).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    app.nudge.order(id);
    let environment = app.panel.server_environment(panel_id).await;
    let environment = environment.map_err(|error| unavailable(&error))?;
    Ok(environment.ok_or_else(missing)?)
}

fn unavailable(error: &crate::panel::Error) -> Error {
    tracing::warn!(%error, "panel could not be read");
    domain::Error::Unavailable {
        reason: "PANEL_UNAVAILABLE",
        message: "the panel does not answer",
        after: Duration::from_secs(5),
    }
    .into()
}
