//! Waiting for a condition, never for a time.

use std::{
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
    let began = Instant::now();
    while !condition().await {
        assert!(
            began.elapsed() < deadline,
            "after {deadline:?} still not: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
