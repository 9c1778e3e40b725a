//! Finds servers that are gone from the panel although their orders go on: somebody deleted them
//! there, or set the panel back to a backup that is older than they are. They are shown as
//! missing, and not made again: what was on them does not come back with a new one.
//!
//! Many at once say something of the panel and not of them. Then nothing is stored, and the sweep
//! is held until an operator has looked at it.

use std::{collections::BTreeSet, sync::Arc};

use super::Found;
use crate::{
    app::{App, Error},
    db::{
        guards, node_sightings,
        orders::{self, Note, leases},
        servers::missing,
        sweeps,
    },
    domain::{
        OrderId,
        guard::{Missing, RELEASED, SERVERS, most_missing},
        ids::parse_uuid,
    },
    panel::{self, Walk},
};

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let as_it_was = || Found {
        finds: 0,
        cursor: cursor.to_owned(),
    };
    let store = app.db.read();
    // Where the panel is not the one we know, nothing of ours is expected there.
    if sweeps::is_held(store, SERVERS).await? || node_sightings::panel_changed(store).await? {
        return Ok(as_it_was());
    }
    let began_us = app.db.now().await?;
    let present = missing::present(store, began_us).await?;
    if present.is_empty() {
        return Ok(Found::default());
    }
    let live = present.len();
    let most = if cursor == RELEASED {
        live
    } else {
        most_missing(live)
    };
    let gone = match gone(app, present, most).await {
        Ok(gone) => gone,
        Err(error) => {
            tracing::warn!(%error, "the panel's servers could not be looked through");
            return Ok(as_it_was());
        }
    };
    let finds = i32::try_from(gone.len()).unwrap_or(i32::MAX);
    if gone.len() > most {
        hold(app, Missing { most, live }).await?;
    } else {
        for id in gone {
            mark(app, id, began_us).await?;
        }
    }
    Ok(Found {
        finds,
        cursor: String::new(),
    })
}

/// Which of these are on the panel no more: all of them, or one more than `most`. A list that
/// moves while it is read may lack one, and a short one proves nothing, so each is asked for.
async fn gone(
    app: &App,
    mut present: BTreeSet<OrderId>,
    most: usize,
) -> Result<Vec<OrderId>, panel::Error> {
    let panel = &app.panel_housekeeping;
    let mut walk = Walk::default();
    loop {
        let listed = panel.servers(walk.page()).await?;
        for server in &listed.data {
            // Panel ids are reused after a rebuild: the external id decides.
            if let Some(id) = server.external_id.as_deref().and_then(parse_uuid) {
                present.remove(&OrderId(id));
            }
        }
        let ids: Vec<i64> = listed.data.iter().map(|server| server.id).collect();
        if !walk.go_on(&ids, listed.pages)? {
            break;
        }
    }
    let mut gone = Vec::new();
    for id in present {
        if gone.len() > most {
            break;
        }
        if panel
            .server_by_external_id(&id.to_string())
            .await?
            .is_none()
        {
            gone.push(id);
        }
    }
    Ok(gone)
}

async fn hold(app: &App, missing: Missing) -> Result<(), Error> {
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            Ok::<_, Error>(guards::hold(&tx, SERVERS, &missing.text(now_us)).await?)
        })
        .await?;
    metrics::counter!("spawnpoint_guard_holds_total", "sweep" => SERVERS).increment(1);
    tracing::error!(
        live = missing.live,
        "a sweep is held: too many servers are gone from the panel"
    );
    Ok(())
}

/// Stores that it is missing, unless something was done to it since the look began. What is over
/// is deleted, which finds out by itself.
async fn mark(app: &Arc<App>, id: OrderId, began_us: i64) -> Result<(), Error> {
    let note = &Note {
        actor: "sweep:servers".to_owned(),
        cause: SERVERS.to_owned(),
        trace_id: String::new(),
    };
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(());
            };
            let (billing, server) = (&locked.facts.billing, &locked.facts.server);
            let written = server.panel_write_us.is_some_and(|us| us > began_us);
            if written || !server.exists() || billing.over() {
                return Ok(());
            }
            missing::set(&tx, id, now_us).await?;
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(())
        })
        .await?;
    app.nudge.order(id);
    Ok(())
}
