//! Servers that are gone from the panel although their orders go on: somebody deleted them there,
//! or set the panel back to an older backup.

use sandbox::{
    audit::Invariant,
    panel::{Fault, FaultAction},
};
use spawnpoint::rpc::proto::{self, Order, OrderStatus};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, wait,
};

both_engines!(
    a_server_that_the_panel_lost_is_shown_and_not_made_again,
    a_panel_that_lost_many_servers_is_looked_at_first,
    a_list_that_lacks_a_server_or_fails_loses_none,
);

/// So many may be gone of few.
const MOST: usize = 5;

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_SERVERS_SECONDS", "0.2");
    })
    .await
}

async fn running(live: &Live, count: usize) -> Vec<Order> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(live.buy_cart(cart(Uuid::new_v4())).await);
    }
    orders
}

fn lose(live: &Live, order: &Order) {
    live.world.panel.remove_server(order.pterodactyl_server_id);
}

async fn until_missing(live: &Live, order: &Order) -> Order {
    live.wait_order(&order.id, "it is shown as missing", |order| {
        order.error_reason == "SERVER_MISSING"
    })
    .await
}

/// The sweep as operators see it.
async fn shown(live: &Live) -> proto::Sweep {
    let mut client = live.provisioning();
    let listed = client.list_sweeps(live.viewer(proto::ListSweepsRequest {}));
    let sweeps = listed.await.unwrap().into_inner().sweeps;
    let found = sweeps.into_iter().find(|sweep| sweep.name == "servers");
    found.unwrap()
}

/// Waits until the sweep had a whole run that began from now on.
async fn sweep(live: &Live) {
    let ran = "SELECT COALESCE(max(last_run_us), 0) FROM sweeps WHERE name = 'servers'";
    for _ in 0..2 {
        let before = sql::count(&live.store.db, ran).await;
        wait::until("the sweep has run", PATIENCE, || async {
            sql::count(&live.store.db, ran).await > before
        })
        .await;
    }
}

async fn wake(live: &Live, order: &Order) {
    let message = proto::ProvisionOrderRequest {
        order_id: order.id.clone(),
        ..proto::ProvisionOrderRequest::default()
    };
    let mut client = live.provisioning();
    client
        .provision_order(live.operator(message))
        .await
        .unwrap();
}

/// P-30: one look finds it. It is shown, an operator can have it looked for again, and only the
/// end of its subscription ends it: its ports are kept for it until then, and for nothing after.
async fn a_server_that_the_panel_lost_is_shown_and_not_made_again(engine: Engine) {
    let live = open(engine).await;
    let orders = running(&live, 3).await;
    let lost = &orders[0];
    lose(&live, lost);
    let seen = until_missing(&live, lost).await;
    assert_eq!(seen.status(), OrderStatus::Provisioned);
    assert_eq!(seen.pterodactyl_server_id, lost.pterodactyl_server_id);
    for other in &orders[1..] {
        assert_eq!(live.wait_running(&other.id).await.error_reason, "");
    }
    let marked = "SELECT max(missing_us) FROM servers";
    let first_us = sql::count(&live.store.db, marked).await;

    let again = format!("SELECT count(*) FROM servers WHERE missing_us > {first_us}");
    wake(&live, lost).await;
    wait::until("it is missed a second time", PATIENCE, || async {
        sql::count(&live.store.db, &again).await == 1
    })
    .await;
    until_missing(&live, lost).await;
    assert_eq!(live.creates(&lost.id).len(), 1, "it is not made again");
    let ports = "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, ports).await, 3);

    let stripe = &live.world.stripe;
    stripe.cancel_subscription(&lost.stripe_sub_id).unwrap();
    live.wait_order(&lost.id, "its end is its end", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    wait::until("its ports are free", PATIENCE, || async {
        sql::count(&live.store.db, ports).await == 2
    })
    .await;
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 3);
    let why = "it was gone before its time, by the panel's doing";
    live.close_expecting(&[Invariant::I8], why).await;
}

/// P-30, O-03: a panel that was set back lost more servers than may be gone at once. Nothing is
/// said of any of them until an operator has looked; then each is shown as missing.
async fn a_panel_that_lost_many_servers_is_looked_at_first(engine: Engine) {
    let live = open(engine).await;
    let orders = running(&live, MOST + 2).await;
    for order in &orders[1..] {
        lose(&live, order);
    }
    wait::until("the sweep is held", PATIENCE, || async {
        !shown(&live).await.guard.is_empty()
    })
    .await;
    let held = shown(&live).await;
    assert!(held.guard.contains("more than 5 of 7 servers"), "{held:?}");
    sweep(&live).await;
    let marked = "SELECT count(*) FROM servers WHERE missing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, marked).await, 0);
    for order in &orders {
        assert_eq!(live.order(&order.id).await.error_reason, "");
    }

    let message = proto::ReleaseGuardRequest {
        sweep: "servers".to_owned(),
        ..proto::ReleaseGuardRequest::default()
    };
    let mut client = live.provisioning();
    let released = client.release_guard(live.operator(message)).await;
    assert_eq!(released.unwrap().into_inner().sweep.unwrap().guard, "");
    for order in &orders[1..] {
        until_missing(&live, order).await;
    }
    assert_eq!(live.order(&orders[0].id).await.error_reason, "");
    let made = live.world.panel.count_route("POST", "/servers");
    assert_eq!(made, orders.len(), "none is made again");
    live.close().await;
}

/// An empty list, a short one and none at all are no word of the panel about any server.
async fn a_list_that_lacks_a_server_or_fails_loses_none(engine: Engine) {
    let live = open(engine).await;
    running(&live, 2).await;
    let panel = &live.world.panel;
    for action in [
        FaultAction::EmptyList,
        FaultAction::ShortList { rows: 1 },
        FaultAction::InternalError,
        FaultAction::HtmlPage { status: 200 },
    ] {
        let fault = panel.inject(Fault::on_route("GET", "/servers", action.clone()));
        sweep(&live).await;
        assert!(panel.fired(fault) > 0, "{action:?}");
        panel.remove_fault(fault);
    }
    let marked = "SELECT count(*) FROM servers WHERE missing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, marked).await, 0);
    assert_eq!(shown(&live).await.guard, "");
    live.close().await;
}
