//! The control plane goes away in mid-provision and comes back: nothing is lost, and
//! nothing is made twice.

use std::time::Duration;

use sandbox::{
    audit::Invariant,
    panel::{DaemonMode, Fault, FaultAction},
};
use spawnpoint::{boot::Mode, rpc::proto};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    sql, wait,
};

both_engines!(
    a_restart_during_the_create_makes_one_server,
    a_restart_while_in_doubt_adopts_the_server,
    what_happened_meanwhile_is_found_after_a_restart,
    a_restored_backup_makes_nothing_twice,
);

async fn restart(live: &mut Live) {
    live.world.stop_cores().await;
    live.world.start_core(Mode::All).await.unwrap();
}

async fn assert_one_server(live: &Live, order_id: &str) {
    let order = live.wait_running(order_id).await;
    assert_eq!(
        (live.creates(order_id).len(), live.tries(&order.id).await),
        (1, 0)
    );
    assert_eq!(live.world.panel.servers().len(), 1);
    assert_eq!(order.pterodactyl_server_id, live.made(order_id).id);
    let believed = live.events(order_id).await;
    let believed = believed
        .iter()
        .filter(|event| event.what == "pterodactyl_server_id");
    assert_eq!(believed.count(), 1);
}

async fn a_restart_during_the_create_makes_one_server(engine: Engine) {
    let mut live =
        Live::open_with(engine, |options| options.install = Duration::from_secs(2)).await;
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
    restart(&mut live).await;
    // And once more while it installs.
    live.wait_for_reason(&order.id, "INSTALLING").await;
    restart(&mut live).await;
    assert_one_server(&live, &order.id).await;
    live.close().await;
}

/// D-09: the database is set back to before the purchase was paid. The payment is found at Stripe,
/// account and server are found on the panel by our ids, and nothing is made a second time.
async fn a_restored_backup_makes_nothing_twice(engine: Engine) {
    let mut live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.reserve(cart(user)).await;
    live.wait_until_unleased().await;
    live.world.stop_cores().await;
    live.store.back_up().await;
    live.world.start_core(Mode::All).await.unwrap();
    live.pay(&order);
    let delivered = live.wait_running(&order.id).await;
    live.wait_until_unleased().await;

    live.world.stop_cores().await;
    live.store.restore().await;
    let forgotten = "SELECT count(*) FROM orders WHERE status = 'pending'";
    assert_eq!(sql::count(&live.store.db, forgotten).await, 1);
    live.world.start_core(Mode::All).await.unwrap();
    let found = live.wait_running(&order.id).await;
    assert_eq!(found.pterodactyl_server_id, delivered.pterodactyl_server_id);
    assert_eq!(live.made(&order.id).id, found.pterodactyl_server_id);
    assert_eq!(live.world.panel.servers().len(), 1);
    assert_eq!(live.panel_users(user).len(), 1);
    assert_eq!(live.world.stripe.subscriptions().len(), 1);
    let why = "what was acknowledged since the backup is not in it";
    live.close_expecting(&[Invariant::I6], why).await;
}

async fn a_restart_while_in_doubt_adopts_the_server(engine: Engine) {
    let mut live = Live::open_with(engine, |options| {
        options.set("SETTLE_SECONDS", "2");
    })
    .await;
    let fault = Fault::on("POST", "/servers", FaultAction::Drop)
        .after_work()
        .times(1);
    let fault = live.world.panel.inject(fault);
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    restart(&mut live).await;
    assert_one_server(&live, &order.id).await;
    assert_eq!(live.world.panel.fired(fault), 1);
    live.close().await;
}

/// Finding 4: with the webhook lost there was nothing to find the payment by.
async fn what_happened_meanwhile_is_found_after_a_restart(engine: Engine) {
    let mut live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.stop_cores().await;
    let mut switches = live.world.stripe.webhooks();
    switches.enabled = false;
    live.world.stripe.set_webhooks(switches);
    live.pay(&order);
    live.world.start_core(Mode::All).await.unwrap();
    assert_one_server(&live, &order.id).await;
    let events = live.events(&order.id).await;
    let paid = events
        .iter()
        .find(|event| event.what == "status" && event.from == "pending");
    assert_ne!(paid.unwrap().to, "canceled");
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Provisioned
    );
    live.close().await;
}
