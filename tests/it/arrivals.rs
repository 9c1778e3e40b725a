//! Events in every order of arrival and in both renderings, early and late: after all of them
//! everything is the same.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::stripe::{ApiVersion, SubscriptionStatus};
use serde_json::json;
use spawnpoint::rpc::proto::{Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    an_order_ends_alike_in_whatever_order_its_events_come,
    an_order_ends_alike_with_each_event_as_early_as_it_can_come,
    an_old_event_revives_nothing,
);

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than a server is kept whose subscription is over.
const RETENTION: Duration = Duration::from_secs(8 * 24 * 3600);

/// Of a subscription that is paid, then planned to end, then ended.
const KINDS: [&str; 4] = [
    "checkout.session.completed",
    "customer.subscription.updated",
    "invoice.paid",
    "customer.subscription.deleted",
];

/// A shop that hears of all this from the events that a test sends.
async fn open(engine: Engine) -> Live {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    till::deliver_webhooks(&live, false);
    live
}

/// Lets so much time pass, here and at Stripe.
fn pass(live: &Live, by: Duration) {
    live.world.stripe.advance(by);
    live.skip(by);
}

async fn wait_for(live: &Live, order: &Order, status: OrderStatus, state: ServerState) {
    live.wait_order(&order.id, "what was told is known", |order| {
        (order.status(), order.server_state()) == (status, state)
    })
    .await;
}

/// W-04: all 24 orders of arrival, each in both renderings, once Stripe has made all of them.
async fn an_order_ends_alike_in_whatever_order_its_events_come(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let mut orders = Vec::new();
    for arrival in till::permutations(&KINDS) {
        let order = live.reserve(cart(Uuid::new_v4())).await;
        let before = stripe.events().len();
        live.pay(&order);
        let subscription = live.subscription(&order);
        stripe.cancel_at_period_end(&subscription, true).unwrap();
        stripe.cancel_subscription(&subscription).unwrap();
        let made = stripe.events().split_off(before);
        for version in [ApiVersion::OLD, ApiVersion::NEW] {
            let version = ApiVersion::parse(version).unwrap();
            for kind in &arrival {
                let event = made.iter().find(|event| event.kind == *kind).unwrap();
                let mut body = stripe.event_json(&event.id, &version).unwrap();
                body["id"] = json!(format!("{}_{}", event.id, &version.as_str()[..4]));
                assert_eq!(till::send_webhook(&live, &body).await, 200);
            }
        }
        orders.push(order);
    }
    assert_eq!(orders.len(), 24);
    for order in &orders {
        wait_for(&live, order, OrderStatus::Canceled, ServerState::None).await;
        let order = live.order(&order.id).await;
        assert_eq!(order.subscription_status, "canceled");
    }
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.wait_until_unleased().await;
    assert_eq!(stripe.refunds(), []);
    let applied = "SELECT count(*) FROM stripe_events WHERE state <> 'applied'";
    assert_eq!(sql::count(&live.store.db, applied).await, 0);
    live.close().await;
}

/// W-04: all 24 orders of arrival, in the renderings by turns, each event as early as Stripe can have
/// made it: whatever was told by then, the order is where Stripe is, and all end alike.
async fn an_order_ends_alike_with_each_event_as_early_as_it_can_come(engine: Engine) {
    let live = open(engine).await;
    let arrivals = till::permutations(&KINDS);
    let versions = [ApiVersion::OLD, ApiVersion::NEW].into_iter().cycle();
    let lives = arrivals.iter().zip(versions);
    let lives = lives.map(|(arrival, version)| live_through(&live, arrival, version));
    let orders = join_all(lives).await;
    assert_eq!(orders.len(), 24);
    let ran = orders.iter().filter(|(_, ran)| *ran).count();
    assert_eq!(ran, 18, "all but those of which the end was heard first");
    live.wait_until_unleased().await;
    pass(&live, RETENTION);
    for (order, ran) in &orders {
        let state = if *ran {
            ServerState::Deleted
        } else {
            ServerState::None
        };
        wait_for(&live, order, OrderStatus::Canceled, state).await;
        let order = live.order(&order.id).await;
        assert_eq!(order.subscription_status, "canceled");
        assert_eq!(live.creates(&order.id).len(), usize::from(*ran));
    }
    let (stripe, panel) = (&live.world.stripe, &live.world.panel);
    assert_eq!(stripe.refunds(), []);
    assert_eq!(panel.servers(), []);
    let applied = "SELECT count(*) FROM stripe_events WHERE state <> 'applied'";
    assert_eq!(sql::count(&live.store.db, applied).await, 0);
    live.close().await;
}

/// Stripe goes on only as far as the next event asks for. Tells whether the order had a server.
async fn live_through(live: &Live, arrival: &[&str], version: &str) -> (Order, bool) {
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let stripe = &live.world.stripe;
    let version = ApiVersion::parse(version).unwrap();
    let (mut stage, mut ran) = (0, false);
    for kind in arrival {
        let wanted = match *kind {
            "customer.subscription.deleted" => 3,
            "customer.subscription.updated" => 2,
            _ => 1,
        };
        while stage < wanted {
            stage += 1;
            match stage {
                1 => live.pay(&order),
                2 => drop(
                    stripe
                        .cancel_at_period_end(&live.subscription(&order), true)
                        .unwrap(),
                ),
                _ => drop(
                    stripe
                        .cancel_subscription(&live.subscription(&order))
                        .unwrap(),
                ),
            }
        }
        let session = stripe.session(&order.stripe_checkout_session_id).unwrap();
        let about = match *kind {
            "checkout.session.completed" => session.id,
            "invoice.paid" => session.invoice.unwrap(),
            _ => session.subscription.unwrap(),
        };
        let event = till::event_about(live, kind, &about);
        let body = stripe.event_json(&event.id, &version).unwrap();
        assert_eq!(till::send_webhook(live, &body).await, 200);
        if stage < 3 {
            live.wait_running(&order.id).await;
            ran = true;
            continue;
        }
        let state = if ran {
            ServerState::Suspended
        } else {
            ServerState::None
        };
        wait_for(live, &order, OrderStatus::Canceled, state).await;
    }
    (order, ran)
}

/// W-05: three days late, and again once nothing is left. Finding 9: it was brought back to life.
async fn an_old_event_revives_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let order = live.buy(Uuid::new_v4()).await;
    let own = &live.subscription(&order);
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    for status in [SubscriptionStatus::Paused, SubscriptionStatus::Active] {
        stripe.set_subscription_status(own, status).unwrap();
    }
    let session = stripe.session(&order.stripe_checkout_session_id).unwrap();
    let invoice = session.invoice.unwrap();
    let late = [
        ("checkout.session.completed", &session.id),
        ("customer.subscription.created", own),
        ("customer.subscription.updated", own),
        ("customer.subscription.resumed", own),
        ("invoice.paid", &invoice),
    ];
    let late = late.map(|(kind, about)| till::event_about(&live, kind, about));
    till::deliver_webhooks(&live, true);
    stripe.cancel_subscription(own).unwrap();
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    for (state, after) in [
        (ServerState::Suspended, 3 * DAY),
        (ServerState::Deleted, RETENTION),
    ] {
        if state == ServerState::Deleted {
            pass(&live, after);
        }
        wait_for(&live, &order, OrderStatus::Canceled, state).await;
        if state == ServerState::Suspended {
            pass(&live, after);
        }
        for event in &late {
            let mut body = stripe.event_json(&event.id, &version).unwrap();
            body["id"] = json!(format!("{}_{}", event.id, state.as_str_name()));
            assert_eq!(
                till::send_webhook(&live, &body).await,
                200,
                "{}",
                event.kind
            );
        }
        settled(&live, &order).await;
        let now = live.order(&order.id).await;
        assert_eq!(
            (now.status(), now.server_state()),
            (OrderStatus::Canceled, state)
        );
    }
    assert_eq!(stripe.refunds(), []);
    assert_eq!(live.creates(&order.id).len(), 1);
    live.close().await;
}

/// Waits until whatever was told of the order has been acted on.
async fn settled(live: &Live, order: &Order) {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    wait::until("what was told is acted on", PATIENCE, || async {
        let now_us = live.world.cores[0].app.db.now().await.unwrap();
        let open = format!(
            "SELECT count(*) FROM orders WHERE id = {id}
                AND (lease_owner IS NOT NULL OR due_us <= {now_us})"
        );
        sql::count(&live.store.db, &open).await == 0
    })
    .await;
}
