//! Payments that no event ever told of, for which an order has no place: Stripe's list of
//! subscriptions shows them, and they go back, once.

use sandbox::stripe::{Effect, Fault, PayMode, SubscriptionStatus};
use serde_json::json;
use spawnpoint::rpc::proto::{CancelOrderRequest, Order, OrderStatus};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, sweeps, till, wait,
};

both_engines!(
    a_second_subscription_that_no_event_told_of_goes_back_once,
    one_of_an_order_that_is_over_goes_back_once,
    one_that_was_made_by_hand_is_left_to_people,
    one_that_cannot_be_looked_at_hides_nothing,
);

const SUBSCRIPTIONS: &str = "subscriptions";
const LIST: &str = "/v1/subscriptions";

/// A shop that hears of nothing, and looks at Stripe's subscriptions when it is told to.
async fn open(engine: Engine) -> Live {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    sweeps::looked(&live, &[SUBSCRIPTIONS, "stripe_events"]).await;
    live
}

fn subscription_of(live: &Live, session_id: &str) -> String {
    let session = live.world.stripe.session(session_id).unwrap();
    session.subscription.unwrap()
}

/// What it cost goes back once and its subscription ends, however often the list is looked at.
async fn goes_back_once(live: &Live, order: &Order, session_id: &str) {
    let stripe = &live.world.stripe;
    let stray = subscription_of(live, session_id);
    assert_eq!(
        stripe.subscription(&stray).unwrap().status,
        SubscriptionStatus::Active
    );
    sweeps::look(live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(live, SUBSCRIPTIONS).await.finds, 1);
    sweeps::look(live, SUBSCRIPTIONS).await;
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let done =
        format!("SELECT count(*) FROM refunds WHERE order_id = {id} AND done_us IS NOT NULL");
    wait::until("its payment went back", PATIENCE, || async {
        sql::count(&live.store.db, &done).await == 1
    })
    .await;
    live.wait_until_unleased().await;
    sweeps::look(live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(live, SUBSCRIPTIONS).await.finds, 0);
    let refunds = stripe.refunds();
    let [refund] = refunds.as_slice() else {
        panic!("{refunds:?}")
    };
    assert_eq!(refund.subscription.as_deref(), Some(stray.as_str()));
    assert_eq!(refund.amount, 699);
    assert_eq!(
        stripe.subscription(&stray).unwrap().status,
        SubscriptionStatus::Canceled
    );
    let changes = till::changes(live, &order.id).await;
    let decided = |change: &&spawnpoint::rpc::proto::OrderEvent| {
        change.to.contains("is to be refunded") && change.actor == "sweep:subscriptions"
    };
    assert_eq!(changes.iter().filter(decided).count(), 1, "{changes:?}");
}

async fn a_second_subscription_that_no_event_told_of_goes_back_once(engine: Engine) {
    let live = open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    let second = till::pay_again(&live, &order).await;
    goes_back_once(&live, &order, &second).await;
    let own = live.subscription(&order);
    assert_eq!(
        live.world.stripe.subscription(&own).unwrap().status,
        SubscriptionStatus::Active
    );
    assert_eq!(
        live.order(&order.id).await.status(),
        OrderStatus::Provisioned
    );
    live.close().await;
}

async fn one_of_an_order_that_is_over_goes_back_once(engine: Engine) {
    let live = open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let second = till::open_again(&live, &order).await;
    let cancel = CancelOrderRequest {
        order_id: order.id.clone(),
        ..CancelOrderRequest::default()
    };
    let mut client = live.orders();
    client.cancel_order(live.operator(cancel)).await.unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    live.world.stripe.pay(&second, PayMode::Paid).unwrap();
    goes_back_once(&live, &order, &second).await;
    assert_eq!(live.creates(&order.id).len(), 0);
    live.close().await;
}

/// No session of ours made it: what its customer was told nobody here knows. What has ended since
/// it was listed needs nobody.
async fn one_that_was_made_by_hand_is_left_to_people(engine: Engine) {
    let live = open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let own = live.subscription(&order);
    let own = till::stripe_object(&live, &format!("{LIST}/{own}")).await;
    let mut by_hand = own.clone();
    by_hand["id"] = json!("sub_by_hand");
    let mut ended = own.clone();
    ended["id"] = json!("sub_ended");
    let answer = |path: &str, answer: &serde_json::Value| {
        let body = Some(answer.to_string());
        let answer = Effect::Status { status: 200, body };
        live.world
            .stripe
            .inject(Fault::on("GET", path, answer).always())
    };
    let page = json!({
        "object": "list", "url": LIST, "has_more": false, "data": [own, by_hand, ended],
    });
    ended["status"] = json!("canceled");
    ended["ended_at"] = json!(till::now());
    // Faults match by the beginning of a path: the objects come before the list.
    let asked = [
        answer(&format!("{LIST}/sub_by_hand"), &by_hand),
        answer(&format!("{LIST}/sub_ended"), &ended),
    ];
    answer(LIST, &page);
    let stray = "spawnpoint_subscriptions_stray_total{why=\"second_of_order\"}";
    let before = live.counted(stray).await;
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(&live, SUBSCRIPTIONS).await.finds, 1);
    assert!(live.counted(stray).await >= before + 1.0);
    for fault in asked {
        assert!(live.world.stripe.fired(fault) > 0);
    }
    live.wait_until_unleased().await;
    assert!(live.world.stripe.refunds().is_empty());
    assert_eq!(till::rows(&live, "refunds").await, 0);
    live.world.stripe.clear_faults();
    live.close().await;
}

/// Stripe does not say who bought it: that is no finding, all others are looked at, and it is tried
/// again soon.
async fn one_that_cannot_be_looked_at_hides_nothing(engine: Engine) {
    let live = open(engine).await;
    let (order, other) = (
        live.buy(Uuid::new_v4()).await,
        live.buy(Uuid::new_v4()).await,
    );
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    let second = till::pay_again(&live, &order).await;
    let stripe = &live.world.stripe;
    let own = live.subscription(&other);
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Paused)
        .unwrap();
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let down = Fault::on("GET", "/v1/checkout/sessions", down).always();
    let down = stripe.inject(down);
    let last = sweeps::shown(&live, SUBSCRIPTIONS).await.last_run_time;
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert!(stripe.fired(down) > 0);
    let shown = sweeps::shown(&live, SUBSCRIPTIONS).await;
    assert_eq!((shown.finds, shown.last_run_time), (1, last), "still due");
    live.wait_order(&other.id, "its news is read", |order| {
        order.subscription_status == "paused"
    })
    .await;
    assert!(stripe.refunds().is_empty());
    stripe.remove_fault(down);
    live.wait_until_unleased().await;
    goes_back_once(&live, &order, &second).await;
    live.close().await;
}
