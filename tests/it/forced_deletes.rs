//! Servers of ended orders whose node is away: with a policy they are deleted by force once they
//! have withstood for long enough, without one they wait for their node.

use std::time::Duration;

use sandbox::panel::{DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto::{Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    changes,
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    sql, till, wait,
};

both_engines!(
    a_node_that_is_gone_for_good_holds_no_order,
    a_node_that_went_before_the_end_holds_no_order_either,
    a_database_host_that_is_gone_for_good_holds_no_order,
    without_the_policy_a_server_waits_for_its_node,
    a_node_that_comes_back_in_time_deletes_it_itself,
    a_forced_deletion_without_an_answer_is_made_and_told_once,
    failures_far_apart_are_no_reason_for_force,
    a_panel_that_is_away_is_no_reason_for_force,
);

const PLAIN: &str = "/servers/{server}";
const FORCED: &str = "/servers/{server}/{force}";
const SUSPEND: &str = "/servers/{server}/suspend";
/// The policy of these tests waits for two hours: three of these, with failures between them.
const LEAP: Duration = Duration::from_secs(50 * 60);

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("FORCE_DELETE_AFTER_SECONDS", "7200");
        options.set("RETENTION_DAYS", "0");
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
    changes::terminate(live, &order.id).await;
    wait_failing(live, &order).await;
    order
}

/// Waits until it is stored since when its node fails.
async fn wait_failing(live: &Live, order: &Order) {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let failing = format!(
        "SELECT count(*) FROM servers WHERE order_id = {id} AND node_failing_us IS NOT NULL"
    );
    wait::until("its node failed", PATIENCE, || async {
        sql::count(&live.store.db, &failing).await == 1
    })
    .await;
}

fn deletes(live: &Live) -> usize {
    live.world.panel.count_route("DELETE", PLAIN)
}

/// Waits until something was tried twice more.
async fn tried_again(count: impl Fn() -> usize) {
    let wanted = count() + 2;
    wait::until("it was tried again", PATIENCE, || async {
        count() >= wanted
    })
    .await;
}

/// Leaps once, and waits until something was tried since. Tells when it leapt.
async fn leap(live: &Live, tried: impl Fn() -> usize) -> i64 {
    till::move_core(live, LEAP);
    let leapt_us = live.world.cores[0].app.db.now().await.unwrap();
    tried_again(tried).await;
    leapt_us
}

/// Lets more than half of the policy's time pass, and each leap be followed by a failure.
async fn leap_twice(live: &Live, tried: impl Fn() -> usize) {
    for _ in 0..2 {
        let leapt_us = leap(live, &tried).await;
        // Who worked at it when the clock leapt has lost it, and what they saw.
        let seen = format!("SELECT count(*) FROM servers WHERE node_failed_us >= {leapt_us}");
        wait::until("its failure is known", PATIENCE, || async {
            sql::count(&live.store.db, &seen).await == 1
        })
        .await;
    }
    assert_eq!(
        live.world.panel.count_route("DELETE", FORCED),
        0,
        "too soon"
    );
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
    leap_twice(&live, || deletes(&live)).await;
    assert_eq!(
        live.order(&order.id).await.waiting_reason,
        "PANEL_UNAVAILABLE"
    );
    assert!(told(&live, &order).await.is_empty());
    till::move_core(&live, LEAP);
    wait_gone(&live, &order).await;
    assert_eq!(live.world.panel.count_route("DELETE", FORCED), 1);
    assert_eq!(told(&live, &order).await.len(), 1);
    live.close().await;
}

/// It can never be suspended, and so its time of being kept would never begin.
async fn a_node_that_went_before_the_end_holds_no_order_either(engine: Engine) {
    let live = open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    live.world.panel.set_daemon(EAST.0, DaemonMode::Down);
    let stripe = &live.world.stripe;
    stripe.cancel_subscription(&order.stripe_sub_id).unwrap();
    wait_failing(&live, &order).await;
    leap_twice(&live, || live.world.panel.count_route("POST", SUSPEND)).await;
    till::move_core(&live, LEAP);
    wait_gone(&live, &order).await;
    assert_eq!(live.world.panel.count_route("DELETE", FORCED), 1);
    assert_eq!(told(&live, &order).await.len(), 1);
    live.close().await;
}

/// Contract 3.7: the node has deleted it, and the panel fails at every repetition.
async fn a_database_host_that_is_gone_for_good_holds_no_order(engine: Engine) {
    let live = open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    let failing = FaultAction::Status {
        status: 500,
        body: r#"{"errors":[{"code":"QueryException","status":"500","detail":""}]}"#.to_owned(),
        content_type: None,
        headers: vec![("x-ratelimit-limit".to_owned(), "240".to_owned())],
    };
    let panel = &live.world.panel;
    let failing = panel.inject(Fault::on_route("DELETE", PLAIN, failing));
    changes::terminate(&live, &order.id).await;
    wait_failing(&live, &order).await;
    leap_twice(&live, || panel.fired(failing)).await;
    till::move_core(&live, LEAP);
    wait_gone(&live, &order).await;
    assert!(panel.fired(failing) > 4);
    assert_eq!(panel.count_route("DELETE", FORCED), 1);
    panel.clear_faults();
    live.close().await;
}

async fn without_the_policy_a_server_waits_for_its_node(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("RETRY_SECONDS", "0.05");
        options.set("SWEEP_SUBSCRIPTIONS_SECONDS", till::NEVER);
    })
    .await;
    let order = withstanding(&live).await;
    for _ in 0..2 {
        leap_twice(&live, || deletes(&live)).await;
    }
    let panel = &live.world.panel;
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
    leap_twice(&live, || deletes(&live)).await;
    live.world.panel.set_daemon(EAST.0, DaemonMode::Ok);
    till::move_core(&live, LEAP);
    wait_gone(&live, &order).await;
    assert_eq!(live.world.panel.count_route("DELETE", FORCED), 0);
    live.close().await;
}

async fn a_forced_deletion_without_an_answer_is_made_and_told_once(engine: Engine) {
    let live = open(engine).await;
    let order = withstanding(&live).await;
    leap_twice(&live, || deletes(&live)).await;
    let panel = &live.world.panel;
    let lost = Fault::on_route("DELETE", FORCED, FaultAction::Drop).after_work();
    let lost = panel.inject(lost.times(1));
    till::move_core(&live, LEAP);
    wait_gone(&live, &order).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(panel.count_route("DELETE", FORCED), 1);
    assert_eq!(told(&live, &order).await.len(), 1);
    live.close().await;
}

/// Nobody has seen the node away between them.
async fn failures_far_apart_are_no_reason_for_force(engine: Engine) {
    let live = open(engine).await;
    let order = withstanding(&live).await;
    let panel = &live.world.panel;
    for _ in 0..3 {
        till::move_core(&live, 3 * LEAP);
        tried_again(|| deletes(&live)).await;
    }
    assert_eq!(panel.count_route("DELETE", FORCED), 0);
    panel.set_daemon(EAST.0, DaemonMode::Ok);
    wait_gone(&live, &order).await;
    assert!(told(&live, &order).await.is_empty());
    live.close().await;
}

/// Nobody knows then what the node would say.
async fn a_panel_that_is_away_is_no_reason_for_force(engine: Engine) {
    let live = open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    let panel = &live.world.panel;
    let maintenance = FaultAction::HtmlPage { status: 503 };
    panel.inject(Fault::on_route("DELETE", PLAIN, FaultAction::Drop).times(3));
    let away = panel.inject(Fault::on_route("DELETE", PLAIN, maintenance));
    changes::terminate(&live, &order.id).await;
    wait::until("the panel was asked in vain", PATIENCE, || async {
        panel.fired(away) >= 2
    })
    .await;
    for _ in 0..4 {
        leap(&live, || panel.fired(away)).await;
    }
    let failing = "SELECT count(*) FROM servers WHERE node_failing_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, failing).await, 0);
    panel.clear_faults();
    wait_gone(&live, &order).await;
    assert_eq!(panel.count_route("DELETE", FORCED), 0);
    live.close().await;
}
