//! Hints that something changed. Losing one costs time, never correctness:
//! whoever waits for a nudge also has a timer.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

use crate::domain::OrderId;

/// How many changes a slow watcher may fall behind before it simply re-reads.
const BACKLOG: usize = 1024;

/// Wakes the worker of this process, and everybody who watches orders.
#[derive(Clone, Debug)]
pub struct Nudge {
    due: Arc<Notify>,
    changed: broadcast::Sender<OrderId>,
    outbound: Arc<Notify>,
}

impl Default for Nudge {
    fn default() -> Self {
        let (changed, _) = broadcast::channel(BACKLOG);
        Self {
            due: Arc::default(),
            changed,
            outbound: Arc::default(),
        }
    }
}

impl Nudge {
    /// An order has new facts: call it after the commit.
    pub fn order(&self, id: OrderId) {
        self.due.notify_one();
        // No watcher is no error.
        let _ = self.changed.send(id);
        self.outbound.notify_one();
    }

    /// Some order of this replica comes due now.
    pub fn due_here(&self) {
        self.due.notify_one();
    }

    /// Some order changed on another replica: the worker looks, and watchers read again.
    pub fn all_here(&self) {
        self.due.notify_one();
        let _ = self.changed.send(OrderId(uuid::Uuid::nil()));
    }

    /// Resolves when an order may be due.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Resolves when other replicas should be told; several nudges make one.
    pub async fn outbound(&self) {
        self.outbound.notified().await;
    }

    /// The ids of orders that change from now on; the nil id stands for any order.
    pub fn watch(&self) -> broadcast::Receiver<OrderId> {
        self.changed.subscribe()
    }
}
