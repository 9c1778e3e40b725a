//! Mirrors what sales and placement need of the panel: its nodes, their ports, and
//! the eggs of the games that are sold.

use std::{collections::BTreeMap, sync::Arc};

use super::{Found, PANEL_MIRROR, cut_short};
use crate::{
    app::{App, Error},
    db::{
        allocations::{self, Seen},
        catalog, eggs,
        node_sightings::{self, Sighting},
        nodes,
    },
    domain::{
        self, SECOND_US,
        egg::{Egg, Variable},
    },
    panel::{self, Walk},
};

/// A node whose ports were read longer ago than this is read again.
const PORTS_BELIEVED_US: i64 = 300 * SECOND_US;
/// A node with fewer free ports than this is read at every run.
const FEW_PORTS: i32 = 20;
/// An egg read longer ago than this is read again.
const EGG_BELIEVED_US: i64 = 1_800 * SECOND_US;
/// An egg that the panel did not have is asked for again this often.
const MISSING_EGG_US: i64 = 60 * SECOND_US;

/// A panel may give longer pages than it was asked for, and a statement has only so many
/// parameters.
const ROWS_AT_ONCE: usize = 1_000;

pub(super) async fn run(app: &Arc<App>, _cursor: &str) -> Result<Found, Error> {
    let mut finds = 0;
    match app.panel_housekeeping.nodes().await {
        Ok(listed) => {
            for node in &listed {
                finds += i32::from(mirror_node(app, node).await?);
            }
        }
        Err(error) => cut_short(PANEL_MIRROR, &error, "the panel's nodes"),
    }
    finds += refresh_eggs(app).await?;
    Ok(Found {
        finds,
        ..Found::default()
    })
}

/// Stores what the panel says of a node of ours, and reads its ports where it is time.
async fn mirror_node(app: &Arc<App>, listed: &panel::Node) -> Result<bool, Error> {
    let Some(node) = nodes::find_by_panel_id(app.db.read(), listed.id).await? else {
        return Ok(false);
    };
    let node_id = node.id;
    let now_us = app.db.now().await?;
    let changed = node_sightings::save(
        &app.db,
        node_id,
        &Sighting {
            panel_uuid: &listed.uuid,
            fqdn: &listed.fqdn,
            maintenance: listed.maintenance,
        },
        now_us,
    )
    .await?;
    if changed {
        tracing::error!(
            node_id,
            "the panel's node is not the one we know: nothing is placed there"
        );
        return Ok(true);
    }
    let view = nodes::views(app.db.read(), Some(&node.set.region)).await?;
    let view = view.into_iter().find(|view| view.id == node_id);
    let few = view.as_ref().is_none_or(|view| view.free_ports < FEW_PORTS);
    let read_us = node_sightings::ports_read_us(app.db.read(), node_id).await?;
    if !few && read_us.is_some_and(|read_us| now_us - read_us < PORTS_BELIEVED_US) {
        return Ok(false);
    }
    mirror_ports(app, node_id, listed.id, now_us).await
}

async fn mirror_ports(
    app: &Arc<App>,
    node_id: i32,
    panel_id: i64,
    began_us: i64,
) -> Result<bool, Error> {
    let mut walk = Walk::default();
    loop {
        let listed = app
            .panel_housekeeping
            .allocations(panel_id, walk.page())
            .await;
        let read = listed.and_then(|listed| {
            let ids: Vec<i64> = listed.data.iter().map(|port| port.id).collect();
            let last = walk.page() >= listed.pages;
            let more = walk.go_on(&ids, listed.pages)?;
            Ok((last, more, listed.data))
        });
        let (last, more, ports) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(node_id, "its ports could not be listed");
                cut_short(PANEL_MIRROR, &error, "a node's ports");
                return Ok(false);
            }
        };
        let seen = &seen(ports);
        app.db
            .tx(|tx| async move {
                let now_us = app.db.now_in(&tx).await?;
                for part in seen.chunks(ROWS_AT_ONCE) {
                    allocations::mirror(&tx, node_id, part, began_us, now_us).await?;
                }
                if last {
                    allocations::mark_gone(&tx, node_id, began_us).await?;
                    node_sightings::set_ports_read(&tx, node_id, now_us).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        if !more {
            // An empty page that promises more is no end: what it hides is not gone.
            return Ok(last);
        }
    }
}

/// What a page says of ports that can be used: each once, and none numbered 0.
fn seen(ports: Vec<panel::Allocation>) -> Vec<Seen> {
    let by_id: BTreeMap<i64, panel::Allocation> =
        ports.into_iter().map(|port| (port.id, port)).collect();
    let usable = by_id.into_values().filter(|port| port.port > 0);
    let seen = usable.map(|port| Seen {
        panel_id: port.id,
        ip: port.ip,
        alias: port.alias.unwrap_or_default(),
        port: i32::from(port.port),
        assigned: port.assigned,
    });
    seen.collect()
}

async fn refresh_eggs(app: &Arc<App>) -> Result<i32, Error> {
    let now_us = app.db.now().await?;
    let (mut finds, cached) = (0, eggs::all(app.db.read()).await?);
    for game in catalog::games::all(app.db.read()).await? {
        let fresh = cached.get(&game.ptero_egg_id).is_some_and(|egg| {
            let believed = if egg.found {
                EGG_BELIEVED_US
            } else {
                MISSING_EGG_US
            };
            egg.nest_id == game.ptero_nest_id && now_us - egg.read_us < believed
        });
        if !game.is_active || fresh {
            continue;
        }
        let read = match app
            .panel_housekeeping
            .egg(game.ptero_nest_id, game.ptero_egg_id)
            .await
        {
            Ok(read) => egg(&read, now_us),
            Err(panel::Error::NotFound) => missing(&game, now_us),
            Err(error) => {
                tracing::warn!(game = game.id, "its egg could not be read");
                cut_short(PANEL_MIRROR, &error, "a game's egg");
                continue;
            }
        };
        let read = &read;
        app.db
            .tx(|tx| async move { eggs::save(&tx, read).await })
            .await?;
        finds += 1;
    }
    Ok(finds)
}

fn missing(game: &domain::catalog::Game, now_us: i64) -> Egg {
    tracing::error!(
        game = game.id,
        egg = game.ptero_egg_id,
        "the panel has no such egg"
    );
    Egg {
        egg_id: game.ptero_egg_id,
        nest_id: game.ptero_nest_id,
        found: false,
        docker_image: String::new(),
        startup: String::new(),
        variables: Vec::new(),
        read_us: now_us,
    }
}

/// An egg as cached.
pub(in crate::worker) fn egg(read: &panel::Egg, now_us: i64) -> Egg {
    let variables = read.variables.iter().map(|variable| Variable {
        name: variable.env_variable.clone(),
        default: variable.default_value.clone(),
        editable: variable.user_editable,
        rules: variable.rules.clone(),
    });
    Egg {
        egg_id: read.id,
        nest_id: read.nest,
        found: true,
        docker_image: read.docker_images.first().cloned().unwrap_or_default(),
        startup: read.startup.clone(),
        variables: variables.collect(),
        read_us: now_us,
    }
}
