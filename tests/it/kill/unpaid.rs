//! SIGKILL around the calls that a bill brings which is not paid: the server is stopped, goes
//! on once it is paid, and ends with its subscription.

use sandbox::stripe::SubscriptionStatus;
use spawnpoint::rpc::proto::{self, ServerState};

use super::{
    rest,
    scene::{Hang, Scene},
};
use crate::support::{db::Engine, effort, live::PATIENCE, sql, till, wait};

both_engines!(
    killed_around_a_suspension_and_the_way_back,
    killed_around_the_end_of_an_unpaid_subscription,
    killed_around_a_refund,
);

const SEEDS: u32 = 20;

async fn wait_for(scene: &Scene, order: &proto::Order, state: ServerState) {
    scene
        .live
        .wait_order(&order.id, "the server is so far", |order| {
            order.server_state() == state && order.waiting_reason.is_empty()
        })
        .await;
}

fn set(scene: &Scene, order: &proto::Order, status: SubscriptionStatus) {
    let subscription = scene.live.subscription(order);
    let stripe = &scene.live.world.stripe;
    stripe
        .set_subscription_status(&subscription, status)
        .unwrap();
}

/// P-07: killed before the panel suspended a server, and after it did; then the same when it
/// is let go on.
async fn killed_around_a_suspension_and_the_way_back(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for run in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let order = scene.purchases(1).await.remove(0);
            scene.wait_until_delivered().await;
            sold += 1;
            for (status, state) in [
                (SubscriptionStatus::Unpaid, ServerState::Suspended),
                (SubscriptionStatus::Active, ServerState::Running),
            ] {
                let armed = scene.arm(Hang::Panel("POST", "/servers/", after_work));
                set(&scene, &order, status);
                scene.kill_when_hanging(&armed, 1).await;
                scene.restart().await;
                wait_for(&scene, &order, state).await;
                let suspended = scene.live.made(&order.id).suspended;
                let wanted = state == ServerState::Suspended;
                assert_eq!(suspended, wanted, "run {run}, after_work {after_work}");
            }
        }
    }
    scene.assert_each_delivered_once(sold).await;
    scene.close().await;
}

/// P-07: killed before Stripe ended the subscription of a server that was kept long enough,
/// and after it did: it ends once, and the server goes after it.
async fn killed_around_the_end_of_an_unpaid_subscription(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    for _ in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let order = scene.purchases(1).await.remove(0);
            wait_for(&scene, &order, ServerState::Running).await;
            set(&scene, &order, SubscriptionStatus::Unpaid);
            wait_for(&scene, &order, ServerState::Suspended).await;
            // Whoever ends their claim says when it is due next.
            scene.live.wait_until_unleased().await;
            let hang = Hang::Stripe("DELETE", "/v1/subscriptions/", after_work);
            let armed = scene.arm(hang);
            let before = deleted(&scene);
            keep_for_a_week(&scene, &order).await;
            scene.kill_when_hanging(&armed, 1).await;
            assert_eq!(deleted(&scene), before, "the subscription ends first");
            scene.restart().await;
            scene.wait_until_over().await;
            assert_eq!(deleted(&scene), before + 1);
            let subscription = scene.live.subscription(&order);
            let subscription = scene.live.world.stripe.subscription(&subscription);
            assert_eq!(subscription.unwrap().status, SubscriptionStatus::Canceled);
            assert_eq!(scene.live.world.panel.servers(), []);
            rest::assert_ledger_is_the_panels(&scene.live).await;
        }
    }
    scene.close().await;
}

/// P-07: killed before Stripe made the refund of a second payment, and after it did: it goes
/// back once.
async fn killed_around_a_refund(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let order = scene.purchases(1).await.remove(0);
            scene.wait_until_delivered().await;
            let armed = scene.arm(Hang::Stripe("POST", "/v1/refunds", after_work));
            till::pay_again(&scene.live, &order).await;
            scene.kill_when_hanging(&armed, 1).await;
            let before = sold + usize::from(after_work);
            assert_eq!(scene.live.world.stripe.refunds().len(), before);
            scene.restart().await;
            sold += 1;
            let done = "SELECT count(*) FROM refunds WHERE done_us IS NOT NULL";
            wait::until("it went back", PATIENCE, || async {
                sql::count(&scene.live.store.db, done).await == i64::try_from(sold).unwrap()
            })
            .await;
            assert_eq!(scene.live.world.stripe.refunds().len(), sold);
        }
    }
    scene.wait_until_delivered().await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

fn deleted(scene: &Scene) -> usize {
    let panel = &scene.live.world.panel;
    panel.succeeded_route("DELETE", "/servers/{server}")
}

/// As if the suspension had been a week ago.
async fn keep_for_a_week(scene: &Scene, order: &proto::Order) {
    let db = &scene.live.store.db;
    let id = sql::id(db, order.id.parse().unwrap());
    let week_us = 7 * 24 * 3_600_000_000_i64;
    let earlier = format!(
        "UPDATE billing SET suspend_since_us = suspend_since_us - {week_us} WHERE order_id = {id}"
    );
    sql::run(db, &earlier).await.unwrap();
    let earlier =
        format!("UPDATE servers SET suspended_us = suspended_us - {week_us} WHERE order_id = {id}");
    sql::run(db, &earlier).await.unwrap();
    let now = format!("UPDATE orders SET due_us = 1 WHERE id = {id}");
    sql::run(db, &now).await.unwrap();
}
