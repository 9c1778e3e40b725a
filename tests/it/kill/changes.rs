//! SIGKILL around a change of plan: what Stripe is told of it, and what the panel is.

use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::scene::{Hang, Scene};
use crate::support::{changes, db::Engine, effort, live::PATIENCE, pool::pool_cart, sql, wait};

both_engines!(killed_around_a_change_of_plan);

const SEEDS: u32 = 20;
const LARGER: &str = "mc-4gb";
const LARGER_MB: i64 = 4096;

/// P-07: killed before Stripe changed what the subscription is for, and after it did; before the
/// panel gave the server its limits, and after it did: it is paid once, and delivered.
async fn killed_around_a_change_of_plan(engine: Engine) {
    let mut scene = Scene::open(engine).await;
    let hangs = [
        Hang::Stripe("POST", "/v1/subscriptions/", false),
        Hang::Stripe("POST", "/v1/subscriptions/", true),
        Hang::Panel("PATCH", "/servers/", false),
        Hang::Panel("PATCH", "/servers/", true),
    ];
    let mut sold = 0;
    for _ in 0..effort::runs(1, SEEDS) {
        for hang in hangs {
            let order = scene.reserve(pool_cart(Uuid::new_v4())).await;
            scene.live.pay(&order);
            scene.wait_until_delivered().await;
            sold += 1;
            let armed = scene.arm(hang);
            let paid = invoices(&scene);
            let asked = changes::ask(&scene.live, &order.id, LARGER, &[]).await;
            asked.unwrap();
            scene.kill_when_hanging(&armed, 1).await;
            scene.restart().await;
            let (live, id) = (&scene.live, order.id.as_str());
            wait::until("it is delivered", PATIENCE, || async {
                let server = live.world.panel.server(id).unwrap();
                let on_its_way = "SELECT count(*) FROM order_changes";
                server.memory == LARGER_MB && sql::count(&live.store.db, on_its_way).await == 0
            })
            .await;
            let now: proto::Order = live.order(id).await;
            assert_eq!(
                (now.plan_id.as_str(), now.error_reason.as_str()),
                (LARGER, "")
            );
            assert_eq!(invoices(&scene), paid + 1, "{hang:?}: the difference, once");
        }
    }
    scene.assert_each_delivered_once(sold).await;
    scene.close().await;
}

/// How many bills were paid.
fn invoices(scene: &Scene) -> usize {
    let events = scene.live.world.stripe.events();
    let paid = events.iter().filter(|event| event.kind == "invoice.paid");
    paid.count()
}
