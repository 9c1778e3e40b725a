//! Money that goes back: which payment, how much, and never twice.

use sandbox::stripe::{ApiVersion, PayMode};
use serde_json::json;

use crate::support::Shop;

/// A paid subscription: its id, and the payment of its first invoice.
async fn paid(shop: &Shop, mode: PayMode) -> (String, Option<String>) {
    let session = shop.session().await;
    let subscription = shop.stripe.pay(&session, mode).unwrap().subscription;
    let subscription = subscription.unwrap();
    let invoices = format!("/v1/invoices?status=paid&subscription={subscription}");
    let invoice = shop.get(&invoices).await.ids().remove(0);
    let payments = format!("/v1/invoice_payments?status=paid&invoice={invoice}");
    let payments = shop.get(&payments).await.body;
    let payment = payments["data"][0]["payment"]["payment_intent"].as_str();
    (subscription, payment.map(str::to_owned))
}

#[tokio::test]
async fn a_payment_goes_back_whole_and_once() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop, PayMode::Paid).await;
    let payment = payment.unwrap();
    let form = [
        ("payment_intent", payment.as_str()),
        ("reason", "duplicate"),
        ("metadata[order_id]", "order-1"),
    ];
    let refund = shop.post_keyed("/v1/refunds", &form, "one").await;
    assert_eq!(refund.status, 200, "{:?}", refund.body);
    assert_eq!(refund.body["amount"], 1200);
    assert_eq!(refund.body["metadata"], json!({ "order_id": "order-1" }));
    let replayed = shop.post_keyed("/v1/refunds", &form, "one").await;
    assert_eq!(replayed.id(), refund.id());
    let again = shop.post_keyed("/v1/refunds", &form, "two").await;
    assert_eq!(
        (again.status, again.error("code")),
        (400, "charge_already_refunded")
    );
    let listed = format!("/v1/refunds?payment_intent={payment}");
    assert_eq!(shop.get(&listed).await.ids(), [refund.id()]);
    let views = shop.stripe.refunds();
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].subscription, Some(subscription));
}

#[tokio::test]
async fn a_part_leaves_the_rest_and_no_more() {
    let shop = Shop::open().await;
    let payment = paid(&shop, PayMode::Paid).await.1.unwrap();
    let part = [("payment_intent", payment.as_str()), ("amount", "200")];
    assert_eq!(shop.post("/v1/refunds", &part).await.status, 200);
    let more = [("payment_intent", payment.as_str()), ("amount", "1001")];
    assert_eq!(
        shop.post("/v1/refunds", &more).await.error("param"),
        "amount"
    );
    let rest = [("payment_intent", payment.as_str())];
    let rest = shop.post("/v1/refunds", &rest).await;
    assert_eq!(rest.body["amount"], 1000);

    let told = shop.stripe.events();
    let told: Vec<_> = told
        .iter()
        .filter(|event| event.kind == "charge.refunded")
        .collect();
    assert_eq!(told.len(), 2);
    let shown = |version: &str, at: usize| {
        let version = ApiVersion::parse(version).unwrap();
        let event = shop.stripe.event_json(&told[at].id, &version).unwrap();
        event["data"]["object"].clone()
    };
    let (first, last) = (shown(ApiVersion::NEW, 0), shown("2025-02-24.acacia", 1));
    assert_eq!(
        (&first["amount_refunded"], &first["refunded"]),
        (&json!(200), &json!(false))
    );
    assert_eq!(
        (&last["amount_refunded"], &last["refunded"]),
        (&json!(1200), &json!(true))
    );
    assert!(first.get("invoice").is_none() && last["invoice"].is_string());
    assert_eq!(first["payment_intent"], payment);
}

#[tokio::test]
async fn what_nobody_paid_cannot_go_back() {
    let shop = Shop::open().await;
    let (_, none) = paid(&shop, PayMode::NoPaymentRequired).await;
    assert_eq!(none, None, "nothing was charged");
    for (form, code) in [
        (vec![], "parameter_missing"),
        (vec![("payment_intent", "pi_other")], "resource_missing"),
        (vec![("charge", "ch_other")], "resource_missing"),
        (vec![("order", "1")], "parameter_unknown"),
    ] {
        let refused = shop.post("/v1/refunds", &form).await;
        assert_eq!(
            (refused.status, refused.error("code")),
            (400, code),
            "{form:?}"
        );
    }
    let word = [("payment_intent", "pi_other"), ("reason", "dislike")];
    assert_eq!(
        shop.post("/v1/refunds", &word).await.error("param"),
        "reason"
    );
    let missing = "/v1/invoice_payments?invoice=in_other";
    assert_eq!(shop.get(missing).await.error("code"), "resource_missing");
    // An open invoice has a payment that took no money.
    let (subscription, _) = paid(&shop, PayMode::Paid).await;
    shop.stripe.fail_payment(&subscription).unwrap();
    let open = format!("/v1/invoices?status=open&subscription={subscription}");
    let invoice = shop.get(&open).await.ids().remove(0);
    let payments = format!("/v1/invoice_payments?invoice={invoice}");
    let payments = shop.get(&payments).await.body;
    assert_eq!(payments["data"][0]["status"], "open");
    let payment = payments["data"][0]["payment"]["payment_intent"].clone();
    let form = [("payment_intent", payment.as_str().unwrap())];
    assert_eq!(shop.post("/v1/refunds", &form).await.status, 400);
}

#[tokio::test]
async fn what_goes_back_by_hand_is_told_and_names_nobody() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop, PayMode::Paid).await;
    let payment = payment.unwrap();
    let part = shop.stripe.refund_by_hand(&payment, Some(200)).unwrap();
    assert_eq!((part.amount, part.metadata.len()), (200, 0));
    let rest = shop.stripe.refund_by_hand(&subscription, None).unwrap();
    assert_eq!(rest.amount, 1000);
    assert_eq!(rest.subscription, Some(subscription));
    for (of, amount, code) in [
        (payment.as_str(), None, Some("charge_already_refunded")),
        (&payment, Some(0), Some("parameter_invalid_integer")),
        ("pi_other", None, Some("resource_missing")),
    ] {
        let refused = shop.stripe.refund_by_hand(of, amount).unwrap_err();
        assert_eq!(refused.code, code, "{of}");
    }
    let events = shop.stripe.events();
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.kind.contains("refund"))
        .collect();
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "charge.refunded",
            "refund.created",
            "charge.refunded",
            "refund.created",
        ]
    );
    let new = ApiVersion::parse(ApiVersion::NEW).unwrap();
    let shown = |at: usize| shop.stripe.event_json(&told[at].id, &new).unwrap();
    let (first, last, refund) = (shown(0), shown(2), shown(3));
    assert_eq!(first["request"]["id"], json!(null), "nobody's call");
    assert_eq!(
        first["data"]["previous_attributes"],
        json!({ "amount_refunded": 0 })
    );
    assert_eq!(
        last["data"]["previous_attributes"],
        json!({ "amount_refunded": 200, "refunded": false })
    );
    assert_eq!(refund["data"]["object"]["id"], json!(rest.id));
    assert_eq!(refund["data"]["object"]["metadata"], json!({}));
}

/// Days later the customer's bank sends one back: what it held can be refunded again.
#[tokio::test]
async fn a_refund_may_fail_once_it_was_taken() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop, PayMode::Paid).await;
    let payment = payment.unwrap();
    let refund = shop.stripe.refund_by_hand(&subscription, None).unwrap();
    shop.stripe.fail_refund(&refund.id).unwrap();
    assert!(
        shop.stripe.fail_refund(&refund.id).is_err(),
        "it has failed already"
    );
    let read = shop.get(&format!("/v1/refunds/{}", refund.id)).await;
    assert_eq!(read.body["status"], json!("failed"));
    let events = shop.stripe.events();
    let told = events.iter().filter(|event| event.kind == "refund.failed");
    assert_eq!(told.count(), 1);
    let again = shop.stripe.refund_by_hand(&payment, None).unwrap();
    assert_eq!(again.amount, refund.amount);
}

#[tokio::test]
async fn a_payment_leads_to_its_charge_and_its_invoice() {
    let shop = Shop::open().await;
    let (subscription, payment) = paid(&shop, PayMode::Paid).await;
    let view = shop.stripe.payment(&payment.unwrap()).unwrap();
    let path = format!("/v1/charges/{}", view.charge);
    let charge = shop.get(&path).await.body;
    assert_eq!(
        (&charge["amount"], &charge["amount_refunded"]),
        (&json!(1200), &json!(0))
    );
    assert_eq!(charge["metadata"], json!({}));
    assert!(charge.get("invoice").is_none());
    let old = shop.get_as(&path, ApiVersion::OLD).await.body;
    assert_eq!(old["invoice"], json!(view.invoice));
    let expanded = format!("{path}?expand[]=invoice");
    assert_eq!(shop.get(&expanded).await.status, 400);
    let old = shop.get_as(&expanded, ApiVersion::OLD).await.body;
    assert_eq!(old["invoice"]["subscription"], json!(subscription));

    let by_payment = |payment: &str| {
        format!(
            "/v1/invoice_payments?payment[type]=payment_intent\
             &payment[payment_intent]={payment}&expand[]=data.invoice"
        )
    };
    let found = shop.get(&by_payment(&view.payment_intent)).await;
    let [row] = found.body["data"].as_array().unwrap().as_slice() else {
        unreachable!("{found:?}")
    };
    assert_eq!(row["status"], "paid");
    let details = &row["invoice"]["parent"]["subscription_details"];
    assert_eq!(details["subscription"], json!(subscription));
    let stray = shop.stripe.stray_payment(700, "usd").unwrap();
    let none = shop.get(&by_payment(&stray.payment_intent)).await;
    assert_eq!(none.ids(), Vec::<String>::new(), "no invoice asked for it");
    let charge = shop.get(&format!("/v1/charges/{}", stray.charge)).await;
    assert_eq!(charge.body["customer"], json!(null));

    paid(&shop, PayMode::Paid).await;
    let newest = shop.get("/v1/invoice_payments?limit=1").await;
    let path = format!("/v1/invoice_payments?starting_after={}", newest.ids()[0]);
    assert_eq!(shop.get(&path).await.ids(), found.ids());
    for wrong in [
        "payment[payment_intent]=pi_1",
        "payment[type]=card",
        "payment[type]=payment_record&payment[payment_record]=pr_1",
        "subscription=sub_1",
    ] {
        let path = format!("/v1/invoice_payments?{wrong}");
        assert_eq!(shop.get(&path).await.status, 400, "{wrong}");
    }
}
