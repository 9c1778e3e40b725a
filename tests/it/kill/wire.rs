//! SIGKILL with a create on the wire: it has left the process and has not come to the
//! panel. Whether it ever does is up to whatever lies between.

use std::time::Duration;

use sandbox::proxy::{Mode, Proxy};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::scene::Scene;
use crate::support::{db::Engine, effort, live::PATIENCE, pool::pool_cart, sql, wait};

both_engines!(
    killed_before_the_create_arrives_it_is_sent_again,
    killed_and_the_create_lands_late_it_is_adopted,
);

const SEEDS: u32 = 20;

/// So slow that no request arrives as long as it lasts.
pub const TRICKLE: Mode = Mode::Drip {
    bytes: 1,
    every: Duration::from_millis(200),
};

/// A scene with a proxy before the panel, and a customer who has an account there.
async fn open(engine: Engine) -> (Scene, Proxy, Uuid) {
    // Nothing but the orders' own calls is to go over the wire.
    let variables = [
        ("SWEEP_PORTS_SECONDS", "3600"),
        // Its patience must outlast a busy machine: given up, the call would be over.
        ("CALL_TIMEOUT_SECONDS", "4"),
        ("LEASE_SECONDS", "5"),
    ];
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    let mut scene = Scene::open_with(engine, |_| {}, &variables).await;
    let proxy = Proxy::start(scene.live.world.panel.addr()).await.unwrap();
    scene.core.kill().await;
    scene.set("PANEL_URL", format!("http://{}", proxy.addr()));
    scene.restart().await;
    let user = Uuid::new_v4();
    let order = scene.reserve(pool_cart(user)).await;
    scene.live.pay(&order);
    scene.wait_until_delivered().await;
    (scene, proxy, user)
}

/// Stops the process when its create is sent, by its own word, and held on its way: it
/// does nothing any more before it is killed.
async fn stop_with_the_create_held(scene: &Scene, proxy: &Proxy, user: Uuid, run: u32) {
    proxy.set(TRICKLE);
    let cart = proto::CreateCheckoutSessionRequest {
        server_name: format!("Number {run}"),
        ..pool_cart(user)
    };
    let order = scene.reserve(cart).await;
    let bytes = proxy.client_bytes();
    scene.live.pay(&order);
    let sent = "SELECT count(*) FROM servers WHERE create_sent_us IS NOT NULL";
    wait::until("the create is on its way", PATIENCE, || async {
        proxy.client_bytes() > bytes && sql::count(&scene.live.store.db, sent).await == 1
    })
    .await;
    scene.core.stop().await;
}

/// P-04: it is lost with its connection. It counts as sent all the same, until two looks
/// have found nothing.
async fn killed_before_the_create_arrives_it_is_sent_again(engine: Engine) {
    let (mut scene, proxy, user) = open(engine).await;
    let runs = effort::runs(1, SEEDS);
    for run in 0..runs {
        let posts = scene.posts();
        stop_with_the_create_held(&scene, &proxy, user, run).await;
        scene.core.kill().await;
        proxy.cut();
        wait::until("nothing is held", PATIENCE, || async {
            proxy.connections() == 0
        })
        .await;
        proxy.set(Mode::Pass);
        assert_eq!(scene.posts(), posts);
        scene.restart().await;
        scene.wait_until_delivered().await;
        assert_eq!(scene.posts(), posts + 1);
    }
    let sold = 1 + usize::try_from(runs).unwrap();
    scene.assert_each_delivered_once(sold).await;
    scene.close().await;
}

/// P-04, and a create that lands late: it comes to the panel when its process does nothing
/// any more, and the next process finds what it made.
async fn killed_and_the_create_lands_late_it_is_adopted(engine: Engine) {
    let (mut scene, proxy, user) = open(engine).await;
    let runs = effort::runs(1, SEEDS);
    for run in 0..runs {
        let posts = scene.posts();
        stop_with_the_create_held(&scene, &proxy, user, run).await;
        assert_eq!(scene.posts(), posts);
        proxy.set(Mode::Pass);
        wait::until("it lands", PATIENCE, || async { scene.posts() > posts }).await;
        scene.core.kill().await;
        scene.restart().await;
        scene.wait_until_delivered().await;
        assert_eq!(scene.posts(), posts + 1);
    }
    let sold = 1 + usize::try_from(runs).unwrap();
    scene.assert_each_delivered_once(sold).await;
    scene.close().await;
}
