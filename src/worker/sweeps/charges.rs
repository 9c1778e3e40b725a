//! Whose the money is that events told of: they name no order, and Stripe is asked.

use std::sync::Arc;

use super::{Found, count_cut_short};
use crate::{
    app::{App, Error, stripe_events},
    domain::guard::CHARGES,
};

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let asked = stripe_events::ask_whose(app, cursor).await?;
    if asked.unanswered > 0 {
        count_cut_short(CHARGES);
    }
    Ok(Found {
        finds: asked.applied,
        cursor: asked.cursor,
        more: false,
        ..Found::default()
    })
}
