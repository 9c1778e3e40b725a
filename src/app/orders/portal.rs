//! The page of Stripe's where a customer changes the way to pay and sees invoices. It is made for
//! each click, with settings of ours: Stripe's own would let a customer change the plan there,
//! and nobody would deliver it.

use std::sync::Arc;

use uuid::Uuid;

use super::{change::refuse, visible};
use crate::{
    app::{App, Caller, Error, checkout},
    domain::OrderId,
    stripe::{self, Form},
};

/// Marks our settings at Stripe; another number makes new ones.
const OWNER: &str = "spawnpoint-1";

/// What the page offers. An end is planned by CancelOrder, and shown by Stripe all the same.
const FEATURES: [(&str, &str); 6] = [
    ("features[invoice_history][enabled]", "true"),
    ("features[payment_method_update][enabled]", "true"),
    ("features[subscription_cancel][enabled]", "false"),
    ("features[subscription_update][enabled]", "false"),
    ("features[customer_update][enabled]", "false"),
    ("metadata[owner]", OWNER),
];

/// Makes a page for the order's customer. Its URL is a secret: it is neither stored nor logged.
pub async fn create_billing_portal_session(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    return_url: &str,
) -> Result<String, Error> {
    let scope = caller.may("OrderService/CreateBillingPortalSession")?;
    checkout::cart::check_url(app, "return_url", return_url)?;
    let facts = visible(app, scope, id).await?;
    let customer_id = facts.billing.customer_id.as_deref();
    let Some(customer_id) = customer_id.filter(|_| facts.billing.confirmed()) else {
        return Err(refuse(&facts, "ORDER_NOT_PAID", "the order is not paid"));
    };
    let configuration_id = configuration(app).await.map_err(failed)?;
    let form = owned(&[
        ("customer", customer_id),
        ("configuration", &configuration_id),
        ("return_url", return_url),
    ]);
    let key = format!("portal:{}", Uuid::new_v4().simple());
    let made = app.stripe.create_portal_session(&form, &key).await;
    if let Err(stripe::Error::Invalid { .. }) = &made {
        // Somebody may have put our settings away, or the key leads to another account now.
        *app.portal_configuration.lock().await = None;
    }
    made.map_err(failed)
}

/// Our settings at Stripe: found, or made. Replicas that make them at once make one, for the key
/// is the same.
async fn configuration(app: &App) -> Result<String, stripe::Error> {
    let mut known = app.portal_configuration.lock().await;
    if let Some(id) = &*known {
        return Ok(id.clone());
    }
    let listed = app.stripe.portal_configurations().await?;
    let ours = |one: &stripe::PortalConfiguration| one.owner.as_deref() == Some(OWNER);
    let found = match listed.into_iter().find(ours) {
        Some(found) => found,
        None => make(app).await?,
    };
    *known = Some(found.id.clone());
    Ok(found.id)
}

async fn make(app: &App) -> Result<stripe::PortalConfiguration, stripe::Error> {
    let (key, form) = (format!("portal:{OWNER}"), owned(&FEATURES));
    match app.stripe.create_portal_configuration(&form, &key).await {
        // That key will never say anything else.
        Err(stripe::Error::Unknown { replayed: true, .. }) => {
            let another = format!("{key}:{}", Uuid::new_v4().simple());
            app.stripe
                .create_portal_configuration(&form, &another)
                .await
        }
        made => made,
    }
}

fn owned(pairs: &[(&str, &str)]) -> Form {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn failed(error: stripe::Error) -> Error {
    tracing::warn!(%error, "Stripe");
    match error {
        stripe::Error::Invalid { .. } | stripe::Error::KeyReused { .. } => {
            Error::Internal(format!("the portal: {error}"))
        }
        _ => checkout::prices::unavailable().into(),
    }
}
