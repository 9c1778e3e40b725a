//! The payment that an order runs on, given back whole at Stripe by somebody: compared with what
//! was paid, not with what its plan costs.

use std::time::Duration;

use sandbox::stripe::SubscriptionStatus;
use spawnpoint::rpc::proto::{Order, OrderStatus};
use uuid::Uuid;

use crate::support::{
    changes::ask,
    db::Engine,
    live::{Live, PATIENCE},
    sql, wait,
};

both_engines!(
    what_a_larger_plan_cost_more_ends_nothing,
    what_was_paid_before_a_larger_plan_ends_it,
    a_payment_below_the_price_is_whole_too,
    what_was_paid_for_an_earlier_period_ends_nothing,
);

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_CHARGES_SECONDS", "0.2");
    })
    .await
}

async fn running(live: &Live) -> Order {
    live.buy(Uuid::new_v4()).await
}

/// What paid last for an order.
fn payment(live: &Live, order: &Order) -> String {
    let stripe = &live.world.stripe;
    stripe.payment(&order.stripe_sub_id).unwrap().payment_intent
}

fn give_back(live: &Live, payment: &str) {
    live.world.stripe.refund_by_hand(payment, None).unwrap();
}

/// Waits until so many refunds are known to be an order's, and it does nothing more for them.
async fn until_told(live: &Live, refunds: i64) {
    let told = "SELECT count(*) FROM stripe_events WHERE type = 'charge.refunded'
        AND state = 'applied'";
    wait::until("it is applied", PATIENCE, || async {
        sql::count(&live.store.db, told).await == refunds
    })
    .await;
    live.wait_until_unleased().await;
}

async fn until_over(live: &Live, order: &Order) {
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
}

fn status_of(live: &Live, order: &Order) -> SubscriptionStatus {
    let stripe = &live.world.stripe;
    stripe.subscription(&order.stripe_sub_id).unwrap().status
}

/// A larger plan in the middle of a period: its difference has an invoice of its own.
async fn grown(live: &Live) -> (Order, String) {
    let order = running(live).await;
    let first = payment(live, &order);
    live.world.stripe.advance(Duration::from_secs(24 * 3600));
    live.skip(Duration::from_secs(24 * 3600));
    ask(live, &order.id, "mc-4gb", &[]).await.unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    live.wait_until_unleased().await;
    assert_ne!(payment(live, &order), first);
    (order, first)
}

async fn what_a_larger_plan_cost_more_ends_nothing(engine: Engine) {
    let live = open(engine).await;
    let (order, _) = grown(&live).await;
    give_back(&live, &payment(&live, &order));
    until_told(&live, 1).await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Active);
    assert_eq!(
        live.order(&order.id).await.status(),
        OrderStatus::Provisioned
    );
    live.close().await;
}

async fn what_was_paid_before_a_larger_plan_ends_it(engine: Engine) {
    let live = open(engine).await;
    let (order, first) = grown(&live).await;
    give_back(&live, &first);
    until_over(&live, &order).await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Canceled);
    live.close().await;
}

/// As with a promotion code, or where credit paid a part.
async fn a_payment_below_the_price_is_whole_too(engine: Engine) {
    let live = open(engine).await;
    let order = running(&live).await;
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let dearer = format!("UPDATE orders SET price_minor = price_minor + 1 WHERE id = {id}");
    sql::run(&live.store.db, &dearer).await.unwrap();
    give_back(&live, &order.stripe_sub_id);
    until_over(&live, &order).await;
    live.close().await;
}

async fn what_was_paid_for_an_earlier_period_ends_nothing(engine: Engine) {
    let live = open(engine).await;
    let order = running(&live).await;
    let first = payment(&live, &order);
    let month = Duration::from_secs(32 * 24 * 3600);
    live.world.stripe.advance(month);
    live.skip(month);
    wait::until("it is renewed", PATIENCE, || async {
        payment(&live, &order) != first
    })
    .await;
    give_back(&live, &first);
    until_told(&live, 1).await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Active);
    give_back(&live, &order.stripe_sub_id);
    until_over(&live, &order).await;
    live.close().await;
}
