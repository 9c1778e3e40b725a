//! Refunds that fail at Stripe after they were taken: the money is the shop's again, and only a
//! person can find another way for it.

use sandbox::stripe::ApiVersion;
use serde_json::json;
use spawnpoint::rpc::proto::{Order, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE},
    sql, sweeps, till, wait,
};

both_engines!(
    a_refund_that_comes_back_is_told_of,
    a_refund_that_did_not_come_back_is_not_believed_to,
);

const RETURNED: &str = "spawnpoint_refunds_returned_total";

/// How often its order's events say that a refund came back.
async fn told(live: &Live, order: &Order) -> usize {
    let changes = till::changes(live, &order.id).await;
    let told = changes.iter().filter(|change| {
        change
            .to
            .contains("a refund of its payment failed at Stripe")
    });
    told.count()
}

async fn heard(live: &Live) -> i64 {
    let heard = "SELECT count(*) FROM stripe_events WHERE type = 'refund.failed'
        AND state = 'applied' AND order_id IS NOT NULL";
    sql::count(&live.store.db, heard).await
}

/// With a webhook, and found in the list of events where none came.
async fn a_refund_that_comes_back_is_told_of(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let before = live.counted(RETURNED).await;
    for (times, webhooks) in [(1, true), (2, false)] {
        till::deliver_webhooks(&live, true);
        let order = live.buy(Uuid::new_v4()).await;
        till::delivered(&live).await;
        till::deliver_webhooks(&live, webhooks);
        let own = live.subscription(&order);
        let refund = stripe.refund_by_hand(&own, Some(100)).unwrap();
        stripe.fail_refund(&refund.id).unwrap();
        if !webhooks {
            sweeps::look(&live, "stripe_events").await;
            sweeps::look(&live, "charges").await;
        }
        wait::until("it is told", PATIENCE, || async {
            told(&live, &order).await == 1
        })
        .await;
        assert_eq!(heard(&live).await, times);
        live.wait_until_unleased().await;
        let now = live.order(&order.id).await;
        assert_eq!(now.server_state(), ServerState::Running);
    }
    assert!(live.counted(RETURNED).await >= before + 2.0);
    live.close().await;
}

/// An event is a hint: what became of the refund is read.
async fn a_refund_that_did_not_come_back_is_not_believed_to(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let stripe = &live.world.stripe;
    let own = live.subscription(&order);
    let refund = stripe.refund_by_hand(&own, Some(100)).unwrap();
    let event = json!({
        "id": "evt_hasty", "object": "event", "api_version": ApiVersion::NEW,
        "created": till::now(), "livemode": false, "type": "refund.failed",
        "data": {"object": {
            "id": refund.id, "object": "refund", "status": "failed",
            "payment_intent": refund.payment_intent,
        }},
    });
    assert_eq!(till::send_webhook(&live, &event).await, 200);
    wait::until("Stripe was asked", PATIENCE, || async {
        heard(&live).await == 1
    })
    .await;
    let path = format!("/v1/refunds/{}", refund.id);
    assert_eq!(till::stripe_calls(&live, "GET", &path).len(), 1);
    assert_eq!(told(&live, &order).await, 0);
    live.close().await;
}
