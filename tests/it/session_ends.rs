//! How sessions end without a server: by their time, by an event, by asking; and delayed
//! payments, which end either way.

use std::time::Duration;

use sandbox::stripe::{ApiVersion, PayMode, SessionStatus};
use serde_json::json;
use spawnpoint::rpc::proto::{Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    an_abandoned_session_gives_everything_back,
    with_no_webhook_the_end_is_asked_for,
    a_session_that_stripe_keeps_open_is_ended,
    a_delayed_payment_keeps_its_hold_until_it_is_settled,
    an_order_that_ended_by_a_failed_payment_stays_so,
    with_no_webhook_a_delayed_payment_is_asked_for,
);

const HOLD: Duration = Duration::from_secs(35 * 60);
/// More than Stripe gets to tell of an end by itself.
const GRACE: Duration = Duration::from_secs(2 * 60);

async fn pending(live: &Live) -> Order {
    live.checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap()
}

/// The order has ended and nothing is left of what it held.
async fn assert_given_back(live: &Live, order: &Order, all: i32) {
    let ended = live
        .wait_order(&order.id, "the order has ended", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    assert_eq!(ended.server_state(), ServerState::None);
    assert_eq!(
        (ended.checkout_url.as_str(), ended.error_reason.as_str()),
        ("", "")
    );
    till::wait_remaining(live, "mc-2gb", "us-east", all).await;
    assert_eq!(till::rows(live, "holds").await, 0);
    let ports = "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, ports).await, 0);
    let held = "SELECT held_ram_gb || ' ' || held_disk_gb FROM ptero_nodes ORDER BY id";
    assert_eq!(sql::texts(&live.store.db, held).await, ["0 0", "0 0"]);
    assert_eq!(live.world.panel.servers().len(), 0);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    assert_eq!(live.world.panel.count_route("POST", "/users"), 0);
}

/// Without webhooks and without the sweep: only the order's own time is left.
async fn open_deaf(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

/// Finding 19: abandoned checkouts stayed pending for ever.
async fn an_abandoned_session_gives_everything_back(engine: Engine) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let wanted = cart(Uuid::new_v4());
    let order = live.checkout(wanted.clone()).await.unwrap().order.unwrap();
    assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, all - 1);
    // Only Stripe's clock moves: that it says so is enough.
    live.world.stripe.advance(HOLD);
    assert_given_back(&live, &order, all).await;
    let session = &order.stripe_checkout_session_id;
    let event = till::event_about(&live, "checkout.session.expired", session);
    assert_eq!(
        till::inbox(&live, &event.id).await.as_deref(),
        Some("applied:")
    );
    let path = format!("/v1/checkout/sessions/{session}/expire");
    assert_eq!(till::stripe_calls(&live, "POST", &path).len(), 0);

    // Its request is still its own: what it made has ended, and nothing new is made.
    let again = live.checkout(wanted).await.unwrap();
    assert_eq!((again.checkout_url.as_str(), again.expire_time), ("", None));
    let again = again.order.unwrap();
    assert_eq!(
        (&again.id, again.status()),
        (&order.id, OrderStatus::Canceled)
    );
    assert_eq!(live.world.stripe.sessions().len(), 1);
    live.close().await;
}

/// Finding 4: a lost webhook left nothing to compare with.
async fn with_no_webhook_the_end_is_asked_for(engine: Engine) {
    let live = open_deaf(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let order = pending(&live).await;
    live.world.stripe.advance(HOLD + GRACE);
    // Stripe has ended it; a hold ends only once we have heard so.
    assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, all - 1);
    till::move_core(&live, HOLD + GRACE);
    assert_given_back(&live, &order, all).await;
    assert_eq!(till::rows(&live, "stripe_events").await, 0);
    live.close().await;
}

async fn a_session_that_stripe_keeps_open_is_ended(engine: Engine) {
    let live = open_deaf(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let order = pending(&live).await;
    // Stripe's clock lags behind ours: past its time the session can still be paid.
    till::move_core(&live, HOLD + GRACE);
    assert_given_back(&live, &order, all).await;
    let session = live
        .world
        .stripe
        .session(&order.stripe_checkout_session_id)
        .unwrap();
    assert_eq!(session.status, SessionStatus::Expired);
    assert!(live.world.stripe.pay(&session.id, PayMode::Paid).is_err());
    live.close().await;
}

/// W-07: complete but unpaid makes no server, however long it takes; a later success makes
/// one, a later failure gives everything back.
async fn a_delayed_payment_keeps_its_hold_until_it_is_settled(engine: Engine) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let (good, bad) = (pending(&live).await, pending(&live).await);
    for order in [&good, &bad] {
        let session = &order.stripe_checkout_session_id;
        live.world.stripe.pay(session, PayMode::Unpaid).unwrap();
        till::delivered(&live).await;
        let event = till::event_about(&live, "checkout.session.completed", session);
        assert_eq!(
            till::inbox(&live, &event.id).await.as_deref(),
            Some("applied:")
        );
        read_as(&live, &order.id, "unpaid").await;
    }
    // Long after the session's own time it still holds, and nothing is made.
    till::move_core(&live, HOLD + GRACE);
    live.world.stripe.advance(HOLD + GRACE);
    for order in [&good, &bad] {
        let now = live.order(&order.id).await;
        assert_eq!(now.status(), OrderStatus::Pending);
        assert_eq!(
            (now.waiting_reason.as_str(), now.checkout_url.as_str()),
            ("AWAITING_PAYMENT", "")
        );
    }
    assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, all - 2);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    assert_eq!(live.world.panel.count_route("POST", "/users"), 0);

    live.world
        .stripe
        .settle(&good.stripe_checkout_session_id, true)
        .unwrap();
    live.wait_running(&good.id).await;
    assert_eq!(live.order(&bad.id).await.status(), OrderStatus::Pending);

    live.world
        .stripe
        .settle(&bad.stripe_checkout_session_id, false)
        .unwrap();
    live.wait_order(&bad.id, "the unpaid order has ended", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    till::wait_remaining(&live, "mc-2gb", "us-east", all - 1).await;
    assert_eq!(live.world.panel.servers().len(), 1);
    assert!(live.world.panel.server(&bad.id).is_none());
    live.close().await;
}

/// W-03, W-07: the failure is told again under another id. (The order was pending again until
/// its next read of Stripe.)
async fn an_order_that_ended_by_a_failed_payment_stays_so(engine: Engine) {
    let live = Live::open(engine).await;
    let order = pending(&live).await;
    let session = &order.stripe_checkout_session_id;
    live.world.stripe.pay(session, PayMode::Unpaid).unwrap();
    live.world.stripe.settle(session, false).unwrap();
    live.wait_order(&order.id, "the unpaid order has ended", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    till::delivered(&live).await;
    let told = till::event_about(&live, "checkout.session.async_payment_failed", session);
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    let mut again = live.world.stripe.event_json(&told.id, &version).unwrap();
    again["id"] = json!(format!("{}_again", told.id));
    assert_eq!(till::send_webhook(&live, &again).await, 200);
    let mut changes = till::changes(&live, &order.id).await;
    changes.retain(|change| change.what == "status");
    let became: Vec<_> = changes.iter().map(|change| change.to.as_str()).collect();
    assert_eq!(became, ["pending", "canceled"]);
    live.close().await;
}

/// W-07: the same with not one event delivered.
async fn with_no_webhook_a_delayed_payment_is_asked_for(engine: Engine) {
    let live = open_deaf(engine).await;
    let order = pending(&live).await;
    let session = &order.stripe_checkout_session_id;
    live.world.stripe.pay(session, PayMode::Unpaid).unwrap();
    // Asked at the session's end, then every hour.
    till::move_core(&live, HOLD + GRACE);
    read_as(&live, &order.id, "unpaid").await;
    live.world.stripe.settle(session, true).unwrap();
    till::move_core(&live, Duration::from_secs(61 * 60));
    live.wait_running(&order.id).await;
    assert_eq!(till::rows(&live, "stripe_events").await, 0);
    live.close().await;
}

/// Waits until our own read of Stripe has shown this payment status.
async fn read_as(live: &Live, order_id: &str, payment_status: &str) {
    let id = sql::id(&live.store.db, order_id.parse().unwrap());
    let query = format!("SELECT payment_status FROM billing WHERE order_id = {id}");
    wait::until("Stripe was read", PATIENCE, || async {
        sql::texts(&live.store.db, &query).await == [payment_status]
    })
    .await;
}
