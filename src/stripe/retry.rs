//! When a call is tried again: how often, after what pause, and what the last failure
//! means once an earlier try may have been done.
//!
//! Knows no HTTP. Time is tokio's alone, so tests run it with the clock paused. The
//! deadline bounds the whole call, because a caller holds a lease or a client waits.

use std::time::Duration;

use tokio::time::Instant;

use super::{Error, Jitter, Settings};

/// Longest pause that Stripe may ask of us; what it says beyond is not believed.
pub(super) const RETRY_AFTER_CAP: Duration = Duration::from_secs(60);

/// A retry that would have less time than this is not worth its doubt.
const LEAST_ROOM: Duration = Duration::from_secs(1);

/// A try that failed, and what is known of trying again.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the caller is told if this was the last try.
    pub error: Error,
    /// Whether the same request may be sent again.
    pub retry: bool,
    /// The pause that Stripe asked for.
    pub after: Option<Duration>,
}

impl Failure {
    /// A failure that another try cannot mend.
    pub fn last(error: Error) -> Self {
        Self {
            error,
            retry: false,
            after: None,
        }
    }

    /// A failure that may pass.
    pub fn passing(error: Error) -> Self {
        Self {
            error,
            retry: true,
            after: None,
        }
    }
}

/// One try of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    /// Counts from 1.
    pub number: u32,
    /// How long this one may take.
    pub timeout: Duration,
}

/// The bounds of a call.
#[derive(Clone)]
pub(super) struct Limits {
    timeout: Duration,
    deadline: Duration,
    attempts: u32,
    backoff_base: Duration,
    backoff_cap: Duration,
    jitter: Jitter,
}

impl Limits {
    /// The part of the settings that is about retries.
    pub fn new(settings: &Settings) -> Self {
        Self {
            timeout: settings.timeout,
            deadline: settings.deadline,
            attempts: settings.attempts,
            backoff_base: settings.backoff_base,
            backoff_cap: settings.backoff_cap,
            jitter: settings.jitter.clone(),
        }
    }

    /// The pause before the try after `number`, or `None` where there is none.
    fn pause(&self, number: u32, elapsed: Duration, failure: &Failure) -> Option<Duration> {
        if !failure.retry || number >= self.attempts {
            return None;
        }
        let asked = failure.after.unwrap_or_default().min(RETRY_AFTER_CAP);
        let pause = asked.max(self.backoff(number));
        let room = LEAST_ROOM.min(self.timeout);
        let end = elapsed.saturating_add(pause).saturating_add(room);
        (end <= self.deadline).then_some(pause)
    }

    fn backoff(&self, number: u32) -> Duration {
        let doubled = self
            .backoff_base
            .saturating_mul(1 << number.saturating_sub(1).min(16));
        let drawn = (self.jitter)();
        // A jitter source that is broken must not make a burst, so it counts as the longest.
        let part = if drawn.is_finite() {
            drawn.clamp(0.0, 1.0)
        } else {
            1.0
        };
        doubled.min(self.backoff_cap).mul_f64(0.5 + part / 2.0)
    }
}

/// Runs `once` until it answers, fails for good, or the limits are spent.
///
/// `changes` says that a try may have an effect at Stripe. Then "never arrived" or "too
/// many requests" after a try of unknown outcome is itself of unknown outcome, and the
/// earlier doubt is what the caller hears.
pub(super) async fn repeat<T, F>(
    limits: &Limits,
    changes: bool,
    mut once: impl FnMut(Try) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>>,
{
    let started = Instant::now();
    let mut number = 1;
    let mut doubt = None;
    loop {
        let left = limits.deadline.saturating_sub(started.elapsed());
        let failure = match once(Try {
            number,
            timeout: limits.timeout.min(left),
        })
        .await
        {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let Some(pause) = limits.pause(number, started.elapsed(), &failure) else {
            return Err(match failure.error {
                error @ (Error::Unreachable(_) | Error::RateLimited { .. }) => {
                    doubt.unwrap_or(error)
                }
                error => error,
            });
        };
        if changes && matches!(failure.error, Error::Unknown { .. } | Error::Garbage { .. }) {
            doubt = Some(failure.error);
        }
        tokio::time::sleep(pause).await;
        number += 1;
    }
}

#[cfg(test)]
mod tests;
