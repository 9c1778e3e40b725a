//! Bodies about money, written after Stripe's own: they name no order, and find it in both
//! renderings; and what they say is not believed.

use std::time::Duration;

use sandbox::stripe::{DisputeOutcome, PaymentView};
use serde_json::{Value, json};
use spawnpoint::{rpc::proto::Order, stripe::events::MATTERING};
use uuid::Uuid;

use super::{
    bodies::{Rendering, Rendering::New, Rendering::Old, envelope, with_strangers},
    sending::Sender,
};
use crate::support::{
    db::Engine,
    live::{Live, PATIENCE},
    sql, till, wait,
};

both_engines!(bodies_about_money_find_their_order_and_are_not_believed);

/// So old that nobody's payment is believed to be nobody's.
const OLD_ENOUGH: Duration = Duration::from_secs(600);

/// What was paid for an order, and what became of it.
struct Money {
    payment: PaymentView,
    customer: String,
    dispute: String,
    refund: String,
}

fn charge(money: &Money, rendering: Rendering) -> Value {
    let payment = &money.payment;
    let mut charge = json!({
        "id": payment.charge,
        "object": "charge",
        "amount": payment.amount,
        "amount_captured": payment.amount,
        // It says that all of it went back.
        "amount_refunded": payment.amount,
        "balance_transaction": "txn_1",
        "billing_details": {"email": "alex@players.example", "name": "Alex Miner"},
        "captured": true,
        "currency": payment.currency,
        "customer": money.customer,
        "disputed": false,
        "livemode": false,
        "metadata": {},
        "outcome": {"network_status": "approved_by_network", "type": "authorized"},
        "paid": true,
        "payment_intent": payment.payment_intent,
        "refunded": true,
        "status": "succeeded",
    });
    if rendering == Old {
        // Basil took the invoice from charges.
        charge["invoice"] = json!(payment.invoice);
        charge["refunds"] = json!({"object": "list", "data": [], "has_more": false});
    }
    charge
}

fn dispute(money: &Money, rendering: Rendering) -> Value {
    let payment = &money.payment;
    json!({
        "id": money.dispute,
        "object": "dispute",
        "amount": payment.amount,
        "balance_transactions": [],
        "charge": match rendering {
            Old => json!(payment.charge),
            New => json!({"id": payment.charge, "object": "charge"}),
        },
        "currency": payment.currency,
        "evidence_details": {"due_by": 1_792_592_000, "has_evidence": false},
        "is_charge_refundable": false,
        "livemode": false,
        "metadata": {},
        "payment_intent": payment.payment_intent,
        "reason": "fraudulent",
        // It says that the bank has not decided yet.
        "status": "needs_response",
    })
}

fn refund(money: &Money) -> Value {
    let payment = &money.payment;
    json!({
        "id": money.refund,
        "object": "refund",
        "amount": 100,
        "charge": payment.charge,
        "currency": payment.currency,
        "failure_reason": "lost_or_stolen_card",
        "metadata": {},
        "payment_intent": payment.payment_intent,
        "reason": null,
        "status": "failed",
    })
}

/// One body of each type, and what is odd of it: a name, the body, whether it finds the order.
fn table(money: &Money) -> Vec<(String, Value, bool)> {
    let mut rows = Vec::new();
    for rendering in [Old, New] {
        let kinds = MATTERING
            .into_iter()
            .filter(|kind| kind.starts_with("charge.") || kind.starts_with("refund."));
        for kind in kinds {
            let object = match kind {
                "charge.refunded" => charge(money, rendering),
                "refund.failed" => refund(money),
                _ => dispute(money, rendering),
            };
            let mut nameless = object.clone();
            nameless["object"] = Value::Null;
            let mut expanded = object.clone();
            let id = expanded["payment_intent"].take();
            expanded["payment_intent"] = json!({"id": id, "object": "payment_intent"});
            let mut strangers = object.clone();
            strangers["payment_intent"] = json!("pi_elsewhere");
            let mut without = object.clone();
            without["payment_intent"] = Value::Null;
            for (what, object, ours) in [
                ("as it is", object.clone(), true),
                ("unknown fields", with_strangers(object), true),
                ("it does not name itself", nameless, true),
                ("objects instead of ids", expanded, true),
                ("another shop's", strangers, false),
                ("of no payment that Stripe names", without, false),
            ] {
                let id = format!("evt_money_{rendering:?}_{}", rows.len());
                let event = envelope(&id, kind, rendering, object);
                rows.push((format!("{rendering:?}, {kind}: {what}"), event, ours));
            }
        }
    }
    rows
}

/// A bought order whose payment was disputed in vain, and of which a part went back in vain.
async fn disputed_in_vain(live: &Live) -> (Order, Money) {
    let order = live.buy(Uuid::new_v4()).await;
    till::delivered(live).await;
    till::deliver_webhooks(live, false);
    let stripe = &live.world.stripe;
    let own = live.subscription(&order);
    let dispute = stripe.open_dispute(&own, "fraudulent").unwrap();
    stripe.close_dispute(&dispute, DisputeOutcome::Won).unwrap();
    let refund = stripe.refund_by_hand(&own, Some(100)).unwrap();
    stripe.fail_refund(&refund.id).unwrap();
    let money = Money {
        payment: stripe.payment(&own).unwrap(),
        customer: stripe.subscription(&own).unwrap().customer,
        dispute,
        refund: refund.id,
    };
    (order, money)
}

/// W-16: what is about money, in both renderings.
async fn bodies_about_money_find_their_order_and_are_not_believed(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_CHARGES_SECONDS", "0.2");
    })
    .await;
    let (order, money) = disputed_in_vain(&live).await;
    let rows = table(&money);
    assert!(rows.len() >= 2 * 6 * 6, "{} bodies", rows.len());
    let gateway = Sender::to(live.world.gateway);
    for (name, event, _) in &rows {
        assert_eq!(gateway.event(event).await.status, 200, "{name}");
    }
    // What is nobody's is believed to be so after a while.
    live.skip(OLD_ENOUGH);
    wait::until("Stripe has told whose they are", PATIENCE, || async {
        let open = "SELECT count(*) FROM stripe_events WHERE state = 'received'";
        sql::count(&live.store.db, open).await == 0
    })
    .await;
    live.wait_until_unleased().await;
    let own = sql::id(&live.store.db, order.id.parse().unwrap());
    for (name, event, ours) in &rows {
        let id = event["id"].as_str().unwrap();
        let state = till::inbox(&live, id).await.unwrap();
        let word = state.split(':').next().unwrap_or_default();
        assert_eq!(
            word,
            if *ours { "applied" } else { "ignored" },
            "{name}: {state}"
        );
        let named =
            format!("SELECT count(*) FROM stripe_events WHERE id = '{id}' AND order_id = {own}");
        assert_eq!(
            sql::count(&live.store.db, &named).await,
            i64::from(*ours),
            "{name}"
        );
    }
    // They told of money that is gone; Stripe itself says that the shop has it.
    let now = live.wait_running(&order.id).await;
    assert_eq!(now.subscription_status, "active");
    assert!(now.suspension_reasons.is_empty(), "{now:?}");
    assert_eq!(till::rows(&live, "refunds").await, 0);
    assert_eq!(
        live.world
            .panel
            .count_route("POST", "/servers/{server}/suspend"),
        0
    );
    live.close().await;
}
