//! Whose the money is that events told of: they name no order, and Stripe is asked.

use std::sync::Arc;

use super::Found;
use crate::app::{App, Error, stripe_events};

pub(super) async fn run(app: &Arc<App>) -> Result<Found, Error> {
    Ok(Found {
        finds: stripe_events::ask_whose(app).await?,
        ..Found::default()
    })
}
