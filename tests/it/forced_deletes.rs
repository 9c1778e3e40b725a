//! Servers of ended orders whose node is away: with a policy they are deleted by force once they
//! have withstood for long enough, without one they wait for their node.

use std::time::Duration;

use sandbox::panel::{DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    sql, till, wait,
};

both_engines!(
    a_node_that_is_gone_for_good_holds_no_order,
    without_the_policy_a_server_waits_for_its_node,
    a_node_that_comes_back_in_time_deletes_it_itself,
    a_forced_deletion_without_an_answer_is_made_once,
    a_panel_that_is_away_is_no_reason_for_force,
);

const PLAIN: &str = "/servers/{server}";
const FORCED: &str = "/servers/{server}/{force}";
/// As the policy of these tests has it.
const PATIENT: Duration = Duration::from_secs(2 * 3600);

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("FORCE_DELETE_AFTER_SECONDS", "7200");
        options.set("RETRY_SECONDS", "0.05");
        options.set("SWEEP_SUBSCRIPTIONS_SECONDS", till::NEVER);
    })
    .await
}

/// An order that an operator ended while its node is away; its deletion failed at least once.
async fn withstanding(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    live.world.panel.set_daemon(EAST.0, DaemonMode::Down);
    terminate(live, &order).await;
    wait_failing(live, &order).await;
    order
}

async fn terminate(live: &Live, order: &Order) {
    let message = proto::TerminateServerRequest {
        order_id: order.id.clone(),
        ..proto::TerminateServerRequest::default()
    };
    let mut client = live.provisioning();
    client
        .terminate_server(live.operator(message))
        .await
        .unwrap();
}

/// Waits until it is stored since when the deletion fails.
async fn wait_failing(live: &Live, order: &Order) {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let failing = format!(
        "SELECT count(*) FROM servers WHERE order_id = {id} AND delete_failing_us IS NOT NULL"
    );
    wait::until("its deletion fails", PATIENCE, || async {
        sql::count(&live.store.db, &failing).await == 1
    })
    .await;
}

/// Waits until it was tried so much more often.
async fn tried_again(live: &Live, times: usize) {
    let panel = &live.world.panel;
    let wanted = panel.count_route("DELETE", PLAIN) + times;
    wait::until("it was tried again", PATIENCE, || async {
        panel.count_route("DELETE", PLAIN) >= wanted
    })
    .await;
}

async fn wait_gone(live: &Live, order: &Order) {
    live.wait_order(&order.id, "its server is deleted", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::Deleted
    })
    .await;
    live.wait_until_unleased().await;
    assert_eq!(live.world.panel.servers(), []);
    assert!(live.hold(&order.id).await.is_none());
}

/// What the order's events tell of force.
async fn told(live: &Live, order: &Order) -> Vec<String> {
    let events = live.events(&order.id).await.into_iter();
    events
        .filter(|event| event.to.contains("by force"))
        .map(|event| event.to)
        .collect()
}

async fn a_node_that_is_gone_for_good_holds_no_order(engine: Engine) {
    let live = open(engine).await;
    let order = withstanding(&live).await;
    let panel = &live.world.panel;
    till::move_core(&live, PATIENT / 2);
    tried_again(&live, 2).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 0, "too soon");
    assert_eq!(
        live.order(&order.id).await.waiting_reason,
        "PANEL_UNAVAILABLE"
    );

    till::move_core(&live, PATIENT / 2);
    wait_gone(&live, &order).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 1);
    assert_eq!(
        told(&live, &order).await,
        ["deleted by force after 2 h in vain: what its node holds of it stays there"]
    );
    live.close().await;
}

async fn without_the_policy_a_server_waits_for_its_node(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("RETRY_SECONDS", "0.05");
        options.set("SWEEP_SUBSCRIPTIONS_SECONDS", till::NEVER);
    })
    .await;
    let order = withstanding(&live).await;
    let panel = &live.world.panel;
    till::move_core(&live, 100 * PATIENT);
    tried_again(&live, 2).await;
    assert_eq!(panel.servers().len(), 1);
    panel.set_daemon(EAST.0, DaemonMode::Ok);
    wait_gone(&live, &order).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 0);
    live.close().await;
}

/// However long it was away: the plain deletion is tried first.
async fn a_node_that_comes_back_in_time_deletes_it_itself(engine: Engine) {
    let live = open(engine).await;
    let order = withstanding(&live).await;
    let panel = &live.world.panel;
    panel.set_daemon(EAST.0, DaemonMode::Ok);
    till::move_core(&live, 2 * PATIENT);
    wait_gone(&live, &order).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 0);
    assert!(told(&live, &order).await.is_empty());
    live.close().await;
}

async fn a_forced_deletion_without_an_answer_is_made_once(engine: Engine) {
    let live = open(engine).await;
    let order = withstanding(&live).await;
    let panel = &live.world.panel;
    let lost = Fault::on_route("DELETE", FORCED, FaultAction::Drop).after_work();
    let lost = panel.inject(lost.times(1));
    till::move_core(&live, PATIENT);
    wait_gone(&live, &order).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(panel.count_route("DELETE", FORCED), 1);
    live.close().await;
}

/// Nobody knows then what the node would say.
async fn a_panel_that_is_away_is_no_reason_for_force(engine: Engine) {
    let live = open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    let panel = &live.world.panel;
    let away = panel.inject(Fault::on("DELETE", "/servers/", FaultAction::Drop));
    terminate(&live, &order).await;
    wait::until("the panel was asked twice", PATIENCE, || async {
        panel.fired(away) >= 2
    })
    .await;
    till::move_core(&live, 2 * PATIENT);
    panel.set_daemon(EAST.0, DaemonMode::Down);
    panel.clear_faults();
    wait_failing(&live, &order).await;
    tried_again(&live, 2).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 0);
    till::move_core(&live, PATIENT);
    wait_gone(&live, &order).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 1);
    live.close().await;
}
