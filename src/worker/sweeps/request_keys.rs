//! Removes request keys whose time is over.

use super::Found;
use crate::{
    app::{App, Error},
    db::request_keys,
};

/// Keys removed at a time.
const BATCH: u64 = 1_000;

pub(super) async fn run(app: &App) -> Result<Found, Error> {
    let now_us = app.db.now().await?;
    let removed = app
        .db
        .tx(|tx| async move { request_keys::prune(&*tx, now_us, BATCH).await })
        .await?;
    Ok(Found {
        finds: i32::try_from(removed).unwrap_or(i32::MAX),
        more: removed >= BATCH,
        ..Found::default()
    })
}
