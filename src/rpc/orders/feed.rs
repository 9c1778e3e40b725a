//! WatchOrderEvents: the feed from a place on, for as long as somebody reads it.
//!
//! It is read as the reader takes it, a batch at a time: a slow one holds one batch and
//! nothing else. It never ends well by itself: the feed has no end.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    app::{App, Error, orders},
    domain::{OrderId, order::visible::Event},
    rpc::{convert::orders::event_to, proto, status::status},
};

/// Events read at a time.
const BATCH: u64 = 100;
/// Looks after a change: its place is given a moment after its commit.
const LOOKS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
];
/// Covers lost nudges.
const POLL: Duration = Duration::from_secs(1);

struct Feed {
    app: Arc<App>,
    changes: Receiver<OrderId>,
    after: i64,
    batch: VecDeque<Event>,
    failed: bool,
}

pub(super) fn stream(
    app: Arc<App>,
    after: i64,
    changes: Receiver<OrderId>,
) -> impl Stream<Item = Result<proto::WatchOrderEventsResponse, Status>> + Send {
    let feed = Feed {
        app,
        changes,
        after,
        batch: VecDeque::new(),
        failed: false,
    };
    stream::unfold(feed, |mut feed| async move {
        if feed.failed {
            return None;
        }
        let item = match feed.next().await? {
            Ok(event) => Ok(proto::WatchOrderEventsResponse {
                event: Some(event_to(event)),
            }),
            Err(error) => {
                feed.failed = true;
                Err(status(error))
            }
        };
        Some((item, feed))
    })
}

impl Feed {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        let mut changed = true;
        loop {
            if let Some(event) = self.batch.pop_front() {
                self.after = event.sequence.unwrap_or(self.after);
                return Some(Ok(event));
            }
            let looks = if changed { &LOOKS[..] } else { &LOOKS[..1] };
            for look in looks {
                tokio::time::sleep(*look).await;
                match orders::feed(&self.app, self.after, BATCH).await {
                    Ok(batch) => self.batch = batch.into(),
                    Err(error) => return Some(Err(error)),
                }
                if !self.batch.is_empty() {
                    break;
                }
            }
            if self.batch.is_empty() {
                changed = self.changed().await?;
            }
        }
    }

    /// Resolves when something may have changed, and tells whether somebody said so; `None`
    /// when nobody tells any more.
    async fn changed(&mut self) -> Option<bool> {
        tokio::select! {
            () = tokio::time::sleep(POLL) => return Some(false),
            changed = self.changes.recv() => if matches!(changed, Err(RecvError::Closed)) {
                return None;
            },
        }
        // Several changes at once make one look.
        while self.changes.try_recv().is_ok() {}
        Some(true)
    }
}
