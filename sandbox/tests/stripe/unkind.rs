//! Deliveries and subscriptions as unkind as they can be, told over HTTP.

use sandbox::stripe::sign;
use serde_json::{Value, json};

use crate::support::{Hook, PATIENCE, Receiver, Shop};

const SECRET: &str = "whsec_first";
const NEW: &str = "2026-07-29.dahlia";

async fn listen(shop: &Shop, switches: Value) -> Receiver {
    let receiver = Receiver::answering(&[]).await;
    let endpoint = json!({ "url": receiver.url, "secret": SECRET, "api_version": NEW });
    shop.control("webhooks", json!({ "endpoint": endpoint }))
        .await;
    let set = shop.control("webhooks", switches).await;
    assert_eq!(set.status, 200, "{:?}", set.body);
    receiver
}

async fn pay(shop: &Shop) -> String {
    let session = shop.session().await;
    let paid = shop
        .control(
            &format!("sessions/{session}/pay"),
            json!({ "mode": "paid" }),
        )
        .await;
    assert_eq!(paid.status, 200);
    session
}

async fn arrived(shop: &Shop, receiver: &Receiver) -> Vec<Hook> {
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    receiver.hooks()
}

async fn counts(shop: &Shop) -> Value {
    shop.read_control("webhooks").await["counts"].clone()
}

#[tokio::test]
async fn events_come_late_by_the_clock() {
    let shop = Shop::open().await;
    let receiver = listen(&shop, json!({ "late_seconds": 3 * 86_400 })).await;
    pay(&shop).await;
    shop.control("clock", json!({ "advance_seconds": 86_400 }))
        .await;
    assert_eq!(arrived(&shop, &receiver).await.len(), 0);
    shop.control("clock", json!({ "advance_seconds": 2 * 86_400 }))
        .await;
    let hooks = arrived(&shop, &receiver).await;
    assert_eq!(hooks.len(), 4);
    assert_eq!(
        hooks[3].kind(),
        "checkout.session.completed",
        "in the order they were made"
    );
    assert_eq!(counts(&shop).await["late"], 4);
}

#[tokio::test]
async fn events_come_twice_and_shuffled() {
    let shop = Shop::open().await;
    let receiver = listen(&shop, json!({ "doubled": true, "hold": true })).await;
    pay(&shop).await;
    let held = shop.read_control("webhooks").await["held"].clone();
    assert_eq!(held.as_array().unwrap().len(), 8);
    shop.control("webhooks/release", json!({ "order": { "shuffled": 5 } }))
        .await;
    let ids: Vec<String> = arrived(&shop, &receiver)
        .await
        .iter()
        .map(Hook::id)
        .collect();
    let made: Vec<&str> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_ne!(ids, made);
    let mut sorted = (ids, made);
    sorted.0.sort();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    let counts = counts(&shop).await;
    assert_eq!(
        (&counts["doubled"], &counts["held"]),
        (&json!(4), &json!(8))
    );
    assert!(counts["shuffled"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn both_secrets_sign_in_either_order() {
    let shop = Shop::open().await;
    for former_first in [false, true] {
        let receiver = listen(&shop, json!({ "former_first": former_first })).await;
        shop.control("webhooks/roll", json!({ "secret": "whsec_second" }))
            .await;
        pay(&shop).await;
        for hook in arrived(&shop, &receiver).await {
            let (time, signatures) = hook.signature.split_once(",v1=").unwrap();
            let time: i64 = time.strip_prefix("t=").unwrap().parse().unwrap();
            let by = |secret| {
                sign(secret, time, &hook.body)
                    .rsplit_once('=')
                    .unwrap()
                    .1
                    .to_owned()
            };
            let order = match former_first {
                true => [SECRET, "whsec_second"],
                false => ["whsec_second", SECRET],
            };
            assert_eq!(signatures, order.map(by).join(",v1="));
        }
    }
    assert_eq!(counts(&shop).await["two_signatures"], 8);
}

#[tokio::test]
async fn some_or_all_events_are_never_delivered() {
    let shop = Shop::open().await;
    let receiver = listen(&shop, json!({ "withheld": ["checkout.session.*"] })).await;
    pay(&shop).await;
    let kinds: Vec<String> = arrived(&shop, &receiver)
        .await
        .iter()
        .map(Hook::kind)
        .collect();
    assert_eq!(
        kinds,
        [
            "customer.created",
            "customer.subscription.created",
            "invoice.paid"
        ]
    );
    shop.control("webhooks", json!({ "withheld": [], "enabled": false }))
        .await;
    pay(&shop).await;
    assert_eq!(arrived(&shop, &receiver).await.len(), 3);
    assert_eq!(counts(&shop).await["never"], 5);
    let listed = shop.get("/v1/events?type=checkout.session.completed").await;
    assert_eq!(listed.ids().len(), 2, "they can be read back all the same");
}

fn is_new(hook: &Hook) -> bool {
    let object = &hook.json()["data"]["object"];
    let old = object["subscription"].is_string();
    let new = object["parent"]["subscription_details"]["subscription"].is_string();
    assert_ne!(old, new, "{object}");
    assert_eq!(hook.json()["api_version"] == NEW, new);
    new
}

#[tokio::test]
async fn each_delivery_has_the_form_that_was_asked_for() {
    let shop = Shop::open().await;
    let receiver = listen(&shop, json!({ "enabled": false })).await;
    pay(&shop).await;
    let events = shop.read_control("events").await;
    let events = events.as_array().unwrap();
    let invoice = events
        .iter()
        .find(|event| event["type"] == "invoice.paid")
        .unwrap();
    let deliver = format!("events/{}/deliver", invoice["id"].as_str().unwrap());
    for version in ["2025-02-24.acacia", NEW] {
        shop.control(&deliver, json!({ "api_version": version }))
            .await;
    }
    for rendering in ["old", "new", "alternating", "alternating", "endpoint"] {
        shop.control("webhooks", json!({ "rendering": rendering }))
            .await;
        shop.control(&deliver, json!({})).await;
    }
    let forms: Vec<bool> = arrived(&shop, &receiver).await.iter().map(is_new).collect();
    assert_eq!(forms, [false, true, false, true, false, true, true]);
    let counts = counts(&shop).await;
    assert_eq!((&counts["old"], &counts["new"]), (&json!(3), &json!(4)));
    let odd = shop
        .control(&deliver, json!({ "api_version": "soon" }))
        .await;
    assert_eq!(odd.status, 400);
}

#[tokio::test]
async fn a_subscription_is_named_before_it_can_be_found() {
    let shop = Shop::open().await;
    shop.control(
        "subscriptions/lag",
        json!({ "seconds": 30, "linked": true }),
    )
    .await;
    let session = pay(&shop).await;
    let path = format!("/v1/checkout/sessions/{session}");
    let named = shop.get(&path).await.body["subscription"]
        .as_str()
        .unwrap()
        .to_owned();
    let subscription = format!("/v1/subscriptions/{named}");
    assert_eq!(shop.get(&subscription).await.status, 404);
    assert_eq!(
        shop.get("/v1/subscriptions?status=all").await.ids().len(),
        0
    );
    let expanded = shop.get(&format!("{path}?expand[]=subscription")).await;
    assert_eq!(expanded.body["subscription"], named.as_str());
    let ended = shop
        .request(reqwest::Method::DELETE, &subscription)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status().as_u16(), 404);
    shop.control("clock", json!({ "advance_seconds": 30 }))
        .await;
    assert_eq!(shop.get(&subscription).await.status, 200);
    let lag = shop.read_control("subscriptions/lag").await;
    assert_eq!(lag["counts"], json!({ "lagged": 1, "missed": 2 }));
}

#[tokio::test]
async fn a_session_is_complete_before_its_subscription_is_made() {
    let shop = Shop::open().await;
    let receiver = listen(&shop, json!({})).await;
    shop.control("subscriptions/lag", json!({ "linked": false }))
        .await;
    let session = pay(&shop).await;
    let path = format!("/v1/checkout/sessions/{session}");
    let seen = shop.get(&path).await.body;
    assert_eq!(
        (&seen["status"], &seen["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    assert_eq!(
        (&seen["subscription"], &seen["invoice"]),
        (&Value::Null, &Value::Null)
    );
    let kinds = async || {
        let hooks = arrived(&shop, &receiver).await;
        hooks.iter().map(Hook::kind).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds().await,
        ["customer.created", "checkout.session.completed"]
    );
    let revealed = shop.control("subscriptions/reveal", json!({})).await;
    assert_eq!(revealed.body["revealed"], 1);
    let seen = shop.get(&path).await.body;
    let subscription = format!(
        "/v1/subscriptions/{}",
        seen["subscription"].as_str().unwrap()
    );
    assert_eq!(shop.get(&subscription).await.body["status"], "active");
    assert_eq!(
        kinds().await[2..],
        ["customer.subscription.created", "invoice.paid"]
    );
    let lag = shop.read_control("subscriptions/lag").await;
    assert_eq!(lag["counts"], json!({ "lagged": 1, "missed": 1 }));
    shop.control("subscriptions/lag", Value::Null).await;
    let prompt = pay(&shop).await;
    assert!(
        shop.get(&format!("/v1/checkout/sessions/{prompt}"))
            .await
            .body["subscription"]
            .is_string()
    );
}
