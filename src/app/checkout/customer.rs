//! The Stripe customer of a user: one, however many orders ask for it at once. Knows
//! nothing of orders.

use uuid::Uuid;

use super::form;
use crate::{
    app::{App, Error},
    db::profiles,
    domain::UserId,
    stripe::{self, Form},
};

/// One customer per user, made under one key and stored once.
pub(super) async fn of(app: &App, user_id: UserId) -> Result<Result<String, stripe::Error>, Error> {
    let profile = profiles::find(app.db.read(), user_id).await?;
    if let Some(known) = profile.and_then(|profile| profile.stripe_customer_id) {
        return Ok(Ok(known));
    }
    let (request, key) = profiles::customer_request(app.db.read(), user_id).await?;
    let made = match app.stripe.create_customer(&request, &key).await {
        Err(stripe::Error::Unknown { replayed: true, .. } | stripe::Error::KeyReused { .. }) => {
            find_or_make(app, user_id, &request, &key).await?
        }
        other => other,
    };
    let made = match made {
        Ok(made) => made.id,
        Err(error) => return Ok(Err(error)),
    };
    let made = &made;
    let stored = app
        .db
        .tx(|tx| async move { profiles::set_customer(&tx, user_id, made).await })
        .await?;
    Ok(Ok(stored))
}

/// The customer's key only replays an error, and would for a day: a customer that was made
/// under it is found by the address and our user's id; else another key makes one.
async fn find_or_make(
    app: &App,
    user_id: UserId,
    request: &Form,
    key: &str,
) -> Result<Result<stripe::Customer, stripe::Error>, Error> {
    let email = form::email_of(request);
    let wanted = user_id.to_string();
    match app.stripe.customers(email).await {
        Err(error) => return Ok(Err(error)),
        Ok(found) => {
            let ours = found
                .into_iter()
                .find(|customer| customer.user_id.as_deref() == Some(&wanted));
            if let Some(ours) = ours {
                return Ok(Ok(ours));
            }
        }
    }
    let another = &format!("cus:{user_id}:{}", Uuid::new_v4().simple());
    let (request, key) = app
        .db
        .tx(|tx| async move {
            profiles::replace_customer_key(&tx, user_id, key, another).await?;
            // Another call may have been first: its key is the one.
            profiles::customer_request(&*tx, user_id).await
        })
        .await?;
    Ok(app.stripe.create_customer(&request, &key).await)
}
