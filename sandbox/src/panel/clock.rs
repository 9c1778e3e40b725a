//! The stand-in's own clock: real time plus an offset that a test moves.
//!
//! Every timestamp, the rate window and the end of an install go by it. Daemon delays do not: they
//! are waits of a caller, so they run in real time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Notify;

/// A clock that runs with real time and can be moved; clones share the same time.
#[derive(Clone, Debug)]
pub struct PanelClock {
    started: Instant,
    base: OffsetDateTime,
    offset: Arc<Mutex<time::Duration>>,
    /// Wakes those who wait for a time on this clock.
    moved: Arc<Notify>,
}

impl PanelClock {
    /// Starts at the machine's time.
    pub fn system() -> Self {
        Self::starting_at(OffsetDateTime::now_utc())
    }

    /// Starts at a given time.
    pub fn starting_at(base: OffsetDateTime) -> Self {
        Self {
            started: Instant::now(),
            base,
            offset: Arc::default(),
            moved: Arc::default(),
        }
    }

    /// The present time on this clock.
    pub fn now(&self) -> OffsetDateTime {
        let offset = *self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        self.base
            .saturating_add(self.elapsed())
            .saturating_add(offset)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = time::Duration::try_from(by).unwrap_or(time::Duration::ZERO);
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = offset.saturating_add(by);
        drop(offset);
        self.moved.notify_waiters();
    }

    /// Sets the clock to a given time, forward or back.
    pub fn set(&self, to: OffsetDateTime) {
        let running = self.base.saturating_add(self.elapsed());
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = to - running;
        self.moved.notify_waiters();
    }

    /// Told whenever the clock was moved.
    pub(crate) fn moved(&self) -> &Notify {
        &self.moved
    }

    /// The present time in milliseconds since 1970.
    pub(crate) fn milliseconds(&self) -> i64 {
        i64::try_from(self.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> time::Duration {
        time::Duration::try_from(self.started.elapsed()).unwrap_or(time::Duration::ZERO)
    }
}

/// The form of most of the panel's timestamps.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    format!("{}+00:00", seconds(at))
}

/// The form of the timestamps of variables, which the panel prints as raw models.
pub(crate) fn raw_model(at: OffsetDateTime) -> String {
    format!("{}.000000Z", seconds(at))
}

fn seconds(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
