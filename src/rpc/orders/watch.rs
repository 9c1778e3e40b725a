//! WatchOrder: the order now, then after each change.
//!
//! A good end tells that the order is over, so only that ends a stream here: when the
//! process goes away, the door cuts it off and says why.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    app::{App, orders},
    domain::{
        OrderId,
        order::{Facts, ServerState, Status as OrderStatus},
    },
    rpc::{convert::orders::order_to, proto, status::status},
};

/// Covers lost nudges.
const POLL: Duration = Duration::from_secs(5);

struct Watch {
    app: Arc<App>,
    id: OrderId,
    changes: Receiver<OrderId>,
    /// The version that was sent last; the first one is always sent.
    sent: i64,
    first: Option<Box<Facts>>,
    ended: bool,
}

/// A stream that holds one order's state at most: a slow reader skips versions, it
/// never piles them up.
pub(super) fn stream(
    app: Arc<App>,
    facts: Facts,
    changes: Receiver<OrderId>,
) -> impl Stream<Item = Result<proto::WatchOrderResponse, Status>> + Send {
    let watch = Watch {
        app,
        id: facts.order.id,
        changes,
        sent: 0,
        first: Some(Box::new(facts)),
        ended: false,
    };
    stream::unfold(watch, |mut watch| async move {
        if watch.ended {
            return None;
        }
        let next = watch.next().await?;
        let item = match next {
            Ok(facts) => {
                watch.sent = facts.order.version;
                watch.ended = over(&facts);
                Ok(proto::WatchOrderResponse {
                    order: Some(order_to(&facts)),
                })
            }
            Err(error) => {
                watch.ended = true;
                Err(status(error))
            }
        };
        Some((item, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Facts, crate::app::Error>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(*first));
        }
        loop {
            self.changed().await?;
            match orders::reread(&self.app, self.id).await {
                Ok(facts) if facts.order.version > self.sent => return Some(Ok(facts)),
                // Its last change came to rest without one that shows.
                Ok(facts) if over(&facts) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Resolves when the order may have changed; `None` when nobody tells any more.
    async fn changed(&mut self) -> Option<()> {
        let deadline = tokio::time::Instant::now() + POLL;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Some(()),
                changed = self.changes.recv() => match changed {
                    Ok(id) if id == self.id || id.0.is_nil() => return Some(()),
                    Ok(_) => {}
                    // Fallen behind: what was missed is in the order itself.
                    Err(RecvError::Lagged(_)) => return Some(()),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

/// Nothing will change any more: canceled, no server left, and what it held given back.
fn over(facts: &Facts) -> bool {
    facts.order.status == OrderStatus::Canceled
        && matches!(
            facts.order.server_state,
            ServerState::None | ServerState::Deleted
        )
        && facts.order.due_us.is_none()
}
