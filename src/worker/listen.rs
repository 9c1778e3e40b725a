//! Carries nudges between replicas over PostgreSQL's LISTEN and NOTIFY. Sent after
//! the commit on a connection of its own, and coalesced: inside the transaction a
//! NOTIFY costs half the throughput.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    db::notify::{self, Listener},
};

/// Nudges within this time make one notification.
const COALESCED: Duration = Duration::from_millis(5);
/// A connection that brought nothing for so long is made anew.
const SILENCE: Duration = Duration::from_secs(60);
/// After the connection broke.
const RECONNECT: Duration = Duration::from_secs(1);

/// Runs until cancelled: tells the others, and listens to them.
pub(super) async fn run(app: Arc<App>, cancel: CancellationToken) {
    let sender = async {
        loop {
            app.nudge.outbound().await;
            tokio::time::sleep(COALESCED).await;
            if let Err(error) = app.db.within_reason(notify::send(&app.db)).await {
                tracing::debug!(%error, "other replicas could not be told");
            }
        }
    };
    let receiver = async {
        loop {
            match app.db.within_reason(Listener::open(&app.db)).await {
                Ok(mut listener) => {
                    // What came while nobody listened is made up by one wake-up.
                    app.nudge.all_here();
                    // After a silence it may be that nobody is at the other end any more.
                    while let Ok(Ok(())) = timeout(SILENCE, listener.next()).await {
                        app.nudge.all_here();
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot listen to other replicas"),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = sender => {}
        () = receiver => {}
    }
}
