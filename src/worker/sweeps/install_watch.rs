//! One look at all servers of the panel tells of every install at once: the panel
//! sends no word when one ends.

use std::{collections::HashMap, sync::Arc};

use super::{Found, INSTALL_WATCH, cut_short, one_of_many};
use crate::{
    app::{App, Error},
    db::{
        orders::{self, Note, leases},
        servers::{self, Observed, installs},
    },
    domain::OrderId,
    panel::{Server, Walk},
};

/// So many used servers under reinstall are asked for in one turn, each by its id.
const ONE_BY_ONE: u64 = 20;

pub(super) async fn run(app: &Arc<App>) -> Result<Found, Error> {
    let finds = new_servers(app).await? + used_servers(app).await?;
    Ok(Found {
        finds,
        ..Found::default()
    })
}

/// Those whose script runs again are far down in the list: each is asked for by itself.
async fn used_servers(app: &Arc<App>) -> Result<i32, Error> {
    let mut finds = 0;
    for (panel_id, id) in installs::reinstalling(app.db.read(), ONE_BY_ONE).await? {
        let began_us = app.db.now().await?;
        let server = match app.panel_housekeeping.server(panel_id).await {
            Ok(Some(server)) => server,
            // Whoever writes to it next finds that it is gone.
            Ok(None) => continue,
            Err(error) => {
                cut_short(INSTALL_WATCH, &error, "a server under reinstall");
                break;
            }
        };
        if server.external_id.as_deref() == Some(id.to_string().as_str()) {
            let seen = observe(app, id, &server, (true, began_us)).await;
            finds += i32::from(one_of_many(INSTALL_WATCH, &id, seen)?);
        }
    }
    Ok(finds)
}

async fn new_servers(app: &Arc<App>) -> Result<i32, Error> {
    let mut waiting = installs::installing(app.db.read()).await?;
    let mut finds = 0;
    let mut walk = Walk::default();
    // Newest first: the look ends as soon as nothing is left that waits.
    while waiting > 0 {
        let began_us = app.db.now().await?;
        let listed = match app.panel_housekeeping.servers(walk.page()).await {
            Ok(listed) => listed,
            Err(error) => {
                cut_short(INSTALL_WATCH, &error, "the panel's servers");
                break;
            }
        };
        let ids: Vec<i64> = listed.data.iter().map(|server| server.id).collect();
        let ours: HashMap<i64, OrderId> = servers::orders_of_panel_ids(app.db.read(), &ids)
            .await?
            .into_iter()
            .collect();
        for server in &listed.data {
            // Panel ids are reused after a rebuild: the external id decides.
            if let Some(id) = ours.get(&server.id)
                && server.external_id.as_deref() == Some(id.to_string().as_str())
            {
                let seen = observe(app, *id, server, (false, began_us)).await;
                if one_of_many(INSTALL_WATCH, id, seen)? {
                    finds += 1;
                    waiting = waiting.saturating_sub(1);
                }
            }
        }
        match walk.go_on(&ids, listed.pages) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                cut_short(
                    INSTALL_WATCH,
                    &error,
                    "the panel's list of servers has no end",
                );
                break;
            }
        }
    }
    Ok(finds)
}

/// Stores what was seen of a server that was never ready yet, or of one that was `used`, unless it
/// is older than our last write to the panel. Tells whether the install ended.
async fn observe(
    app: &Arc<App>,
    id: OrderId,
    server: &Server,
    (used, began_us): (bool, i64),
) -> Result<bool, Error> {
    let status = server.status.clone().unwrap_or_default();
    let Some(facts) = orders::find(app.db.read(), id).await? else {
        return Ok(false);
    };
    let known = &facts.server;
    // What became of others since they were installed is the sweep `servers`' news.
    if known.ever_ran() != used || known.observed_status.as_deref() == Some(status.as_str()) {
        return Ok(false);
    }
    let observed = &Observed {
        status,
        name: server.name.clone(),
        memory_mb: server.limits.memory,
        disk_mb: server.limits.disk,
        cpu: server.limits.cpu,
    };
    let note = &Note {
        actor: "sweep:install_watch".to_owned(),
        cause: "install_watch".to_owned(),
        trace_id: String::new(),
    };
    let ended = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(false);
            };
            let known = &locked.facts.server;
            let stale = known
                .panel_write_us
                .is_some_and(|wrote_us| wrote_us > began_us);
            if stale || !known.exists() || known.ever_ran() != used {
                return Ok(false);
            }
            let first_running = !known.ever_ran() && observed.status.is_empty();
            servers::set_observed(&tx, id, observed, first_running, now_us).await?;
            if observed.status != "installing" {
                orders::clear_waiting(&tx, id).await?;
            }
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(observed.status != "installing")
        })
        .await?;
    app.nudge.order(id);
    Ok(ended)
}
