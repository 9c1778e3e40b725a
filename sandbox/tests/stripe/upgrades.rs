//! Changes of a subscription's items: billed at once, given back, parked until they are paid.

use reqwest::Method;
use sandbox::stripe::SubscriptionStatus;
use serde_json::{Value, json};

use crate::half::{BEHAVIOR, Half, advance, plan, upgraded};
use crate::support::read;

const OLD: &str = "2025-02-24.acacia";
const HOUR: i64 = 3_600;

#[tokio::test]
async fn an_upgrade_is_paid_and_carried_out_at_once() {
    let mut half = Half::open().await;
    let reply = half.upgrade(&BEHAVIOR).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!(reply.body["pending_update"], json!(null));
    assert_eq!(reply.body["items"]["data"][0]["id"], half.item.as_str());
    assert_eq!(half.items(), upgraded());
    assert_eq!(
        half.told(),
        ["invoice.paid", "customer.subscription.updated"]
    );

    let invoice = &reply.body["latest_invoice"];
    assert_eq!(invoice["billing_reason"], "subscription_update");
    assert_eq!(
        (&invoice["status"], &invoice["total"]),
        (&json!("paid"), &json!(750))
    );
    assert_eq!(
        (&invoice["amount_due"], &invoice["amount_paid"]),
        (&json!(750), &json!(750))
    );
    let lines = invoice["lines"]["data"].as_array().unwrap();
    let amounts: Vec<&Value> = lines.iter().map(|line| &line["amount"]).collect();
    assert_eq!(amounts, [-600, 1200, 150]);
    let now = half.shop.stripe.now();
    for line in lines {
        assert_eq!(line["period"], json!({ "start": now, "end": half.end }));
        let parent = &line["parent"]["subscription_item_details"];
        assert_eq!(parent["proration"], true);
    }
    let id = invoice["id"].as_str().unwrap();
    assert_eq!(half.payments(id).await, 1);
    let path = format!("/v1/invoices/{id}");
    let old = half.shop.get_as(&path, OLD).await.body;
    let line = &old["lines"]["data"][0];
    assert_eq!(
        (&line["proration"], &line["type"]),
        (&json!(true), &json!("invoiceitem"))
    );

    let same = half.upgrade(&BEHAVIOR[1..]).await;
    assert_eq!(
        same.error("message"),
        "Cannot add multiple subscription items with the same plan: price_addon"
    );
    let unchanged = [("items[0][id]", half.item.as_str()), BEHAVIOR[1]];
    assert_eq!(half.shop.post(&half.path, &unchanged).await.status, 200);
    assert!(half.told().is_empty(), "nothing is billed for no change");
}

#[tokio::test]
async fn a_removal_gives_back_without_a_payment() {
    let mut half = Half::open().await;
    let reply = half.upgrade(&BEHAVIOR).await;
    let addon = reply.body["items"]["data"][1]["id"].as_str().unwrap();
    half.shop.stripe.set_card_declines(&half.id, true).unwrap();
    half.told();
    let form = [
        ("items[0][id]", addon),
        ("items[0][deleted]", "true"),
        BEHAVIOR[1],
        ("expand[]", "latest_invoice"),
    ];
    let reply = half.shop.post(&half.path, &form).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!(half.items(), [("price_big".to_owned(), 1)]);
    assert_eq!(reply.body["status"], "active");
    assert_eq!(
        half.told(),
        ["invoice.paid", "customer.subscription.updated"]
    );
    let invoice = &reply.body["latest_invoice"];
    assert_eq!(
        (&invoice["status"], &invoice["total"]),
        (&json!("paid"), &json!(-150))
    );
    for amount in ["amount_due", "amount_paid", "amount_remaining"] {
        assert_eq!(invoice[amount], 0, "{amount}");
    }
    let id = invoice["id"].as_str().unwrap();
    assert_eq!(half.payments(id).await, 0);
    let path = format!("/v1/invoices/{id}");
    let old = half.shop.get_as(&path, OLD).await.body;
    assert_eq!(
        (&old["payment_intent"], &old["charge"]),
        (&json!(null), &json!(null))
    );
}

#[tokio::test]
async fn a_declined_upgrade_waits_and_is_carried_out_once_paid() {
    let mut half = Half::open().await;
    let path = format!("subscriptions/{}/card_declines", half.id);
    let declines = half.shop.control(&path, json!({ "declines": true })).await;
    assert_eq!(declines.status, 200);
    let (reply, invoice) = half.parked().await;
    let body = &reply.body;
    let expires_at = half.shop.stripe.now() + 23 * HOUR;
    let pending = &body["pending_update"];
    assert_eq!(
        (&body["status"], &pending["expires_at"]),
        (&json!("active"), &json!(expires_at))
    );
    assert_eq!(body["items"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(body["items"]["data"][0]["price"]["id"], "price_plan");
    assert_eq!(
        (
            &body["latest_invoice"]["status"],
            half.payments(&invoice).await
        ),
        (&json!("open"), 1)
    );
    let wanted = pending["subscription_items"].as_array().unwrap();
    assert_eq!(wanted[0]["id"], half.item.as_str());
    assert_eq!(wanted[1]["price"]["id"], "price_addon");
    assert_eq!((half.items(), half.pending()), (plan(), Some(expires_at)));
    assert_eq!(
        half.told(),
        ["invoice.payment_failed", "customer.subscription.updated"]
    );

    let path = format!("subscriptions/{}/pay_pending_update", half.id);
    let paid = half.shop.control(&path, json!({})).await;
    assert_eq!((paid.status, half.pending()), (200, None));
    assert_eq!(half.items(), upgraded());
    assert_eq!(
        half.told(),
        [
            "invoice.paid",
            "customer.subscription.pending_update_applied",
            "customer.subscription.updated"
        ]
    );
    let now = half.shop.get(&half.path).await.body;
    assert_eq!(now["items"]["data"][1]["id"], wanted[1]["id"]);
    assert_eq!(half.invoice(&invoice).await["status"], "paid");
    assert!(half.shop.stripe.pay_pending_update(&half.id).is_err());
}

#[tokio::test]
async fn what_waits_too_long_is_void() {
    let mut half = Half::open().await;
    let (_, invoice) = half.parked().await;
    half.told();
    advance(&half.shop, 23 * HOUR - 1);
    assert!(half.pending().is_some());
    advance(&half.shop, 1);
    assert_eq!((half.items(), half.pending()), (plan(), None));
    assert_eq!(half.invoice(&invoice).await["status"], "void");
    assert_eq!(
        half.told(),
        [
            "customer.subscription.pending_update_expired",
            "customer.subscription.updated"
        ]
    );

    // Near its end a period leaves less time, and renews as if nothing had been asked.
    advance(&half.shop, half.end - HOUR - half.shop.stripe.now());
    half.parked().await;
    assert_eq!(half.pending(), Some(half.end));
    advance(&half.shop, HOUR);
    assert_eq!((half.items(), half.pending()), (plan(), None));
    let now = half.shop.stripe.subscription(&half.id).unwrap();
    assert_eq!(now.current_period_start, half.end);
    let renewal = half.invoice(&now.latest_invoice.unwrap()).await;
    assert_eq!(
        (&renewal["billing_reason"], &renewal["total"]),
        (&json!("subscription_cycle"), &json!(1200))
    );
}

#[tokio::test]
async fn what_waits_is_given_up_for_whatever_comes_after() {
    let mut half = Half::open().await;
    let (_, first) = half.parked().await;
    let (_, second) = half.parked().await;
    assert_eq!(half.invoice(&first).await["status"], "void");
    assert_eq!(half.invoice(&second).await["status"], "open");
    let labels = [("metadata[note]", "x")];
    assert_eq!(half.shop.post(&half.path, &labels).await.status, 200);
    assert!(half.pending().is_some(), "a label is no other change");

    half.told();
    let void = format!("/v1/invoices/{second}/void");
    let voided = half.shop.post(&void, &[]).await;
    assert_eq!(voided.body["status"], "void");
    assert_eq!((half.items(), half.pending()), (plan(), None));
    assert_eq!(
        half.told(),
        [
            "customer.subscription.pending_update_expired",
            "customer.subscription.updated"
        ]
    );

    let (_, third) = half.parked().await;
    let end = [("cancel_at_period_end", "true")];
    assert_eq!(half.shop.post(&half.path, &end).await.status, 200);
    assert_eq!(half.pending(), None);
    assert_eq!(half.invoice(&third).await["status"], "void");

    let (_, fourth) = half.parked().await;
    read(half.shop.request(Method::DELETE, &half.path)).await;
    assert_eq!(half.pending(), None);
    assert_eq!(half.invoice(&fourth).await["status"], "void");
    let late = half.upgrade(&BEHAVIOR).await;
    assert_eq!(late.status, 400, "{:?}", late.body);
}

#[tokio::test]
async fn without_waiting_an_unpaid_upgrade_is_carried_out() {
    let half = Half::open().await;
    half.shop.stripe.set_card_declines(&half.id, true).unwrap();
    let reply = half.upgrade(&BEHAVIOR[1..]).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!((half.items(), half.pending()), (upgraded(), None));
    let now = half.shop.stripe.subscription(&half.id).unwrap();
    assert_eq!(now.status, SubscriptionStatus::PastDue);
    assert_eq!(reply.body["latest_invoice"]["status"], "open");
}
