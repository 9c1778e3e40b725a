//! The panel's rate budget, shared by all replicas through one row: leased in small
//! batches, so that a busy shop does not ask the store for every call.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    db::{
        Db,
        budget::{self, Grant, WINDOW_US},
    },
    panel::{Budget, Class, RateSeen},
};

/// Requests leased at a time for purchases.
const BATCH: i32 = 8;
/// One in so many requests of a window is out of housekeeping's reach.
const RESERVED: i32 = 5;
/// Asked again this soon where the store does not answer.
const STORE_AWAY: Duration = Duration::from_secs(1);

/// The budget of this replica.
#[derive(Debug)]
pub struct SharedBudget {
    db: Db,
    leased: Mutex<Leased>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Leased {
    count: i32,
    until_us: i64,
    limit: i32,
}

impl SharedBudget {
    /// A budget that leases from this store.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            leased: Mutex::default(),
        }
    }

    fn leased(&self) -> std::sync::MutexGuard<'_, Leased> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses one of the requests that were leased before.
    fn use_leased(&self, now_us: i64) -> bool {
        let mut leased = self.leased();
        if leased.count > 0 && leased.until_us > now_us {
            leased.count -= 1;
            return true;
        }
        false
    }
}

#[async_trait]
impl Budget for SharedBudget {
    async fn take(&self, class: Class) -> Result<(), Duration> {
        let now_us = self.db.now().await.map_err(|_| STORE_AWAY)?;
        if class == Class::Purchase && self.use_leased(now_us) {
            return Ok(());
        }
        let limit = self.leased().limit.max(RESERVED);
        let (count, reserve) = match class {
            Class::Purchase => (BATCH, 0),
            Class::Housekeeping => (1, limit / RESERVED),
        };
        let granted = budget::lease(&self.db, count, reserve)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "the rate budget could not be read");
                STORE_AWAY
            })?;
        match granted {
            Grant::Requests { count, until_us } => {
                let mut leased = self.leased();
                if leased.until_us == until_us {
                    leased.count += count - 1;
                } else {
                    leased.count = count - 1;
                    leased.until_us = until_us;
                }
                Ok(())
            }
            Grant::NotBefore(free_us) => {
                let wait = u64::try_from(free_us - now_us).unwrap_or(0);
                Err(Duration::from_micros(wait.max(1_000)))
            }
        }
    }

    async fn observe(&self, seen: RateSeen) {
        let learned = self.learn(seen).await;
        if let Err(error) = learned {
            tracing::warn!(%error, "the rate budget could not be written");
        }
    }
}

impl SharedBudget {
    async fn learn(&self, seen: RateSeen) -> Result<(), crate::db::Error> {
        let limit = seen
            .limit
            .and_then(|limit| i32::try_from(limit).ok())
            .filter(|l| *l > 0);
        if let Some(limit) = limit {
            let new = std::mem::replace(&mut self.leased().limit, limit) != limit;
            if new {
                budget::set_limit(&self.db, limit).await?;
            }
        }
        if let Some(after) = seen.retry_after {
            // Others use the same admin's keys: everybody waits until the window ends.
            let until_us = self.db.now().await? + super::micros(after);
            self.leased().count = 0;
            budget::block(&self.db, until_us).await?;
        } else if seen.remaining.is_some()
            && seen.remaining.and_then(|r| r.checked_add(1)) == seen.limit
        {
            // The panel's window began with this very request: ours must not end before it.
            let until_us = self.db.now().await? + WINDOW_US;
            budget::extend_window(&self.db, until_us).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing;

    /// P-17: figures that no panel gives, but a proxy may.
    #[tokio::test]
    async fn no_figure_of_a_rate_header_breaks_the_budget() {
        let store = testing::open().await;
        let budget = SharedBudget::new(Db::clone(&store));
        let figures = [None, Some(0), Some(1), Some(u32::MAX - 1), Some(u32::MAX)];
        for limit in figures {
            for remaining in figures {
                let seen = RateSeen {
                    limit,
                    remaining,
                    retry_after: None,
                };
                budget.observe(seen).await;
                if let Err(wait) = budget.take(Class::Purchase).await {
                    assert!(wait <= Duration::from_secs(60), "{seen:?}: {wait:?}");
                }
            }
        }
    }
}
