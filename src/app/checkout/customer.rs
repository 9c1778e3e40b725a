//! The Stripe customer of a user: one, however many orders ask for it at once. Knows
//! nothing of orders.

use uuid::Uuid;

use super::{KEY_LIFE_US, form};
use crate::{
    app::{App, Error},
    db::profiles::{self, CustomerRequest},
    domain::UserId,
    stripe::{self, Form},
};

/// One customer per user, made under one key and stored once. Whoever asks does so before
/// `until_us`.
pub(super) async fn of(
    app: &App,
    user_id: UserId,
    until_us: i64,
) -> Result<Result<String, stripe::Error>, Error> {
    let profile = profiles::find(app.db.read(), user_id).await?;
    if let Some(known) = profile.and_then(|profile| profile.stripe_customer_id) {
        return Ok(Ok(known));
    }
    let request = profiles::customer_request(app.db.read(), user_id).await?;
    let made = match make(app, user_id, &request, until_us).await {
        Err(stripe::Error::Unknown { replayed: true, .. } | stripe::Error::KeyReused { .. }) => {
            find_or_make(app, user_id, &request).await?
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

/// Sends the request under its key. Where Stripe may have forgotten that, and with it a customer
/// whose name never came through, it is looked for first.
async fn make(
    app: &App,
    user_id: UserId,
    request: &CustomerRequest,
    until_us: i64,
) -> Result<stripe::Customer, stripe::Error> {
    if until_us - request.since_us > KEY_LIFE_US
        && let Some(found) = look(app, user_id, &request.form).await?
    {
        return Ok(found);
    }
    app.stripe
        .create_customer(&request.form, &request.key)
        .await
}

/// A customer that was made by this request, found by the address and our user's id.
async fn look(
    app: &App,
    user_id: UserId,
    form: &Form,
) -> Result<Option<stripe::Customer>, stripe::Error> {
    let wanted = user_id.to_string();
    let found = app.stripe.customers(form::email_of(form)).await?;
    let mut found = found.into_iter();
    Ok(found.find(|customer| customer.user_id.as_deref() == Some(&wanted)))
}

/// The customer's key only replays an error, and would for a day: a customer that was made
/// under it is found; else another key makes one.
async fn find_or_make(
    app: &App,
    user_id: UserId,
    request: &CustomerRequest,
) -> Result<Result<stripe::Customer, stripe::Error>, Error> {
    match look(app, user_id, &request.form).await {
        Err(error) => return Ok(Err(error)),
        Ok(Some(found)) => return Ok(Ok(found)),
        Ok(None) => {}
    }
    let another = &format!("cus:{user_id}:{}", Uuid::new_v4().simple());
    let request = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            profiles::replace_customer_key(&tx, user_id, &request.key, another, now_us).await?;
            // Another call may have been first: its key is the one.
            profiles::customer_request(&*tx, user_id).await
        })
        .await?;
    Ok(app
        .stripe
        .create_customer(&request.form, &request.key)
        .await)
}
