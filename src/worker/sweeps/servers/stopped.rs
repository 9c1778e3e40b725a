//! Servers that somebody stopped or let go on at the panel itself, or that were set back with it or
//! with our store. One that is to stand still is stopped again, after the reads that every
//! suspension needs; one that nothing here keeps stopped may be stopped for a good reason, so that
//! is told, and only an operator's UnsuspendServer lets it go on.

use std::{collections::HashMap, sync::Arc};

use super::{LOOKS, one_of_many};
use crate::{
    app::{App, Error},
    db::{
        order_events,
        orders::{self, Note, leases},
        servers::suspension,
    },
    domain::{
        OrderId,
        guard::SERVERS,
        order::{Drift, Facts},
    },
};

/// Stores what the panel shows otherwise than it did: whether it keeps each of these stopped. Tells
/// how many there were.
pub(super) async fn follow(
    app: &Arc<App>,
    stopped: &HashMap<OrderId, bool>,
    began_us: i64,
) -> Result<usize, Error> {
    let shown = suspension::shown(app.db.read()).await?;
    let differs = shown.into_iter().filter_map(|(id, shown)| {
        let stopped = *stopped.get(&id)?;
        (shown != stopped).then_some((id, stopped))
    });
    let mut finds = 0;
    for (id, stopped) in differs.take(LOOKS) {
        let found = one(app, id, stopped, began_us).await;
        finds += usize::from(one_of_many(SERVERS, &id, found)?);
    }
    Ok(finds)
}

fn text(drift: Drift) -> &'static str {
    match drift {
        Drift::LetGo => "somebody let its server go on at the panel, and it is to stand still",
        Drift::StoppedByOthers => {
            "its server is suspended on the panel, and nothing here keeps it stopped: it stays so \
             until somebody lets it go on there, or an operator by UnsuspendServer"
        }
        Drift::LetGoByOthers => "its server is not suspended on the panel any more",
    }
}

async fn one(app: &Arc<App>, id: OrderId, stopped: bool, began_us: i64) -> Result<bool, Error> {
    let note = &Note {
        actor: "sweep:servers".to_owned(),
        cause: SERVERS.to_owned(),
        trace_id: String::new(),
    };
    let found = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(None);
            };
            let drift = locked.facts.drift(stopped);
            let Some(drift) = drift.filter(|_| untouched(&locked.facts, began_us)) else {
                return Ok(None);
            };
            suspension::set_shown(&tx, id, stopped, now_us).await?;
            order_events::remark(&tx, id, text(drift), note, now_us).await?;
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(Some(drift))
        })
        .await?;
    let Some(drift) = found else { return Ok(false) };
    metrics::counter!("spawnpoint_servers_drifted_total", "how" => drift.as_str()).increment(1);
    tracing::warn!(order_id = %id, how = drift.as_str(), "a server on the panel");
    app.nudge.order(id);
    Ok(true)
}

/// Whether nothing was done to its server since the look began.
fn untouched(facts: &Facts, began_us: i64) -> bool {
    let written_us = facts.server.panel_write_us;
    written_us.is_none_or(|us| us <= began_us)
}
