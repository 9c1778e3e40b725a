//! The way of a webhook: lost, refused while the core is away, doubled; and the sweep that
//! needs none.

use sandbox::stripe::{PayMode, WebhookSwitches};
use spawnpoint::{
    boot::Mode,
    rpc::proto::{Order, OrderStatus},
};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    with_no_webhook_at_all_the_sweep_ends_green,
    a_webhook_that_finds_no_core_comes_again,
    webhooks_doubled_twice_signed_and_with_strange_fields_are_taken,
);

async fn pending(live: &Live) -> Order {
    live.checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap()
}

/// Finding 4: an order came into being with its webhook, so a lost one left a customer
/// who had paid and nothing to find them by.
async fn with_no_webhook_at_all_the_sweep_ends_green(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set("SWEEP_PENDING_SECONDS", "0.2");
    })
    .await;
    let (paid, unpaid) = (pending(&live).await, pending(&live).await);
    live.pay(&paid);
    live.wait_running(&paid.id).await;
    let told = till::changes(&live, &paid.id).await;
    assert!(
        told.iter()
            .any(|change| change.what == "status" && change.to == "paid")
    );
    assert_eq!(live.order(&unpaid.id).await.status(), OrderStatus::Pending);
    // Wholly discounted: nothing to pay is as good as paid.
    let session = &unpaid.stripe_checkout_session_id;
    live.world
        .stripe
        .pay(session, PayMode::NoPaymentRequired)
        .unwrap();
    live.wait_running(&unpaid.id).await;
    assert_eq!(till::rows(&live, "stripe_events").await, 0);
    assert_eq!(live.world.stripe.deliveries(), []);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 2);
    live.close().await;
}

async fn a_webhook_that_finds_no_core_comes_again(engine: Engine) {
    let mut live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    let order = pending(&live).await;
    live.world.stop_cores().await;
    live.pay(&order);
    let session = &order.stripe_checkout_session_id;
    let paid = till::event_about(&live, "checkout.session.completed", session);
    let tries = || {
        let mut tries = live.world.stripe.deliveries();
        tries.retain(|delivery| delivery.event_id == paid.id);
        tries
    };
    wait::until("the gateway has refused", PATIENCE, || async {
        !tries().is_empty()
    })
    .await;
    assert!(
        tries().iter().all(|delivery| delivery.status == 503),
        "{:?}",
        tries()
    );
    assert_eq!(till::inbox(&live, &paid.id).await, None);

    live.world.start_core(Mode::All).await.unwrap();
    live.wait_running(&order.id).await;
    till::delivered(&live).await;
    assert!(live.world.stripe.event(&paid.id).unwrap().delivered);
    assert_eq!(
        till::inbox(&live, &paid.id).await.as_deref(),
        Some("applied:")
    );
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

async fn webhooks_doubled_twice_signed_and_with_strange_fields_are_taken(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    live.world.stripe.set_webhooks(WebhookSwitches {
        doubled: true,
        two_signatures: true,
        extra_fields: true,
        ..live.world.stripe.webhooks()
    });
    let order = pending(&live).await;
    live.pay(&order);
    live.wait_running(&order.id).await;
    till::delivered(&live).await;
    let deliveries = live.world.stripe.deliveries();
    assert!(deliveries.iter().all(|delivery| delivery.status == 200));
    let stored = till::rows(&live, "stripe_events").await;
    assert_eq!(deliveries.len(), 2 * usize::try_from(stored).unwrap());
    let distinct = "SELECT count(DISTINCT id) FROM stripe_events";
    assert_eq!(sql::count(&live.store.db, distinct).await, stored);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}
