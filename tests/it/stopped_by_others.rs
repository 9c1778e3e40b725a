//! Servers that an administrator stops on the panel itself, or lets go on: the one is not ours to
//! undo, and is told until an operator says otherwise; the other is undone where nobody pays.

use std::time::Duration;

use sandbox::{audit::Invariant, stripe::SubscriptionStatus};
use spawnpoint::rpc::proto::{Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    changes::unsuspend,
    db::Engine,
    live::{Live, PATIENCE, cart},
    sweeps, till, wait,
};

both_engines!(
    what_others_stopped_stays_stopped_and_is_told_of,
    what_others_stop_is_seen_and_an_operator_lets_it_go_on,
    what_others_let_go_on_is_stopped_again,
);

const UNSUSPEND: &str = "/servers/{server}/unsuspend";

/// A store that was set back to a backup does not know its own suspensions either.
async fn what_others_stopped_stays_stopped_and_is_told_of(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let (stripe, panel) = (&live.world.stripe, &live.world.panel);
    let own = live.subscription(&order);
    till::administer(&live, &order, "suspend").await;
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Unpaid)
        .unwrap();
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended && !order.suspension_reasons.is_empty()
    })
    .await;
    live.wait_until_unleased().await;
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Active)
        .unwrap();
    wait::until("it is told", PATIENCE, || async {
        let changes = till::changes(&live, &order.id).await;
        let told = |change: &spawnpoint::rpc::proto::OrderEvent| {
            change.to.contains("somebody else has suspended it")
        };
        changes.iter().filter(|change| told(change)).count() == 1
    })
    .await;
    live.wait_until_unleased().await;
    let now = live.order(&order.id).await;
    assert_eq!(now.server_state(), ServerState::Suspended);
    assert!(now.suspension_reasons.is_empty());
    assert!(live.made(&order.id).suspended);
    assert_eq!(panel.count_route("POST", UNSUSPEND), 0);
    let why = "an administrator keeps a server stopped that is paid for";
    live.close_expecting(&[Invariant::I8], why).await;
}

/// One look at the panel's servers, and what it found.
async fn look(live: &Live) -> i32 {
    live.wait_until_unleased().await;
    sweeps::look(live, "servers").await;
    sweeps::shown(live, "servers").await.finds
}

async fn until(live: &Live, order: &Order, state: ServerState) {
    live.wait_order(&order.id, "its server is seen", |order| {
        order.server_state() == state
    })
    .await;
    live.wait_until_unleased().await;
}

/// Its customer and the operators see that it stands still, once, and that it goes on.
async fn what_others_stop_is_seen_and_an_operator_lets_it_go_on(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let other = live.buy(Uuid::new_v4()).await;
    // Meanwhile every server is looked at for an install that does not end.
    live.world.panel.set_install_delay(Duration::from_secs(600));
    let installing = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&installing.id, "INSTALLING").await;
    assert_eq!(look(&live).await, 0);
    let drifted = "spawnpoint_servers_drifted_total{how=\"stopped_by_others\"}";
    let before = live.counted(drifted).await;
    till::administer(&live, &order, "suspend").await;
    sweeps::look(&live, "install_watch").await;
    assert_eq!(look(&live).await, 1);
    assert_eq!(look(&live).await, 0, "told once");
    assert!(live.counted(drifted).await >= before + 1.0);
    until(&live, &order, ServerState::Suspended).await;
    let shown = live.order(&order.id).await;
    assert_eq!(shown.status(), OrderStatus::Provisioned);
    assert!(shown.suspension_reasons.is_empty());
    till::administer(&live, &order, "unsuspend").await;
    assert_eq!(look(&live).await, 1);
    until(&live, &order, ServerState::Running).await;

    till::administer(&live, &order, "suspend").await;
    let calls = live.world.panel.count_route("POST", UNSUSPEND);
    assert_eq!(look(&live).await, 1);
    until(&live, &order, ServerState::Suspended).await;
    assert!(live.made(&order.id).suspended, "nobody undid it");
    unsuspend(&live, &order.id).await;
    until(&live, &order, ServerState::Running).await;
    assert!(!live.made(&order.id).suspended);
    assert_eq!(live.world.panel.count_route("POST", UNSUSPEND), calls + 1);
    let changes = till::changes(&live, &order.id).await;
    let told = changes
        .iter()
        .filter(|change| change.to.contains("nothing here keeps it stopped"));
    assert_eq!(told.count(), 2);
    // One that runs is not touched by it.
    unsuspend(&live, &other.id).await;
    live.wait_until_unleased().await;
    until(&live, &other, ServerState::Running).await;
    assert_eq!(live.world.panel.count_route("POST", UNSUSPEND), calls + 1);
    assert_eq!(look(&live).await, 0);
    live.world.panel.advance(Duration::from_secs(601));
    live.wait_running(&installing.id).await;
    live.close().await;
}

/// Nobody plays on what is not paid for, and nothing is stopped for it that was paid meanwhile.
async fn what_others_let_go_on_is_stopped_again(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let mut orders = Vec::new();
    for status in [
        SubscriptionStatus::Unpaid,
        SubscriptionStatus::Canceled,
        SubscriptionStatus::Unpaid,
    ] {
        let order = live.buy(Uuid::new_v4()).await;
        stripe
            .set_subscription_status(&live.subscription(&order), status)
            .unwrap();
        until(&live, &order, ServerState::Suspended).await;
        orders.push(order);
    }
    let [unpaid, over, paid] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    for order in &orders {
        till::administer(&live, order, "unsuspend").await;
    }
    // What its customer paid is heard of by the read that precedes every suspension.
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    let own = live.subscription(paid);
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Active)
        .unwrap();
    assert_eq!(look(&live).await, 3);
    for order in [unpaid, over] {
        wait::until("it is stopped again", PATIENCE, || async {
            live.made(&order.id).suspended
        })
        .await;
        until(&live, order, ServerState::Suspended).await;
    }
    until(&live, paid, ServerState::Running).await;
    assert!(!live.made(&paid.id).suspended);
    assert_eq!(look(&live).await, 0);
    live.close().await;
}
