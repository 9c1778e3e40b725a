//! Finds servers that are gone from the panel although their orders go on: somebody deleted them
//! there, or set the panel back to a backup that is older than they are. They are shown as
//! missing, and not made again: what was on them does not come back with a new one. One that is
//! there again goes on. A server that was deleted and is there again, as after such a backup, is
//! told of and counted: nobody pays for it, and to delete it is a person's decision. And servers
//! that somebody stopped there, or let go on.
//!
//! Many within an hour, or all of them, say something of the panel. Then nothing is stored of
//! those that are too many, and the sweep is held until an operator has looked.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Found, cut_short, one_of_many};
use crate::{
    app::{App, Error},
    db::{
        guards, node_sightings, order_events,
        orders::{self, Note, Progress, leases},
        servers::missing::{self, Expected},
        sweeps,
    },
    domain::{
        DAY_US, OrderId,
        guard::{RELEASED, SERVERS, TooManyGone, WINDOW_US, most_gone},
        ids::parse_uuid,
        order::{ErrorReason, Facts},
    },
    panel::{self, Walk},
};

mod stopped;

/// So many are asked for one by one in a run, each by its external id: what is not in a list is
/// not gone for that. The rest waits for the next run; the panel has other callers.
const LOOKS: usize = 50;
/// The cursor once all that a release let pass is stored: when that was, in microseconds.
const SINCE: &str = "since ";
/// What was released is not looked at for ever.
const RELEASED_FOR_US: i64 = DAY_US;

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let found = |finds: usize, cursor: String| Found {
        finds: i32::try_from(finds).unwrap_or(i32::MAX),
        cursor,
        // The panel has other callers.
        more: false,
        ..Found::default()
    };
    let store = app.db.read();
    // Where the panel is not the one we know, nothing of ours is expected there.
    if node_sightings::panel_changed(store).await? {
        return Ok(found(0, cursor.to_owned()));
    }
    let held = sweeps::is_held(store, SERVERS).await?;
    let began_us = app.db.now().await?;
    let released = micros_of(cursor, RELEASED).is_some_and(|us| began_us - us < RELEASED_FOR_US);
    let expected = missing::expected(store).await?;
    let seen = match look(app, &expected).await {
        Ok(Some(seen)) => seen,
        Ok(None) => return Ok(found(0, cursor.to_owned())),
        Err(error) => {
            cut_short(SERVERS, &error, "the panel's servers");
            return Ok(found(0, cursor.to_owned()));
        }
    };
    let Seen {
        gone, back, others, ..
    } = &seen;
    for id in back {
        one_of_many(SERVERS, id, change(app, *id, began_us, false).await)?;
    }
    let revived = missing::deleted_among(store, others, began_us).await?;
    for id in &revived {
        metrics::counter!("spawnpoint_servers_left_over_total").increment(1);
        tracing::error!(order_id = %id, "a server that was deleted is on the panel again");
    }
    let drifted = stopped::follow(app, &seen.stopped, began_us).await?;
    if held {
        // What is there is there; of what is gone nothing more is said.
        let finds = back.len() + revived.len() + drifted;
        return Ok(found(finds, cursor.to_owned()));
    }
    // An hour back, without those that a release let pass.
    let since_us =
        micros_of(cursor, SINCE).map_or(began_us - WINDOW_US, |us| us.max(began_us - WINDOW_US));
    let lately = missing::count(store, since_us).await?;
    let there = expected.iter().filter(|server| !server.missing).count();
    let most = most_gone(there + lately);
    let all = gone.len() == there && there > 1;
    if !released && (all || gone.len() + lately > most) && !gone.is_empty() {
        let live = there + lately;
        hold(
            app,
            TooManyGone {
                gone: gone.len() + lately,
                live,
            },
            gone,
        )
        .await?;
        return Ok(found(gone.len() + drifted, cursor.to_owned()));
    }
    for id in gone.iter().take(LOOKS) {
        one_of_many(SERVERS, id, change(app, *id, began_us, true).await)?;
    }
    let done = released && gone.len() <= LOOKS;
    let next = if done {
        format!("{SINCE}{}", app.db.now().await?)
    } else {
        cursor.to_owned()
    };
    let finds = gone.len() + back.len() + revived.len() + drifted;
    Ok(found(finds, next))
}

fn micros_of(cursor: &str, prefix: &str) -> Option<i64> {
    cursor.strip_prefix(prefix)?.parse().ok()
}

/// What a list of the panel's servers tells.
#[derive(Default)]
struct Seen {
    /// Expected there, and gone.
    gone: Vec<OrderId>,
    /// Missing so far, and there again.
    back: Vec<OrderId>,
    /// There, named as ours are, and not expected.
    others: Vec<OrderId>,
    /// Those that bear our id and can be used or could: whether the panel keeps them stopped.
    stopped: HashMap<OrderId, bool>,
}

/// Which of these are gone, and which that were missing are there again. `None`: the list lacks
/// one that is there, so it says nothing.
async fn look(app: &App, expected: &[Expected]) -> Result<Option<Seen>, panel::Error> {
    let panel = &app.panel_housekeeping;
    let (mut ours, mut uuids) = (HashSet::new(), HashSet::new());
    let mut stopped = HashMap::new();
    let mut walk = Walk::default();
    loop {
        let listed = panel.servers(walk.page()).await?;
        let ids: Vec<i64> = listed.data.iter().map(|server| server.id).collect();
        for server in listed.data {
            // Panel ids are given out again after a rebuild: the external id decides.
            let named = server.external_id.as_deref().and_then(parse_uuid);
            if let Some(id) = named.map(OrderId) {
                ours.insert(id);
                match server.status.as_deref() {
                    None => stopped.insert(id, false),
                    Some("suspended") => stopped.insert(id, true),
                    // Nothing is said of that while its install runs, or failed.
                    Some(_) => None,
                };
            }
            uuids.insert(server.uuid);
        }
        if !walk.go_on(&ids, listed.pages)? {
            break;
        }
    }
    // One that lost its external id is another trouble: its customer plays on it.
    let gone = expected.iter().filter(|server| {
        !server.missing && !ours.contains(&server.order_id) && !uuids.contains(&server.uuid)
    });
    let gone: Vec<OrderId> = gone.map(|server| server.order_id).collect();
    let back = expected
        .iter()
        .filter(|server| server.missing && ours.contains(&server.order_id));
    for id in gone.iter().take(LOOKS) {
        if panel
            .server_by_external_id(&id.to_string())
            .await?
            .is_some()
        {
            return Ok(None);
        }
    }
    let back = back.map(|server| server.order_id).collect();
    for server in expected {
        ours.remove(&server.order_id);
    }
    Ok(Some(Seen {
        gone,
        back,
        others: ours.into_iter().collect(),
        stopped,
    }))
}

async fn hold(app: &App, found: TooManyGone, gone: &[OrderId]) -> Result<(), Error> {
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            Ok::<_, Error>(guards::hold(&tx, SERVERS, &found.text(now_us)).await?)
        })
        .await?;
    metrics::counter!("spawnpoint_guard_holds_total", "sweep" => SERVERS).increment(1);
    let some: Vec<String> = gone.iter().take(LOOKS).map(OrderId::to_string).collect();
    tracing::error!(
        gone = gone.len(),
        live = found.live,
        orders = some.join(" "),
        "a sweep is held: too many servers are gone from the panel"
    );
    Ok(())
}

/// Stores that a server is missing, or there again, unless something was done to it since the
/// look began.
async fn change(app: &Arc<App>, id: OrderId, began_us: i64, missing: bool) -> Result<(), Error> {
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
            if !is_as_it_was(&locked.facts, began_us, missing) {
                return Ok(());
            }
            let text = if missing {
                missing::set(&tx, id, now_us).await?;
                "its server is gone from the panel"
            } else {
                missing::clear(&tx, id).await?;
                if locked.facts.order.error_reason == Some(ErrorReason::ServerMissing) {
                    orders::set_progress(&tx, id, &Progress::default()).await?;
                }
                "its server is on the panel again"
            };
            order_events::remark(&tx, id, text, note, now_us).await?;
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(())
        })
        .await?;
    tracing::warn!(order = %id, missing, "a server on the panel");
    app.nudge.order(id);
    Ok(())
}

fn is_as_it_was(facts: &Facts, began_us: i64, missing: bool) -> bool {
    let server = &facts.server;
    let written = server.panel_write_us.is_some_and(|us| us > began_us);
    !written && server.exists() && !facts.billing.over() && server.missing_us.is_none() == missing
}
