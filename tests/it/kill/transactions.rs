//! SIGKILL inside the transaction that stores what a step did: nothing of it is on disk,
//! and everything outside is done.

use std::time::Duration;

use sandbox::panel::{Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{freeze::Freeze, rest, scene::Scene};
use crate::support::{db::Engine, live::PATIENCE, pool::pool_cart, wait};

both_engines!(
    torn_while_the_purchase_is_stored,
    torn_while_the_payment_is_stored,
    torn_while_the_server_is_stored,
    torn_while_a_create_is_settled,
    torn_while_a_reinstall_is_stored,
    torn_while_the_end_is_stored,
);

/// A server that has never run when its order ends.
const LONG_INSTALL: Duration = Duration::from_secs(600);

impl Scene {
    /// Kills the process inside the transaction that does this, brought about by
    /// `provoke`, and starts it again.
    async fn tear(&mut self, what: &str, when: &str, provoke: impl AsyncFnOnce(&Self)) {
        let freeze = Freeze::prepare(&self.live.store, what, when).await;
        provoke(self).await;
        freeze.wait(1).await;
        self.core.kill().await;
        freeze.thaw().await;
        self.restart().await;
        eprintln!("torn at {what}");
    }
}

/// P-01, before anything at Stripe: the order itself, then its customer, then its session.
/// Whoever repeats the request gets one order with one session.
async fn torn_while_the_purchase_is_stored(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let places = [
        ("INSERT ON orders", "NEW.version = 1"),
        (
            "UPDATE OF stripe_customer_id ON profiles",
            "NEW.stripe_customer_id IS NOT NULL",
        ),
        (
            "UPDATE OF request_sent_us ON billing",
            "NEW.request_sent_us IS NOT NULL",
        ),
        (
            "UPDATE OF session_id ON billing",
            "NEW.session_id IS NOT NULL",
        ),
    ];
    for (what, when) in places {
        let cart = pool_cart(Uuid::new_v4());
        let (again, live) = (cart.clone(), scene.live.orders());
        let request = scene
            .live
            .storefront(cart.clone(), cart.user_id.parse().unwrap());
        scene
            .tear(what, when, async |_| {
                let mut live = live;
                tokio::spawn(async move { live.create_checkout_session(request).await });
            })
            .await;
        let order = scene.reserve(again).await;
        scene.live.pay(&order);
        scene.wait_until_delivered().await;
    }
    scene.assert_each_delivered_once(places.len()).await;
    assert_eq!(scene.posts(), places.len());
    scene.close().await;
}

/// P-01 to P-03: what Stripe said, the account, node and ports with the request, and the
/// mark that a create is about to be sent.
async fn torn_while_the_payment_is_stored(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let places = [
        ("INSERT ON stripe_events", "NEW.id <> ''"),
        (
            "UPDATE OF confirmed_at_us ON billing",
            "NEW.confirmed_at_us IS NOT NULL",
        ),
        ("INSERT ON external_accounts", "NEW.pterodactyl_user_id > 0"),
        ("UPDATE OF attempt ON servers", "NEW.attempt > 0"),
        (
            "UPDATE OF create_sent_us ON servers",
            "NEW.create_sent_us IS NOT NULL",
        ),
    ];
    for (what, when) in places {
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        scene
            .tear(what, when, async |scene| scene.live.pay(&order))
            .await;
        scene.wait_until_delivered().await;
    }
    scene.assert_each_delivered_once(places.len()).await;
    assert_eq!(
        scene.posts(),
        places.len(),
        "none was sent before it was marked"
    );
    scene.close().await;
}

/// P-05: the create's answer, and the end of the install.
async fn torn_while_the_server_is_stored(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let places = [
        (
            "UPDATE OF pterodactyl_server_id ON servers",
            "NEW.pterodactyl_server_id > 0",
        ),
        (
            "UPDATE OF first_running_us ON servers",
            "NEW.first_running_us IS NOT NULL",
        ),
    ];
    for (what, when) in places {
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        scene
            .tear(what, when, async |scene| scene.live.pay(&order))
            .await;
        scene.wait_until_delivered().await;
    }
    scene.assert_each_delivered_once(places.len()).await;
    assert_eq!(scene.posts(), places.len());
    scene.close().await;
}

/// P-04: a look that found nothing, and the last one, after which the create is repeated.
async fn torn_while_a_create_is_settled(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let places = [
        ("UPDATE OF settle_looks ON servers", "NEW.settle_looks = 1"),
        (
            "UPDATE OF create_sent_us ON servers",
            "NEW.create_sent_us IS NULL",
        ),
    ];
    for (what, when) in places {
        let lost = Fault::on("POST", "/servers", FaultAction::Drop).times(1);
        let lost = scene.live.world.panel.inject(lost);
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        scene
            .tear(what, when, async |scene| scene.live.pay(&order))
            .await;
        scene.wait_until_delivered().await;
        assert_eq!(scene.live.world.panel.fired(lost), 1);
    }
    scene.assert_each_delivered_once(places.len()).await;
    assert_eq!(scene.posts(), 2 * places.len());
    scene.close().await;
}

/// P-07: the panel runs the install once more and nobody noted it.
async fn torn_while_a_reinstall_is_stored(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
    scene.live.world.panel.fail_next_installs(&order.id, 1);
    // Still under way when the next process looks.
    let again = Duration::from_secs(4);
    scene
        .tear(
            "UPDATE OF reinstalls ON servers",
            "NEW.reinstalls > 0",
            async |scene| {
                let panel = &scene.live.world.panel;
                scene.live.pay(&order);
                wait::until("the server is there", PATIENCE, || async {
                    panel.server(&order.id).is_some()
                })
                .await;
                panel.set_install_delay(again);
            },
        )
        .await;
    scene.assert_each_delivered_once(1).await;
    let reinstalls = scene.live.calls("POST", "/servers/{server}/reinstall");
    assert_eq!(reinstalls.len(), 1);
    scene.close().await;
}

/// P-07: a subscription that ends during the install: the delete, and what is given back.
async fn torn_while_the_end_is_stored(engine: Engine) {
    let mut scene = Scene::open_with(engine, |options| options.install = LONG_INSTALL, &[]).await;
    let places = [
        (
            "UPDATE OF deleted_us ON servers",
            "NEW.deleted_us IS NOT NULL",
        ),
        ("DELETE ON holds", "OLD.ram_gb > 0"),
    ];
    for (index, (what, when)) in places.into_iter().enumerate() {
        let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
        scene.live.pay(&order);
        scene.live.wait_for_reason(&order.id, "INSTALLING").await;
        scene
            .tear(what, when, async |scene| scene.cancel(&order))
            .await;
        scene.wait_until_over().await;
        let order = scene.live.order(&order.id).await;
        assert_eq!(order.server_state(), proto::ServerState::Deleted);
        let panel = &scene.live.world.panel;
        assert_eq!(panel.count_route("DELETE", "/servers/{server}"), index + 1);
        assert_eq!(panel.servers(), []);
        rest::assert_ledger_is_the_panels(&scene.live).await;
    }
    scene.close().await;
}
