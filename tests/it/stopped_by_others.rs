//! Servers that an administrator suspends on the panel itself: that is not ours to undo, and is
//! told where the order says that nothing keeps its server stopped.

use sandbox::{audit::Invariant, stripe::SubscriptionStatus};
use spawnpoint::rpc::proto::{Order, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE},
    till, wait,
};

both_engines!(what_others_stopped_stays_stopped_and_is_told_of);

const UNSUSPEND: &str = "/servers/{server}/unsuspend";

/// Has the panel do something to the order's server, as an administrator would.
async fn by_hand(live: &Live, order: &Order, verb: &str) {
    let panel = &live.world.panel;
    let server = order.pterodactyl_server_id;
    let url = format!("{}/api/application/servers/{server}/{verb}", panel.url());
    let answer = till::http()
        .post(url)
        .bearer_auth(panel.key())
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 204);
}

/// A store that was set back to a backup does not know its own suspensions either.
async fn what_others_stopped_stays_stopped_and_is_told_of(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    let (stripe, panel) = (&live.world.stripe, &live.world.panel);
    let own = live.subscription(&order);
    by_hand(&live, &order, "suspend").await;
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Unpaid)
        .unwrap();
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended && !order.suspension_reasons.is_empty()
    })
    .await;
    live.wait_until_unleased().await;
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Active)
        .unwrap();
    wait::until("it is told", PATIENCE, || async {
        let changes = till::changes(&live, &order.id).await;
        let told = |change: &spawnpoint::rpc::proto::OrderEvent| {
            change.to.contains("somebody else has suspended it")
        };
        changes.iter().filter(|change| told(change)).count() == 1
    })
    .await;
    live.wait_until_unleased().await;
    let now = live.order(&order.id).await;
    assert_eq!(now.server_state(), ServerState::Suspended);
    assert!(now.suspension_reasons.is_empty());
    assert!(live.made(&order.id).suspended);
    assert_eq!(panel.count_route("POST", UNSUSPEND), 0);
    let why = "an administrator keeps a server stopped that is paid for";
    live.close_expecting(&[Invariant::I8], why).await;
}
