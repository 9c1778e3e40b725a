//! Gives committed order events their place in the feed.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Error},
    db::order_events,
};

/// Events numbered in one transaction.
const BATCH: u64 = 500;

/// Numbers all that is committed now.
pub(super) async fn once(app: &App) -> Result<(), Error> {
    while order_events::sequence(&app.db, BATCH).await? == BATCH {}
    Ok(())
}

/// Runs until cancelled, woken by changes of orders and by a timer.
pub(super) async fn run(app: &App, period: Duration, cancel: &CancellationToken) {
    let mut changes = app.nudge.watch();
    loop {
        match order_events::sequence(&app.db, BATCH).await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "order events could not be numbered"),
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(period) => {}
            changed = changes.recv() => if matches!(changed, Err(RecvError::Closed)) { return },
        }
        // Several changes at once make one run.
        while changes.try_recv().is_ok() {}
    }
}
