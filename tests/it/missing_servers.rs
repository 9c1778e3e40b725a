//! Servers that are gone from the panel although their orders go on: somebody deleted them there,
//! or set the panel back to an older backup.

use std::time::Duration;

use sandbox::{
    audit::Invariant,
    panel::{Fault, FaultAction},
    stripe::SubscriptionStatus,
};
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    changes::suspend,
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, sweeps, till, wait,
};

both_engines!(
    a_server_that_the_panel_lost_is_shown_and_not_made_again,
    a_server_that_comes_back_goes_on,
    an_id_that_is_given_out_again_is_the_new_servers,
    a_panel_that_lost_many_servers_is_looked_at_first,
    a_panel_that_has_none_of_them_is_looked_at_first,
    a_list_that_lacks_a_server_or_fails_loses_none,
    a_server_that_was_deleted_and_is_there_again_is_told_of,
    a_server_that_lost_our_id_is_not_gone,
);

/// So many may be gone of few.
const MOST: usize = 5;
/// Longer than a server is kept that is not paid for.
const RETENTION: Duration = Duration::from_secs(8 * 86_400);

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_SERVERS_SECONDS", "0.2");
    })
    .await
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
    sweeps::shown(live, "servers").await
}

async fn until_held(live: &Live) {
    wait::until("the sweep is held", PATIENCE, || async {
        !shown(live).await.guard.is_empty()
    })
    .await;
}

async fn until_canceled(live: &Live, order: &Order) {
    live.wait_order(&order.id, "its end is its end", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
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

/// P-30: one look finds it. It is shown and not made again, and keeps its ports: for the case that
/// it comes back, and until its order ends as every other one does.
async fn a_server_that_the_panel_lost_is_shown_and_not_made_again(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 4).await;
    let (lost, unpaid) = (&orders[0], &orders[1]);
    lose(&live, lost);
    lose(&live, unpaid);
    for order in [lost, unpaid] {
        let seen = until_missing(&live, order).await;
        assert_eq!(seen.status(), OrderStatus::Provisioned);
        assert_eq!(seen.pterodactyl_server_id, order.pterodactyl_server_id);
    }
    for other in &orders[2..] {
        assert_eq!(live.wait_running(&other.id).await.error_reason, "");
    }
    wake(&live, lost).await;
    sweep(&live).await;
    until_missing(&live, lost).await;
    let events = live.events(&lost.id).await;
    let told = events
        .iter()
        .filter(|event| event.to.contains("is gone from the panel"));
    assert_eq!(told.count(), 1, "{events:#?}");
    let ports = "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, ports).await, 4);

    let stripe = &live.world.stripe;
    stripe.cancel_subscription(&lost.stripe_sub_id).unwrap();
    until_canceled(&live, lost).await;
    stripe
        .set_subscription_status(&unpaid.stripe_sub_id, SubscriptionStatus::Unpaid)
        .unwrap();
    live.wait_order(&unpaid.id, "its bill is not paid", |order| {
        order.subscription_status == "unpaid"
    })
    .await;
    live.skip(RETENTION);
    until_canceled(&live, unpaid).await;
    wait::until("their ports are free", PATIENCE, || async {
        sql::count(&live.store.db, ports).await == 2
    })
    .await;
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 4);
    let why = "they were gone before their time, by the panel's doing";
    live.close_expecting(&[Invariant::I8], why).await;
}

/// A panel that is brought back has its servers again: their orders go on by themselves.
async fn a_server_that_comes_back_goes_on(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 2).await;
    let lost = &orders[0];
    let panel = &live.world.panel;
    let backup = panel.back_up();
    lose(&live, lost);
    until_missing(&live, lost).await;
    panel.set_back(&backup);
    let back = live.wait_order(&lost.id, "it is there again", |order| {
        order.error_reason.is_empty()
    });
    assert_eq!(back.await.server_state(), ServerState::Running);
    suspend(&live, &lost.id).await;
    live.wait_order(&lost.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended
    })
    .await;
    assert!(live.made(&lost.id).suspended);
    live.close().await;
}

/// A panel that was set back gives its ids out a second time: the new server is the new order's,
/// and who had the id before has none.
async fn an_id_that_is_given_out_again_is_the_new_servers(engine: Engine) {
    let live = Live::open(engine).await;
    // Whose account on the panel is older than the backup.
    let user = Uuid::new_v4();
    live.buy_cart(cart(user)).await;
    let panel = &live.world.panel;
    let backup = panel.back_up();
    let lost = &live.buy_cart(cart(user)).await;
    panel.set_back(&backup);
    let new = live.buy_cart(cart(user)).await;
    assert_eq!(new.pterodactyl_server_id, lost.pterodactyl_server_id);
    assert_eq!(
        (new.error_reason.as_str(), live.tries(&new.id).await),
        ("", 0)
    );
    until_missing(&live, lost).await;
    assert_eq!(live.creates(&lost.id).len(), 1, "it is not made again");
    let why = "it was gone before its time, by the panel's doing";
    live.close_expecting(&[Invariant::I4, Invariant::I8], why)
        .await;
}

/// Everything of a small shop: as likely as not it is another panel.
async fn a_panel_that_has_none_of_them_is_looked_at_first(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 2).await;
    for order in &orders {
        lose(&live, order);
    }
    until_held(&live).await;
    let marked = "SELECT count(*) FROM servers WHERE missing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, marked).await, 0);
    live.close_expecting(&[Invariant::I2], "nothing is said of them")
        .await;
}

/// P-30, O-03: a panel that was set back lost more servers than may be gone within an hour, some
/// now and some then. Of those that are too many nothing is said until an operator has looked;
/// then each is shown as missing, and a new hour begins.
async fn a_panel_that_lost_many_servers_is_looked_at_first(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, MOST + 2).await;
    let (kept, few, more) = (&orders[0], &orders[1..4], &orders[4..]);
    for order in few {
        lose(&live, order);
    }
    for order in few {
        until_missing(&live, order).await;
    }
    for order in more {
        lose(&live, order);
    }
    until_held(&live).await;
    let held = "spawnpoint_guard_holds_total{sweep=\"servers\"}";
    assert!(live.counted(held).await >= 1.0, "no alarm");
    let held = shown(&live).await;
    assert!(held.guard.contains("6 of 7 servers"), "{held:?}");
    sweep(&live).await;
    let marked = "SELECT count(*) FROM servers WHERE missing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, marked).await, 3);
    for order in more.iter().chain([kept]) {
        assert_eq!(live.order(&order.id).await.error_reason, "");
    }

    let message = proto::ReleaseGuardRequest {
        sweep: "servers".to_owned(),
        ..proto::ReleaseGuardRequest::default()
    };
    let mut client = live.provisioning();
    let released = client.release_guard(live.operator(message)).await;
    assert_eq!(released.unwrap().into_inner().sweep.unwrap().guard, "");
    for order in more {
        until_missing(&live, order).await;
    }
    assert_eq!(live.order(&kept.id).await.error_reason, "");
    lose(&live, kept);
    until_missing(&live, kept).await;
    assert_eq!(shown(&live).await.guard, "");
    let made = live.world.panel.count_route("POST", "/servers");
    assert_eq!(made, orders.len(), "none is made again");
    live.close().await;
}

/// An empty list, a short one and none at all are no word of the panel about any server.
async fn a_list_that_lacks_a_server_or_fails_loses_none(engine: Engine) {
    let live = open(engine).await;
    till::running(&live, 2).await;
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

/// P-30: a panel that was set back has servers again whose orders are over. Each look tells of them;
/// nothing is done to them.
async fn a_server_that_was_deleted_and_is_there_again_is_told_of(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 2).await;
    let (over, goes_on) = (&orders[0], &orders[1]);
    let panel = &live.world.panel;
    let backup = panel.back_up();
    let message = proto::TerminateServerRequest {
        order_id: over.id.clone(),
        note: "over".to_owned(),
        request_id: String::new(),
    };
    let mut client = live.provisioning();
    client
        .terminate_server(live.operator(message))
        .await
        .unwrap();
    live.wait_order(&over.id, "its server is gone", |order| {
        order.server_state() == ServerState::Deleted
    })
    .await;
    sweep(&live).await;
    assert_eq!(shown(&live).await.finds, 0);
    let left_over = "spawnpoint_servers_left_over_total";
    let before = live.counted(left_over).await;
    panel.set_back(&backup);
    sweep(&live).await;
    assert_eq!(shown(&live).await.finds, 1);
    assert!(live.counted(left_over).await > before);
    assert_eq!(panel.count_route("DELETE", "/servers/{server}"), 1);
    let now = live.order(&over.id).await;
    assert_eq!(
        (now.status(), now.server_state()),
        (OrderStatus::Canceled, ServerState::Deleted)
    );
    assert_eq!(live.order(&goes_on.id).await.error_reason, "");
    let why = "the panel was set back and has its server again";
    live.close_expecting(&[Invariant::I3], why).await;
}

/// Somebody takes our id from a server on the panel: its customer plays on it. What is to be done to
/// it waits, nobody calls it gone, and its subscription goes on.
async fn a_server_that_lost_our_id_is_not_gone(engine: Engine) {
    let live = open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let panel = &live.world.panel;
    panel.set_external_id(order.pterodactyl_server_id, None);
    suspend(&live, &order.id).await;
    live.wait_for_reason(&order.id, "PANEL_CHANGED").await;
    sweep(&live).await;
    let now = live.order(&order.id).await;
    assert_eq!(
        (now.error_reason.as_str(), now.status()),
        ("", OrderStatus::Provisioned)
    );
    let marked = "SELECT count(*) FROM servers WHERE missing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, marked).await, 0);
    panel.set_external_id(order.pterodactyl_server_id, Some(&order.id));
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended
    })
    .await;
    assert!(live.made(&order.id).suspended);
    live.close().await;
}
