//! Payments that go back: of a second session of an order, of one that was paid after its
//! cancellation, and of an order that cannot be fulfilled. Each once, whatever fails.

use std::{sync::Arc, time::Duration};

use sandbox::stripe::{Effect, Fault, RefundView, SubscriptionStatus};
use serde_json::json;
use spawnpoint::{
    boot::Mode,
    db::orders,
    rpc::proto::{self, Order, OrderStatus, ServerState},
    stripe::Stripe,
    worker::{ByHand, Settings},
};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    a_second_payment_of_an_order_goes_back_once,
    a_refund_whose_answer_is_lost_is_not_made_twice,
    what_a_person_gave_back_does_not_go_back_again,
    a_payment_after_the_cancellation_goes_back,
    an_order_that_cannot_be_fulfilled_is_canceled_and_refunded,
    without_the_policy_nothing_is_given_up,
    what_was_parked_before_the_policy_is_looked_at_again,
    a_server_that_became_ready_is_not_given_up,
    a_refund_that_stripe_refuses_holds_up_nothing,
    what_was_paid_and_does_not_match_goes_back_with_its_cancellation,
    a_payment_of_another_order_does_not_go_back,
    a_session_that_stripe_does_not_have_is_forgotten,
    a_second_session_that_was_paid_first_goes_back_once_both_are,
    a_session_without_a_charge_is_ended_and_nothing_goes_back,
);

const HOUR: Duration = Duration::from_secs(3600);
const REFUNDS: &str = "/v1/refunds";

async fn running(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_running(&order.id).await
}

/// Refunds of an order that are done, by our own books.
async fn done(live: &Live, order: &Order) -> i64 {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let query =
        format!("SELECT count(*) FROM refunds WHERE order_id = {id} AND done_us IS NOT NULL");
    sql::count(&live.store.db, &query).await
}

async fn wait_refunded(live: &Live, order: &Order) -> Vec<RefundView> {
    wait::until("a payment went back", PATIENCE, || async {
        done(live, order).await > 0
    })
    .await;
    live.wait_until_unleased().await;
    live.world.stripe.refunds()
}

async fn notes(live: &Live, order: &Order) -> Vec<String> {
    let events = live.events(&order.id).await.into_iter();
    events
        .filter(|event| event.what == "note")
        .map(|event| event.to)
        .collect()
}

async fn cancel(live: &Live, order: &Order) {
    let message = proto::CancelOrderRequest {
        order_id: order.id.clone(),
        ..proto::CancelOrderRequest::default()
    };
    let mut client = live.orders();
    client.cancel_order(live.operator(message)).await.unwrap();
}

fn subscription_of(live: &Live, session_id: &str) -> String {
    let session = live.world.stripe.session(session_id).unwrap();
    session.subscription.unwrap()
}

fn status_of(live: &Live, subscription: &str) -> SubscriptionStatus {
    live.world.stripe.subscription(subscription).unwrap().status
}

/// Two paid sessions for one order: the second one's subscription ends and its payment goes
/// back, once, however often Stripe tells of it; the server is none the wiser.
async fn a_second_payment_of_an_order_goes_back_once(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let second = till::pay_again(&live, &order).await;
    let refunds = wait_refunded(&live, &order).await;
    let [refund] = refunds.as_slice() else {
        panic!("{refunds:?}")
    };
    let other = subscription_of(&live, &second);
    assert_eq!(refund.subscription.as_deref(), Some(other.as_str()));
    assert_eq!((refund.amount, refund.currency.as_str()), (699, "usd"));
    assert_eq!(refund.metadata["order_id"], order.id);
    assert_eq!(status_of(&live, &other), SubscriptionStatus::Canceled);
    let own = live.subscription(&order);
    assert_eq!(status_of(&live, &own), SubscriptionStatus::Active);

    // Told again by a replay, which would be the same as another event.
    let event = till::event_about(&live, "checkout.session.completed", &second);
    let message = proto::ReplayStripeEventRequest { event_id: event.id };
    let mut client = live.orders();
    client
        .replay_stripe_event(live.operator(message))
        .await
        .unwrap();
    live.wait_until_unleased().await;
    assert_eq!(live.world.stripe.refunds().len(), 1);
    let now = live.order(&order.id).await;
    assert_eq!(now.stripe_sub_id, own);
    assert_eq!(
        (now.status(), now.server_state(), now.error_reason.as_str()),
        (OrderStatus::Provisioned, ServerState::Running, "")
    );
    let notes = notes(&live, &order).await;
    let told = |part: &str| notes.iter().filter(|note| note.contains(part)).count();
    assert_eq!(
        (told("is to be refunded"), told("refunded 699 usd")),
        (1, 1)
    );
    live.close().await;
}

/// The refund is made and nobody hears of it: by a lost connection, by a failure that Stripe
/// keeps under the key, by one that Stripe keeps and did nothing.
async fn a_refund_whose_answer_is_lost_is_not_made_twice(engine: Engine) {
    let live = Live::open(engine).await;
    let faults = [
        Effect::DropAfter,
        Effect::InternalError { after_work: true },
        Effect::InternalError { after_work: false },
        Effect::DropBefore,
    ];
    for (sold, effect) in faults.into_iter().enumerate() {
        let order = running(&live).await;
        let fault = Fault::on("POST", REFUNDS, effect.clone());
        let fault = live.world.stripe.inject(fault);
        till::pay_again(&live, &order).await;
        let refunds = wait_refunded(&live, &order).await;
        assert!(live.world.stripe.fired(fault) > 0, "{effect:?}");
        assert_eq!(refunds.len(), sold + 1, "{effect:?}");
        assert_eq!(refunds[sold].amount, 699);
        assert_eq!(refunds[sold].metadata["order_id"], order.id);
    }
    live.close().await;
}

/// An operator was faster, in Stripe's own dashboard.
async fn what_a_person_gave_back_does_not_go_back_again(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    live.hold_webhooks();
    let second = till::pay_again(&live, &order).await;
    let subscription = subscription_of(&live, &second);
    let stripe = till::stripe_client(&live);
    let invoices = stripe.paid_invoices(&subscription).await.unwrap();
    let payments = stripe.payments_of(&invoices[0]).await.unwrap();
    let form = vec![("payment_intent".to_owned(), payments[0].id.clone())];
    stripe.refund(&form, "by-hand").await.unwrap();
    live.release_webhooks();
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    assert_eq!(refunds[0].metadata.len(), 0, "the person's own");
    assert_eq!(
        status_of(&live, &subscription),
        SubscriptionStatus::Canceled
    );
    live.close().await;
}

/// A customer cancels and pays before Stripe could be told: the subscription ends, the payment
/// goes back, and nothing is made.
async fn a_payment_after_the_cancellation_goes_back(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let stripe = &live.world.stripe;
    let away = Fault::on("POST", "/v1/checkout/sessions/", Effect::DropBefore).always();
    let away = stripe.inject(away);
    cancel(&live, &order).await;
    wait::until("its end was asked for", PATIENCE, || async {
        stripe.fired(away) > 0
    })
    .await;
    live.pay(&order);
    stripe.clear_faults();
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    assert_eq!(refunds[0].amount, 699);
    let own = live.subscription(&order);
    assert_eq!(refunds[0].subscription.as_deref(), Some(own.as_str()));
    assert_eq!(status_of(&live, &own), SubscriptionStatus::Canceled);
    let over = live.order(&order.id).await;
    assert_eq!(
        (over.status(), over.server_state()),
        (OrderStatus::Canceled, ServerState::None)
    );
    assert_eq!(live.creates(&order.id).len(), 0);
    assert!(live.hold(&order.id).await.is_none());
    live.close().await;
}

/// Its installs fail for good; after the time of the policy it is canceled, refunded and gone.
async fn an_order_that_cannot_be_fulfilled_is_canceled_and_refunded(engine: Engine) {
    let policy = |options: &mut sandbox::world::Options| {
        options.set("REFUND_UNFULFILLABLE_AFTER_SECONDS", "3600");
    };
    let live = Live::open_with(engine, policy).await;
    let delivered = running(&live).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    live.skip(HOUR / 2);
    live.wait_until_unleased().await;
    assert_eq!(live.world.stripe.refunds(), []);

    live.skip(HOUR / 2);
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    assert_eq!(refunds[0].amount, 699);
    let own = live.subscription(&order);
    assert_eq!(refunds[0].subscription.as_deref(), Some(own.as_str()));
    assert_eq!(status_of(&live, &own), SubscriptionStatus::Canceled);
    let over = live
        .wait_order(&order.id, "it is gone", |order| {
            order.server_state() == ServerState::Deleted
        })
        .await;
    assert_eq!(over.status(), OrderStatus::Canceled);
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&order.id).await.is_none()
    })
    .await;
    let notes = notes(&live, &order).await;
    assert!(notes.iter().any(|note| note.starts_with("given up")));
    // What was delivered stays.
    let other = live.order(&delivered.id).await;
    assert_eq!(other.server_state(), ServerState::Running);
    live.close().await;
}

async fn without_the_policy_nothing_is_given_up(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    live.skip(20 * 24 * HOUR);
    live.wait_until_unleased().await;
    assert_eq!(live.world.stripe.refunds(), []);
    let waits = live.order(&order.id).await;
    assert_eq!(waits.status(), OrderStatus::Error);
    live.close().await;
}

/// As at a start with the policy: what waits for a person is due, what was delivered is not.
async fn what_was_parked_before_the_policy_is_looked_at_again(engine: Engine) {
    let mut live = Live::open(engine).await;
    let delivered = running(&live).await;
    let parked = live.reserve(cart(Uuid::new_v4())).await;
    live.world.panel.fail_install(&parked.id);
    live.pay(&parked);
    live.wait_parked(&parked.id, "INSTALL_FAILED").await;
    live.wait_until_unleased().await;
    live.world.stop_cores().await;
    let db = &live.store.db;
    let due = async |order: &Order| {
        let id = sql::id(db, order.id.parse().unwrap());
        // Not the look a day before its period ends.
        let query = format!("SELECT count(*) FROM orders WHERE id = {id} AND due_us = 0");
        sql::count(db, &query).await
    };
    assert_eq!((due(&parked).await, due(&delivered).await), (0, 0));
    orders::wake_undelivered(db).await.unwrap();
    assert_eq!((due(&parked).await, due(&delivered).await), (1, 0));
    live.world.start_core(Mode::All).await.unwrap();
    live.close().await;
}

/// Somebody mended the install on the panel, and nobody had looked.
async fn a_server_that_became_ready_is_not_given_up(engine: Engine) {
    let policy = |options: &mut sandbox::world::Options| {
        options.set("REFUND_UNFULFILLABLE_AFTER_SECONDS", "3600");
    };
    let live = Live::open_with(engine, policy).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    live.wait_until_unleased().await;
    let made = live.made(&order.id).id;
    live.world.panel.toggle_install(made);
    live.skip(HOUR);
    let kept = live
        .wait_order(&order.id, "it is seen to run", |order| {
            order.server_state() == ServerState::Running
        })
        .await;
    assert_eq!(kept.status(), OrderStatus::Provisioned);
    live.wait_until_unleased().await;
    assert_eq!(live.world.stripe.refunds(), []);
    let own = live.subscription(&order);
    assert_eq!(status_of(&live, &own), SubscriptionStatus::Active);
    live.close().await;
}

/// A bank has the money already: that is shown, room and order end all the same, and once it is
/// possible it is done.
async fn a_refund_that_stripe_refuses_holds_up_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let stripe = &live.world.stripe;
    let disputed = json!({ "error": {
        "type": "invalid_request_error", "code": "charge_disputed", "message": "disputed",
    }});
    let disputed = Effect::Status {
        status: 400,
        body: Some(disputed.to_string()),
    };
    let disputed = stripe.inject(Fault::on("POST", REFUNDS, disputed).always());
    let away = Fault::on("POST", "/v1/checkout/sessions/", Effect::DropBefore).always();
    let away = stripe.inject(away);
    cancel(&live, &order).await;
    wait::until("its end was asked for", PATIENCE, || async {
        stripe.fired(away) > 0
    })
    .await;
    live.pay(&order);
    stripe.remove_fault(away);
    wait::until("its room is free", PATIENCE, || async {
        stripe.fired(disputed) > 1 && live.hold(&order.id).await.is_none()
    })
    .await;
    let over = live.order(&order.id).await;
    assert_eq!(
        (over.status(), over.error_reason.as_str(), over.attempts),
        (OrderStatus::Canceled, "", 0)
    );
    let told = notes(&live, &order).await;
    let told = told.iter().filter(|note| note.contains("charge_disputed"));
    assert_eq!(told.count(), 1, "said once, however often it is tried");
    stripe.remove_fault(disputed);
    till::provision(&live, &order.id).await.unwrap();
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    live.close().await;
}

/// Stripe charged something else than was ordered, nobody delivers it, and an operator ends it.
async fn what_was_paid_and_does_not_match_goes_back_with_its_cancellation(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let dearer = format!("UPDATE orders SET price_minor = price_minor + 1 WHERE id = {id}");
    sql::run(&live.store.db, &dearer).await.unwrap();
    live.pay(&order);
    live.wait_parked(&order.id, "BILLING_MISMATCH").await;
    cancel(&live, &order).await;
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    let own = live.subscription(&order);
    assert_eq!(refunds[0].subscription.as_deref(), Some(own.as_str()));
    let over = live.order(&order.id).await;
    assert_eq!(over.status(), OrderStatus::Canceled);
    live.close().await;
}

/// An event lies about whose session it is of: Stripe's own word counts.
async fn a_payment_of_another_order_does_not_go_back(engine: Engine) {
    let live = Live::open(engine).await;
    let (order, other) = (running(&live).await, running(&live).await);
    let event = json!({
        "id": "evt_lies", "object": "event", "type": "checkout.session.completed",
        "created": till::now(), "livemode": false, "api_version": null,
        "data": { "object": {
            "id": other.stripe_checkout_session_id, "object": "checkout.session",
            "status": "complete", "payment_status": "paid",
            "client_reference_id": order.id, "metadata": { "order_id": order.id },
        }},
    });
    assert_eq!(till::send_webhook(&live, &event).await, 200);
    assert_eq!(wait_refunded(&live, &order).await, []);
    for order in [&order, &other] {
        let own = live.subscription(order);
        assert_eq!(status_of(&live, &own), SubscriptionStatus::Active);
        let now = live.order(&order.id).await;
        assert_eq!(now.server_state(), ServerState::Running);
    }
    let notes = notes(&live, &order).await;
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("nothing to refund"))
    );
    live.close().await;
}

/// Only while Stripe shows that the account is ours: a key of another account knows nothing.
async fn a_session_that_stripe_does_not_have_is_forgotten(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let event = json!({
        "id": "evt_dreams", "object": "event", "type": "checkout.session.completed",
        "created": till::now(), "livemode": false, "api_version": null,
        "data": { "object": {
            "id": "cs_test_dreamt_of", "object": "checkout.session",
            "status": "complete", "payment_status": "paid",
            "client_reference_id": order.id, "metadata": { "order_id": order.id },
        }},
    });
    let own = format!("/v1/checkout/sessions/{}", order.stripe_checkout_session_id);
    let stripe = &live.world.stripe;
    let missing = Effect::Status {
        status: 404,
        body: None,
    };
    let missing = stripe.inject(Fault::on("GET", &own, missing).always());
    assert_eq!(till::send_webhook(&live, &event).await, 200);
    wait::until("it was looked for", PATIENCE, || async {
        stripe.fired(missing) > 0
    })
    .await;
    assert_eq!(done(&live, &order).await, 0);
    stripe.clear_faults();
    assert_eq!(wait_refunded(&live, &order).await, []);
    let now = live.order(&order.id).await;
    assert_eq!(
        (now.server_state(), now.error_reason.as_str()),
        (ServerState::Running, "")
    );
    live.close().await;
}

/// The other session is paid while the order's own is open: nobody knows yet which of them will
/// stay, so the event fails. It is tried again, and by then the own one is paid, too.
async fn a_second_session_that_was_paid_first_goes_back_once_both_are(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let second = till::pay_again(&live, &order).await;
    till::delivered(&live).await;
    let told = till::event_about(&live, "checkout.session.completed", &second);
    let state = till::inbox(&live, &told.id).await.unwrap();
    assert!(state.starts_with("failed"), "{state}");
    live.pay(&order);
    live.wait_running(&order.id).await;
    live.wait_until_unleased().await;
    assert_eq!(live.world.stripe.refunds(), []);
    let app = &live.world.cores[0].app;
    let hand = ByHand::new(Arc::clone(app), Settings::default());
    hand.sweep_one("stripe_events").await.unwrap();
    assert_eq!(live.world.stripe.refunds(), [], "not yet");
    live.skip(Duration::from_secs(301));
    hand.sweep_one("stripe_events").await.unwrap();
    let refunds = wait_refunded(&live, &order).await;
    assert_eq!(refunds.len(), 1);
    let other = subscription_of(&live, &second);
    assert_eq!(refunds[0].subscription.as_ref(), Some(&other));
    assert_eq!(till::inbox(&live, &told.id).await.unwrap(), "applied:");
    live.close().await;
}

/// A voucher covered the second session: there is nothing to give back, but it must not renew.
async fn a_session_without_a_charge_is_ended_and_nothing_goes_back(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let second = till::open_again(&live, &order).await;
    let free = sandbox::stripe::PayMode::NoPaymentRequired;
    live.world.stripe.pay(&second, free).unwrap();
    assert_eq!(wait_refunded(&live, &order).await, []);
    let other = subscription_of(&live, &second);
    assert_eq!(status_of(&live, &other), SubscriptionStatus::Canceled);
    let own = live.subscription(&order);
    assert_eq!(status_of(&live, &own), SubscriptionStatus::Active);
    live.close().await;
}
