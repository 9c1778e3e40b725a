//! The one clock of the stand-in: every `created`, `expires_at` and period is read from it.
//!
//! It either ticks along with the machine, shifted by what a test asked for, or
//! stands still until it is moved. It only moves forward, because objects are
//! kept in the order in which they were made.

use time::OffsetDateTime;

/// Seconds since the Unix epoch, shifted or frozen.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    frozen: bool,
    /// The time itself when frozen, else the shift against the machine's clock.
    value: i64,
}

impl Clock {
    /// A clock that shows `start` now (the machine's time if `None`).
    pub(super) fn new(start: Option<i64>, frozen: bool) -> Self {
        let start = start.unwrap_or_else(wall);
        let value = if frozen { start } else { start - wall() };
        Self { frozen, value }
    }

    /// The present Unix second.
    pub(super) fn now(&self) -> i64 {
        if self.frozen {
            self.value
        } else {
            wall() + self.value
        }
    }

    /// The present time in milliseconds since 1970.
    pub(super) fn milliseconds(&self) -> i64 {
        if self.frozen {
            return self.value.saturating_mul(1_000);
        }
        let wall = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let wall = i64::try_from(wall).unwrap_or(i64::MAX);
        wall.saturating_add(self.value.saturating_mul(1_000))
    }

    /// Moves the clock forward.
    pub(super) fn advance(&mut self, seconds: i64) {
        self.value = self.value.saturating_add(seconds.max(0));
    }
}

/// The machine's own time, which signatures of webhooks carry.
pub(super) fn wall() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
