//! What the panel refuses about one order: tried, counted, parked, and no delay to others.

use std::time::Duration;

use sandbox::panel::{EggSpec, PanelConfig};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart},
    provisioning::cart_of,
};

both_engines!(
    a_refused_order_is_parked_after_ten_tries_and_delays_nobody,
    an_egg_that_is_gone_parks_the_order_until_it_is_back,
    many_calls_to_provision_at_once_make_one_server,
);

/// The egg of a plan of the shop.
fn egg(id: i64) -> EggSpec {
    PanelConfig::shop()
        .eggs
        .into_iter()
        .find(|egg| egg.id == id)
        .unwrap()
}

const PAPER: i64 = 39;
const TERRARIA: &str = "terraria-1gb";

/// P-24, and findings 14 and 23: poisoned orders were tried for ever, or stuck in provisioning.
async fn a_refused_order_is_parked_after_ten_tries_and_delays_nobody(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("RETRY_SECONDS", "0.05");
    })
    .await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    // Since the checkout the egg takes no build number that we would send.
    let mut strict = egg(PAPER);
    for variable in &mut strict.variables {
        if variable.env_variable == "BUILD_NUMBER" {
            variable.rules = "required|string|in:42".to_owned();
        }
    }
    panel.add_egg(&strict);
    live.pay(&order);
    let refused = live
        .wait_order(&order.id, "a first try", |order| order.attempts > 0)
        .await;
    assert_eq!(refused.status(), proto::OrderStatus::Provisioning);
    assert_eq!(refused.error_reason, "");

    // Meanwhile another customer's server is made as if nothing were.
    let other = live.buy_cart(cart_of(Uuid::new_v4(), TERRARIA)).await;
    assert_eq!(
        (live.tries(&other.id).await, live.creates(&other.id).len()),
        (0, 1)
    );

    // The waits between tries double, up to 26 s: time is moved instead of waited for. Two
    // such moves may meet one claim, which must not lose its lease of 60 s over them.
    let mut tries = live.order(&order.id).await.attempts;
    while tries < 10 {
        live.skip(Duration::from_secs(26));
        let more = |order: &proto::Order| order.attempts > tries;
        tries = live
            .wait_order(&order.id, "one more try", more)
            .await
            .attempts;
    }
    let parked = live.wait_parked(&order.id, "PANEL_REJECTED").await;
    assert_eq!(
        (parked.status(), parked.attempts),
        (proto::OrderStatus::Error, 10)
    );
    assert!(
        parked.error_message.contains("BUILD_NUMBER"),
        "{}",
        parked.error_message
    );
    assert_eq!(live.creates(&order.id).len(), 10);
    assert!(
        live.hold(&order.id).await.is_some(),
        "paid for: its room stays"
    );
    live.skip(Duration::from_secs(3600));
    live.buy_cart(cart_of(Uuid::new_v4(), TERRARIA)).await;
    assert_eq!(
        live.creates(&order.id).len(),
        10,
        "parked means that nothing is tried"
    );

    panel.add_egg(&egg(PAPER));
    let woken = live.provision(&order.id).await.unwrap();
    assert_eq!((woken.attempts, woken.error_reason.as_str()), (0, ""));
    live.wait_running(&order.id).await;
    assert_eq!(live.creates(&order.id).len(), 11);
    live.close().await;
}

/// Finding 50: an unknown game silently became another.
async fn an_egg_that_is_gone_parks_the_order_until_it_is_back(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    panel.remove_egg(PAPER);
    live.pay(&order);
    let parked = live.wait_parked(&order.id, "EGG_NOT_FOUND").await;
    assert_eq!(parked.status(), proto::OrderStatus::Error);
    assert!(
        parked.error_message.contains("39"),
        "{}",
        parked.error_message
    );
    assert_eq!(panel.servers().len(), 0);
    panel.add_egg(&egg(PAPER));
    live.provision(&order.id).await.unwrap();
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (live.made(&order.id).egg, order.error_reason.as_str()),
        (PAPER, "")
    );
    live.close().await;
}

/// Finding 21: two calls both saw a paid order and each made a server.
async fn many_calls_to_provision_at_once_make_one_server(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_order(&order.id, "it is paid", |order| {
        order.status() != proto::OrderStatus::Pending
    })
    .await;
    for _ in 0..5 {
        let calls = (0..8).map(|_| live.provision(&order.id));
        for answer in futures_util::future::join_all(calls).await {
            answer.unwrap();
        }
    }
    live.wait_running(&order.id).await;
    live.provision(&order.id).await.unwrap();
    live.wait_running(&order.id).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}
