//! Whose the money is that events told of: they name no order, and Stripe is asked.

use std::sync::Arc;

use super::Found;
use crate::app::{App, Error, stripe_events};

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let (finds, cursor) = stripe_events::ask_whose(app, cursor).await?;
    Ok(Found {
        finds,
        cursor,
        more: false,
    })
}
