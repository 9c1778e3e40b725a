//! The API calls on subscriptions: read, list, change items, plan an end, cancel.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::api::Invocation;
use super::super::errors::Refusal;
use super::super::expand;
use super::super::form::Params;
use super::super::schema::Schema;
use super::super::table::{Cursor, Row, list};
use super::super::world::World;
use super::items::{self, Wanted};
use super::{Subscription, SubscriptionStatus, cancel, change_end};

const STATUSES: [&str; 10] = [
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
];

/// `GET /v1/subscriptions/{id}`.
pub(in super::super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    world.shown(ask.id())?;
    answer(world, ask)
}

/// `GET /v1/subscriptions`; canceled ones only on demand.
pub(in super::super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &[
            "automatic_tax",
            "collection_method",
            "current_period_end",
            "current_period_start",
            "plan",
            "test_clock",
            "customer_account",
        ],
        ..Schema::list(&["status", "price", "customer"])
    })?;
    let cursor = Cursor::read(params)?;
    let status = params.one_of("status", &STATUSES)?;
    let (price, customer) = (params.text("price"), params.text("customer"));
    let (rows, more) = world.subscriptions.page(&cursor, |row| {
        let shown = match status {
            None => row.status != SubscriptionStatus::Canceled,
            Some("all") => true,
            Some("ended") => row.status.is_final(),
            Some(word) => serde_json::to_value(row.status).is_ok_and(|own| own == word),
        };
        shown
            && !world.lags.hides(&row.id)
            && price.is_none_or(|price| row.items.iter().any(|item| item.price.spec.id == price))
            && customer.is_none_or(|customer| row.customer == customer)
    })?;
    let data = rows
        .into_iter()
        .map(|row| row.render(&ask.version))
        .collect();
    expand::answer(world, ask, list("/v1/subscriptions", data, more))
}

const UPDATE: Schema = Schema {
    unsimulated: &[
        "add_invoice_items",
        "automatic_tax",
        "billing_cycle_anchor",
        "collection_method",
        "coupon",
        "days_until_due",
        "default_payment_method",
        "discounts",
        "pause_collection",
        "payment_settings",
        "proration_date",
        "trial_end",
        "trial_settings",
    ],
    clearable: &["cancel_at", "description"],
    ..Schema::of(&[
        "metadata[*]",
        "cancel_at_period_end",
        "cancel_at",
        "description",
        "items[*][id]",
        "items[*][price]",
        "items[*][quantity]",
        "items[*][deleted]",
        "items[*][metadata][*]",
        "payment_behavior",
        "proration_behavior",
    ])
};

/// `POST /v1/subscriptions/{id}`: metadata, the planned end, and the items.
pub(in super::super) fn update(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    items::refuse_unplayed(params)?;
    params.allow(&UPDATE)?;
    let items = Wanted::read(params)?;
    let now = world.now();
    let fields = Fields::read(params, now)?;
    world.shown(ask.id())?;
    if world.subscriptions.find(ask.id())?.status.is_final() {
        return Err(Refusal::invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
        )
        .by_state());
    }
    let apply = |subscription: &mut Subscription| fields.apply(subscription, now);
    match items {
        Some(items) => items.carry_out(world, ask.id(), apply)?,
        None => change_end(world, ask.id(), apply)?,
    }
    answer(world, ask)
}

/// What a request changes beside the items.
struct Fields {
    metadata: BTreeMap<String, String>,
    /// Empty to clear it.
    description: Option<String>,
    at_period_end: Option<bool>,
    /// The inner none clears it.
    cancel_at: Option<Option<i64>>,
}

impl Fields {
    fn read(params: &Params, now: i64) -> Result<Self, Refusal> {
        let metadata = params.metadata("metadata")?;
        let at_period_end = params.boolean("cancel_at_period_end")?;
        let cancel_at = match params.text("cancel_at") {
            Some("") => Some(None),
            Some(_) => params.integer("cancel_at")?.map(Some),
            None => None,
        };
        if at_period_end == Some(true) && matches!(cancel_at, Some(Some(_))) {
            return Err(Refusal::invalid(
                "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            )
            .param("cancel_at"));
        }
        if matches!(cancel_at, Some(Some(end)) if end <= now) {
            return Err(Refusal::invalid("`cancel_at` must be in the future.").param("cancel_at"));
        }
        Ok(Self {
            metadata,
            description: params.owned("description"),
            at_period_end,
            cancel_at,
        })
    }

    fn apply(self, subscription: &mut Subscription, now: i64) {
        subscription.metadata.extend(self.metadata);
        subscription.metadata.retain(|_, value| !value.is_empty());
        if let Some(text) = self.description {
            subscription.description = Some(text).filter(|text| !text.is_empty());
        }
        if let Some(wanted) = self.at_period_end {
            subscription.cancel_at_period_end = wanted;
        }
        if let Some(end) = self.cancel_at {
            subscription.cancel_at = end;
        }
        let ends = subscription.planned_end().is_some();
        subscription.canceled_at = ends.then(|| subscription.canceled_at.unwrap_or(now));
        subscription.reason = ends.then_some("cancellation_requested");
    }
}

/// `DELETE /v1/subscriptions/{id}`.
pub(in super::super) fn delete(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::of(&[
        "invoice_now",
        "prorate",
        "cancellation_details[comment]",
        "cancellation_details[feedback]",
    ]))?;
    params.boolean("invoice_now")?;
    params.boolean("prorate")?;
    world.shown(ask.id())?;
    let subscription = world.subscriptions.find_mut(ask.id())?;
    if subscription.status.is_final() {
        return Err(Refusal::not_found(Subscription::OBJECT, ask.id()));
    }
    subscription.comment = params.owned("cancellation_details[comment]");
    subscription.feedback = params.owned("cancellation_details[feedback]");
    cancel(world, ask.id(), "cancellation_requested")?;
    answer(world, ask)
}

fn answer(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let rendered = world.subscriptions.find(ask.id())?.render(&ask.version);
    expand::answer(world, ask, rendered)
}
