//! The life of a subscription, and the two ways in which it is shown.

use std::time::Duration;

use reqwest::Method;
use sandbox::stripe::{ApiVersion, PayMode, SubscriptionStatus};
use serde_json::{Value, json};

use crate::support::{DAY, START, Shop, read};

async fn subscribed(shop: &Shop) -> String {
    let session = shop.session().await;
    shop.stripe
        .pay(&session, PayMode::Paid)
        .unwrap()
        .subscription
        .unwrap()
}

fn last_event(shop: &Shop) -> (String, Value) {
    let event = shop.stripe.events().pop().unwrap();
    let new = ApiVersion::parse(ApiVersion::NEW).unwrap();
    (event.kind, shop.stripe.event_json(&event.id, &new).unwrap())
}

#[tokio::test]
async fn old_and_new_versions_show_the_period_and_the_links_in_their_places() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    let path = format!("/v1/subscriptions/{id}?expand[]=latest_invoice");
    let old = shop.get_as(&path, "2025-02-24.acacia").await.body;
    let new = shop.get_as(&path, "2025-03-31.basil").await.body;
    let end = shop.stripe.subscription(&id).unwrap().current_period_end;
    assert_eq!(
        end,
        1_902_592_000 + 86_400,
        "2030-03-17 plus one month of 31 days"
    );

    assert_eq!(old["current_period_end"], end);
    assert!(new.get("current_period_end").is_none());
    assert!(old["items"]["data"][0].get("current_period_end").is_none());
    assert_eq!(new["items"]["data"][0]["current_period_end"], end);
    assert!(old.get("billing_mode").is_none() && old.get("discount").is_some());
    assert_eq!(new["billing_mode"]["type"], "flexible");

    let (old, new) = (&old["latest_invoice"], &new["latest_invoice"]);
    assert_eq!(old["subscription"], id);
    assert!(old.get("parent").is_none() && new.get("subscription").is_none());
    let details = &new["parent"]["subscription_details"];
    assert_eq!(details["subscription"], id);
    assert_eq!(details["metadata"], json!({ "order_id": "order-1" }));
    assert_eq!(old["subscription_details"]["metadata"], details["metadata"]);
    assert_eq!((&old["paid"], new.get("paid")), (&json!(true), None));
    assert!(old["payment_intent"].is_string() && new.get("payment_intent").is_none());
    let (old, new) = (&old["lines"]["data"][0], &new["lines"]["data"][0]);
    assert_eq!(old["price"]["id"], "price_plan");
    assert_eq!(new["pricing"]["price_details"]["price"], "price_plan");
    assert!(old.get("pricing").is_none() && new.get("price").is_none());
    let parent = &new["parent"]["subscription_item_details"];
    assert_eq!(
        (&parent["subscription"], &parent["proration"]),
        (&json!(id), &json!(false))
    );

    let session = shop.stripe.sessions()[0].id.clone();
    let path = format!("/v1/checkout/sessions/{session}");
    assert_eq!(
        shop.get_as(&path, "2025-09-30.clover").await.body["ui_mode"],
        "hosted"
    );
    assert_eq!(
        shop.get_as(&path, "2026-03-25.dahlia").await.body["ui_mode"],
        "hosted_page"
    );
}

#[tokio::test]
async fn a_period_renews_and_keeps_the_metadata_of_its_time() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    let first_end = shop.stripe.subscription(&id).unwrap().current_period_end;
    let path = format!("/v1/subscriptions/{id}");
    shop.post(
        &path,
        &[("metadata[order_id]", "order-2"), ("metadata[note]", "x")],
    )
    .await;
    let seconds = u64::try_from(first_end - START).unwrap();
    shop.stripe.advance(Duration::from_secs(seconds));

    let now = shop.stripe.subscription(&id).unwrap();
    assert_eq!(now.current_period_start, first_end);
    assert_eq!(now.status, SubscriptionStatus::Active);
    let invoices = shop
        .get(&format!("/v1/invoices?subscription={id}"))
        .await
        .body;
    let reasons: Vec<&Value> = invoices["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["billing_reason"])
        .collect();
    assert_eq!(reasons, ["subscription_cycle", "subscription_create"]);
    let metadata =
        |at: usize| invoices["data"][at]["parent"]["subscription_details"]["metadata"].clone();
    assert_eq!(metadata(0), json!({ "order_id": "order-2", "note": "x" }));
    assert_eq!(metadata(1), json!({ "order_id": "order-1" }));
    let (kind, event) = last_event(&shop);
    assert_eq!(kind, "customer.subscription.updated");
    let previous = &event["data"]["previous_attributes"];
    assert_eq!(
        previous["items"]["data"][0]["current_period_end"],
        first_end
    );
    assert!(
        previous.get("status").is_none(),
        "only what changed is listed"
    );
}

#[tokio::test]
async fn a_failed_payment_makes_it_past_due_and_leaves_an_open_invoice() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    let failed = shop.stripe.fail_payment(&id).unwrap();
    assert_eq!(failed.status, SubscriptionStatus::PastDue);
    let invoice = shop
        .get(&format!("/v1/invoices/{}", failed.latest_invoice.unwrap()))
        .await
        .body;
    assert_eq!(
        (&invoice["status"], &invoice["attempt_count"]),
        (&json!("open"), &json!(1))
    );
    assert_eq!(invoice["next_payment_attempt"], START + 3 * DAY);
    assert_eq!(invoice["amount_remaining"], 1200);
    let kinds: Vec<String> = shop.stripe.events().into_iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds[4..],
        ["invoice.payment_failed", "customer.subscription.updated"]
    );
    let (_, event) = last_event(&shop);
    assert_eq!(event["data"]["previous_attributes"]["status"], "active");
}

#[tokio::test]
async fn canceling_is_final_and_hides_it_from_the_default_list() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    let other = subscribed(&shop).await;
    let path = format!("/v1/subscriptions/{id}");
    let gone = read(shop.request(Method::DELETE, &path)).await;
    assert_eq!(
        (gone.status, &gone.body["status"]),
        (200, &json!("canceled"))
    );
    assert_eq!(
        (&gone.body["ended_at"], &gone.body["canceled_at"]),
        (&json!(START), &json!(START))
    );
    assert_eq!(
        gone.body["cancellation_details"]["reason"],
        "cancellation_requested"
    );
    assert_eq!(last_event(&shop).0, "customer.subscription.deleted");
    assert_eq!(read(shop.request(Method::DELETE, &path)).await.status, 404);
    assert_eq!(
        shop.post(&path, &[("cancel_at_period_end", "true")])
            .await
            .status,
        400
    );
    assert!(
        shop.stripe
            .set_subscription_status(&id, SubscriptionStatus::Active)
            .is_err()
    );

    assert_eq!(shop.get("/v1/subscriptions").await.ids(), [other.as_str()]);
    assert_eq!(
        shop.get("/v1/subscriptions?status=all").await.ids(),
        [other.as_str(), &id]
    );
    assert_eq!(
        shop.get("/v1/subscriptions?status=canceled").await.ids(),
        [id.as_str()]
    );
    assert!(
        shop.get("/v1/subscriptions?price=price_half")
            .await
            .ids()
            .is_empty()
    );
    let events = shop.stripe.events().len();
    shop.stripe.advance(Duration::from_secs(40 * 86_400));
    let later: Vec<_> = shop.stripe.events().split_off(events);
    assert!(
        later.iter().all(|event| event.object_id != id),
        "nothing follows the end"
    );
}

#[tokio::test]
async fn an_end_at_the_period_end_can_be_planned_and_taken_back() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    let path = format!("/v1/subscriptions/{id}");
    let end = shop.stripe.subscription(&id).unwrap().current_period_end;
    let planned = shop
        .post(&path, &[("cancel_at_period_end", "true")])
        .await
        .body;
    assert_eq!(planned["status"], "active");
    assert_eq!(
        (&planned["cancel_at"], &planned["canceled_at"]),
        (&json!(end), &json!(START))
    );
    let back = shop
        .post(&path, &[("cancel_at_period_end", "false")])
        .await
        .body;
    assert_eq!(
        (&back["cancel_at"], &back["canceled_at"]),
        (&json!(null), &json!(null))
    );

    shop.post(&path, &[("cancel_at_period_end", "true")]).await;
    shop.stripe
        .advance(Duration::from_secs(u64::try_from(end - START).unwrap() + 5));
    let (kind, event) = last_event(&shop);
    assert_eq!(kind, "customer.subscription.deleted");
    let ended = &event["data"]["object"];
    assert_eq!(
        (&ended["ended_at"], &ended["canceled_at"]),
        (&json!(end), &json!(START))
    );
    assert_eq!(
        shop.get("/v1/invoices").await.ids().len(),
        1,
        "it did not renew"
    );
}

#[tokio::test]
async fn a_pause_and_its_end_have_their_own_events() {
    let shop = Shop::open().await;
    let id = subscribed(&shop).await;
    shop.stripe
        .set_subscription_status(&id, SubscriptionStatus::Paused)
        .unwrap();
    shop.stripe
        .set_subscription_status(&id, SubscriptionStatus::Active)
        .unwrap();
    shop.stripe
        .set_subscription_status(&id, SubscriptionStatus::Active)
        .unwrap();
    let kinds: Vec<String> = shop
        .stripe
        .events()
        .into_iter()
        .map(|e| e.kind)
        .skip(4)
        .collect();
    assert_eq!(
        kinds,
        [
            "customer.subscription.updated",
            "customer.subscription.paused",
            "customer.subscription.updated",
            "customer.subscription.resumed"
        ]
    );
}
