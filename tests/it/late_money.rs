//! Money of a delayed method that comes after its order was canceled: nothing is made for it, and
//! it goes back, once.

use std::sync::Arc;

use sandbox::stripe::{PayMode, SubscriptionStatus};
use spawnpoint::{
    rpc::proto::{self, OrderStatus, ServerState},
    worker::{ByHand, Settings},
};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    wait,
};

both_engines!(
    money_for_a_subscription_that_was_never_made_goes_back,
    money_for_a_subscription_that_was_canceled_goes_back,
    with_no_webhook_late_money_goes_back,
);

/// Stripe makes the subscription once the money is there.
async fn money_for_a_subscription_that_was_never_made_goes_back(engine: Engine) {
    let live = Live::open(engine).await;
    comes_after_all(&live, Told::ByEvents).await;
    live.close().await;
}

/// Stripe made it when the customer was done, and it was canceled then.
async fn money_for_a_subscription_that_was_canceled_goes_back(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.delayed_creates_subscription = true;
    })
    .await;
    comes_after_all(&live, Told::ByEvents).await;
    live.close().await;
}

/// The same with not one event delivered.
async fn with_no_webhook_late_money_goes_back(engine: Engine) {
    for early in [false, true] {
        let live = Live::open_with(engine, |options| {
            options.delayed_creates_subscription = early;
            options.webhooks = false;
        })
        .await;
        comes_after_all(&live, Told::ByNobody).await;
        live.close().await;
    }
}

/// How the shop hears of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    ByEvents,
    /// It has to ask Stripe what happened.
    ByNobody,
}

impl Told {
    async fn look(self, live: &Live) {
        if self == Self::ByNobody {
            let app = Arc::clone(&live.world.cores[0].app);
            let hand = ByHand::new(app, Settings::default());
            hand.sweep_one("stripe_events").await.unwrap();
        }
    }
}

async fn comes_after_all(live: &Live, told: Told) {
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let (stripe, session_id) = (&live.world.stripe, &order.stripe_checkout_session_id);
    let waiting = stripe.pay(session_id, PayMode::Unpaid).unwrap();
    let message = proto::CancelOrderRequest {
        order_id: order.id.clone(),
        ..proto::CancelOrderRequest::default()
    };
    let mut client = live.orders();
    client.cancel_order(live.operator(message)).await.unwrap();
    if let Some(subscription) = &waiting.subscription {
        wait::until("the subscription is canceled", PATIENCE, || async {
            stripe.subscription(subscription).unwrap().status == SubscriptionStatus::Canceled
        })
        .await;
        live.wait_order(&order.id, "the order is over", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    }
    live.wait_until_unleased().await;
    assert!(stripe.refunds().is_empty(), "nothing was paid yet");

    let paid = stripe.settle(session_id, true).unwrap();
    wait::until("the money went back", PATIENCE, || async {
        told.look(live).await;
        !stripe.refunds().is_empty()
    })
    .await;
    live.wait_order(&order.id, "the order is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::None
    })
    .await;
    live.wait_until_unleased().await;
    let refunds = stripe.refunds();
    assert_eq!(refunds.len(), 1);
    assert_eq!(
        (refunds[0].amount, refunds[0].currency.as_str()),
        (699, "usd")
    );
    let subscription = paid.subscription.unwrap();
    assert_eq!(refunds[0].subscription.as_ref(), Some(&subscription));
    let status = stripe.subscription(&subscription).unwrap().status;
    assert_eq!(status, SubscriptionStatus::Canceled);
    assert_eq!(live.creates(&order.id).len(), 0);
    assert!(live.hold(&order.id).await.is_none());
}
