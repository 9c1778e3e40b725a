//! What a sweep tells of its looks: how long they took, that one was cut short, and what it found
//! that nobody but a person can put right.

use std::time::Instant;

use sandbox::stripe::{Effect, Fault};
use serde_json::{Value, json};
use spawnpoint::rpc::proto::Order;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE},
    sql, sweeps, till, wait,
};

both_engines!(
    a_look_tells_how_long_it_took,
    a_look_that_stripe_cuts_short_is_counted,
    a_look_that_the_store_cuts_short_stays_due,
    a_subscription_whose_order_is_not_in_the_store_is_told_of,
    items_that_are_not_the_orders_are_seen_in_the_list,
);

const EVENTS: &str = "stripe_events";
const SUBSCRIPTIONS: &str = "subscriptions";
const SUBSCRIPTION_LIST: &str = "/v1/subscriptions";

/// A shop whose sweeps of these two look when they are told to.
async fn open(engine: Engine) -> Live {
    let live = Live::open(engine).await;
    sweeps::looked(&live, &[EVENTS, SUBSCRIPTIONS]).await;
    live
}

async fn a_look_tells_how_long_it_took(engine: Engine) {
    let live = open(engine).await;
    let slow = Effect::Delay { millis: 700 };
    let slow = live
        .world
        .stripe
        .inject(Fault::on("GET", "/v1/events", slow));
    let began = Instant::now();
    sweeps::look(&live, EVENTS).await;
    let at_most = i64::try_from(began.elapsed().as_millis()).unwrap() + 1;
    assert!(live.world.stripe.fired(slow) > 0);
    let told = sweeps::shown(&live, EVENTS).await.duration_ms;
    assert!((700..=at_most).contains(&told), "{told} of {at_most} ms");
    live.close().await;
}

/// With its last run alone a sweep that fails would look as one that finds nothing.
async fn a_look_that_stripe_cuts_short_is_counted(engine: Engine) {
    let live = open(engine).await;
    for (sweep, path) in [(EVENTS, "/v1/events"), (SUBSCRIPTIONS, SUBSCRIPTION_LIST)] {
        let cut = format!("spawnpoint_sweeps_cut_short_total{{sweep=\"{sweep}\"}}");
        let before = live.counted(&cut).await;
        let refused = Effect::Status {
            status: 401,
            body: None,
        };
        let refused = live
            .world
            .stripe
            .inject(Fault::on("GET", path, refused).always());
        let last = sweeps::shown(&live, sweep).await.last_run_time;
        sweeps::look(&live, sweep).await;
        assert!(live.world.stripe.fired(refused) > 0);
        assert!(live.counted(&cut).await > before, "{sweep}");
        live.world.stripe.remove_fault(refused);
        if sweep == SUBSCRIPTIONS {
            // It comes seldom: it stays due until it was done.
            assert_eq!(sweeps::shown(&live, sweep).await.last_run_time, last);
            sweeps::look(&live, sweep).await;
            assert_ne!(sweeps::shown(&live, sweep).await.last_run_time, last);
        }
    }
    live.close().await;
}

/// What could not be looked at for the store's sake is not taken as looked at.
async fn a_look_that_the_store_cuts_short_stays_due(engine: Engine) {
    let live = open(engine).await;
    live.buy(Uuid::new_v4()).await;
    till::delivered(&live).await;
    live.wait_until_unleased().await;
    let last = sweeps::shown(&live, SUBSCRIPTIONS).await.last_run_time;
    let away = "ALTER TABLE billing RENAME TO billing_away";
    sql::run(&live.store.db, away).await.unwrap();
    let failed = sweeps::try_to_look(&live, SUBSCRIPTIONS).await;
    let back = "ALTER TABLE billing_away RENAME TO billing";
    sql::run(&live.store.db, back).await.unwrap();
    assert!(failed.is_err());
    assert_eq!(
        sweeps::shown(&live, SUBSCRIPTIONS).await.last_run_time,
        last
    );
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert_ne!(
        sweeps::shown(&live, SUBSCRIPTIONS).await.last_run_time,
        last
    );
    live.close().await;
}

/// The store is an older backup: Stripe has a subscription of an order that nobody here knows of,
/// and only a person can find out what was sold. What is over, of others, or of the other mode
/// needs nobody.
async fn a_subscription_whose_order_is_not_in_the_store_is_told_of(engine: Engine) {
    let live = open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let path = format!("/v1/subscriptions/{}", live.subscription(&order));
    let own = till::stripe_object(&live, &path).await;
    let other = |id: &str, order_id: Uuid, change: &dyn Fn(&mut Value)| {
        let mut other = own.clone();
        other["id"] = json!(id);
        other["metadata"]["order_id"] = json!(order_id);
        change(&mut other);
        other
    };
    let page = json!({
        "object": "list", "url": SUBSCRIPTION_LIST, "has_more": false,
        "data": [
            other("sub_lost", till::lost_order(1), &|_| {}),
            other("sub_foreign", Uuid::new_v4(), &|_| {}),
            other("sub_over", till::lost_order(2), &|other| other["status"] = json!("canceled")),
            other("sub_live", till::lost_order(3), &|other| other["livemode"] = json!(true)),
            own.clone(),
        ],
    });
    let body = Some(page.to_string());
    let listed = Effect::Status { status: 200, body };
    let listed = Fault::on("GET", SUBSCRIPTION_LIST, listed).always();
    live.world.stripe.inject(listed);
    let without = "spawnpoint_subscriptions_stray_total{why=\"no_such_order\"}";
    let before = live.counted(without).await;
    for looks in 1..=2 {
        sweeps::look(&live, SUBSCRIPTIONS).await;
        assert_eq!(sweeps::shown(&live, SUBSCRIPTIONS).await.finds, 1);
        assert!(live.counted(without).await >= before + f64::from(looks));
    }
    assert_eq!(till::rows(&live, "orders").await, 1);
    live.close().await;
}

/// Somebody changed what a subscription is for, and Stripe made no event of it: its list of
/// subscriptions tells, once.
async fn items_that_are_not_the_orders_are_seen_in_the_list(engine: Engine) {
    let live = open(engine).await;
    let (order, other) = (
        live.buy(Uuid::new_v4()).await,
        live.buy(Uuid::new_v4()).await,
    );
    till::delivered(&live).await;
    for order in [&order, &other] {
        let id = sql::id(&live.store.db, order.id.parse().unwrap());
        let unread =
            format!("SELECT count(*) FROM billing WHERE order_id = {id} AND hints <> hints_read");
        wait::until("what was told is read", PATIENCE, || async {
            sql::count(&live.store.db, &unread).await == 0
        })
        .await;
    }
    let path = |order: &Order| format!("/v1/subscriptions/{}", live.subscription(order));
    let mut changed = till::stripe_object(&live, &path(&order)).await;
    changed["items"]["data"][0]["quantity"] = json!(2);
    let same = till::stripe_object(&live, &path(&other)).await;
    let page = json!({
        "object": "list", "url": SUBSCRIPTION_LIST, "has_more": false, "data": [same, changed],
    });
    let answer = |path: &str, answer: &Value| {
        let body = Some(answer.to_string());
        let answer = Effect::Status { status: 200, body };
        let fault = Fault::on("GET", path, answer).always();
        live.world.stripe.inject(fault)
    };
    // Faults match by the beginning of a path: the object comes before the list.
    answer(&path(&order), &changed);
    answer(SUBSCRIPTION_LIST, &page);
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(&live, SUBSCRIPTIONS).await.finds, 1);
    live.wait_order(&order.id, "the change is shown", |order| {
        order.error_reason == "PLAN_MISMATCH"
    })
    .await;
    live.wait_until_unleased().await;
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(&live, SUBSCRIPTIONS).await.finds, 0);
    assert_eq!(live.order(&other.id).await.error_reason, "");
    // Put back, and no event tells of that either.
    live.world.stripe.clear_faults();
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert_eq!(sweeps::shown(&live, SUBSCRIPTIONS).await.finds, 1);
    live.wait_order(&order.id, "it is put back", |order| {
        order.error_reason.is_empty()
    })
    .await;
    live.close().await;
}
