//! Reading events back.

use std::time::Duration;

use serde_json::json;

use crate::support::{START, Shop};

#[tokio::test]
async fn pages_run_from_the_newest_to_the_oldest_and_back() {
    let shop = Shop::open().await;
    for _ in 0..5 {
        shop.post("/v1/customers", &[]).await;
        shop.stripe.advance(Duration::from_secs(10));
    }
    let mut newest: Vec<String> = shop.stripe.events().into_iter().map(|e| e.id).collect();
    newest.reverse();
    let first = shop.get("/v1/events?limit=2").await;
    assert_eq!(
        (first.ids().as_slice(), &first.body["has_more"]),
        (&newest[..2], &json!(true))
    );
    let rest = shop
        .get(&format!("/v1/events?limit=3&starting_after={}", newest[1]))
        .await;
    assert_eq!(
        (rest.ids().as_slice(), &rest.body["has_more"]),
        (&newest[2..], &json!(false))
    );
    let back = shop
        .get(&format!("/v1/events?limit=2&ending_before={}", newest[4]))
        .await;
    assert_eq!(
        back.ids(),
        newest[2..4],
        "the nearest newer ones, still newest first"
    );
    assert_eq!(back.body["has_more"], true);

    let window = format!(
        "/v1/events?created[gte]={}&created[lt]={}",
        START + 10,
        START + 30
    );
    assert_eq!(shop.get(&window).await.ids(), newest[2..4]);
    for wrong in [
        "limit=0",
        "limit=101",
        "limit=x",
        "starting_after=evt_none",
        "type=a&types[]=b",
        "created[gte]=x",
        "colour=red",
    ] {
        assert_eq!(
            shop.get(&format!("/v1/events?{wrong}")).await.status,
            400,
            "{wrong}"
        );
    }
    let both = format!("/v1/events?starting_after={0}&ending_before={0}", newest[0]);
    assert_eq!(shop.get(&both).await.status, 400);
}

#[tokio::test]
async fn types_choose_events() {
    let shop = Shop::open().await;
    shop.post("/v1/customers", &[]).await;
    let session = shop.session().await;
    shop.stripe.expire(&session).unwrap();
    let count = async |query: &str| shop.get(&format!("/v1/events?{query}")).await.ids().len();
    assert_eq!(count("type=customer.created").await, 1);
    assert_eq!(count("type=checkout.session.*").await, 1);
    assert_eq!(count("type=*").await, 2);
    assert_eq!(
        count("types[]=customer.created&types[]=checkout.session.expired").await,
        2
    );
    let many: Vec<String> = (0..21).map(|n| format!("types[]=t{n}")).collect();
    assert_eq!(
        shop.get(&format!("/v1/events?{}", many.join("&")))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn an_event_names_its_cause_and_is_gone_after_thirty_days() {
    let shop = Shop::open().await;
    let made = shop
        .post_keyed("/v1/customers", &[("email", "a@example.com")], "key-1")
        .await;
    let id = shop.stripe.events()[0].id.clone();
    let event = shop.get(&format!("/v1/events/{id}")).await.body;
    assert_eq!(event["request"]["idempotency_key"], "key-1");
    assert_eq!(event["request"]["id"], made.header("request-id").unwrap());
    assert_eq!(event["data"]["object"], made.body);
    assert_eq!(event["api_version"], "2026-07-29.dahlia");
    shop.stripe.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(shop.get("/v1/events").await.ids().len(), 1);
    shop.stripe.advance(Duration::from_secs(1));
    assert!(shop.get("/v1/events").await.ids().is_empty());
    assert_eq!(shop.get(&format!("/v1/events/{id}")).await.status, 404);
}
