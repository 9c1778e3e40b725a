//! The subscription ends while its server is being made, at any step: no server is left
//! behind, and room and ports are free again. A server in use is not touched.

use std::time::Duration;

use sandbox::panel::{DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    wait,
};

both_engines!(
    canceled_before_the_create_nothing_is_made,
    canceled_during_the_create_the_server_is_deleted,
    canceled_during_the_install_the_server_is_deleted,
    canceled_while_in_doubt_a_half_made_server_is_found_and_deleted,
    canceled_while_in_doubt_a_server_that_became_ready_is_kept_stopped,
    canceled_while_parked_the_order_ends_too,
);

const DELETE: &str = "/servers/{server}";
/// A server that has never run when its order ends.
const LONG_INSTALL: Duration = Duration::from_secs(600);

/// Waits until the order is over and holds nothing.
async fn wait_over(live: &Live, order: &proto::Order) -> proto::Order {
    wait::until("room and ports are free", PATIENCE, || async {
        live.hold(&order.id).await.is_none() && live.ports_of(EAST.1, &order.id).await.is_empty()
    })
    .await;
    let order = live.order(&order.id).await;
    assert_eq!(order.status(), proto::OrderStatus::Canceled);
    assert_eq!(live.world.panel.servers(), []);
    let node = live.node(EAST.1).await;
    assert_eq!(
        (node.held_ram_gb, node.held_disk_gb, node.free_allocations),
        (0, 0, 200)
    );
    order
}

fn cancel(live: &Live, order: &proto::Order) {
    live.world
        .stripe
        .cancel_subscription(&live.subscription(order))
        .unwrap();
}

/// Finding 12: a cancel before the delivery was dropped and the order delivered later.
/// P-26: the subscription ends before anything was made, and nothing is.
async fn canceled_before_the_create_nothing_is_made(engine: Engine) {
    let live = Live::open(engine).await;
    live.hold_webhooks();
    let order = live.purchase(cart(Uuid::new_v4())).await;
    cancel(&live, &order);
    live.release_webhooks();
    let order = wait_over(&live, &order).await;
    assert_eq!(order.server_state(), proto::ServerState::None);
    assert_eq!(live.creates(&order.id).len(), 0);
    assert_eq!(
        live.world.panel.users().len(),
        1,
        "no account either: only the administrator"
    );
    let late = live.provision(&order.id).await.unwrap_err();
    assert_eq!(crate::support::live::reason(&late), "ORDER_ENDED");
    live.close().await;
}

/// Finding 11: a cancel never removed anything.
async fn canceled_during_the_create_the_server_is_deleted(engine: Engine) {
    let live = Live::open_with(engine, |options| options.install = LONG_INSTALL).await;
    let panel = &live.world.panel;
    let slow = DaemonMode::Slow {
        wait: Duration::from_millis(800),
        method: Some("POST".to_owned()),
    };
    panel.set_daemon(EAST.0, slow);
    let order = live.purchase(cart(Uuid::new_v4())).await;
    wait::until("the row is there", PATIENCE, || async {
        panel.server(&order.id).is_some()
    })
    .await;
    cancel(&live, &order);
    let order = wait_over(&live, &order).await;
    assert_eq!(order.server_state(), proto::ServerState::Deleted);
    assert_eq!(
        (
            live.creates(&order.id).len(),
            panel.succeeded_route("DELETE", DELETE)
        ),
        (1, 1)
    );
    live.close().await;
}

async fn canceled_during_the_install_the_server_is_deleted(engine: Engine) {
    let live = Live::open_with(engine, |options| options.install = LONG_INSTALL).await;
    let panel = &live.world.panel;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&order.id, "INSTALLING").await;
    // The first delete fails with its node: it is tried until the panel has done it.
    let fault = panel
        .inject(Fault::on("DELETE", "/servers/", FaultAction::HtmlPage { status: 502 }).times(1));
    cancel(&live, &order);
    let order = wait_over(&live, &order).await;
    assert_eq!(panel.fired(fault), 1);
    assert_eq!(order.server_state(), proto::ServerState::Deleted);
    assert_eq!(panel.succeeded_route("DELETE", DELETE), 1);
    live.close().await;
}

/// An order that was canceled after its create was sent and before its answer came.
async fn canceled_in_doubt(engine: Engine, install: Duration) -> (Live, proto::Order) {
    let live = Live::open_with(engine, |options| {
        options.install = install;
        options.set("SETTLE_SECONDS", "35");
    })
    .await;
    let panel = &live.world.panel;
    let fault = panel.inject(
        Fault::on("POST", "/servers", FaultAction::Drop)
            .after_work()
            .times(1),
    );
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    cancel(&live, &order);
    let order = live
        .wait_order(&order.id, "it is over", |order| {
            order.status() == proto::OrderStatus::Canceled
        })
        .await;
    assert_eq!(panel.fired(fault), 1);
    assert!(
        live.hold(&order.id).await.is_some(),
        "a server may stand on that room"
    );
    assert_eq!(live.ports_of(EAST.1, &order.id).await.len(), 1);
    live.skip(Duration::from_secs(61));
    (live, order)
}

async fn canceled_while_in_doubt_a_half_made_server_is_found_and_deleted(engine: Engine) {
    let (live, order) = canceled_in_doubt(engine, LONG_INSTALL).await;
    let order = wait_over(&live, &order).await;
    assert_eq!(order.server_state(), proto::ServerState::Deleted);
    assert_eq!(live.creates(&order.id).len(), 1);
    assert_eq!(live.world.panel.succeeded_route("DELETE", DELETE), 1);
    live.close().await;
}

/// P-26: its customer could use it, so it is stopped and kept for its time.
async fn canceled_while_in_doubt_a_server_that_became_ready_is_kept_stopped(engine: Engine) {
    let (live, order) = canceled_in_doubt(engine, Duration::ZERO).await;
    let order = live
        .wait_order(&order.id, "it is found and stopped", |order| {
            order.server_state() == proto::ServerState::Suspended
        })
        .await;
    assert_eq!(order.status(), proto::OrderStatus::Canceled);
    assert_eq!(order.pterodactyl_server_id, live.made(&order.id).id);
    assert!(live.made(&order.id).suspended);
    assert_eq!(live.creates(&order.id).len(), 1);
    assert!(live.hold(&order.id).await.is_some());
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 0);
    live.close().await;
}

/// A parked order is not lost sight of: the end of its subscription frees what it holds.
async fn canceled_while_parked_the_order_ends_too(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    cancel(&live, &order);
    let order = wait_over(&live, &order).await;
    assert_eq!(order.server_state(), proto::ServerState::Deleted);
    assert_eq!(panel.succeeded_route("DELETE", DELETE), 1);

    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.remove_egg(39);
    live.pay(&order);
    live.wait_parked(&order.id, "EGG_NOT_FOUND").await;
    cancel(&live, &order);
    let order = wait_over(&live, &order).await;
    assert_eq!(order.server_state(), proto::ServerState::None);
    live.close().await;
}
