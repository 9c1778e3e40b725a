//! SIGKILL in each step on the way from a payment to a running server. The moment is
//! told by a request that hangs at a stand-in, or by what stands in the database.

use std::time::Duration;

use sandbox::panel::{Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{
    freeze::Freeze,
    rest,
    scene::{Hang, Scene, recovery},
};
use crate::support::{db::Engine, effort, live::PATIENCE, pool::pool_cart, sql, wait};

both_engines!(
    killed_while_stripe_is_read,
    killed_around_the_account,
    killed_with_everything_placed,
    killed_with_a_create_that_arrived,
    killed_with_a_create_that_is_done,
    killed_with_a_create_that_is_answered,
    killed_with_the_server_stored,
    killed_while_a_create_is_looked_up,
    killed_between_the_looks_at_a_create,
    killed_while_installs_are_watched,
);

/// Runs of a step in the long mode.
const SEEDS: u32 = 20;
/// Longer than any test: an install ends when the panel's clock is moved.
const LONG_INSTALL: Duration = Duration::from_secs(600);

/// Kills the process once the requests of so many purchases hang, starts it again, and
/// waits until all of them are delivered. Tells how long that took since the kill.
async fn survive(scene: &mut Scene, hang: Hang, count: usize) -> Duration {
    let armed = scene.arm(hang);
    let orders = scene.purchases(count).await;
    let killed = scene.kill_when_hanging(&armed, orders.len()).await;
    scene.restart().await;
    scene.wait_until_delivered().await;
    let took = killed.elapsed();
    eprintln!("{hang:?}: {count} delivered {took:?} after the kill");
    took
}

/// P-01: killed while its own read of Stripe is under way, before anything was made.
async fn killed_while_stripe_is_read(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for path in ["/v1/checkout/sessions/", "/v1/subscriptions/"] {
            let hang = Hang::Stripe("GET", path, false);
            let took = survive(&mut scene, hang, 2).await;
            assert!(took < recovery(), "{took:?}");
            sold += 2;
        }
    }
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-01: killed before the panel's account was made. P-02: killed after it was made and
/// before it was stored: the next process finds it by the customer's id.
async fn killed_around_the_account(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for after in [false, true] {
            let asked = scene.live.calls("POST", "/users").len();
            let took = survive(&mut scene, Hang::Panel("POST", "/users", after), 2).await;
            assert!(took < recovery(), "{took:?}");
            let asked = scene.live.calls("POST", "/users").len() - asked;
            assert_eq!(asked, 4, "each was sent again, once");
            sold += 2;
        }
    }
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-03: killed after node and ports were chosen, before the create was sent: what is
/// held stays the order's and nobody else's.
async fn killed_with_everything_placed(engine: Engine) {
    let one_at_a_time = [
        ("PANEL_MAX_CREATES", "1".to_owned()),
        ("PANEL_MAX_CREATES_PER_NODE", "1".to_owned()),
    ];
    let mut scene = Scene::open_with(engine, |_| {}, &one_at_a_time).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        // The first one's create has the only slot; the other is placed and waits for it.
        let armed = scene.arm(Hang::Panel("POST", "/servers", false));
        scene.purchases(2).await;
        scene.wait_until_hanging(&armed, 1).await;
        let placed = "SELECT count(*) FROM servers WHERE attempt > 0
            AND create_request IS NOT NULL AND create_sent_us IS NULL";
        wait::until("the other is placed", PATIENCE, || async {
            sql::count(&scene.live.store.db, placed).await == 1
        })
        .await;
        scene.core.kill().await;
        scene.unhang();
        assert_eq!(sql::count(&scene.live.store.db, placed).await, 1);
        scene.restart().await;
        scene.wait_until_delivered().await;
        sold += 2;
    }
    scene.assert_each_delivered_once(sold).await;
    // One of each pair was on its way and surely not done.
    assert_eq!(scene.posts(), sold + sold / 2);
    scene.close().await;
}

/// Orders whose creates hang at once, and how often: 200 in all in the long mode.
fn creates() -> (usize, u32) {
    if effort::long() { (10, 20) } else { (3, 1) }
}

/// P-04: killed after the create was sent, before the panel did anything: it is sent
/// again only once it was surely not done.
async fn killed_with_a_create_that_arrived(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let (at_once, rounds) = creates();
    for _ in 0..rounds {
        survive(&mut scene, Hang::Panel("POST", "/servers", false), at_once).await;
    }
    let sold = at_once * usize::try_from(rounds).unwrap();
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), 2 * sold);
    scene.close().await;
}

/// P-04, P-05: killed after the panel made the server, before it answered. Finding 22: the
/// panel had made the server, nobody knew, and the retry made another.
async fn killed_with_a_create_that_is_done(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let (at_once, rounds) = creates();
    for _ in 0..rounds {
        survive(&mut scene, Hang::Panel("POST", "/servers", true), at_once).await;
    }
    let sold = at_once * usize::try_from(rounds).unwrap();
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-05: killed inside the very transaction that stores the panel's answer. SQLite has
/// one transaction at a time, and a process has no more of them on PostgreSQL than it has
/// connections, each for as long as a statement may take.
async fn killed_with_a_create_that_is_answered(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let (at_once, rounds) = match engine {
        Engine::Postgres if effort::long() => (4, 50),
        Engine::Postgres => (3, 1),
        Engine::Sqlite => (1, effort::runs(1, SEEDS)),
    };
    for _ in 0..rounds {
        let before = stored(&scene).await;
        let what = "UPDATE OF pterodactyl_server_id ON servers";
        let freeze = Freeze::prepare(&scene.live.store, what, "NEW.pterodactyl_server_id > 0");
        let freeze = freeze.await;
        scene.purchases(at_once).await;
        freeze.wait(i64::try_from(at_once).unwrap()).await;
        scene.core.kill().await;
        freeze.thaw().await;
        assert_eq!(stored(&scene).await, before);
        scene.restart().await;
        scene.wait_until_delivered().await;
    }
    let sold = at_once * usize::try_from(rounds).unwrap();
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-06: killed after the order was updated, inside the very transaction that was to say
/// what it waits for. The panel installs all the while: the next process finds that, and
/// sends no second create. SQLite has one transaction at a time.
async fn killed_with_the_server_stored(engine: Engine) {
    let mut scene = Scene::open_with(engine, |options| options.install = LONG_INSTALL, &[]).await;
    let at_once = match engine {
        Engine::Postgres => 2,
        Engine::Sqlite => 1,
    };
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        let what = "UPDATE OF waiting_reason ON orders";
        let freeze = Freeze::prepare(&scene.live.store, what, "NEW.waiting_reason = 'INSTALLING'");
        let freeze = freeze.await;
        let (before, count) = (stored(&scene).await, i64::try_from(at_once).unwrap());
        let orders = scene.purchases(at_once).await;
        wait::until("the servers are stored", PATIENCE, || async {
            stored(&scene).await == before + count
        })
        .await;
        freeze.wait(count).await;
        scene.core.kill().await;
        freeze.thaw().await;
        for order in &orders {
            assert_stored_and_no_more(&scene, order).await;
        }
        scene.restart().await;
        let untold = "SELECT count(*) FROM orders
            WHERE server_state <> 'running' AND waiting_reason <> 'INSTALLING'";
        rest::wait_for_none(&scene.live, untold, || scene.core.log()).await;
        scene.live.world.panel.advance(LONG_INSTALL);
        scene.wait_until_delivered().await;
        sold += at_once;
        assert_eq!(scene.posts(), sold);
    }
    scene.assert_each_delivered_once(sold).await;
    scene.close().await;
}

/// The server is known to us, the panel installs it still, and the order does not say yet
/// that it waits for that.
async fn assert_stored_and_no_more(scene: &Scene, order: &proto::Order) {
    let made = scene.live.made(&order.id);
    assert_eq!(made.status.as_deref(), Some("installing"));
    let db = &scene.live.store.db;
    let id = sql::id(db, order.id.parse().unwrap());
    let query = format!(
        "SELECT count(*) FROM orders JOIN servers ON servers.order_id = orders.id
         WHERE orders.id = {id} AND orders.server_state = 'installing'
         AND orders.waiting_reason <> 'INSTALLING' AND servers.first_running_us IS NULL
         AND servers.pterodactyl_server_id = {}",
        made.id
    );
    assert_eq!(sql::count(db, &query).await, 1, "{}", order.id);
}

/// Servers that are known to us.
async fn stored(scene: &Scene) -> i64 {
    let query = "SELECT count(*) FROM servers WHERE pterodactyl_server_id IS NOT NULL";
    sql::count(&scene.live.store.db, query).await
}

/// P-04: killed while the panel is asked what came of a create.
async fn killed_while_a_create_is_looked_up(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        let lost = Fault::on("POST", "/servers", FaultAction::Drop).after_work();
        let lost = scene.live.world.panel.inject(lost);
        let look = Hang::Panel("GET", "/servers/external/", false);
        survive(&mut scene, look, 2).await;
        assert_eq!(scene.live.world.panel.fired(lost), 2);
        sold += 2;
    }
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-04: killed between the two looks that settle a create which never came to be.
async fn killed_between_the_looks_at_a_create(engine: Engine) {
    // The looks are a ninth of this apart.
    let settle = [("SETTLE_SECONDS", "4.5".to_owned())];
    let mut scene = Scene::open_with(engine, |_| {}, &settle).await;
    let runs = effort::runs(1, SEEDS);
    for _ in 0..runs {
        let lost = Fault::on("POST", "/servers", FaultAction::Drop).times(1);
        let lost = scene.live.world.panel.inject(lost);
        scene.purchases(1).await;
        let looked = "SELECT count(*) FROM servers WHERE settle_looks = 1";
        wait::until("a look found nothing", PATIENCE, || async {
            sql::count(&scene.live.store.db, looked).await == 1
        })
        .await;
        scene.core.kill().await;
        assert_eq!(sql::count(&scene.live.store.db, looked).await, 1);
        scene.restart().await;
        scene.wait_until_delivered().await;
        assert_eq!(scene.live.world.panel.fired(lost), 1);
    }
    let sold = usize::try_from(runs).unwrap();
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), 2 * sold);
    scene.close().await;
}

/// P-06: killed while the panel is asked whether the install has ended.
async fn killed_while_installs_are_watched(engine: Engine) {
    let install = Duration::from_millis(500);
    let mut scene = Scene::open_with(engine, |options| options.install = install, &[]).await;
    let runs = effort::runs(1, SEEDS);
    for _ in 0..runs {
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        let armed = scene.arm(Hang::Panel("GET", "/servers", false));
        scene.live.pay(&order);
        scene.kill_when_hanging(&armed, 1).await;
        scene.restart().await;
        scene.wait_until_delivered().await;
    }
    let sold = usize::try_from(runs).unwrap();
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}
