//! SIGKILL while a checkout is opened at Stripe: by the call of the shop's page, and by
//! the worker that goes on where such a call ended.

use uuid::Uuid;

use super::{
    rest,
    scene::{Hang, Scene},
};
use crate::support::{db::Engine, effort, pool::pool_cart, sql};

both_engines!(
    killed_while_the_call_opens_the_session,
    killed_twice_the_worker_opens_the_session,
);

const SEEDS: u32 = 20;
const CALLS: [(&str, bool); 4] = [
    ("/v1/customers", false),
    ("/v1/customers", true),
    ("/v1/checkout/sessions", false),
    ("/v1/checkout/sessions", true),
];

impl Scene {
    /// Sends a cart and kills the process that opens its session.
    async fn kill_during_checkout(
        &self,
        hang: Hang,
        cart: &spawnpoint::rpc::proto::CreateCheckoutSessionRequest,
    ) {
        let armed = self.arm(hang);
        let (mut orders, user) = (self.live.orders(), cart.user_id.parse().unwrap());
        let request = self.live.storefront(cart.clone(), user);
        let call = tokio::spawn(async move { orders.create_checkout_session(request).await });
        self.kill_when_hanging(&armed, 1).await;
        // Whoever called learns that nothing is sure.
        let status = call.await.unwrap().unwrap_err();
        assert!(!matches!(
            status.code(),
            tonic::Code::Ok | tonic::Code::InvalidArgument
        ));
    }
}

/// P-01: killed around each call to Stripe; the page repeats its request and gets one
/// order, one customer and one session.
async fn killed_while_the_call_opens_the_session(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for (path, after_work) in CALLS {
            let cart = pool_cart(Uuid::new_v4());
            let hang = Hang::Stripe("POST", path, after_work);
            scene.kill_during_checkout(hang, &cart).await;
            scene.restart().await;
            let order = scene.reserve(cart).await;
            scene.live.pay(&order);
            scene.wait_until_delivered().await;
            sold += 1;
        }
    }
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}

/// P-07, twice in a row: the call is killed, nobody repeats it, and the worker that opens
/// the session instead is killed as well.
async fn killed_twice_the_worker_opens_the_session(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for (path, after_work) in CALLS {
            let cart = pool_cart(Uuid::new_v4());
            let hang = Hang::Stripe("POST", path, after_work);
            scene.kill_during_checkout(hang, &cart).await;
            let armed = scene.arm(hang);
            scene.restart().await;
            // The page has some seconds before the worker takes over: they are over.
            let now = "UPDATE orders SET due_us = 1 WHERE due_us IS NOT NULL";
            sql::run(&scene.live.store.db, now).await.unwrap();
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            let unopened = "SELECT count(*) FROM billing WHERE session_id IS NULL";
            rest::wait_for_none(&scene.live, unopened, || scene.core.log()).await;
            let order = scene.reserve(cart).await;
            scene.live.pay(&order);
            scene.wait_until_delivered().await;
            sold += 1;
        }
    }
    scene.assert_each_delivered_once(sold).await;
    assert_eq!(scene.posts(), sold);
    scene.close().await;
}
