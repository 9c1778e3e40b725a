//! Waiting for a condition, never for a time.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

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
    let began = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(seen) => assert!(
                began.elapsed() < deadline,
                "after {deadline:?} still not: {what}: {seen:#?}"
            ),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
