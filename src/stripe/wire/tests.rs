use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn read<W: DeserializeOwned, T: From<W>>(value: Value) -> T {
    T::from(serde_json::from_value::<W>(value).unwrap())
}

fn session(extra: Value) -> super::super::Session {
    read::<Session, _>(merged(session_json(), extra))
}

fn subscription(extra: Value) -> super::super::Subscription {
    read::<Subscription, _>(merged(
        json!({"id": "sub_1", "object": "subscription", "status": "active", "livemode": true}),
        extra,
    ))
}

fn session_json() -> Value {
    json!({
        "id": "cs_test_1", "object": "checkout.session", "status": "open", "mode": "subscription",
        "payment_status": "unpaid", "expires_at": 1_800_000_000, "created": 1_799_998_000,
        "livemode": false, "ui_mode": "hosted_page", "total_details": {"amount_tax": 0},
    })
}

fn merged(mut base: Value, extra: Value) -> Value {
    let (Value::Object(base_map), Value::Object(extra)) = (&mut base, extra) else {
        unreachable!("objects only")
    };
    base_map.extend(extra);
    base
}

fn line(id: &str, price: &str, quantity: i64) -> super::super::Line {
    super::super::Line {
        id: id.to_owned(),
        price: price.to_owned(),
        quantity,
    }
}

#[test]
fn a_full_session_is_read() {
    let read = session(json!({
        "status": "complete", "payment_status": "paid", "url": null,
        "customer": "cus_1", "subscription": "sub_1", "amount_subtotal": 1500,
        "amount_total": 1785, "currency": "eur", "client_reference_id": "order-1",
        "metadata": {"order_id": "order-1", "term": "monthly"},
        "line_items": {"object": "list", "has_more": false, "data": [
            {"id": "li_1", "price": {"id": "price_1", "unit_amount": 1000}, "quantity": 1},
            {"id": "li_2", "price": "price_2", "quantity": 5, "taxes": []},
        ]},
    }));
    assert_eq!(read.id, "cs_test_1");
    assert_eq!(
        (read.status.as_str(), read.payment_status.as_str()),
        ("complete", "paid")
    );
    assert_eq!(
        (read.expires_at, read.created),
        (1_800_000_000, 1_799_998_000)
    );
    assert!(!read.livemode && read.url.is_none());
    assert_eq!(read.customer.as_deref(), Some("cus_1"));
    assert_eq!(read.subscription.as_deref(), Some("sub_1"));
    assert_eq!(
        (read.amount_subtotal, read.currency.as_deref()),
        (Some(1500), Some("eur"))
    );
    assert_eq!(read.client_reference_id.as_deref(), Some("order-1"));
    assert_eq!(read.order_id.as_deref(), Some("order-1"));
    assert_eq!(
        read.lines,
        Some(vec![line("li_1", "price_1", 1), line("li_2", "price_2", 5)])
    );
}

#[test]
fn a_bare_session_is_read_and_new_words_are_kept() {
    let bare = session(json!({}));
    assert!(bare.customer.is_none() && bare.lines.is_none() && bare.order_id.is_none());
    let odd = session(json!({"status": "paused_by_moon", "payment_status": "iou"}));
    assert_eq!(
        (odd.status.as_str(), odd.payment_status.as_str()),
        ("paused_by_moon", "iou")
    );
    assert_eq!(session(json!({"status": null})).status, "");
}

#[test]
fn a_session_without_what_decisions_rest_on_is_unreadable() {
    for field in ["id", "payment_status", "expires_at", "created", "livemode"] {
        let mut value = session_json();
        value.as_object_mut().unwrap().remove(field);
        assert!(
            serde_json::from_value::<Session>(value.clone()).is_err(),
            "no {field}"
        );
        value[field] = Value::Null;
        assert!(
            serde_json::from_value::<Session>(value).is_err(),
            "null {field}"
        );
    }
}

#[test]
fn references_are_ids_objects_or_nothing() {
    for (value, expected) in [
        (json!("cus_1"), Some("cus_1")),
        (
            json!({"id": "cus_1", "object": "customer", "email": "x"}),
            Some("cus_1"),
        ),
        (json!({"id": "cus_1", "deleted": true}), Some("cus_1")),
        (Value::Null, None),
        (json!({}), None),
        (json!({"id": 7}), None),
        (json!(7), None),
        (json!([]), None),
    ] {
        let read = session(json!({"customer": value, "subscription": value}));
        assert_eq!(read.customer.as_deref(), expected, "{value}");
        assert_eq!(read.subscription.as_deref(), expected, "{value}");
    }
}

#[test]
fn metadata_may_be_anything_but_only_text_is_an_order_id() {
    for (value, expected) in [
        (json!({"order_id": "o-1"}), Some("o-1")),
        (json!({"order_id": 7}), None),
        (json!({"order_id": null}), None),
        (json!({}), None),
        (Value::Null, None),
    ] {
        assert_eq!(
            session(json!({"metadata": value})).order_id.as_deref(),
            expected,
            "{value}"
        );
    }
}

#[test]
fn lines_are_given_only_where_they_are_whole() {
    let data = json!([{"price": "price_1", "quantity": 1}]);
    let whole = session(json!({"line_items": {"data": data, "has_more": false}}));
    assert_eq!(whole.lines, Some(vec![line("", "price_1", 1)]));
    for part in [
        json!({"data": data, "has_more": true}),
        json!({"data": data}),
    ] {
        assert_eq!(session(json!({"line_items": part})).lines, None);
        assert_eq!(subscription(json!({"items": part})).lines, None);
    }
    let nameless = json!({"data": [{"price": null, "quantity": null}], "has_more": false});
    assert_eq!(
        session(json!({"line_items": nameless})).lines,
        Some(vec![line("", "", 0)])
    );
}

#[test]
fn the_period_ends_where_the_last_item_does_else_at_the_old_place() {
    let items = |ends: Value| {
        let data: Vec<Value> = ends
            .as_array()
            .unwrap()
            .iter()
            .map(|end| json!({"price": "p", "quantity": 1, "current_period_end": end}))
            .collect();
        json!({"data": data, "has_more": false})
    };
    for (ends, old, expected) in [
        (json!([100, 300, 200]), Value::Null, Some(300)),
        (json!([100, 300]), json!(900), Some(300)),
        (json!([null, 100]), json!(900), Some(100)),
        (json!([null]), json!(900), Some(900)),
        (json!([]), json!(900), Some(900)),
        (json!([]), Value::Null, None),
    ] {
        let read = subscription(json!({"items": items(ends.clone()), "current_period_end": old}));
        assert_eq!(read.current_period_end, expected, "{ends} {old}");
    }
    assert_eq!(
        subscription(json!({"current_period_end": 5})).current_period_end,
        Some(5)
    );
}

#[test]
fn a_cancellation_is_read_in_both_forms() {
    for (cancel_at, at_period_end, expected) in [
        (json!(700), json!(false), Some(700)),
        (json!(700), json!(true), Some(700)),
        (Value::Null, json!(true), Some(900)),
        (Value::Null, json!(false), None),
        (Value::Null, Value::Null, None),
    ] {
        let read = subscription(json!({
            "cancel_at": cancel_at, "cancel_at_period_end": at_period_end,
            "current_period_end": 900,
        }));
        assert_eq!(read.cancel_at, expected, "{cancel_at} {at_period_end}");
    }
    assert_eq!(
        subscription(json!({"cancel_at_period_end": true})).cancel_at,
        None
    );
}

#[test]
fn a_subscription_keeps_its_words_and_links() {
    let read = subscription(json!({
        "status": "hibernating", "customer": {"id": "cus_1"}, "currency": "usd", "ended_at": 8,
        "metadata": {"order_id": "o-1"}, "billing_mode": {"type": "flexible"},
        "items": {"has_more": false, "data": [
            {"id": "si_1", "price": {"id": "price_1"}, "quantity": 2, "billed_until": 4},
        ]},
    }));
    assert_eq!(
        (read.id.as_str(), read.status.as_str()),
        ("sub_1", "hibernating")
    );
    assert_eq!(read.customer.as_deref(), Some("cus_1"));
    assert_eq!(
        (read.currency.as_deref(), read.ended_at),
        (Some("usd"), Some(8))
    );
    assert_eq!(read.order_id.as_deref(), Some("o-1"));
    assert!(read.livemode);
    assert_eq!(read.lines, Some(vec![line("si_1", "price_1", 2)]));
    assert_eq!(read.pending_until, None);
    let update = json!({"expires_at": 77, "subscription_items": [], "trial_end": null});
    let read = subscription(json!({"pending_update": update}));
    assert_eq!(read.pending_until, Some(77));
    assert_eq!(
        subscription(json!({"pending_update": null})).pending_until,
        None
    );
}

#[test]
fn tax_is_read_wherever_stripe_shows_it() {
    let base = json!({
        "id": "in_1", "object": "invoice", "status": "paid", "livemode": true, "currency": "eur",
        "created": 5, "total": 1190, "amount_paid": 1190, "lines": {"data": []},
    });
    for (extra, untaxed) in [
        (
            json!({"total_excluding_tax": 1000, "total_taxes": []}),
            1000,
        ),
        (
            json!({"total_taxes": [{"amount": 100}, {"amount": 90, "type": "x"}]}),
            1000,
        ),
        (
            json!({"total_excluding_tax": null, "total_tax_amounts": [{"amount": 190}]}),
            1000,
        ),
        (json!({"tax": 190}), 1000),
        (json!({"tax": null}), 1190),
        (json!({}), 1190),
    ] {
        let read: super::super::Invoice = read::<Invoice, _>(merged(base.clone(), extra.clone()));
        assert_eq!(read.total_excluding_tax, untaxed, "{extra}");
        assert_eq!((read.total, read.amount_paid), (1190, 1190));
    }
    let draft = merged(base.clone(), json!({"status": null}));
    let draft: super::super::Invoice = read::<Invoice, _>(draft);
    assert_eq!(draft.status, "");
    // Whether it is ours and what was paid is no guess.
    for field in ["livemode", "currency", "created", "total", "amount_paid"] {
        let mut without = base.clone();
        without.as_object_mut().unwrap().remove(field);
        assert!(
            serde_json::from_value::<Invoice>(without).is_err(),
            "{field}"
        );
    }
}

#[test]
fn prices_recur_or_do_not() {
    let base = json!({"id": "price_1", "active": true, "livemode": false, "currency": "eur"});
    let monthly: super::super::Price = read::<Price, _>(merged(
        base.clone(),
        json!({"unit_amount": 1000, "recurring": {
            "interval": "month", "interval_count": 3, "usage_type": "licensed", "meter": null}}),
    ));
    assert_eq!(
        (monthly.id.as_str(), monthly.unit_amount),
        ("price_1", Some(1000))
    );
    assert_eq!(
        (monthly.interval.as_deref(), monthly.interval_count),
        (Some("month"), Some(3))
    );
    assert_eq!(monthly.usage_type.as_deref(), Some("licensed"));
    assert!(monthly.active && !monthly.livemode && monthly.currency == "eur");
    let once: super::super::Price = read::<Price, _>(merged(
        base,
        json!({"unit_amount": null, "recurring": null}),
    ));
    assert!(once.interval.is_none() && once.unit_amount.is_none() && once.usage_type.is_none());
}

#[test]
fn a_page_must_say_whether_more_follows() {
    let page = json!({"object": "list", "data": [session_json()], "has_more": true});
    let read: super::super::Page<super::super::Session> = read::<Page<Session>, _>(page.clone());
    assert!(read.has_more && read.data.len() == 1);
    let mut silent = page;
    silent.as_object_mut().unwrap().remove("has_more");
    assert!(serde_json::from_value::<Page<Session>>(silent).is_err());
}
