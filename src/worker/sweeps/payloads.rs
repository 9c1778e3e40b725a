//! Forgets the payloads of old events: customers' data that nobody needs any more. What came, when,
//! and what became of it stays.

use super::Found;
use crate::{
    app::{App, Error},
    db::stripe_events,
    domain::DAY_US,
};

/// How long payloads are kept.
const KEPT_US: i64 = 90 * DAY_US;
/// Events at a time, and so often in one run.
const BATCH: u64 = 1_000;
const BATCHES: usize = 50;

pub(super) async fn run(app: &App, cursor: &str) -> Result<Found, Error> {
    let before_us = app.db.now().await? - KEPT_US;
    // Everything received before this is forgotten already.
    let mut from_us = cursor.parse().unwrap_or(0);
    let (mut finds, mut more) = (0, true);
    for _ in 0..BATCHES {
        let forgotten =
            app.db
                .tx(|tx| async move {
                    stripe_events::forget_payloads(&tx, from_us, before_us, BATCH).await
                })
                .await?;
        let Some((count, last_us)) = forgotten else {
            from_us = from_us.max(before_us);
            more = false;
            break;
        };
        finds += count;
        from_us = last_us;
    }
    Ok(Found {
        finds: i32::try_from(finds).unwrap_or(i32::MAX),
        cursor: from_us.to_string(),
        more,
        ..Found::default()
    })
}
