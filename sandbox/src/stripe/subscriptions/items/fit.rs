//! Whether prices fit a subscription, and items go together.

use super::super::super::errors::Refusal;
use super::super::super::prices::Price;
use super::super::super::world::World;
use super::super::{Item, Subscription};

const MOST_ITEMS: usize = 20;

/// A price that fits a subscription.
pub(super) fn find_price(
    world: &World,
    subscription: &Subscription,
    id: &str,
    param: &str,
) -> Result<Price, Refusal> {
    let refuse = |text: &str| Err(Refusal::invalid(text).param(param).by_state());
    let Some(price) = world.prices.get(id) else {
        return Err(Refusal::no_such("price", id, param));
    };
    let spec = &price.spec;
    if !spec.active {
        return refuse("The price specified is inactive. This field only accepts active prices.");
    }
    let Some(interval) = spec.interval else {
        return refuse(
            "The price specified is set to `type=one_time` but this field only accepts prices \
             with `type=recurring`.",
        );
    };
    if price.metered {
        return Err(Refusal::not_simulated("metered prices on a subscription").param(param));
    }
    let mismatch = if spec.currency != subscription.currency {
        "currency"
    } else if interval != subscription.interval {
        "interval"
    } else if spec.interval_count != subscription.interval_count {
        "interval_count"
    } else {
        return Ok(price.clone());
    };
    refuse(&format!(
        "Currency and interval fields must match across all plans on this subscription. Found \
         mismatch in {mismatch} field."
    ))
}

/// At least one item, not too many, and no price twice.
pub(super) fn check_together(items: &[Item]) -> Result<(), Refusal> {
    let refuse = |text: &str| Err(Refusal::invalid(text).param("items").by_state());
    if items.is_empty() {
        return refuse("A subscription must have at least one active plan.");
    }
    if items.len() > MOST_ITEMS {
        return refuse("A subscription may have at most 20 items.");
    }
    for (at, item) in items.iter().enumerate() {
        let price = &item.price.spec.id;
        let earlier = &items[..at];
        if earlier.iter().any(|other| other.price.spec.id == *price) {
            return refuse(&format!(
                "Cannot add multiple subscription items with the same plan: {price}"
            ));
        }
    }
    Ok(())
}
