//! From an open page to a paid subscription, or to nothing.

use std::time::Duration;

use sandbox::stripe::{
    FaultId, PayMode, PaymentStatus, SessionStatus, StripeConfig, SubscriptionStatus,
};
use serde_json::json;

use crate::support::{DAY, START, Shop, cart_with, config, until};

const SESSIONS: &str = "/v1/checkout/sessions";

fn kinds(shop: &Shop) -> Vec<String> {
    shop.stripe
        .events()
        .into_iter()
        .map(|event| event.kind)
        .collect()
}

#[tokio::test]
async fn paying_makes_customer_subscription_and_invoice() {
    let shop = Shop::open().await;
    let id = shop.session().await;
    let open = shop.get(&format!("{SESSIONS}/{id}")).await;
    assert!(id.starts_with("cs_test_"));
    assert_eq!(
        open.body["url"],
        format!("{}/c/pay/{id}", shop.stripe.url())
    );
    assert_eq!(open.body["expires_at"], START + DAY);
    assert_eq!(
        (&open.body["subscription"], &open.body["customer"]),
        (&json!(null), &json!(null))
    );

    let paid = shop.stripe.pay(&id, PayMode::Paid).unwrap();
    assert_eq!(
        (paid.status, paid.payment_status),
        (SessionStatus::Complete, PaymentStatus::Paid)
    );
    let session = shop
        .get(&format!("{SESSIONS}/{id}?expand[]=subscription"))
        .await
        .body;
    assert_eq!(session["url"], json!(null));
    let subscription = &session["subscription"];
    assert_eq!(subscription["metadata"], json!({ "order_id": "order-1" }));
    assert_eq!(subscription["customer"], session["customer"]);
    assert_eq!(subscription["latest_invoice"], session["invoice"]);
    let item = &subscription["items"]["data"][0];
    assert_eq!(
        (&item["price"]["id"], &item["quantity"]),
        (&json!("price_plan"), &json!(1))
    );
    assert_eq!(
        kinds(&shop),
        [
            "customer.created",
            "customer.subscription.created",
            "invoice.paid",
            "checkout.session.completed"
        ]
    );
    assert!(
        shop.stripe.pay(&id, PayMode::Paid).is_err(),
        "a page is paid once"
    );
    let refused = shop.post(&format!("{SESSIONS}/{id}/expire"), &[]).await;
    assert_eq!(refused.status, 400, "only an open session can be expired");
}

#[tokio::test]
async fn a_known_customer_is_kept_and_found_by_the_filters() {
    let shop = Shop::open().await;
    let customer = shop
        .post("/v1/customers", &[("email", "a@example.com")])
        .await;
    let customer = customer.id().to_owned();
    let first = shop
        .post(SESSIONS, &cart_with(&[("customer", &customer)]))
        .await;
    let second = shop
        .post(SESSIONS, &cart_with(&[("customer", &customer)]))
        .await;
    let stranger = shop.session().await;
    shop.stripe.pay(first.id(), PayMode::Paid).unwrap();
    assert_eq!(shop.stripe.subscriptions()[0].customer, customer);

    let of_customer = shop.get(&format!("{SESSIONS}?customer={customer}")).await;
    assert_eq!(of_customer.ids(), [second.id(), first.id()], "newest first");
    assert_eq!(
        shop.get(&format!("{SESSIONS}?status=complete")).await.ids(),
        [first.id()]
    );
    let subscription = shop.stripe.subscriptions()[0].id.clone();
    let found = shop
        .get(&format!("{SESSIONS}?subscription={subscription}"))
        .await;
    assert_eq!(found.ids(), [first.id()]);
    let page = shop
        .get(&format!("{SESSIONS}?limit=1&starting_after={stranger}"))
        .await;
    assert_eq!(
        (page.ids(), &page.body["has_more"]),
        (vec![second.id().to_owned()], &json!(true))
    );
    let lines = shop
        .get(&format!("{SESSIONS}?status=open&expand[]=data.line_items"))
        .await;
    assert_eq!(
        lines.body["data"][0]["line_items"]["data"][0]["quantity"],
        1
    );
    let future = shop.get(&format!("{SESSIONS}?created[gt]={START}")).await;
    assert!(future.ids().is_empty());
}

#[tokio::test]
async fn a_session_expires_by_the_clock_at_its_own_second() {
    let shop = Shop::open().await;
    let id = shop.session().await;
    shop.stripe.advance(Duration::from_secs(86_399));
    assert_eq!(
        shop.stripe.session(&id).unwrap().status,
        SessionStatus::Open
    );
    shop.stripe.advance(Duration::from_secs(1000));
    let expired = shop.get(&format!("{SESSIONS}/{id}")).await;
    assert_eq!(expired.body["status"], "expired");
    let event = shop.stripe.events().pop().unwrap();
    assert_eq!(event.kind, "checkout.session.expired");
    assert_eq!((event.object_id, event.created), (id.clone(), START + DAY));
    assert!(shop.stripe.pay(&id, PayMode::Paid).is_err());
}

#[tokio::test]
async fn an_open_session_can_be_expired_once() {
    let shop = Shop::open().await;
    let id = shop.session().await;
    let path = format!("{SESSIONS}/{id}/expire");
    assert_eq!(shop.post(&path, &[]).await.body["status"], "expired");
    assert_eq!(shop.post(&path, &[]).await.status, 400);
    assert_eq!(kinds(&shop), ["checkout.session.expired"]);
}

#[tokio::test]
async fn a_delayed_payment_settles_later() {
    for (ok, early) in [(true, false), (false, false), (true, true), (false, true)] {
        let config = StripeConfig {
            delayed_creates_subscription: early,
            ..config()
        };
        let shop = Shop::with(config).await;
        let id = shop.session().await;
        let waiting = shop.stripe.pay(&id, PayMode::Unpaid).unwrap();
        assert_eq!(waiting.payment_status, PaymentStatus::Unpaid);
        assert_eq!(waiting.status, SessionStatus::Complete);
        assert_eq!(waiting.subscription.is_some(), early);
        let settled = shop.stripe.settle(&id, ok).unwrap();
        assert!(
            shop.stripe.settle(&id, ok).is_err(),
            "a payment settles once"
        );
        let last = kinds(&shop).pop().unwrap();
        let statuses: Vec<_> = shop
            .stripe
            .subscriptions()
            .iter()
            .map(|s| s.status)
            .collect();
        if ok {
            assert_eq!(last, "checkout.session.async_payment_succeeded");
            assert_eq!(settled.payment_status, PaymentStatus::Paid);
            assert_eq!(statuses, [SubscriptionStatus::Active]);
            let invoices = shop.get("/v1/invoices?status=paid").await;
            assert_eq!(invoices.ids(), [settled.invoice.unwrap()]);
        } else {
            assert_eq!(last, "checkout.session.async_payment_failed");
            assert_eq!(settled.payment_status, PaymentStatus::Unpaid);
            let none = statuses
                .iter()
                .all(|s| *s == SubscriptionStatus::IncompleteExpired);
            assert!(none && statuses.len() == usize::from(early));
        }
    }
}

/// A debit that is under way comes or fails after the subscription was canceled: that stays so.
#[tokio::test]
async fn a_canceled_subscription_stays_canceled_when_a_delayed_payment_settles() {
    for ok in [true, false] {
        let config = StripeConfig {
            delayed_creates_subscription: true,
            ..config()
        };
        let shop = Shop::with(config).await;
        let id = shop.session().await;
        let waiting = shop.stripe.pay(&id, PayMode::Unpaid).unwrap();
        let subscription = waiting.subscription.unwrap();
        shop.stripe.cancel_subscription(&subscription).unwrap();
        let void = format!("/v1/invoices/{}/void", waiting.invoice.unwrap());
        assert_eq!(shop.post(&void, &[]).await.status, 400);

        let settled = shop.stripe.settle(&id, ok).unwrap();
        let status = shop.stripe.subscription(&subscription).unwrap().status;
        assert_eq!(status, SubscriptionStatus::Canceled);
        let (payment, invoices, last) = if ok {
            (PaymentStatus::Paid, "paid", "async_payment_succeeded")
        } else {
            (PaymentStatus::Unpaid, "void", "async_payment_failed")
        };
        assert_eq!(settled.payment_status, payment);
        let found = shop.get(&format!("/v1/invoices?status={invoices}")).await;
        assert_eq!(found.ids().len(), 1);
        assert!(kinds(&shop).pop().unwrap().ends_with(last));
    }
}

#[tokio::test]
async fn tax_and_promotions_change_the_total_only() {
    let shop = Shop::with(StripeConfig {
        tax_basis_points: 1900,
        ..config()
    })
    .await;
    let form = cart_with(&[
        ("automatic_tax[enabled]", "true"),
        ("allow_promotion_codes", "true"),
    ]);
    let id = shop.post(SESSIONS, &form).await.id().to_owned();
    assert!(shop.stripe.apply_promotion(&id, "WRONG").is_err());
    shop.stripe.apply_promotion(&id, "TENOFF").unwrap();
    let paid = shop.stripe.pay(&id, PayMode::Paid).unwrap();
    assert_eq!(
        (paid.amount_subtotal, paid.amount_total),
        (1200, 1080 + 205)
    );
    let session = shop
        .get(&format!("{SESSIONS}/{id}?expand[]=invoice"))
        .await
        .body;
    assert_eq!(
        session["total_details"],
        json!({ "amount_discount": 120, "amount_shipping": 0, "amount_tax": 205 })
    );
    assert_eq!(session["invoice"]["amount_paid"], 1285);

    let free = shop.session().await;
    let free = shop.stripe.pay(&free, PayMode::NoPaymentRequired).unwrap();
    assert_eq!(free.payment_status, PaymentStatus::NoPaymentRequired);
    assert_eq!(free.amount_total, 0);
}

#[tokio::test]
async fn a_buyer_can_use_the_page() {
    let shop = Shop::open().await;
    let form = cart_with(&[("customer_email", "a&b@example.com")]);
    let id = shop.post(SESSIONS, &form).await.id().to_owned();
    let url = shop.stripe.session(&id).unwrap().url;
    let page = shop.http.get(&url).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    assert!(
        page.contains("Pay 12.00 USD") && page.contains("per month"),
        "{page}"
    );
    assert!(
        page.contains("a&amp;b@example.com") && !page.contains("a&b@"),
        "{page}"
    );

    let cancel = shop
        .http
        .post(format!("{url}/cancel"))
        .send()
        .await
        .unwrap();
    assert_eq!(cancel.status(), 303);
    assert_eq!(cancel.headers()["location"], "https://shop.example/cart");
    assert_eq!(
        shop.stripe.session(&id).unwrap().status,
        SessionStatus::Open
    );

    let pay = shop
        .http
        .post(format!("{url}/pay"))
        .form(&[("mode", "paid")]);
    let paid = pay.send().await.unwrap();
    assert_eq!(paid.status(), 303);
    assert_eq!(
        paid.headers()["location"].to_str().unwrap(),
        format!("https://shop.example/done?session={id}")
    );
    let again = shop
        .http
        .post(format!("{url}/pay"))
        .form(&[("mode", "paid")]);
    let again = again.send().await.unwrap().text().await.unwrap();
    assert!(again.contains("This payment is complete."), "{again}");
    assert_eq!(shop.stripe.subscriptions().len(), 1);
    let nowhere = shop
        .http
        .get(format!("{}/c/pay/cs_none", shop.stripe.url()));
    assert_eq!(nowhere.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_control_calls_do_the_same_without_a_key() {
    let shop = Shop::open().await;
    let id = shop.session().await;
    let paid = shop
        .control(&format!("sessions/{id}/pay"), json!({ "mode": "unpaid" }))
        .await;
    assert_eq!(paid.body["payment_status"], "unpaid");
    shop.control(&format!("sessions/{id}/settle"), json!({ "ok": true }))
        .await;
    let subscription = shop.stripe.subscriptions()[0].id.clone();
    let path = format!("subscriptions/{subscription}/status");
    let reply = shop.control(&path, json!({ "status": "past_due" })).await;
    assert_eq!(reply.body["status"], "past_due");
    let moved = shop
        .control("clock", json!({ "advance_seconds": 60 }))
        .await;
    assert_eq!(moved.body["now"], START + 60);
    assert_eq!(
        shop.control("clock", json!({ "set_unix": START }))
            .await
            .status,
        400
    );
    assert_eq!(
        shop.control("sessions/cs_none/expire", json!({}))
            .await
            .status,
        404
    );
    let fault = json!({
        "method": "GET", "path": "/v1/prices", "times": 1,
        "action": { "kind": "status", "status": 418, "body": "{}" },
    });
    let fault = shop.control("faults", fault).await;
    assert_eq!(shop.get("/v1/prices").await.status, 418);
    let fault = FaultId(fault.body["id"].as_u64().unwrap());
    assert_eq!(shop.stripe.fired(fault), 1);
    let url = format!("{}/_sandbox/calls", shop.stripe.url());
    let calls: serde_json::Value = shop
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(calls[1]["status"], 418);
    assert_eq!(calls[0]["params"][0], json!(["mode", "subscription"]));
}

#[tokio::test]
async fn a_ticking_clock_expires_sessions_without_any_call() {
    let config = StripeConfig {
        frozen: false,
        start_at: None,
        ..config()
    };
    let shop = Shop::with(config).await;
    shop.session().await;
    // One second before the end: the machine's own clock does the rest.
    shop.stripe.advance(Duration::from_secs(86_399));
    until("the session expires", || {
        kinds(&shop) == ["checkout.session.expired"]
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_changed_field_by_field_and_told_of_once() {
    let shop = Shop::open().await;
    let made = [
        ("email", "a@example.com"),
        ("name", "A"),
        ("metadata[user_id]", "7"),
    ];
    let id = shop.post("/v1/customers", &made).await.id().to_owned();
    let path = format!("/v1/customers/{id}");
    let told = || {
        let events = shop.stripe.events();
        let updates = events.iter();
        updates
            .filter(|event| event.kind == "customer.updated")
            .count()
    };
    let changed = shop
        .post(&path, &[("email", "b@example.com"), ("name", "")])
        .await;
    assert_eq!(
        (&changed.body["email"], &changed.body["name"]),
        (&json!("b@example.com"), &json!(null))
    );
    assert_eq!(
        changed.body["metadata"]["user_id"], "7",
        "what is not sent stays"
    );
    assert_eq!(shop.get(&path).await.body, changed.body);
    assert_eq!(told(), 1);
    shop.post(&path, &[("email", "b@example.com")]).await;
    assert_eq!(told(), 1, "nothing has changed");
    for (key, value, code) in [
        ("email", "nobody", "email_invalid"),
        ("emial", "b@example.com", "parameter_unknown"),
    ] {
        let refused = shop.post(&path, &[(key, value)]).await;
        assert_eq!((refused.status, refused.error("code")), (400, code));
    }
    let missing = shop.post("/v1/customers/cus_none", &[]).await;
    assert_eq!(
        (missing.status, missing.error("code")),
        (404, "resource_missing")
    );
    assert_eq!(shop.get(&path).await.body, changed.body);
}
