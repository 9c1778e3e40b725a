//! Payments, refunds, and the page where a customer changes the way to pay.

use super::*;

#[tokio::test]
async fn money_is_followed_from_the_subscription_to_its_refunds() {
    let invoices = r#"{"data":[{"id":"in_1"}],"has_more":false}"#;
    let payments = r#"{"data":[
        {"amount_paid":499,"payment":{"type":"payment_intent","payment_intent":"pi_1"}},
        {"amount_paid":7,"payment":{"type":"payment_record","payment_record":"pr_1"}}
    ],"has_more":false}"#;
    let refund = r#"{"id":"re_2","amount":499,"currency":"usd","status":"pending"}"#;
    let failed = r#"{"id":"re_1","amount":499,"currency":"usd","status":"failed"}"#;
    let refunds = format!(r#"{{"data":[{refund},{failed}],"has_more":false}}"#);
    let answers = [invoices, payments, refund, refunds.as_str()];
    let server = Server::start(answers.map(|body| json(200, &[], body))).await;
    let stripe = client(&server);
    assert_eq!(stripe.paid_invoices("sub_1").await.unwrap(), ["in_1"]);
    let payment = Payment {
        id: "pi_1".to_owned(),
        amount: Some(499),
    };
    // What was paid elsewhere is not Stripe's to give back.
    assert_eq!(stripe.payments_of("in_1").await.unwrap(), [payment]);
    let made = stripe.refund(&form(), "refund:pi_1:7").await.unwrap();
    assert_eq!((made.id.as_str(), made.amount), ("re_2", 499));
    // One that failed gave nothing back.
    assert_eq!(stripe.refunds_of("pi_1").await.unwrap(), [made]);
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/invoices?limit=100&status=paid&subscription=sub_1",
            "GET /v1/invoice_payments?limit=100&status=paid&invoice=in_1",
            "POST /v1/refunds",
            "GET /v1/refunds?limit=100&payment_intent=pi_1",
        ]
    );
    assert_eq!(seen[2].header("idempotency-key"), Some("refund:pi_1:7"));
}

#[tokio::test]
async fn invoices_are_listed_page_by_page() {
    let invoice = r#"{"id":"in_2","status":"paid","livemode":false,"currency":"usd","created":7,
        "total":119,"total_excluding_tax":100,"amount_paid":119}"#;
    let first = format!(r#"{{"data":[{invoice}],"has_more":true}}"#);
    let answers = [first.as_str(), r#"{"data":[],"has_more":false}"#];
    let server = Server::start(answers.map(|body| json(200, &[], body))).await;
    let stripe = client(&server);
    let page = stripe.invoices_of("sub_1", None).await.unwrap();
    assert!(page.has_more);
    assert_eq!(
        (page.data[0].total_excluding_tax, page.data[0].created),
        (100, 7)
    );
    let page = stripe.invoices_of("sub_1", Some("in_2")).await.unwrap();
    assert!(!page.has_more && page.data.is_empty());
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/invoices?limit=100&subscription=sub_1",
            "GET /v1/invoices?limit=100&subscription=sub_1&starting_after=in_2",
        ]
    );
}

#[tokio::test]
async fn a_page_of_the_portal_is_asked_for_with_our_settings() {
    let found = r#"{"data":[
        {"id":"bpc_1","metadata":{}},
        {"id":"bpc_2","metadata":{"owner":"spawnpoint-1"}}
    ],"has_more":false}"#;
    let made = r#"{"id":"bpc_3","metadata":{"owner":"spawnpoint-1"}}"#;
    let page = r#"{"id":"bps_1","url":"https://billing.stripe.com/p/session/1"}"#;
    let server = Server::start([found, made, page].map(|body| json(200, &[], body))).await;
    let stripe = client(&server);
    let listed = stripe.portal_configurations().await.unwrap();
    let owners: Vec<_> = listed.iter().map(|one| one.owner.as_deref()).collect();
    assert_eq!(owners, [None, Some("spawnpoint-1")]);
    let one = stripe.create_portal_configuration(&form(), "portal").await;
    assert_eq!(one.unwrap().id, "bpc_3");
    let url = stripe
        .create_portal_session(&form(), "click")
        .await
        .unwrap();
    assert_eq!(url, "https://billing.stripe.com/p/session/1");
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/billing_portal/configurations?limit=100&active=true",
            "POST /v1/billing_portal/configurations",
            "POST /v1/billing_portal/sessions",
        ]
    );
}
