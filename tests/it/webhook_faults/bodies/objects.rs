//! Stripe's objects, each as the old and as the new rendering shows it.

use serde_json::{Map, Value, json};

use super::Ids;
use crate::support::till;

use Rendering::Old;

/// How a version of Stripe writes its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendering {
    /// Up to 2025-02-24.acacia.
    Old,
    /// 2025-03-31.basil and later.
    New,
}

/// An event about an object.
pub fn envelope(id: &str, kind: &str, rendering: Rendering, object: Value) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": if rendering == Old { "2025-02-24.acacia" } else { "2026-07-29.dahlia" },
        "created": till::now(),
        "data": {"object": object, "previous_attributes": {"status": "incomplete"}},
        "livemode": false,
        "pending_webhooks": 2,
        "request": {"id": "req_1", "idempotency_key": null},
        "type": kind,
    })
}

/// A completed session.
pub(super) fn session(ids: &Ids) -> Value {
    json!({
        "id": ids.session,
        "object": "checkout.session",
        "allow_promotion_codes": null,
        "amount_subtotal": 1000,
        "amount_total": 1190,
        "automatic_tax": {"enabled": false, "liability": null, "status": null},
        "cancel_url": "https://shop.example/cart",
        "client_reference_id": ids.order,
        "created": 1_790_000_000,
        "currency": "usd",
        "custom_fields": [],
        "customer": ids.customer,
        "customer_details": {
            "address": {"city": null, "country": "DE", "postal_code": "10115"},
            "email": "alex@players.example", "name": "Alex Miner", "tax_exempt": "none",
        },
        "customer_email": null,
        "expires_at": 1_790_002_100,
        "invoice": ids.invoice,
        "livemode": false,
        "metadata": {"order_id": ids.order},
        "mode": "subscription",
        "payment_intent": null,
        "payment_method_types": ["card"],
        "payment_status": "paid",
        "status": "complete",
        "subscription": ids.subscription,
        "success_url": "https://shop.example/thanks",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 190},
        "ui_mode": "hosted",
        "url": null,
    })
}

/// An active subscription.
pub(super) fn subscription(ids: &Ids, rendering: Rendering) -> Value {
    let mut item = json!({
        "id": "si_1",
        "object": "subscription_item",
        "metadata": {},
        "price": {
            "id": "price_1", "object": "price", "currency": "usd", "unit_amount": 1000,
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        },
        "quantity": 1,
        "subscription": ids.subscription,
    });
    let mut subscription = json!({
        "id": ids.subscription,
        "object": "subscription",
        "cancel_at": null,
        "cancel_at_period_end": false,
        "canceled_at": null,
        "cancellation_details": {"comment": null, "feedback": null, "reason": null},
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer": ids.customer,
        "ended_at": null,
        "latest_invoice": ids.invoice,
        "livemode": false,
        "metadata": {"order_id": ids.order},
        "pause_collection": null,
        "start_date": 1_790_000_000,
        "status": "active",
        "trial_end": null,
    });
    // Basil moved the period from the subscription to its items.
    let period = if rendering == Old {
        &mut subscription
    } else {
        &mut item
    };
    period["current_period_start"] = json!(1_790_000_000);
    period["current_period_end"] = json!(1_792_592_000);
    if rendering == Old {
        subscription["discount"] = Value::Null;
    } else {
        subscription["billing_mode"] = json!({"type": "flexible"});
    }
    subscription["items"] = json!({
        "object": "list", "data": [item], "has_more": false, "total_count": 1,
        "url": format!("/v1/subscription_items?subscription={}", ids.subscription),
    });
    subscription
}

/// A paid invoice.
pub(super) fn invoice(ids: &Ids, rendering: Rendering) -> Value {
    let details = json!({"metadata": {"order_id": ids.order}});
    let mut invoice = json!({
        "id": ids.invoice,
        "object": "invoice",
        "amount_due": 1190,
        "amount_paid": 1190,
        "amount_remaining": 0,
        "attempt_count": 1,
        "attempted": true,
        "auto_advance": false,
        "billing_reason": "subscription_create",
        "collection_method": "charge_automatically",
        "customer": ids.customer,
        "customer_email": "alex@players.example",
        "hosted_invoice_url": "https://invoice.stripe.com/i/acct_1/test_1",
        "livemode": false,
        "metadata": {},
        "next_payment_attempt": null,
        "number": "ABCD-0001",
        "period_end": 1_790_000_000,
        "period_start": 1_790_000_000,
        "status": "paid",
        "status_transitions": {"finalized_at": 1_790_000_000, "paid_at": 1_790_000_000},
    });
    let mut line = json!({
        "id": "il_1", "object": "line_item", "amount": 1000, "currency": "usd", "quantity": 1,
        "period": {"end": 1_792_592_000, "start": 1_790_000_000},
        "subscription": ids.subscription,
    });
    if rendering == Old {
        invoice["subscription"] = json!(ids.subscription);
        invoice["subscription_details"] = details;
        invoice["paid"] = json!(true);
        invoice["payment_intent"] = json!("pi_1");
        invoice["charge"] = json!("ch_1");
        line["price"] = json!({"id": "price_1"});
        line["type"] = json!("subscription");
        line["proration"] = json!(false);
    } else {
        let mut details = details;
        details["subscription"] = json!(ids.subscription);
        invoice["parent"] = json!({
            "quote_details": null, "subscription_details": details, "type": "subscription_details",
        });
        line["pricing"] = json!({"price_details": {"price": "price_1", "product": "prod_1"}});
        line["parent"] = json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "proration": false, "subscription": ids.subscription, "subscription_item": "si_1",
            },
            "type": "subscription_item_details",
        });
    }
    invoice["lines"] = json!({
        "object": "list", "data": [line], "has_more": false, "total_count": 1,
        "url": format!("/v1/invoices/{}/lines", ids.invoice),
    });
    invoice
}

/// Every object gets fields that no version has.
pub fn with_strangers(mut value: Value) -> Value {
    fn visit(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(visit);
                fields.insert(
                    "added_tomorrow".to_owned(),
                    json!({"deep": [1, null, {"x": "\u{0}"}]}),
                );
                fields.insert("ADDED_TOMORROW".to_owned(), json!(1e300));
            }
            Value::Array(items) => items.iter_mut().for_each(visit),
            _ => {}
        }
    }
    visit(&mut value);
    value
}

/// Adds the fields that `other` has beyond those of `base`.
pub(super) fn merge(base: &mut Value, other: &Value) {
    let none = Map::new();
    let others = other.as_object().unwrap_or(&none);
    for (name, value) in others {
        if base.get(name).is_none() {
            base[name] = value.clone();
        }
    }
}
