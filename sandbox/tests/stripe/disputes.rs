//! Banks that take money back, or ask first: what is told, what is refused, and what Stripe does.

use std::time::Duration;

use sandbox::stripe::{
    ApiVersion, DisputeOutcome, DisputeStatus, DisputedPayments, PayMode, PaymentView,
    StripeConfig, SubscriptionStatus,
};
use serde_json::{Value, json};

use crate::support::{DAY, PATIENCE, Receiver, START, Shop, config};

const HOUR: Duration = Duration::from_secs(3600);

/// A paid subscription and its payment.
async fn paid(shop: &Shop) -> (String, PaymentView) {
    let session = shop.session().await;
    let subscription = shop.stripe.pay(&session, PayMode::Paid).unwrap();
    let subscription = subscription.subscription.unwrap();
    let payment = shop.stripe.payment(&session).unwrap();
    assert_eq!(shop.stripe.payment(&subscription).unwrap(), payment);
    (subscription, payment)
}

/// The types of what was told of disputes and refunds, in order.
fn told(shop: &Shop) -> Vec<String> {
    let events = shop.stripe.events().into_iter().map(|event| event.kind);
    let about = |kind: &String| kind.starts_with("charge.") || kind.starts_with("refund.");
    events.filter(about).collect()
}

/// The last event of a type, as new endpoints get it.
fn last(shop: &Shop, kind: &str) -> Value {
    last_as(shop, kind, ApiVersion::NEW)
}

fn last_as(shop: &Shop, kind: &str, version: &str) -> Value {
    let events = shop.stripe.events();
    let event = events.iter().rfind(|event| event.kind == kind).unwrap();
    let version = ApiVersion::parse(version).unwrap();
    shop.stripe.event_json(&event.id, &version).unwrap()
}

#[tokio::test]
async fn a_dispute_takes_the_money_at_once_and_names_nobody() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop).await;
    let id = shop
        .stripe
        .open_dispute(&payment.charge, "fraudulent")
        .unwrap();
    assert_eq!(
        told(&shop),
        ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    );
    let read = shop.get(&format!("/v1/disputes/{id}")).await.body;
    assert_eq!(
        last(&shop, "charge.dispute.created")["data"]["object"],
        read
    );
    assert_eq!(
        last_as(&shop, "charge.dispute.created", ApiVersion::OLD)["data"]["object"],
        read
    );
    assert_eq!(
        (&read["charge"], &read["payment_intent"], &read["amount"]),
        (
            &json!(payment.charge),
            &json!(payment.payment_intent),
            &json!(1200)
        )
    );
    assert_eq!(
        (&read["status"], &read["metadata"]),
        (&json!("needs_response"), &json!({}))
    );
    let [taken] = read["balance_transactions"].as_array().unwrap().as_slice() else {
        unreachable!("{read}")
    };
    assert_eq!(
        (&taken["amount"], &taken["net"]),
        (&json!(-1200), &json!(-2700))
    );
    for field in ["customer", "invoice", "subscription"] {
        assert!(read.get(field).is_none(), "{field}");
    }
    let expanded = format!("/v1/disputes/{id}?expand[]=charge");
    let charge = shop.get(&expanded).await.body["charge"].clone();
    assert_eq!(
        (&charge["disputed"], &charge["refunded"]),
        (&json!(true), &json!(false))
    );
    let view = shop.stripe.dispute(&id).unwrap();
    assert_eq!(view.subscription, Some(subscription.clone()));
    // By itself a dispute ends no subscription.
    shop.stripe.advance(2 * HOUR);
    let kept = shop.stripe.subscription(&subscription).unwrap();
    assert_eq!(kept.status, SubscriptionStatus::Active);
}

#[tokio::test]
async fn a_dispute_is_won_lost_or_was_a_question() {
    let shop = Shop::open().await;
    let (_, payment) = paid(&shop).await;
    let of = payment.payment_intent.as_str();
    let opened = told(&shop).len();
    let won = shop.stripe.open_dispute(of, "general").unwrap();
    let early = shop
        .stripe
        .close_dispute(&won, DisputeOutcome::WarningClosed);
    assert_eq!(early.unwrap_err().status, 400);
    let view = shop
        .stripe
        .close_dispute(&won, DisputeOutcome::Won)
        .unwrap();
    assert_eq!(view.status, DisputeStatus::Won);
    assert_eq!(
        told(&shop)[opened..],
        [
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated",
        ]
    );
    let closed = last(&shop, "charge.dispute.closed");
    assert_eq!(closed["data"]["object"]["status"], "won");
    assert_eq!(
        closed["data"]["previous_attributes"]["status"],
        "under_review"
    );
    assert!(
        shop.stripe
            .close_dispute(&won, DisputeOutcome::Lost)
            .is_err()
    );

    let before = told(&shop).len();
    let lost = shop.stripe.open_dispute_over(of, "duplicate", 200).unwrap();
    shop.stripe
        .close_dispute(&lost, DisputeOutcome::Lost)
        .unwrap();
    assert_eq!(told(&shop)[before + 2..], ["charge.dispute.closed"]);
    assert_eq!(shop.stripe.dispute(&lost).unwrap().amount, 200);
    assert!(
        shop.stripe
            .open_dispute_over(of, "duplicate", 1201)
            .is_err()
    );
    assert!(shop.stripe.open_dispute(of, "dislike").is_err());
    assert!(shop.stripe.open_dispute("pi_other", "general").is_err());
}

#[tokio::test]
async fn an_inquiry_takes_nothing_and_may_become_a_dispute_under_its_id() {
    let shop = Shop::open().await;
    let (_, payment) = paid(&shop).await;
    let of = payment.invoice.as_deref().unwrap();
    let asked = shop.stripe.open_inquiry(of, "unrecognized").unwrap();
    assert_eq!(told(&shop), ["charge.dispute.created"]);
    let read = last(&shop, "charge.dispute.created")["data"]["object"].clone();
    assert_eq!(read["status"], "warning_needs_response");
    assert_eq!(
        (&read["balance_transactions"], &read["is_charge_refundable"]),
        (&json!([]), &json!(true))
    );
    shop.stripe.answer_dispute(&asked).unwrap();
    shop.stripe.escalate_inquiry(&asked).unwrap();
    assert_eq!(
        told(&shop)[1..],
        [
            "charge.dispute.updated",
            "charge.dispute.updated",
            "charge.dispute.funds_withdrawn",
        ]
    );
    let grown = last(&shop, "charge.dispute.funds_withdrawn")["data"]["object"].clone();
    assert_eq!(
        (&grown["id"], &grown["status"]),
        (&read["id"], &json!("needs_response"))
    );

    let closed = shop.stripe.open_inquiry(of, "unrecognized").unwrap();
    let outcome = DisputeOutcome::WarningClosed;
    let view = shop.stripe.close_dispute(&closed, outcome).unwrap();
    assert_eq!(view.status, DisputeStatus::WarningClosed);
    assert!(shop.stripe.escalate_inquiry(&closed).is_err());
}

#[tokio::test]
async fn what_a_bank_holds_does_not_go_back_a_second_time() {
    let shop = Shop::open().await;
    let (_, payment) = paid(&shop).await;
    let of = payment.payment_intent.as_str();
    let form = [("payment_intent", of)];
    let id = shop.stripe.open_dispute(of, "fraudulent").unwrap();
    let refused = shop.post("/v1/refunds", &form).await;
    assert_eq!(
        (refused.status, refused.error("code")),
        (400, "charge_disputed")
    );
    let by_hand = shop.stripe.refund_by_hand(of, None).unwrap_err();
    assert_eq!(by_hand.code, Some("charge_disputed"));
    shop.stripe.close_dispute(&id, DisputeOutcome::Won).unwrap();
    assert_eq!(shop.post("/v1/refunds", &form).await.status, 200);

    let (_, other) = paid(&shop).await;
    let id = shop.stripe.open_dispute(&other.charge, "general").unwrap();
    shop.stripe
        .close_dispute(&id, DisputeOutcome::Lost)
        .unwrap();
    let form = [("charge", other.charge.as_str())];
    let refused = shop.post("/v1/refunds", &form).await;
    assert_eq!(
        refused.error("code"),
        "charge_disputed",
        "it is gone for good"
    );
}

#[tokio::test]
async fn a_whole_refund_ends_an_inquiry() {
    let shop = Shop::open().await;
    let (_, payment) = paid(&shop).await;
    let of = payment.payment_intent.as_str();
    let id = shop.stripe.open_inquiry(of, "general").unwrap();
    let status = || shop.stripe.dispute(&id).unwrap().status;
    shop.stripe.refund_by_hand(of, Some(200)).unwrap();
    assert_eq!(status(), DisputeStatus::WarningNeedsResponse);
    shop.stripe.refund_by_hand(of, None).unwrap();
    assert_eq!(status(), DisputeStatus::WarningClosed);
    assert_eq!(told(&shop).last().unwrap(), "charge.dispute.closed");
}

#[tokio::test]
async fn the_account_may_end_subscriptions_of_disputed_payments() {
    let shop = Shop::with(StripeConfig {
        disputed_payments: DisputedPayments::Cancel,
        ..config()
    })
    .await;
    let (ended, payment) = paid(&shop).await;
    shop.stripe
        .open_dispute(&payment.charge, "general")
        .unwrap();
    let (part, payment) = paid(&shop).await;
    shop.stripe
        .open_dispute_over(&payment.charge, "general", 1)
        .unwrap();
    let (won, payment) = paid(&shop).await;
    let id = shop
        .stripe
        .open_dispute(&payment.charge, "general")
        .unwrap();
    shop.stripe.close_dispute(&id, DisputeOutcome::Won).unwrap();
    let (asked, payment) = paid(&shop).await;
    shop.stripe
        .open_inquiry(&payment.charge, "general")
        .unwrap();
    let status = |id: &str| shop.stripe.subscription(id).unwrap().status;
    assert_eq!(status(&ended), SubscriptionStatus::Active, "not at once");
    shop.stripe.advance(HOUR);
    assert_eq!(status(&ended), SubscriptionStatus::Canceled);
    let deleted = last(&shop, "customer.subscription.deleted")["data"]["object"].clone();
    assert_eq!(deleted["id"], json!(ended));
    assert_eq!(
        deleted["cancellation_details"]["reason"],
        "payment_disputed"
    );
    for id in [part, won, asked] {
        assert_eq!(status(&id), SubscriptionStatus::Active);
    }

    let setting = DisputedPayments::CancelAtPeriodEnd;
    shop.stripe.set_disputed_payments(setting);
    let (planned, payment) = paid(&shop).await;
    shop.stripe
        .open_dispute(&payment.charge, "general")
        .unwrap();
    shop.stripe.advance(HOUR);
    let view = shop.stripe.subscription(&planned).unwrap();
    assert!(view.cancel_at_period_end && view.status == SubscriptionStatus::Active);
    shop.stripe.set_unix(view.current_period_end).unwrap();
    let deleted = last(&shop, "customer.subscription.deleted")["data"]["object"].clone();
    assert_eq!(
        deleted["cancellation_details"]["reason"],
        "payment_disputed"
    );
}

#[tokio::test]
async fn disputes_are_listed_by_charge_payment_and_time_and_nothing_else() {
    let shop = Shop::open().await;
    let (_, first) = paid(&shop).await;
    let (_, second) = paid(&shop).await;
    let mut made = Vec::new();
    for payment in [&first, &second, &first] {
        let id = shop.stripe.open_inquiry(&payment.charge, "general");
        made.push(id.unwrap());
        shop.stripe.advance(Duration::from_secs(DAY.unsigned_abs()));
    }
    let ids = async |query: &str| shop.get(&format!("/v1/disputes?{query}")).await.ids();
    let of_first = [made[2].clone(), made[0].clone()];
    assert_eq!(ids(&format!("charge={}", first.charge)).await, of_first);
    let query = format!("payment_intent={}&limit=1", first.payment_intent);
    assert_eq!(ids(&query).await, of_first[..1]);
    let query = format!("{query}&starting_after={}", made[2]);
    assert_eq!(ids(&query).await, of_first[1..]);
    let query = format!(
        "created[gte]={}&created[lt]={}",
        START + DAY,
        START + 2 * DAY
    );
    assert_eq!(ids(&query).await, made[1..2]);
    for wrong in [
        "status=lost",
        "customer=cus_1",
        "limit=0",
        "charge=",
        "starting_after=du_none",
        "expand[]=data.invoice",
    ] {
        let reply = shop.get(&format!("/v1/disputes?{wrong}")).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
    for path in ["/v1/disputes/du_none", "/v1/charges/ch_none"] {
        let reply = shop.get(path).await;
        assert_eq!(
            (reply.status, reply.error("code")),
            (404, "resource_missing")
        );
    }
}

#[tokio::test]
async fn banks_and_settings_are_reached_over_http() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop).await;
    let path = format!("payments/{subscription}/dispute");
    let opened = shop
        .control(&path, json!({ "reason": "general", "inquiry": true }))
        .await;
    assert_eq!(opened.body["status"], "warning_needs_response");
    let dispute = format!("disputes/{}", opened.id());
    for (call, body, status) in [
        ("answer", json!({}), "warning_under_review"),
        ("escalate", json!({}), "needs_response"),
        ("close", json!({ "outcome": "lost" }), "lost"),
    ] {
        let reply = shop.control(&format!("{dispute}/{call}"), body).await;
        assert_eq!(reply.body["status"], status);
    }
    let path = format!("payments/{}/refund", payment.charge);
    let refused = shop.control(&path, json!({ "amount": 1 })).await;
    assert_eq!(refused.status, 400);
    let setting = json!({ "disputed_payments": "cancel" });
    shop.control("disputes/setting", setting.clone()).await;
    assert_eq!(shop.read_control("disputes/setting").await, setting);
    let listed = shop.read_control("disputes").await;
    assert_eq!(listed[0]["id"], opened.body["id"]);
    let stray = json!({ "amount": 5, "currency": "usd" });
    let stray = shop.control("payments", stray).await.body;
    let of = stray["payment_intent"].as_str().unwrap();
    assert_eq!(shop.read_control(&format!("payments/{of}")).await, stray);
    let path = format!("payments/{of}/refund");
    assert_eq!(shop.control(&path, json!({})).await.body["amount"], 5);
    assert_eq!(shop.read_control("refunds").await[0]["amount"], 5);
}

#[tokio::test]
async fn what_banks_do_is_delivered_like_anything_else() {
    let shop = Shop::open().await;
    let (_, payment) = paid(&shop).await;
    let receiver = Receiver::answering(&[]).await;
    let endpoint =
        json!({ "url": receiver.url, "secret": "whsec_1", "api_version": ApiVersion::NEW });
    let unkind = json!({ "endpoint": endpoint, "doubled": true, "hold": true, "rendering": "old",
        "withheld": ["charge.dispute.funds_*", "refund.*"] });
    assert_eq!(shop.control("webhooks", unkind).await.status, 200);
    shop.stripe
        .refund_by_hand(&payment.charge, Some(1))
        .unwrap();
    shop.stripe
        .open_dispute(&payment.charge, "general")
        .unwrap();
    shop.control("webhooks/release", json!({ "order": "reversed" }))
        .await;
    assert!(shop.stripe.deliveries_idle(PATIENCE).await);
    let (opened, refunded) = ("charge.dispute.created", "charge.refunded");
    assert_eq!(receiver.kinds(), [opened, opened, refunded, refunded]);
    let hooks = receiver.hooks();
    let charge = hooks[2].json()["data"]["object"].clone();
    assert_eq!(charge["invoice"], json!(payment.invoice), "the old form");
    assert_eq!(charge["refunded"], false);
    assert!(told(&shop).contains(&"charge.dispute.funds_withdrawn".to_owned()));
}
