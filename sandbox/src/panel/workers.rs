//! The panel's own workers, of which a request takes one for as long as it lasts. A create takes a
//! second one: before a daemon answers, it asks the panel back for the server's configuration. With
//! all workers in creates nobody answers the daemons, and each create fails by its time-out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many as are asked for, until somebody sets their number.
#[derive(Debug)]
pub(crate) struct Workers {
    free: Mutex<Arc<Semaphore>>,
    starved: Mutex<usize>,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            free: Mutex::new(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))),
            starved: Mutex::new(0),
        }
    }
}

impl Workers {
    /// From now on there are so many, and all of them are free.
    pub(crate) fn set(&self, count: usize) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Semaphore::new(count));
    }

    /// Waits for a free one. They are never closed: without one there is no number of them.
    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free.lock().unwrap_or_else(PoisonError::into_inner));
        free.acquire_owned().await.ok()
    }

    /// Whether a daemon that asks back is answered while it waits.
    pub(crate) async fn answer_back(&self, patience: Duration) -> bool {
        let answered = tokio::time::timeout(patience, self.take()).await.is_ok();
        if !answered {
            *self.starved.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        answered
    }

    /// How many daemons asked back in vain.
    pub(crate) fn starved(&self) -> usize {
        *self.starved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
