//! The install after the create: watched by one poll for all, repeated once, then parked.

use std::time::Duration;

use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    till, wait,
};

both_engines!(
    an_install_that_fails_once_is_run_again,
    an_install_that_fails_twice_parks_the_order,
    an_install_of_whose_end_nobody_hears_is_run_again,
    installs_that_fail_unseen_are_shown_as_failed,
    one_poll_watches_all_installs,
);

const REINSTALL: &str = "/servers/{server}/reinstall";
/// Longer than an install may take.
const OVERDUE: Duration = Duration::from_secs(3_601);

async fn an_install_that_fails_once_is_run_again(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.install = Duration::from_millis(600)
    })
    .await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.fail_next_installs(&order.id, 1);
    live.pay(&order);
    let installing = live
        .wait_order(&order.id, "it installs", |order| {
            order.waiting_reason == "INSTALLING"
        })
        .await;
    assert_eq!(installing.status(), proto::OrderStatus::Provisioned);
    assert_eq!(installing.server_state(), proto::ServerState::Installing);
    wait::until("the install is run again", PATIENCE, || async {
        panel.succeeded_route("POST", REINSTALL) == 1
    })
    .await;
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (order.error_reason.as_str(), order.waiting_reason.as_str()),
        ("", "")
    );
    assert_eq!(panel.count_route("POST", REINSTALL), 1);
    assert_eq!(live.creates(&order.id).len(), 1);
    let states: Vec<String> = live
        .events(&order.id)
        .await
        .into_iter()
        .filter(|event| event.what == "server_state")
        .map(|event| event.to)
        .collect();
    assert_eq!(
        states,
        ["installing", "install_failed", "installing", "running"]
    );
    live.close().await;
}

async fn an_install_that_fails_twice_parks_the_order(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.fail_install(&order.id);
    live.pay(&order);
    let parked = live.wait_parked(&order.id, "INSTALL_FAILED").await;
    // A server that never ran is of no use to its customer.
    assert_eq!(parked.status(), proto::OrderStatus::Error);
    assert_eq!(parked.server_state(), proto::ServerState::InstallFailed);
    assert_eq!(panel.count_route("POST", REINSTALL), 1);
    assert_eq!(
        live.server(&order.id).await.state(),
        proto::ServerState::InstallFailed
    );
    let made = live.made(&order.id);
    assert!(
        made.status
            .as_deref()
            .is_some_and(|status| status.ends_with("install_failed"))
    );

    panel.allow_install(&order.id);
    live.provision(&order.id).await.unwrap();
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (order.error_reason.as_str(), live.tries(&order.id).await),
        ("", 0)
    );
    assert_eq!(panel.count_route("POST", REINSTALL), 2);
    assert_eq!(
        (panel.servers().len(), live.creates(&order.id).len()),
        (1, 1)
    );
    assert_eq!(live.made(&order.id).id, made.id);
    live.close().await;
}

/// The daemon's word on an install is lost, so its server would be installing for ever: after
/// an hour the panel is looked at, and the script runs once more.
async fn an_install_of_whose_end_nobody_hears_is_run_again(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.lose_install(&order.id);
    live.pay(&order);
    live.wait_for_reason(&order.id, "INSTALLING").await;
    wait::until("the word is lost", PATIENCE, || async {
        panel.install_counts().lost == 1
    })
    .await;
    panel.allow_install(&order.id);
    assert_eq!(panel.count_route("POST", REINSTALL), 0, "it may yet come");
    live.skip(OVERDUE);
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (order.error_reason.as_str(), live.tries(&order.id).await),
        ("", 0)
    );
    assert_eq!(panel.count_route("POST", REINSTALL), 1);
    assert_eq!(live.creates(&order.id).len(), 1);
    assert_eq!(panel.install_counts().finished, 1);
    live.close().await;
}

/// Both installs fail while nobody looks: the order shows what the panel shows. (It showed an
/// install that went on.)
async fn installs_that_fail_unseen_are_shown_as_failed(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_INSTALL_SECONDS", till::NEVER);
    })
    .await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_for_reason(&order.id, "INSTALLING").await;
    for failed in 1..=2 {
        wait::until("the install has failed", PATIENCE, || async {
            panel.install_counts().failed == failed
        })
        .await;
        live.wait_until_unleased().await;
        live.skip(OVERDUE);
    }
    let parked = live.wait_parked(&order.id, "INSTALL_FAILED").await;
    assert_eq!(parked.server_state(), proto::ServerState::InstallFailed);
    assert_eq!(panel.count_route("POST", REINSTALL), 1);
    live.close().await;
}

/// Six servers that install at once are watched by one list, not by six looks.
async fn one_poll_watches_all_installs(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.install = Duration::from_millis(800);
    })
    .await;
    let user = Uuid::new_v4();
    let mut orders = Vec::new();
    for index in 0..6 {
        let cart = proto::CreateCheckoutSessionRequest {
            server_name: format!("Number {index}"),
            ..cart(user)
        };
        orders.push(live.purchase(cart).await);
    }
    for order in &orders {
        live.wait_running(&order.id).await;
    }
    assert_eq!(live.calls("GET", "/servers/{server}").len(), 0);
    assert_eq!(
        live.calls("GET", "/servers/external/{external_id}").len(),
        0
    );
    assert!(!live.calls("GET", "/servers").is_empty());
    live.close().await;
}
