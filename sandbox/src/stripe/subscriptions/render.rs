//! A subscription as JSON: periods on the subscription up to acacia, on its items since basil.

use serde_json::{Map, Value, json};

use super::super::table::list;
use super::super::version::ApiVersion;
use super::{Item, Subscription};

/// Fields of features that are not played, but are always there.
const NEVER_SET: [&str; 14] = [
    "application",
    "application_fee_percent",
    "days_until_due",
    "default_payment_method",
    "default_source",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "schedule",
    "test_clock",
    "transfer_data",
    "trial_end",
    "trial_start",
];

impl Subscription {
    /// The subscription as a version of the API shows it.
    pub(in super::super) fn render(&self, version: &ApiVersion) -> Value {
        let items = self
            .items
            .iter()
            .map(|item| self.render_item(item, version))
            .collect();
        let url = format!("/v1/subscription_items?subscription={}", self.id);
        let mut subscription = json!({
            "id": self.id,
            "object": "subscription",
            "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
            "billing_cycle_anchor": self.created,
            "cancel_at": self.cancel_at.or(self.cancel_at_period_end.then(|| self.period_end())),
            "cancel_at_period_end": self.cancel_at_period_end,
            "canceled_at": self.canceled_at,
            "cancellation_details": {
                "comment": self.comment, "feedback": self.feedback, "reason": self.reason,
            },
            "collection_method": "charge_automatically",
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "default_tax_rates": [],
            "description": self.description,
            "discounts": [],
            "ended_at": self.ended_at,
            "items": list(&url, items, false),
            "latest_invoice": self.latest_invoice,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "pause_collection": self.collection_paused.then(|| json!({
                "behavior": "void", "resumes_at": null,
            })),
            "payment_settings": {
                "payment_method_options": null,
                "payment_method_types": null,
                "save_default_payment_method": "off",
            },
            "pending_update": self.render_pending(version),
            "start_date": self.created,
            "status": self.status,
            "trial_settings": { "end_behavior": { "missing_payment_method": "create_invoice" } },
        });
        if let Value::Object(fields) = &mut subscription {
            fields.extend(NEVER_SET.map(|name| (name.to_owned(), Value::Null)));
            if version.is_new() {
                fields.insert("billing_mode".into(), json!({ "type": self.billing_mode }));
                fields.insert("billing_schedules".into(), json!([]));
            } else {
                self.add_period(fields);
                fields.insert("discount".into(), Value::Null);
                self.add_old_plan(fields);
            }
        }
        subscription
    }

    /// Whether two states are the same to everyone who looks. The new rendering shows all that
    /// the old one does.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        let new = ApiVersion::parse(ApiVersion::NEW);
        new.is_ok_and(|version| self.render(&version) == other.render(&version))
    }

    /// The change that waits, with the whole list of items that it leads to.
    fn render_pending(&self, version: &ApiVersion) -> Value {
        let Some(pending) = &self.pending else {
            return Value::Null;
        };
        let items = pending.items.iter();
        let items: Vec<Value> = items.map(|item| self.render_item(item, version)).collect();
        json!({
            "billing_cycle_anchor": null,
            "expires_at": pending.expires_at,
            "subscription_items": items,
            "trial_end": null,
            "trial_from_plan": null,
        })
    }

    fn render_item(&self, item: &Item, version: &ApiVersion) -> Value {
        let mut rendered = json!({
            "id": item.id,
            "object": "subscription_item",
            "created": item.created,
            "discounts": [],
            "metadata": item.metadata,
            "plan": item.price.render_plan(),
            "price": item.price.render(),
            "quantity": item.quantity,
            "subscription": self.id,
            "tax_rates": [],
        });
        if let Value::Object(fields) = &mut rendered
            && version.is_new()
        {
            self.add_period(fields);
            fields.insert("billed_until".into(), json!(self.period_end()));
        }
        rendered
    }

    fn add_period(&self, fields: &mut Map<String, Value>) {
        fields.insert("current_period_start".into(), json!(self.period_start()));
        fields.insert("current_period_end".into(), json!(self.period_end()));
    }

    /// Old versions repeat the only item's plan and quantity on top.
    fn add_old_plan(&self, fields: &mut Map<String, Value>) {
        let (plan, quantity) = match self.items.as_slice() {
            [only] => (only.price.render_plan(), json!(only.quantity)),
            _ => (Value::Null, Value::Null),
        };
        fields.insert("plan".into(), plan);
        fields.insert("quantity".into(), quantity);
    }
}
