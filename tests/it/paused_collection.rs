//! Subscriptions for which Stripe collects nothing (`pause_collection`).

use std::time::Duration;

use spawnpoint::rpc::proto::{OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sweeps, till, wait,
};

/// Longer than one.
const MONTH: Duration = Duration::from_secs(32 * 86_400);

both_engines!(a_subscription_that_is_not_collected_for_runs_on_and_tells);

/// `pause_collection` leaves the status as it is: the server runs on, and the order's events say
/// what happened at Stripe, once, also where only its list of subscriptions tells.
async fn a_subscription_that_is_not_collected_for_runs_on_and_tells(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    let subscription = live.subscription(&order);
    let stripe = &live.world.stripe;
    let told = async |part: &str| {
        let events = live.events(&order.id).await;
        events
            .iter()
            .filter(|event| event.to.contains(part))
            .count()
    };
    stripe.pause_collection(&subscription, true).unwrap();
    wait::until("it is told", PATIENCE, || async {
        told("collects nothing").await == 1
    })
    .await;
    // The next period begins, and its invoice is void.
    let paid_until = live.order(&order.id).await.current_period_end_time;
    stripe.advance(MONTH);
    till::move_core(&live, MONTH);
    live.wait_order(&order.id, "another period has begun", |order| {
        order.current_period_end_time != paid_until
    })
    .await;
    till::delivered(&live).await;
    live.wait_until_unleased().await;
    till::deliver_webhooks(&live, false);
    stripe.pause_collection(&subscription, false).unwrap();
    sweeps::look(&live, "subscriptions").await;
    wait::until("its end is told", PATIENCE, || async {
        told("collects for the subscription again").await == 1
    })
    .await;
    sweeps::look(&live, "subscriptions").await;
    live.wait_until_unleased().await;
    assert_eq!(told("collects nothing").await, 1);
    assert_eq!(told("collects for the subscription again").await, 1);
    let now = live.order(&order.id).await;
    assert_eq!(
        (now.status(), now.server_state()),
        (OrderStatus::Provisioned, ServerState::Running)
    );
    live.close().await;
}
