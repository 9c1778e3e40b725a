//! SIGKILL around the calls that come after a create: a second install, and the end of a
//! server whose order is over.

use std::time::Duration;

use sandbox::panel::{DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{
    rest,
    scene::{Armed, Hang, Scene},
};
use crate::support::{changes, db::Engine, effort, live::PATIENCE, pool::pool_cart, sql, wait};

both_engines!(
    killed_around_a_second_install,
    killed_around_a_reinstall,
    killed_around_a_delete,
    killed_around_a_forced_delete,
    killed_before_room_is_given_back,
);

const LONG_INSTALL: Duration = Duration::from_secs(600);
const REINSTALL: &str = "/servers/{server}/reinstall";
const DELETE: &str = "/servers/{server}";
const FORCED: &str = "/servers/{server}/{force}";
const SEEDS: u32 = 20;

/// P-07: killed before the panel was told to reinstall a used server, and after it was: its
/// files are replaced once, not once for each process.
async fn killed_around_a_reinstall(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
    scene.live.pay(&order);
    scene.wait_until_delivered().await;
    for run in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let panel = &scene.live.world.panel;
            // By the panel's clock, which has seconds, its end is another one than the last.
            panel.set_install_delay(Duration::from_millis(1_100));
            let before = panel.succeeded_route("POST", REINSTALL);
            let armed = scene.arm(Hang::Panel("POST", "/servers/", after_work));
            changes::reinstall(&scene.live, &order.id).await.unwrap();
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            let wanted = "SELECT count(*) FROM servers WHERE reinstall_us IS NOT NULL";
            wait::until("it is reinstalled", PATIENCE, || async {
                sql::count(&scene.live.store.db, wanted).await == 0
            })
            .await;
            scene.live.wait_running(&order.id).await;
            let panel = &scene.live.world.panel;
            let done = panel.succeeded_route("POST", REINSTALL) - before;
            assert_eq!(done, 1, "run {run}, after_work {after_work}");
        }
    }
    scene.assert_each_delivered_once(1).await;
    scene.close().await;
}

/// P-07: killed before the panel took the second install of a server whose first one failed, and
/// after it did: the install script is run again once, not once for each process.
async fn killed_around_a_second_install(engine: Engine) {
    let quick = Duration::from_millis(200);
    let mut scene = Scene::open_with(engine, |options| options.install = quick, &[]).await;
    let runs = effort::runs(1, SEEDS);
    for run in 0..runs {
        for after_work in [false, true] {
            let panel = &scene.live.world.panel;
            panel.set_install_delay(quick);
            let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
            panel.fail_next_installs(&order.id, 1);
            // The first POST is the create.
            let hang = FaultAction::Hang {
                milliseconds: 120_000,
            };
            let mut hang = Fault::on("POST", "/servers", hang).nth(2);
            if after_work {
                hang = hang.after_work();
            }
            let armed = Armed::Panel(panel.inject(hang));
            let before = panel.succeeded_route("POST", REINSTALL);
            scene.live.pay(&order);
            wait::until("the server is there", PATIENCE, || async {
                panel.server(&order.id).is_some()
            })
            .await;
            // Still under way when the next process looks.
            panel.set_install_delay(Duration::from_secs(3));
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            scene.wait_until_delivered().await;
            let panel = &scene.live.world.panel;
            let done = panel.succeeded_route("POST", REINSTALL) - before;
            assert_eq!(done, 1, "run {run}, after_work {after_work}");
        }
    }
    scene
        .assert_each_delivered_once(2 * usize::try_from(runs).unwrap())
        .await;
    scene.close().await;
}

/// P-07: killed before the panel deleted a server whose order ended during its install,
/// and after it did.
async fn killed_around_a_delete(engine: Engine) {
    let mut scene = Scene::open_with(engine, |options| options.install = LONG_INSTALL, &[]).await;
    for run in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
            let before = scene.live.world.panel.succeeded_route("DELETE", DELETE);
            scene.live.pay(&order);
            scene.live.wait_for_reason(&order.id, "INSTALLING").await;
            let armed = scene.arm(Hang::Panel("DELETE", "/servers/", after_work));
            scene.cancel(&order);
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            scene.wait_until_over().await;
            let panel = &scene.live.world.panel;
            let done = panel.succeeded_route("DELETE", DELETE) - before;
            assert_eq!(done, 1, "run {run}, after_work {after_work}");
            assert_eq!(panel.servers(), []);
            let order = scene.live.order(&order.id).await;
            assert_eq!(order.server_state(), proto::ServerState::Deleted);
            assert_eq!((order.attempts, order.error_reason.as_str()), (0, ""));
            rest::assert_ledger_is_the_panels(&scene.live).await;
        }
    }
    scene.close().await;
}

/// P-07: killed before the panel forgot a server whose node is away, and after it did: decided and
/// told of once.
async fn killed_around_a_forced_delete(engine: Engine) {
    let policy = [
        ("FORCE_DELETE_AFTER_SECONDS", "7200".to_owned()),
        ("RETRY_SECONDS", "0.05".to_owned()),
    ];
    let mut scene = Scene::open_with(engine, |_| {}, &policy).await;
    for _ in 0..effort::runs(1, SEEDS) {
        for after_work in [false, true] {
            let order = scene.purchases(1).await.remove(0);
            scene.live.wait_running(&order.id).await;
            scene.live.wait_until_unleased().await;
            let node = scene.live.made(&order.id).node;
            scene.live.world.panel.set_daemon(node, DaemonMode::Down);
            let hang = FaultAction::Hang {
                milliseconds: 120_000,
            };
            let mut hang = Fault::on_route("DELETE", FORCED, hang);
            if after_work {
                hang = hang.after_work();
            }
            let armed = Armed::Panel(scene.live.world.panel.inject(hang));
            changes::terminate(&scene.live, &order.id).await;
            failing_for_hours(&scene, &order, &armed).await;
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            scene.wait_until_over().await;
            let panel = &scene.live.world.panel;
            assert_eq!(panel.servers(), [], "after_work {after_work}");
            panel.set_daemon(node, DaemonMode::Ok);
            let events = scene.live.events(&order.id).await;
            let told = events.iter().filter(|event| event.to.contains("by force"));
            assert_eq!(told.count(), 1, "after_work {after_work}");
            rest::assert_ledger_is_the_panels(&scene.live).await;
        }
    }
    scene.close().await;
}

/// As if its node had been away for as long as the policy waits, until it is deleted by force.
async fn failing_for_hours(scene: &Scene, order: &proto::Order, armed: &Armed) {
    let db = &scene.live.store.db;
    let id = sql::id(db, order.id.parse().unwrap());
    // Whoever notes the next failure may write the time that was there before.
    let earlier = format!(
        "UPDATE servers SET node_failing_us = node_failed_us - 10800000000
            WHERE order_id = {id} AND force_sent_us IS NULL"
    );
    wait::until("it is deleted by force", PATIENCE, || async {
        sql::run(db, &earlier).await.unwrap();
        scene.fired(armed) > 0
    })
    .await;
}

/// P-07: killed while Stripe is read for an order that was canceled before anything was
/// made: nothing is made, and room and ports are free again.
async fn killed_before_room_is_given_back(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    for _ in 0..effort::runs(1, SEEDS) {
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        let armed = scene.arm(Hang::Stripe("GET", "/v1/checkout/sessions/", false));
        scene.live.pay(&order);
        scene.cancel(&order);
        scene.kill_when_hanging(&armed, 1).await;
        scene.restart().await;
        scene.wait_until_over().await;
        let order = scene.live.order(&order.id).await;
        assert_eq!(order.server_state(), proto::ServerState::None);
        rest::assert_ledger_is_the_panels(&scene.live).await;
    }
    assert_eq!(
        (scene.posts(), scene.live.world.panel.servers().len()),
        (0, 0)
    );
    scene.close().await;
}
