//! Gives a customer at Stripe the address and the name that the profile has.

use super::{Told, followed, refused};
use crate::{
    app::{App, Error},
    db::profiles::follow::{self, Follower},
    domain::profile::{Problem, Profile, full_name},
    stripe::{self, Form},
};

pub(super) async fn tell(app: &App, profile: Profile) -> Result<Told, Error> {
    let (Some(since_us), Some(customer_id)) = (
        profile.stripe_follow_us,
        profile.stripe_customer_id.as_deref(),
    ) else {
        return Ok(Told::Done);
    };
    let user_id = profile.user_id;
    // One key for one wish: what is said under it never changes.
    let key = format!("profile:{user_id}:{since_us}");
    match app
        .stripe
        .update_customer(customer_id, &form(&profile), &key)
        .await
    {
        Ok(_) => followed(app, user_id, Follower::Stripe, since_us).await,
        Err(error) => {
            tracing::warn!(%error, "a customer could not be changed at Stripe");
            match error {
                stripe::Error::Invalid { .. } => {
                    refused(app, user_id, Follower::Stripe, since_us, Problem::Refused).await
                }
                stripe::Error::NotFound { .. } => {
                    refused(app, user_id, Follower::Stripe, since_us, Problem::Missing).await
                }
                // The key would only say the same again.
                stripe::Error::KeyReused { .. } | stripe::Error::Unknown { replayed: true, .. } => {
                    under_another_key(app, &profile, since_us).await
                }
                stripe::Error::KeyRefused { .. }
                | stripe::Error::RateLimited { .. }
                | stripe::Error::Unreachable(_)
                | stripe::Error::Unknown { .. }
                | stripe::Error::Garbage { .. } => Ok(Told::Trouble),
            }
        }
    }
}

/// An empty name is told as well: it clears the one before.
fn form(profile: &Profile) -> Form {
    let name = full_name(&profile.first_name, &profile.last_name);
    [("email", profile.email.clone()), ("name", name)]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
}

async fn under_another_key(app: &App, profile: &Profile, since_us: i64) -> Result<Told, Error> {
    let user_id = profile.user_id;
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            follow::set_anew(&tx, user_id, Follower::Stripe, since_us, now_us).await
        })
        .await?;
    Ok(Told::Trouble)
}
