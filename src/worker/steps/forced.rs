//! Servers of ended orders whose node is away: once it has been waited for as long as the policy
//! has it, the panel forgets them without it. What the node holds of them stays there.

use super::{PATIENCE, fresh};
use crate::{
    app::Error,
    db::{order_events, servers},
    domain::{MINUTE_US, order::Facts, step::Step},
    panel::{self, Trouble},
    worker::{claim::Work, driver::Outcome, micros},
};

const HOUR_US: i64 = 60 * MINUTE_US;

/// Whether the panel itself answered, and could not do it for the node's sake. Where the panel is
/// away nobody knows what the node would do.
pub(super) fn is_of_node(error: &panel::Error) -> bool {
    matches!(
        error,
        panel::Error::NotDone {
            trouble: Trouble::Node
        }
    )
}

/// Notes that a server of an ended order withstood a step. Where it did so all the time, for what
/// the policy waits and `kept_us` more, it is deleted by force: that is stored and told first, and
/// done by the next turn, which has read everything again and failed once more.
pub(super) async fn withstood(
    work: &Work,
    facts: &Facts,
    (step, panel_id): (Step, i64),
    error: &panel::Error,
    kept_us: i64,
) -> Result<Outcome, Error> {
    let (id, server) = (work.id(), &facts.server);
    let now_us = work.app.db.now().await?;
    let gap_us = HOUR_US.max(4 * micros(PATIENCE * work.settings.retry));
    let goes_on = |last_us: i64| now_us - last_us < gap_us;
    let in_a_row = server.node_failed_us.is_some_and(goes_on);
    let since_us = server.node_failing_us.filter(|_| in_a_row);
    let since_us = since_us.unwrap_or(now_us);
    let waited_us = now_us - since_us;
    let policy = work.app.settings.force_delete_after_us;
    let long = policy.is_some_and(|after_us| waited_us >= after_us.saturating_add(kept_us));
    let decided = long && server.force_sent_us.is_none();
    let (note, hours) = (&work.note(step.name()), waited_us / HOUR_US);
    // By the clock that the row was judged by: one that is set meanwhile makes none longer.
    work.store(step, |tx, _| async move {
        servers::set_node_failing(&tx, id, since_us, decided, now_us).await?;
        if decided {
            let text = format!(
                "its node was away for {hours} h: it is deleted by force, and what the node or a \
                 database host holds of it may stay there"
            );
            order_events::remark(&tx, id, &text, note, now_us).await?;
        }
        Ok(())
    })
    .await?;
    metrics::counter!("spawnpoint_servers_withstood_total", "step" => step.name()).increment(1);
    if !long {
        return Ok(work.slowed(work.panel_failed(error)));
    }
    if decided {
        metrics::counter!("spawnpoint_servers_forced_total").increment(1);
        tracing::warn!(panel_id, hours, "to be deleted by force");
        return Ok(Outcome::Again);
    }
    if let Err(instead) = fresh::ours_still(work).await? {
        return Ok(instead);
    }
    if let Err(error) = work.app.panel.force_delete_server(panel_id).await {
        return Ok(work.slowed(work.panel_failed(&error)));
    }
    fresh::set_gone(work, step).await?;
    Ok(Outcome::Again)
}
