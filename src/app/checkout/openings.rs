//! One opening of an order's session at a time: whoever asks meanwhile is told the
//! same outcome. Only a matter of this process and of politeness towards Stripe,
//! which answers a second request under a busy key with a conflict; what keeps two
//! replicas from opening two sessions is the key itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{FutureExt, Shared};
use tokio::sync::oneshot;

use super::session::Outcome;
use crate::{app::App, domain::OrderId};

/// The openings that are under way.
#[derive(Default)]
pub struct Openings(Mutex<HashMap<OrderId, Told>>);

/// Resolves to the outcome; to an error where there was none.
pub(super) type Told = Shared<oneshot::Receiver<Outcome>>;

/// Whose turn it is.
pub(super) enum Turn {
    /// Nobody else's: open it, and tell the outcome here.
    Ours(oneshot::Sender<Outcome>),
    /// Another call's: it will tell.
    Theirs(Told),
}

impl Openings {
    pub(super) fn turn(&self, id: OrderId) -> Turn {
        let mut under_way = self.lock();
        if let Some(theirs) = under_way.get(&id) {
            return Turn::Theirs(theirs.clone());
        }
        let (tell, told) = oneshot::channel();
        under_way.insert(id, told.shared());
        Turn::Ours(tell)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrderId, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Openings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Openings").field(&self.lock().len()).finish()
    }
}

/// Ends a turn when dropped: also one that fails, panics or is never begun.
pub(super) struct Ends {
    pub(super) app: Arc<App>,
    pub(super) id: OrderId,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.app.openings.lock().remove(&self.id);
    }
}
