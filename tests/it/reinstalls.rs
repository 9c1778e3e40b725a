//! A used server that is installed again because its customer wants that: once, for the script
//! may replace what is on it.

use std::time::Duration;

use sandbox::panel::{DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    changes::{reinstall, suspend, unsuspend},
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(
    a_used_server_is_installed_again,
    one_that_fails_is_shown_and_may_be_tried_again,
    one_of_whose_end_nobody_hears_is_shown,
    an_answer_that_is_lost_costs_nobody_files_twice,
    one_that_ended_unseen_is_not_repeated,
    a_call_that_never_arrived_is_made_after_a_while,
    a_suspension_ends_the_wish,
    what_is_busy_or_over_is_refused,
    a_repeat_reinstalls_no_second_time,
);

const REINSTALL: &str = "/servers/{server}/reinstall";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// Longer than an install may take.
const OVERDUE: Duration = Duration::from_secs(3_601);

async fn running(live: &Live) -> Order {
    live.buy(Uuid::new_v4()).await
}

fn told(live: &Live) -> (usize, usize) {
    let panel = &live.world.panel;
    (
        panel.count_route("POST", REINSTALL),
        panel.succeeded_route("POST", REINSTALL),
    )
}

async fn until_state(live: &Live, order: &Order, state: ServerState) -> Order {
    live.wait_order(&order.id, state.as_str_name(), |order| {
        order.server_state() == state
    })
    .await
}

/// Waits until nobody waits for a reinstall any more.
async fn until_done(live: &Live, order: &Order) {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let waits =
        format!("SELECT count(*) FROM servers WHERE order_id = {id} AND reinstall_us IS NOT NULL");
    wait::until("nobody waits for a reinstall", PATIENCE, || async {
        sql::count(&live.store.db, &waits).await == 0
    })
    .await;
}

async fn noted(live: &Live, order: &Order, text: &str) -> bool {
    let events = till::changes(live, &order.id).await;
    let mut notes = events.iter().filter(|event| event.what == "note");
    notes.any(|event| event.to.contains(text))
}

async fn a_used_server_is_installed_again(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    live.world.panel.set_install_delay(LONG);
    let asked = reinstall(&live, &order.id).await.unwrap();
    assert_eq!(asked.server_state(), ServerState::Running);
    let installing = until_state(&live, &order, ServerState::Installing).await;
    assert_eq!(installing.status(), OrderStatus::Provisioned);
    live.wait_for_reason(&order.id, "INSTALLING").await;
    live.world.panel.advance(LONG);
    let again = live.wait_running(&order.id).await;
    assert_eq!(
        (again.waiting_reason.as_str(), again.error_reason.as_str()),
        ("", "")
    );
    assert_eq!(told(&live), (1, 1));
    assert_eq!(live.creates(&order.id).len(), 1);
    assert!(noted(&live, &order, "its install script is to run again").await);
    live.wait_until_unleased().await;
    live.close().await;
}

async fn one_that_fails_is_shown_and_may_be_tried_again(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    live.world.panel.fail_next_installs(&order.id, 1);
    reinstall(&live, &order.id).await.unwrap();
    let failed = live.wait_parked(&order.id, "INSTALL_FAILED").await;
    // It ran: what failed is shown, and it stays its customer's.
    assert_eq!(
        (failed.status(), failed.server_state()),
        (OrderStatus::Provisioned, ServerState::InstallFailed)
    );
    assert_eq!(
        told(&live),
        (1, 1),
        "not by itself: that is its customer's word"
    );
    // An operator has it looked at again, and no more: what is on it is its customer's.
    till::provision(&live, &order.id).await.unwrap();
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    live.wait_until_unleased().await;
    assert_eq!(told(&live), (1, 1));
    let asked = reinstall(&live, &order.id).await.unwrap();
    assert_eq!(asked.error_reason, "");
    live.wait_running(&order.id).await;
    assert_eq!(told(&live), (2, 2));
    live.wait_until_unleased().await;
    live.close().await;
}

async fn one_of_whose_end_nobody_hears_is_shown(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    live.world.panel.lose_install(&order.id);
    reinstall(&live, &order.id).await.unwrap();
    live.wait_for_reason(&order.id, "INSTALLING").await;
    live.skip(OVERDUE);
    let failed = live.wait_parked(&order.id, "INSTALL_FAILED").await;
    assert_eq!(failed.status(), OrderStatus::Provisioned);
    assert!(failed.error_message.contains("too long"), "{failed:?}");
    // Its node was started anew, and its customer has used it since.
    let node = live.made(&order.id).node;
    live.world.panel.restart_daemon(node);
    till::provision(&live, &order.id).await.unwrap();
    live.wait_running(&order.id).await;
    live.wait_until_unleased().await;
    assert_eq!(told(&live), (1, 1), "nothing is wiped by a look");
    live.close().await;
}

async fn an_answer_that_is_lost_costs_nobody_files_twice(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    panel.set_install_delay(LONG);
    let lost = Fault::on("POST", "/servers", FaultAction::Drop).after_work();
    let lost = panel.inject(lost.times(1));
    reinstall(&live, &order.id).await.unwrap();
    until_state(&live, &order, ServerState::Installing).await;
    until_done(&live, &order).await;
    panel.advance(LONG);
    live.wait_running(&order.id).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(told(&live), (1, 1), "by a look it was seen to be done");
    live.close().await;
}

async fn one_that_ended_unseen_is_not_repeated(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    // Its end is another second than that of the last change, by the panel's clock.
    panel.advance(Duration::from_secs(5));
    panel.set_install_delay(Duration::ZERO);
    let lost = Fault::on("POST", "/servers", FaultAction::Drop).after_work();
    let lost = panel.inject(lost.times(1));
    reinstall(&live, &order.id).await.unwrap();
    until_done(&live, &order).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(told(&live), (1, 1));
    assert!(noted(&live, &order, "the server has changed since").await);
    let order = live.wait_running(&order.id).await;
    assert_eq!((order.attempts, order.waiting_reason.as_str()), (0, ""));
    live.close().await;
}

async fn a_call_that_never_arrived_is_made_after_a_while(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    let lost = panel.inject(Fault::on("POST", "/servers", FaultAction::Drop).times(1));
    reinstall(&live, &order.id).await.unwrap();
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    assert_eq!(told(&live).1, 0);
    let sent = "SELECT count(*) FROM servers WHERE reinstall_sent_us IS NOT NULL";
    assert_eq!(sql::count(&live.store.db, sent).await, 1);
    until_done(&live, &order).await;
    live.wait_running(&order.id).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(told(&live), (1, 1), "the first one never reached it");
    live.wait_until_unleased().await;
    live.close().await;
}

/// A reinstall lets a suspended server go on: none is sent for one that is to stand still.
async fn a_suspension_ends_the_wish(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    panel.set_daemon(1, DaemonMode::Down);
    panel.set_daemon(2, DaemonMode::Down);
    reinstall(&live, &order.id).await.unwrap();
    // The node may have heard of it, whatever the panel says.
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    suspend(&live, &order.id).await;
    panel.set_daemon(1, DaemonMode::Ok);
    panel.set_daemon(2, DaemonMode::Ok);
    until_state(&live, &order, ServerState::Suspended).await;
    until_done(&live, &order).await;
    unsuspend(&live, &order.id).await;
    live.wait_running(&order.id).await;
    live.wait_until_unleased().await;
    assert_eq!(told(&live).1, 0, "its customer asks again");
    live.close().await;
}

async fn what_is_busy_or_over_is_refused(engine: Engine) {
    let live = Live::open(engine).await;
    let refused = async |order: &Order| {
        let refused = reinstall(&live, &order.id).await.unwrap_err();
        (refused.code(), reason(&refused))
    };
    let busy = (Code::Aborted, "SERVER_BUSY".to_owned());
    let unpaid = live.reserve(cart(Uuid::new_v4())).await;
    assert_eq!(refused(&unpaid).await, busy);
    let order = running(&live).await;
    let panel = &live.world.panel;
    panel.set_install_delay(LONG);
    reinstall(&live, &order.id).await.unwrap();
    until_state(&live, &order, ServerState::Installing).await;
    assert_eq!(refused(&order).await, busy, "it is under way");
    panel.advance(LONG);
    live.wait_running(&order.id).await;
    suspend(&live, &order.id).await;
    assert_eq!(refused(&order).await, busy, "it is to stand still");
    let stripe = &live.world.stripe;
    stripe
        .cancel_subscription(&live.subscription(&order))
        .unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    assert_eq!(
        refused(&order).await,
        (Code::FailedPrecondition, "ORDER_ENDED".to_owned())
    );
    assert_eq!(told(&live), (1, 1));
    live.close().await;
}

async fn a_repeat_reinstalls_no_second_time(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy(user).await;
    let message = proto::ReinstallServerRequest {
        order_id: order.id.clone(),
        request_id: Uuid::new_v4().to_string(),
    };
    let ask = async || {
        let request = live.storefront(message.clone(), user);
        live.provisioning().reinstall_server(request).await
    };
    ask().await.unwrap();
    until_done(&live, &order).await;
    live.wait_running(&order.id).await;
    ask().await.unwrap();
    live.wait_until_unleased().await;
    assert_eq!(told(&live), (1, 1));
    let request = live.storefront(message.clone(), Uuid::new_v4());
    let anothers = live.provisioning().reinstall_server(request).await;
    assert_eq!(reason(&anothers.unwrap_err()), "ORDER_NOT_FOUND");
    live.close().await;
}
