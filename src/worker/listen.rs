//! Carries nudges between replicas over PostgreSQL's LISTEN and NOTIFY. Sent after
//! the commit on a connection of its own, and coalesced: inside the transaction a
//! NOTIFY costs half the throughput.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    db::{
        self,
        notify::{self, Listener},
    },
};

/// Nudges within this time make one notification.
const COALESCED: Duration = Duration::from_millis(5);
/// After so long without a word it may be that nobody is at the other end any more.
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
                    while heard(&app, &mut listener).await.is_ok() {}
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

/// Passes one nudge on, or makes sure that the silence is only silence.
async fn heard(app: &App, listener: &mut Listener) -> Result<(), db::Error> {
    match timeout(SILENCE, listener.next()).await {
        Ok(heard) => heard.map(|()| app.nudge.all_here()),
        Err(_elapsed) => app.db.within_reason(listener.ping()).await,
    }
}
