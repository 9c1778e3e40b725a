//! Waiting for a condition, never for a time.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

const SHORTEST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(60);

/// The pauses between looks: longer the longer nothing happens. A look costs a call or more,
/// and takes that from the very work that is waited for.
pub struct Pace(Duration);

impl Pace {
    /// Before the first look.
    pub fn new() -> Self {
        Self(SHORTEST)
    }

    /// Between two looks.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = LONGEST.min(self.0 * 3 / 2);
    }
}

/// Looks until the condition holds; fails with `what` when the deadline passes first.
pub async fn until<F, Fut>(what: &str, deadline: Duration, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let looked = || {
        let look = condition();
        async { if look.await { Ok(()) } else { Err("no") } }
    };
    until_ok(what, deadline, looked).await;
}

/// Looks until what it sees will do, and returns that; fails with `what` and with the last
/// that would not do.
pub async fn until_ok<F, Fut, T, U>(what: &str, deadline: Duration, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, U>>,
    U: Debug,
{
    let (began, mut pace) = (Instant::now(), Pace::new());
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(seen) => assert!(
                began.elapsed() < deadline,
                "after {deadline:?} still not: {what}: {seen:#?}"
            ),
        }
        pace.pause().await;
    }
}
