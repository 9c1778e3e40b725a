//! Charges, disputes, and the way from a payment to its invoice.

use super::*;

const BY_PAYMENT: &str = "GET /v1/invoice_payments?limit=100&payment%5Btype%5D=payment_intent\
    &payment%5Bpayment_intent%5D=pi_1&expand%5B%5D=data.invoice";

/// A page of invoice payments: status and invoice of each.
fn page(rows: &[(&str, &str)]) -> Act {
    let rows: Vec<String> = rows
        .iter()
        .map(|(status, invoice)| format!(r#"{{"status":"{status}","invoice":{invoice}}}"#))
        .collect();
    let body = format!(r#"{{"data":[{}],"has_more":false}}"#, rows.join(","));
    json(200, &[], &body)
}

fn invoice(id: &str, subscription: Option<&str>) -> PaidInvoice {
    PaidInvoice {
        id: id.to_owned(),
        subscription: subscription.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_payment_leads_to_its_invoice_and_subscription() {
    let new = r#"{"id":"in_1","object":"invoice","parent":{"type":"subscription_details",
        "subscription_details":{"subscription":"sub_1","metadata":{}}}}"#;
    let old = r#"{"id":"in_1","object":"invoice","subscription":{"id":"sub_1"}}"#;
    let line = r#"{"id":"in_1","parent":null,"lines":{"data":[{"subscription":"sub_1"}]}}"#;
    let one_off = r#"{"id":"in_2","object":"invoice","parent":null}"#;
    let deleted = r#"{"id":"in_3","object":"invoice","deleted":true}"#;
    let found = Some(invoice("in_1", Some("sub_1")));
    let rows = [
        (page(&[("paid", new)]), found.clone()),
        (page(&[("paid", old)]), found.clone()),
        (page(&[("paid", line)]), found.clone()),
        (page(&[("canceled", one_off), ("paid", new)]), found),
        (page(&[("open", one_off)]), Some(invoice("in_2", None))),
        (page(&[("paid", deleted)]), Some(invoice("in_3", None))),
        (page(&[]), None),
    ];
    for (act, expected) in rows {
        let server = Server::start([act]).await;
        let read = client(&server).invoice_of_payment("pi_1").await;
        assert_eq!(read.unwrap(), expected);
        let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
        assert_eq!(lines, [BY_PAYMENT]);
    }
}

#[tokio::test]
async fn an_invoice_that_is_only_named_is_read() {
    let named = page(&[("paid", r#""in_1""#)]);
    let whole = r#"{"id":"in_1","parent":{"type":"subscription_details",
        "subscription_details":{"subscription":"sub_1"}}}"#;
    let server = Server::start([named.clone(), json(200, &[], whole)]).await;
    let read = client(&server).invoice_of_payment("pi_1").await.unwrap();
    assert_eq!(read, Some(invoice("in_1", Some("sub_1"))));
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, [BY_PAYMENT, "GET /v1/invoices/in_1"]);
    let server = Server::start([named, json(404, &[], NO_SUCH)]).await;
    let lost = client(&server).invoice_of_payment("pi_1").await;
    assert!(matches!(lost, Err(Error::NotFound { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_payment_that_nobody_knows_has_no_invoice_and_an_answer_that_is_none_is_none() {
    let server = Server::start([json(400, &[], NO_SUCH)]).await;
    let unknown = client(&server).invoice_of_payment("pi_1").await;
    assert_eq!(unknown.unwrap(), None);
    let other = r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown",
        "param":"payment"}}"#;
    let server = Server::start([json(400, &[], other)]).await;
    let refused = client(&server).invoice_of_payment("pi_1").await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    let without = r#"{"data":[{"status":"paid","invoice":null}],"has_more":false}"#;
    let server = Server::start([json(200, &[], without)]).await;
    let garbage = client(&server).invoice_of_payment("pi_1").await;
    assert!(matches!(garbage, Err(Error::Garbage { .. })), "{garbage:?}");
    let server = Server::start([]).await;
    for odd in ["", "pi 1", "..", "pi_\u{e9}"] {
        let read = client(&server).invoice_of_payment(odd).await;
        assert_eq!(read.unwrap(), None, "{odd:?}");
        let charge = client(&server).charge(odd).await;
        assert!(matches!(charge, Err(Error::NotFound { .. })), "{odd:?}");
        let dispute = client(&server).dispute(odd).await;
        assert!(matches!(dispute, Err(Error::NotFound { .. })), "{odd:?}");
        let refund = client(&server).refund_by_id(odd).await;
        assert!(matches!(refund, Err(Error::NotFound { .. })), "{odd:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn charges_and_disputes_are_read_in_every_rendering() {
    let new = r#"{"id":"ch_1","amount":499,"amount_refunded":200,"currency":"usd",
        "refunded":false,"disputed":true,"payment_intent":"pi_1","livemode":false,"news":{}}"#;
    let old = r#"{"id":"ch_2","amount":499,"amount_refunded":499,"currency":"usd",
        "refunded":true,"disputed":false,"payment_intent":null,"invoice":{"id":"in_1"},
        "livemode":true}"#;
    let dispute = r#"{"id":"du_1","status":"warning_dreamt_of","charge":{"id":"ch_1"},
        "payment_intent":{"id":"pi_1"},"amount":200,"currency":"usd","livemode":false,
        "evidence":{},"reason":"general"}"#;
    let bare = r#"{"id":"dp_1","status":"lost","charge":"ch_2","payment_intent":null,
        "amount":499,"currency":"usd","livemode":true}"#;
    let server = Server::start([new, old, dispute, bare].map(|body| json(200, &[], body))).await;
    let stripe = client(&server);
    let part = Charge {
        id: "ch_1".to_owned(),
        payment: Some("pi_1".to_owned()),
        amount: 499,
        amount_refunded: 200,
        currency: "usd".to_owned(),
        refunded: false,
        disputed: true,
        invoice: None,
        livemode: false,
    };
    assert_eq!(stripe.charge("ch_1").await.unwrap(), part);
    let whole = Charge {
        id: "ch_2".to_owned(),
        payment: None,
        amount_refunded: 499,
        refunded: true,
        disputed: false,
        invoice: Some("in_1".to_owned()),
        livemode: true,
        ..part
    };
    assert_eq!(stripe.charge("ch_2").await.unwrap(), whole);
    let inquiry = Dispute {
        id: "du_1".to_owned(),
        status: "warning_dreamt_of".to_owned(),
        payment: Some("pi_1".to_owned()),
        charge: "ch_1".to_owned(),
        amount: 200,
        currency: "usd".to_owned(),
        livemode: false,
    };
    assert_eq!(stripe.dispute("du_1").await.unwrap(), inquiry);
    let lost = Dispute {
        id: "dp_1".to_owned(),
        status: "lost".to_owned(),
        payment: None,
        charge: "ch_2".to_owned(),
        amount: 499,
        livemode: true,
        ..inquiry
    };
    assert_eq!(stripe.dispute("dp_1").await.unwrap(), lost);
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/charges/ch_1",
            "GET /v1/charges/ch_2",
            "GET /v1/disputes/du_1",
            "GET /v1/disputes/dp_1",
        ]
    );
}

#[tokio::test]
async fn a_refund_is_read_by_its_id_also_one_that_was_in_vain() {
    let refund = |status: &str| {
        format!(r#"{{"id":"re_1","amount":200,"currency":"usd","status":"{status}","news":[]}}"#)
    };
    let bodies = ["succeeded", "failed"].map(refund);
    let server = Server::start(bodies.each_ref().map(|body| json(200, &[], body))).await;
    for in_vain in [false, true] {
        let read = client(&server).refund_by_id("re_1").await.unwrap();
        assert_eq!((read.amount, read.in_vain()), (200, in_vain));
    }
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /v1/refunds/re_1"; 2]);
}

/// A decision rests on these: an answer without one is an unreadable one.
#[tokio::test]
async fn a_charge_or_a_dispute_without_what_counts_is_garbage() {
    for body in [
        r#"{"id":"ch_1","amount":1,"amount_refunded":0,"currency":"usd","disputed":false,
            "livemode":false}"#,
        r#"{"id":"ch_1","amount":1,"refunded":false,"currency":"usd","disputed":false,
            "livemode":false}"#,
    ] {
        let server = Server::start([json(200, &[], body)]).await;
        let read = client(&server).charge("ch_1").await;
        assert!(matches!(read, Err(Error::Garbage { .. })), "{body}");
    }
    for body in [
        r#"{"id":"du_1","charge":"ch_1","amount":1,"currency":"usd","livemode":false}"#,
        r#"{"id":"du_1","status":"lost","charge":null,"amount":1,"currency":"usd",
            "livemode":false}"#,
        r#"{"id":"du_1","status":"lost","amount":1,"currency":"usd","livemode":false}"#,
    ] {
        let server = Server::start([json(200, &[], body)]).await;
        let read = client(&server).dispute("du_1").await;
        assert!(matches!(read, Err(Error::Garbage { .. })), "{body}");
    }
}
