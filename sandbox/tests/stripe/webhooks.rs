//! Delivery: signed, retried, and as unpleasant as a test wants it.

use std::time::Duration;

use sandbox::stripe::{DeliveryPolicy, PayMode, ReleaseOrder, StripeConfig, WebhookSwitches, sign};

use crate::support::{PATIENCE, Receiver, START, Shop, config, until};

const SECRET: &str = "whsec_first";
const NEW: &str = "2026-07-29.dahlia";

fn quick(backoff: Option<Duration>) -> StripeConfig {
    let delivery = DeliveryPolicy {
        backoff,
        attempts: 3,
        ..DeliveryPolicy::default()
    };
    StripeConfig {
        delivery,
        ..config()
    }
}

fn signatures(header: &str) -> (i64, Vec<String>) {
    let mut parts = header.split(',');
    let time = parts
        .next()
        .unwrap()
        .strip_prefix("t=")
        .unwrap()
        .parse()
        .unwrap();
    (
        time,
        parts
            .map(|part| part.strip_prefix("v1=").unwrap().to_owned())
            .collect(),
    )
}

#[tokio::test]
async fn a_paid_session_arrives_signed_and_in_order() {
    let shop = Shop::open().await;
    let receiver = Receiver::answering(&[]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    let session = shop.session().await;
    shop.stripe.pay(&session, PayMode::Paid).unwrap();
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    assert_eq!(
        receiver.kinds(),
        [
            "customer.created",
            "customer.subscription.created",
            "invoice.paid",
            "checkout.session.completed"
        ]
    );
    for hook in receiver.hooks() {
        let (time, _) = signatures(&hook.signature);
        assert_eq!(hook.signature, sign(SECRET, time, &hook.body));
        let age = time - time::OffsetDateTime::now_utc().unix_timestamp();
        assert!(
            age.abs() < 60,
            "signatures carry the machine's time by default"
        );
        assert_eq!(
            hook.json()["created"],
            START,
            "objects carry the sandbox clock"
        );
    }
    let done = shop
        .get("/v1/events?delivery_success=true")
        .await
        .ids()
        .len();
    assert_eq!((done, shop.stripe.deliveries().len()), (4, 4));
}

#[tokio::test]
async fn each_endpoint_gets_its_own_version() {
    let shop = Shop::open().await;
    let (old, new) = (
        Receiver::answering(&[]).await,
        Receiver::answering(&[]).await,
    );
    shop.stripe
        .set_webhook_endpoint(&old.url, "whsec_old", "2025-02-24.acacia")
        .unwrap();
    shop.stripe
        .add_webhook_endpoint(&new.url, "whsec_new", NEW)
        .unwrap();
    assert!(
        shop.stripe
            .add_webhook_endpoint(&new.url, "whsec_new", "soon")
            .is_err()
    );
    let session = shop.session().await;
    shop.stripe.pay(&session, PayMode::Paid).unwrap();
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let (old, new) = (old.hooks()[2].json(), new.hooks()[2].json());
    assert_eq!(
        (&old["id"], &old["type"]),
        (&new["id"], &"invoice.paid".into())
    );
    assert_eq!(old["api_version"], "2025-02-24.acacia");
    assert!(old["data"]["object"]["subscription"].is_string());
    assert!(new["data"]["object"]["parent"]["subscription_details"]["subscription"].is_string());
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_a_bounded_number_of_times() {
    let shop = Shop::with(quick(Some(Duration::from_millis(1)))).await;
    let receiver = Receiver::answering(&[500, 302, 503, 400]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    shop.post("/v1/customers", &[]).await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let tries = |shop: &Shop| -> Vec<(u16, u32)> {
        shop.stripe
            .deliveries()
            .iter()
            .map(|d| (d.status, d.attempt))
            .collect()
    };
    assert_eq!(tries(&shop), [(500, 1), (302, 2), (503, 3)]);
    assert_eq!(
        shop.get("/v1/events?delivery_success=false")
            .await
            .ids()
            .len(),
        1
    );

    shop.post("/v1/customers", &[]).await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    assert_eq!(tries(&shop)[3..], [(400, 1), (200, 2)]);
    let failed = shop.get("/v1/events?delivery_success=false").await.ids();
    assert_eq!(failed, [shop.stripe.events()[0].id.clone()]);
    shop.stripe.deliver(&failed[0]).unwrap();
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    assert!(
        shop.get("/v1/events?delivery_success=false")
            .await
            .ids()
            .is_empty()
    );
}

#[tokio::test]
async fn retries_can_be_left_to_hand() {
    let shop = Shop::with(quick(None)).await;
    let receiver = Receiver::answering(&[500]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    shop.post("/v1/customers", &[]).await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    assert_eq!(receiver.hooks().len(), 1);
    assert_eq!(shop.stripe.retry_failed(), 1);
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let hooks = receiver.hooks();
    assert_eq!((hooks.len(), hooks[0].id()), (2, hooks[1].id()));
    assert_eq!(shop.stripe.retry_failed(), 0);
}

#[tokio::test]
async fn events_made_while_delivery_is_off_are_only_found_in_the_list() {
    let shop = Shop::open().await;
    let receiver = Receiver::answering(&[]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    shop.stripe.set_webhooks(WebhookSwitches {
        enabled: false,
        ..WebhookSwitches::default()
    });
    shop.post("/v1/customers", &[]).await;
    shop.stripe.set_webhooks(WebhookSwitches::default());
    shop.post("/v1/customers", &[]).await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let lost = shop.stripe.events()[0].id.clone();
    assert_eq!(receiver.hooks().len(), 1);
    assert_eq!(
        shop.get("/v1/events?delivery_success=false").await.ids(),
        [lost]
    );
}

#[tokio::test]
async fn copies_rolled_secrets_and_fields_of_tomorrow() {
    let shop = Shop::open().await;
    let receiver = Receiver::answering(&[]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    shop.stripe.set_webhooks(WebhookSwitches {
        doubled: true,
        extra_fields: true,
        sandbox_time: true,
        ..WebhookSwitches::default()
    });
    shop.stripe.roll_webhook_secret("whsec_second");
    shop.post("/v1/customers", &[]).await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let hooks = receiver.hooks();
    assert_eq!((hooks.len(), hooks[0].id()), (2, hooks[1].id()));
    let (time, both) = signatures(&hooks[0].signature);
    assert_eq!(time, START);
    let expect = |secret: &str| signatures(&sign(secret, START, &hooks[0].body)).1.remove(0);
    assert_eq!(both, [expect("whsec_second"), expect(SECRET)]);
    assert!(hooks[0].json()["data"]["object"]["sandbox_extra"].is_string());
}

#[tokio::test]
async fn held_events_are_released_in_any_order() {
    let shop = Shop::open().await;
    let receiver = Receiver::answering(&[]).await;
    shop.stripe
        .set_webhook_endpoint(&receiver.url, SECRET, NEW)
        .unwrap();
    shop.stripe.set_webhooks(WebhookSwitches {
        hold: true,
        ..WebhookSwitches::default()
    });
    let session = shop.session().await;
    shop.stripe.pay(&session, PayMode::Paid).unwrap();
    let held = shop.stripe.held();
    assert_eq!((held.len(), receiver.hooks().len()), (4, 0));
    shop.stripe.release(&held[3..]).unwrap();
    assert!(shop.stripe.release(&held[3..]).is_err(), "it was let go");
    shop.stripe.release_all(ReleaseOrder::Reversed);
    until("all arrive", || receiver.hooks().len() == 4).await;
    let arrived: Vec<String> = receiver.hooks().iter().map(|hook| hook.id()).collect();
    assert_eq!(
        arrived,
        [&held[3], &held[2], &held[1], &held[0]].map(String::clone)
    );
}
