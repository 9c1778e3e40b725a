//! Prices as Stripe knows them: what the catalog promises must be what Stripe charges.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::Cart;
use crate::{
    app::{App, Error},
    domain::{self, catalog},
    stripe,
};

/// A price is believed this long: prices hardly change, and a session with one that
/// did is refused by Stripe itself.
const BELIEVED: Duration = Duration::from_secs(600);
/// Bounds the memory of the cache; a catalog has far fewer prices.
const REMEMBERED: usize = 10_000;

/// Prices that were checked a moment ago.
#[derive(Debug, Default)]
pub struct PriceCache(Mutex<HashMap<String, (catalog::Price, Instant)>>);

impl PriceCache {
    fn knows(&self, price: &catalog::Price) -> bool {
        let known = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .get(&price.stripe_price_id)
            .is_some_and(|(seen, checked)| seen == price && checked.elapsed() < BELIEVED)
    }

    /// Looks every price up again: Stripe has just refused one that was believed.
    pub(super) fn forget_all(&self) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
    }

    fn remember(&self, price: &catalog::Price) {
        let mut known = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(
            price.stripe_price_id.clone(),
            (price.clone(), Instant::now()),
        );
    }
}

/// Refuses a cart whose prices are not what Stripe would charge: wrong amount,
/// currency, interval or mode, or not sold any more.
pub(in crate::app) async fn check(app: &App, cart: &Cart) -> Result<(), Error> {
    for price in &cart.prices {
        if app.prices.knows(price) {
            continue;
        }
        let found = match app.stripe.price(&price.stripe_price_id).await {
            Ok(found) => found,
            Err(stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. }) => {
                return Err(invalid(price, "Stripe has no such price").into());
            }
            Err(error) => {
                tracing::warn!(%error, "price could not be checked");
                return Err(unavailable().into());
            }
        };
        if let Some(problem) = difference(price, &found, app.stripe.livemode()) {
            tracing::error!(price_id = %price.stripe_price_id, problem, "catalog and Stripe differ");
            return Err(invalid(price, problem).into());
        }
        app.prices.remember(price);
    }
    Ok(())
}

fn difference(
    price: &catalog::Price,
    found: &stripe::Price,
    livemode: bool,
) -> Option<&'static str> {
    let (interval, count) = price.term.interval();
    if !found.active {
        Some("Stripe does not sell it any more")
    } else if found.livemode != livemode {
        Some("it belongs to the other mode")
    } else if found.interval.as_deref() != Some(interval) || found.interval_count != Some(count) {
        Some("its interval is not the term's")
    } else if found.usage_type.as_deref() == Some("metered") {
        Some("it is metered")
    } else if found.currency != price.amount.currency {
        Some("its currency is not the catalog's")
    } else if found.unit_amount != Some(price.amount.amount_minor) {
        Some("its amount is not the catalog's")
    } else {
        None
    }
}

fn invalid(price: &catalog::Price, problem: &str) -> domain::Error {
    domain::Error::precondition(
        "STRIPE_PRICE_INVALID",
        format!(
            "price {} cannot be charged: {problem}",
            price.stripe_price_id
        ),
        vec![
            ("stripe_price_id", price.stripe_price_id.clone()),
            ("term", price.term.to_string()),
        ],
    )
}

pub(in crate::app) fn unavailable() -> domain::Error {
    domain::Error::Unavailable {
        reason: "STRIPE_UNAVAILABLE",
        message: "Stripe does not answer",
        after: Duration::from_secs(5),
    }
}
