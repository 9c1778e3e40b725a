//! Stripe's events as hints: stored once, applied in any order, and never believed when
//! they are not about this shop.

use futures_util::future::join_all;
use sandbox::{
    panel::{Fault as PanelFault, FaultAction},
    stripe::{ApiVersion, Effect, Fault},
    world::WEBHOOK_SECRET,
};
use spawnpoint::rpc::proto::{CreateCheckoutSessionRequest, Order, OrderStatus};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(
    an_event_that_comes_twenty_times_has_one_effect,
    events_arrive_in_every_order,
    a_webhook_is_acknowledged_before_anything_is_made,
    an_event_may_come_before_its_session_is_known,
    an_invoice_alone_wakes_its_order_in_either_rendering,
);

/// A shop that hears of payments from webhooks alone.
async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

async fn pending(live: &Live) -> Order {
    live.checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap()
}

/// Finding 3: a redelivered event made a second order and a second server.
/// W-03: in one process; on four replicas see `webhook_faults`.
async fn an_event_that_comes_twenty_times_has_one_effect(engine: Engine) {
    let live = open(engine).await;
    let order = pending(&live).await;
    till::deliver_webhooks(&live, false);
    live.pay(&order);
    let session = &order.stripe_checkout_session_id;
    let paid = till::event_about(&live, "checkout.session.completed", session);
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    let body = live.world.stripe.event_json(&paid.id, &version).unwrap();

    let answers = join_all((0..20).map(|_| till::send_webhook(&live, &body))).await;
    assert_eq!(
        answers, [200; 20],
        "a duplicate is an event that is on disk"
    );
    live.wait_running(&order.id).await;
    assert_eq!(till::send_webhook(&live, &body).await, 200);

    let stored = format!(
        "SELECT count(*) FROM stripe_events WHERE id = '{}'",
        paid.id
    );
    assert_eq!(sql::count(&live.store.db, &stored).await, 1);
    assert_eq!(
        till::inbox(&live, &paid.id).await.as_deref(),
        Some("applied:")
    );
    assert_eq!(till::hints(&live, &order.id).await, 1);
    assert_eq!(till::rows(&live, "orders").await, 1);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    assert_eq!(live.world.stripe.subscriptions().len(), 1);
    live.close().await;
}

async fn events_arrive_in_every_order(engine: Engine) {
    let live = open(engine).await;
    till::hold_webhooks(&live, true);
    let kinds = [
        "checkout.session.completed",
        "customer.subscription.created",
        "invoice.paid",
        "customer.subscription.updated",
    ];
    let mut arrivals = Vec::new();
    for order_of_arrival in till::permutations(&kinds) {
        let wanted = CreateCheckoutSessionRequest {
            plan_id: "mc-1gb".to_owned(),
            ..cart(Uuid::new_v4())
        };
        let order = live.checkout(wanted).await.unwrap().order.unwrap();
        let before = live.world.stripe.events().len();
        live.pay(&order);
        let session = live
            .world
            .stripe
            .session(&order.stripe_checkout_session_id)
            .unwrap();
        let subscription = session.subscription.unwrap();
        live.world
            .stripe
            .cancel_at_period_end(&subscription, true)
            .unwrap();
        let made = live.world.stripe.events().split_off(before);
        let events: Vec<String> = order_of_arrival
            .iter()
            .map(|kind| {
                made.iter()
                    .find(|event| event.kind == *kind)
                    .unwrap()
                    .id
                    .clone()
            })
            .collect();
        arrivals.push((order, events));
    }
    assert_eq!(arrivals.len(), 24);
    for turn in 0..kinds.len() {
        let events: Vec<String> = arrivals
            .iter()
            .map(|(_, events)| events[turn].clone())
            .collect();
        live.world.stripe.release(&events).unwrap();
        till::delivered(&live).await;
    }
    for (order, _) in &arrivals {
        let done = live.wait_running(&order.id).await;
        assert!(done.cancel_time.is_some(), "what was told last is known");
        assert_eq!(done.subscription_status, "active");
    }
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 24);
    assert_eq!(live.world.panel.servers().len(), 24);
    let applied = "SELECT count(*) FROM stripe_events WHERE state = 'applied'";
    assert_eq!(sql::count(&live.store.db, applied).await, 4 * 24);
    let failed = "SELECT count(*) FROM stripe_events WHERE state = 'failed'";
    assert_eq!(sql::count(&live.store.db, failed).await, 0);
    live.close().await;
}

/// Finding 17: the server was made inside the webhook's request; Stripe gave up waiting,
/// sent the event again, and the second run made a second server.
async fn a_webhook_is_acknowledged_before_anything_is_made(engine: Engine) {
    let live = open(engine).await;
    let slow = PanelFault::on(
        "POST",
        "/servers",
        FaultAction::Delay {
            milliseconds: 2_500,
        },
    );
    let fault = live.world.panel.inject(slow);
    let order = pending(&live).await;
    live.pay(&order);
    till::delivered(&live).await;
    wait::until("the create is under way", PATIENCE, || async {
        live.world.panel.fired(fault) == 1
    })
    .await;
    let session = &order.stripe_checkout_session_id;
    let paid = till::event_about(&live, "checkout.session.completed", session);
    for _ in 0..3 {
        live.world.stripe.deliver(&paid.id).unwrap();
    }
    till::delivered(&live).await;
    let deliveries = live.world.stripe.deliveries();
    assert!(
        deliveries.iter().all(|delivery| delivery.status == 200),
        "{deliveries:?}"
    );
    // All are acknowledged, and nothing is made yet.
    assert_eq!(
        live.order(&order.id).await.status(),
        OrderStatus::Provisioning
    );
    assert_eq!(live.world.panel.servers(), []);

    live.wait_running(&order.id).await;
    assert_eq!(live.world.panel.fired(fault), 1);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

/// W-06: the event is about a session that we do not know yet, of an order that we do.
async fn an_event_may_come_before_its_session_is_known(engine: Engine) {
    let live = open(engine).await;
    // Stripe has opened the session; the answer is lost for as long as the test runs.
    let lost = Fault::on("POST", "/v1/checkout/sessions", Effect::DropAfter).always();
    let fault = live.world.stripe.inject(lost);
    let wanted = cart(Uuid::new_v4());
    let status = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "STRIPE_UNAVAILABLE");
    assert!(live.world.stripe.fired(fault) > 0);
    let session = live.world.stripe.sessions().remove(0);
    let order_id = session.client_reference_id.clone().unwrap();
    assert_eq!(live.order(&order_id).await.stripe_checkout_session_id, "");

    live.world
        .stripe
        .pay(&session.id, sandbox::stripe::PayMode::Paid)
        .unwrap();
    let done = live.wait_running(&order_id).await;
    assert_eq!(done.stripe_checkout_session_id, session.id);
    let told = till::changes(&live, &order_id).await;
    let known = told
        .iter()
        .find(|change| change.what == "stripe_checkout_session_id")
        .unwrap();
    let paid = till::event_about(&live, "checkout.session.completed", &session.id);
    assert_eq!((known.actor.as_str(), &known.cause), ("stripe", &paid.id));
    assert_eq!(
        live.checkout(wanted).await.unwrap().order.unwrap().id,
        order_id
    );
    assert_eq!(live.world.stripe.sessions().len(), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

async fn an_invoice_alone_wakes_its_order_in_either_rendering(engine: Engine) {
    let live = open(engine).await;
    let url = format!("http://{}/stripe-webhook", live.world.gateway);
    for version in [ApiVersion::OLD, ApiVersion::NEW] {
        live.world
            .stripe
            .set_webhook_endpoint(&url, WEBHOOK_SECRET, version)
            .unwrap();
        till::deliver_webhooks(&live, false);
        let order = pending(&live).await;
        live.pay(&order);
        let session = live
            .world
            .stripe
            .session(&order.stripe_checkout_session_id)
            .unwrap();
        let paid = till::event_about(&live, "invoice.paid", &session.invoice.unwrap());
        live.world.stripe.deliver(&paid.id).unwrap();
        live.wait_running(&order.id).await;
        let rendered = format!(
            "SELECT api_version FROM stripe_events WHERE id = '{}'",
            paid.id
        );
        assert_eq!(sql::texts(&live.store.db, &rendered).await, [version]);

        // And its end, told of the subscription alone.
        let subscription = session.subscription.unwrap();
        live.world
            .stripe
            .cancel_subscription(&subscription)
            .unwrap();
        let over = till::event_about(&live, "customer.subscription.deleted", &subscription);
        live.world.stripe.deliver(&over.id).unwrap();
        live.wait_order(&order.id, "the order has ended", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    }
    assert_eq!(till::rows(&live, "stripe_events").await, 4);
    live.close().await;
}
