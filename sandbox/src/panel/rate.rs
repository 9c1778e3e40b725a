//! The request limit: a fixed window of 60 s per user, begun by the user's first request.
//!
//! All keys of one user share it. A refused request neither counts nor prolongs the window.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::errors::Refusal;

const WINDOW: Duration = Duration::seconds(60);

#[derive(Debug)]
struct Window {
    began: OffsetDateTime,
    hits: u32,
}

#[derive(Debug)]
pub(crate) struct RateLimiter {
    pub limit: u32,
    windows: HashMap<Uuid, Window>,
}

impl RateLimiter {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            windows: HashMap::new(),
        }
    }

    /// Counts one request; the answer is what remains, or the 429.
    pub(crate) fn hit(&mut self, user: Uuid, now: OffsetDateTime) -> Result<u32, Refusal> {
        let window = self.windows.entry(user).or_insert(Window {
            began: now,
            hits: 0,
        });
        if now - window.began >= WINDOW || now < window.began {
            *window = Window {
                began: now,
                hits: 0,
            };
        }
        if window.hits >= self.limit {
            let ends = window.began + WINDOW;
            let wait = (ends - now).as_seconds_f64().ceil().max(1.0);
            let mut refusal = Refusal::new(429, "ThrottleRequestsException", "Too Many Attempts.");
            refusal.headers = vec![
                ("X-RateLimit-Limit", self.limit.to_string()),
                ("X-RateLimit-Remaining", "0".to_owned()),
                ("Retry-After", format!("{wait:.0}")),
                ("X-RateLimit-Reset", ends.unix_timestamp().to_string()),
            ];
            return Err(refusal);
        }
        window.hits += 1;
        Ok(self.limit - window.hits)
    }

    /// Forgets every window, as an emptied cache does.
    pub(crate) fn reset(&mut self) {
        self.windows.clear();
    }
}
