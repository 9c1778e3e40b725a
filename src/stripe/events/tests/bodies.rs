//! Payloads as Stripe sends them, cut to what is of interest and some that is not.

use serde_json::{Value, json};

pub fn event(kind: &str, object: Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "api_version": "2026-07-29.dahlia",
        "created": 1_790_000_000, "livemode": false, "type": kind, "pending_webhooks": 1,
        "request": {"id": null, "idempotency_key": null},
        "data": {"object": object, "previous_attributes": {"status": "incomplete"}},
    })
}

pub fn session() -> Value {
    json!({
        "id": "cs_test_1", "object": "checkout.session", "mode": "subscription",
        "status": "complete", "payment_status": "paid", "client_reference_id": "ref-1",
        "metadata": {"order_id": "order-1"}, "customer": "cus_1", "subscription": "sub_1",
        "invoice": "in_1", "payment_intent": null, "url": null, "amount_total": 1000,
        "currency": "eur", "customer_details": {"email": "someone@example.com"},
    })
}

/// `new` puts the period on the items, as basil and later do.
pub fn subscription(new: bool) -> Value {
    let mut item = json!({"id": "si_1", "price": {"id": "price_1"}, "quantity": 1});
    let mut subscription = json!({
        "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1",
        "metadata": {"order_id": "order-1"}, "cancel_at_period_end": false, "cancel_at": null,
        "latest_invoice": "in_1",
    });
    let holder = if new { &mut item } else { &mut subscription };
    holder["current_period_end"] = json!(1_792_000_000);
    subscription["items"] = json!({"object": "list", "has_more": false, "data": [item]});
    subscription
}

/// Basil and later.
pub fn invoice_new() -> Value {
    json!({
        "id": "in_1", "object": "invoice", "status": "open", "customer": "cus_1",
        "customer_email": "someone@example.com", "metadata": {},
        "parent": {"type": "subscription_details", "quote_details": null, "subscription_details": {
            "metadata": {"order_id": "order-1"}, "subscription": "sub_1"}},
        "lines": {"object": "list", "has_more": false, "data": [{
            "id": "il_1", "pricing": {"price_details": {"price": "price_1"}},
            "parent": {"type": "subscription_item_details",
                "subscription_item_details": {"subscription": "sub_1", "proration": false}}}]},
    })
}

/// Up to acacia.
pub fn invoice_old() -> Value {
    json!({
        "id": "in_1", "object": "invoice", "status": "open", "customer": "cus_1", "paid": false,
        "customer_email": "someone@example.com", "metadata": {}, "subscription": "sub_1",
        "subscription_details": {"metadata": {"order_id": "order-1"}},
        "payment_intent": "pi_1", "charge": null,
        "lines": {"object": "list", "has_more": false, "data": [
            {"id": "il_1", "price": {"id": "price_1"}, "subscription": "sub_1"}]},
    })
}

/// A payment that went back whole; `new` names no invoice, as basil and later do.
pub fn charge(new: bool) -> Value {
    let mut charge = json!({
        "id": "ch_1", "object": "charge", "amount": 1000, "amount_refunded": 1000,
        "customer": "cus_1", "disputed": false, "metadata": {}, "payment_intent": "pi_1",
        "refunded": true, "status": "succeeded",
    });
    if !new {
        charge["invoice"] = json!("in_1");
    }
    charge
}

/// The same in every version.
pub fn dispute() -> Value {
    json!({
        "id": "du_1", "object": "dispute", "amount": 1000, "charge": "ch_1", "currency": "eur",
        "is_charge_refundable": false, "livemode": false, "metadata": {},
        "payment_intent": "pi_1", "reason": "fraudulent", "status": "needs_response",
    })
}
