//! Changes of a subscription's items: what a request asks for, the list that comes of it, and the
//! bill for it.

use std::collections::BTreeMap;

use super::super::errors::Refusal;
use super::super::form::{Params, join};
use super::super::invoices::prorations;
use super::super::world::World;
use super::{Item, Subscription, SubscriptionStatus, change, pending};

mod fit;

use fit::{check_together, find_price};

/// Words that Stripe takes as `payment_behavior`.
const PAYMENT: [&str; 4] = [
    "allow_incomplete",
    "default_incomplete",
    "error_if_incomplete",
    "pending_if_incomplete",
];

/// Words that Stripe takes as `proration_behavior`.
const PRORATION: [&str; 3] = ["always_invoice", "create_prorations", "none"];

/// What Stripe takes of an item and this stand-in does not play.
const UNPLAYED: [&str; 6] = [
    "billing_thresholds",
    "clear_usage",
    "discounts",
    "plan",
    "price_data",
    "tax_rates",
];

/// Refuses the parts of an item that are not played, before they pass for unknown.
pub(super) fn refuse_unplayed(params: &Params) -> Result<(), Refusal> {
    for leaf in &params.leaves {
        if let [root, _, name, ..] = leaf.path.as_slice()
            && root == "items"
            && UNPLAYED.contains(&name.as_str())
        {
            return Err(Refusal::not_simulated(&join(&leaf.path)));
        }
    }
    Ok(())
}

/// One entry of `items`.
struct Entry {
    /// Its bracket.
    key: String,
    id: Option<String>,
    price: Option<String>,
    quantity: Option<i64>,
    deleted: bool,
    metadata: BTreeMap<String, String>,
}

impl Entry {
    fn read(params: &Params, key: &str) -> Result<Self, Refusal> {
        let at = |name: &str| format!("items[{key}][{name}]");
        let entry = Self {
            key: key.to_owned(),
            id: params.owned(&at("id")),
            price: params.owned(&at("price")),
            quantity: params.integer(&at("quantity"))?,
            deleted: params.boolean(&at("deleted"))? == Some(true),
            metadata: params.metadata(&at("metadata"))?,
        };
        if entry
            .quantity
            .is_some_and(|quantity| !(1..=999_999).contains(&quantity))
        {
            return Err(Refusal::invalid("Quantity must be between 1 and 999999.")
                .code("parameter_invalid_integer")
                .param(at("quantity")));
        }
        if entry.id.is_none() && entry.deleted {
            return Err(Refusal::missing(at("id")));
        }
        if entry.id.is_none() && entry.price.is_none() {
            return Err(Refusal::missing(at("price")));
        }
        let more = entry.price.is_some() || entry.quantity.is_some() || !entry.metadata.is_empty();
        if entry.deleted && more {
            return Err(
                Refusal::not_simulated("other changes of an item that is deleted")
                    .param(at("deleted")),
            );
        }
        Ok(entry)
    }

    fn param(&self, name: &str) -> String {
        format!("items[{}][{name}]", self.key)
    }

    /// Makes one change in the list.
    fn apply(
        &self,
        world: &mut World,
        subscription: &Subscription,
        items: &mut Vec<Item>,
    ) -> Result<(), Refusal> {
        let place = match &self.id {
            // Without an id it is one more item, even if its price is that of another.
            None => {
                let wanted = self.price.as_deref().unwrap_or_default();
                items.push(Item {
                    id: world.ids.make("si_"),
                    created: world.now(),
                    price: find_price(world, subscription, wanted, &self.param("price"))?,
                    quantity: 1,
                    metadata: BTreeMap::new(),
                });
                items.len() - 1
            }
            Some(id) => {
                let found = items.iter().position(|item| item.id == *id);
                found.ok_or_else(|| Refusal::no_such("subscription item", id, self.param("id")))?
            }
        };
        if self.deleted {
            items.remove(place);
            return Ok(());
        }
        let item = &mut items[place];
        if let Some(wanted) = &self.price
            && *wanted != item.price.spec.id
        {
            item.price = find_price(world, subscription, wanted, &self.param("price"))?;
            // Stripe forgets the quantity with the price.
            item.quantity = 1;
        }
        item.quantity = self.quantity.unwrap_or(item.quantity);
        item.metadata.extend(self.metadata.clone());
        item.metadata.retain(|_, value| !value.is_empty());
        Ok(())
    }
}

/// What a request wants of the items.
pub(super) struct Wanted {
    entries: Vec<Entry>,
    /// Whether an unpaid change waits for its payment instead of being carried out unpaid.
    parks: bool,
}

impl Wanted {
    /// Reads it; none if the request says nothing of items.
    pub(super) fn read(params: &Params) -> Result<Option<Self>, Refusal> {
        let payment = params.one_of("payment_behavior", &PAYMENT)?;
        let proration = params.one_of("proration_behavior", &PRORATION)?;
        let parks = payment == Some("pending_if_incomplete");
        if parks {
            only_what_parks(params)?;
        }
        let entries = params.brackets("items").into_iter();
        let entries = entries
            .map(|key| Entry::read(params, key))
            .collect::<Result<Vec<Entry>, Refusal>>()?;
        if entries.is_empty() {
            return match (payment, proration) {
                (None, None) => Ok(None),
                (Some(_), _) => Err(Refusal::not_simulated("payment_behavior without items")
                    .param("payment_behavior")),
                (None, Some(_)) => Err(Refusal::not_simulated("proration_behavior without items")
                    .param("proration_behavior")),
            };
        }
        if proration != Some("always_invoice") {
            let what = "changes of items that are not invoiced at once";
            return Err(Refusal::not_simulated(what).param("proration_behavior"));
        }
        match payment {
            None | Some("allow_incomplete" | "pending_if_incomplete") => {
                Ok(Some(Self { entries, parks }))
            }
            Some(other) => Err(Refusal::not_simulated(other).param("payment_behavior")),
        }
    }

    /// Bills the change and carries it out, or parks it until it is paid. What else the request
    /// changes is told with it.
    pub(super) fn carry_out(
        &self,
        world: &mut World,
        id: &str,
        also: impl FnOnce(&mut Subscription),
    ) -> Result<(), Refusal> {
        let present = world.subscriptions.find(id)?.clone();
        may_change(present.status)?;
        let target = self.target(world, &present)?;
        pending::abandon(world, id)?;
        let Some(bill) = prorations::bill(world, &present, &target, self.parks) else {
            return change(world, id, |subscription| {
                subscription.items = target;
                also(subscription);
            });
        };
        if !bill.paid && self.parks {
            return pending::park(world, id, bill.invoice, target);
        }
        change(world, id, |subscription| {
            subscription.items = target;
            subscription.latest_invoice = Some(bill.invoice);
            if !bill.paid && subscription.status == SubscriptionStatus::Active {
                subscription.status = SubscriptionStatus::PastDue;
            }
            also(subscription);
        })
    }

    /// All items as they are after the change.
    fn target(&self, world: &mut World, present: &Subscription) -> Result<Vec<Item>, Refusal> {
        let mut items = present.items.clone();
        for entry in &self.entries {
            entry.apply(world, present, &mut items)?;
        }
        check_together(&items)?;
        Ok(items)
    }
}

/// A change that may have to wait can be of nothing but items and their prices.
fn only_what_parks(params: &Params) -> Result<(), Refusal> {
    for leaf in &params.leaves {
        let path: Vec<&str> = leaf.path.iter().map(String::as_str).collect();
        let taken = matches!(
            path.as_slice(),
            ["items", _, "id" | "price" | "quantity"]
                | ["payment_behavior" | "proration_behavior"]
                | ["expand", ..]
        );
        if !taken {
            let key = join(&leaf.path);
            let text = format!(
                "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass \
                 supported params. You passed {key}."
            );
            return Err(Refusal::invalid(text).param(key));
        }
    }
    Ok(())
}

/// Only the items of a subscription that was paid once are played.
fn may_change(status: SubscriptionStatus) -> Result<(), Refusal> {
    match status {
        SubscriptionStatus::Active | SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => {
            Ok(())
        }
        SubscriptionStatus::Incomplete => Err(Refusal::invalid(
            "This subscription is missing its first payment; its items cannot be changed.",
        )
        .by_state()),
        _ => Err(
            Refusal::not_simulated("changes of items in this status of a subscription")
                .param("items")
                .by_state(),
        ),
    }
}
