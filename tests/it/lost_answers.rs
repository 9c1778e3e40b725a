//! Answers of Stripe that never came or tell nothing: one session per order all the same.

use std::time::Duration;

use sandbox::stripe::{Effect, Fault, FaultId};
use spawnpoint::rpc::proto::{CreateCheckoutSessionRequest, Order, OrderStatus};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    a_lost_answer_of_stripe_leads_to_the_same_session,
    a_session_behind_a_stored_error_is_found,
    a_session_that_was_never_opened_gives_its_room_back,
    a_key_that_stripe_has_forgotten_is_not_used_again,
    a_customer_that_nobody_heard_of_is_found_days_later,
);

/// More than a session's time and the grace after it.
const PAST_ITS_TIME: Duration = Duration::from_secs(38 * 60);
const TWO_DAYS: Duration = Duration::from_secs(48 * 3600);
const SESSIONS: &str = "/v1/checkout/sessions";
const CUSTOMERS: &str = "/v1/customers";

async fn bought(live: &Live, cart: CreateCheckoutSessionRequest) -> Order {
    live.checkout(cart).await.unwrap().order.unwrap()
}

/// The cart is answered with STRIPE_UNAVAILABLE, and the fault was why.
async fn assert_unavailable(live: &Live, cart: CreateCheckoutSessionRequest, fault: FaultId) {
    let status = live.checkout(cart).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "STRIPE_UNAVAILABLE")
    );
    assert!(live.world.stripe.fired(fault) > 0);
}

/// The only order, once it has ended and holds nothing any more.
async fn assert_ended(live: &Live, all: i32) {
    till::wait_remaining(live, "mc-2gb", "us-east", all).await;
    let message = spawnpoint::rpc::proto::ListOrdersRequest::default();
    let listed = live
        .orders()
        .list_orders(live.operator(message))
        .await
        .unwrap();
    let orders = listed.into_inner().orders;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].status(), OrderStatus::Canceled);
    assert_eq!(till::rows(live, "holds").await, 0);
}

/// G-10: the connection broke after Stripe had committed.
async fn a_lost_answer_of_stripe_leads_to_the_same_session(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let wanted = cart(Uuid::new_v4());
    let lost = Fault::on("POST", "/v1/checkout/sessions", Effect::DropAfter).always();
    let fault = stripe.inject(lost);
    let status = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "STRIPE_UNAVAILABLE")
    );
    assert!(stripe.fired(fault) > 0);
    // The order is there and holds its room: the customer may come back.
    assert_eq!(till::rows(&live, "orders").await, 1);
    assert_eq!(till::rows(&live, "holds").await, 1);
    assert_eq!(stripe.sessions().len(), 1);

    stripe.clear_faults();
    let opened = live.checkout(wanted).await.unwrap();
    let order = opened.order.unwrap();
    let sessions = stripe.sessions();
    assert_eq!(sessions.len(), 1, "the same session, not another one");
    assert_eq!(order.stripe_checkout_session_id, sessions[0].id);
    assert_eq!(opened.checkout_url, sessions[0].url);
    let calls = till::stripe_calls(&live, "POST", "/v1/checkout/sessions");
    assert!(
        calls
            .iter()
            .all(|call| call.idempotency_key.as_ref() == Some(&order.id))
    );
    assert!(calls.iter().all(|call| call.params == calls[0].params));

    // Nothing arrived at all, not even the customer's: the same again.
    let wanted = cart(Uuid::new_v4());
    let fault = stripe.inject(Fault::on("POST", "/v1/", Effect::DropBefore).always());
    let status = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "STRIPE_UNAVAILABLE");
    assert!(stripe.fired(fault) > 0);
    stripe.clear_faults();
    let order = bought(&live, wanted).await;
    assert_eq!(stripe.sessions().len(), 2);
    live.pay(&order);
    live.wait_running(&order.id).await;
    live.close().await;
}

/// G-10: Stripe did the work, failed after it, and replays that failure for a day.
async fn a_session_behind_a_stored_error_is_found(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let broken = Effect::InternalError { after_work: true };
    let fault = stripe.inject(Fault::on("POST", SESSIONS, broken));
    let order = bought(&live, cart(Uuid::new_v4())).await;
    assert_eq!(stripe.fired(fault), 1);
    let calls = till::stripe_calls(&live, "POST", SESSIONS);
    assert!(
        calls.iter().all(|call| call.status == 500),
        "the key tells nothing"
    );
    let sessions = stripe.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(order.stripe_checkout_session_id, sessions[0].id);
    assert_eq!(order.checkout_url, sessions[0].url);
    live.pay(&order);
    live.wait_running(&order.id).await;
    live.close().await;
}

/// Stripe failed before the work and replays that: no session under this key, ever.
async fn a_session_that_was_never_opened_gives_its_room_back(engine: Engine) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let broken = Effect::InternalError { after_work: false };
    let fault = live
        .world
        .stripe
        .inject(Fault::on("POST", SESSIONS, broken));
    let wanted = cart(Uuid::new_v4());
    assert_unavailable(&live, wanted.clone(), fault).await;
    // Until its time is over it may still be opened by a call that is on its way.
    assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, all - 1);
    assert_unavailable(&live, wanted, fault).await;

    live.world.stripe.advance(PAST_ITS_TIME);
    till::move_core(&live, PAST_ITS_TIME);
    assert_ended(&live, all).await;
    assert_eq!(live.world.stripe.sessions().len(), 0);
    live.close().await;
}

/// A day later the same key would open a second session.
async fn a_key_that_stripe_has_forgotten_is_not_used_again(engine: Engine) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let lost = Fault::on("POST", SESSIONS, Effect::DropAfter).always();
    let fault = live.world.stripe.inject(lost);
    assert_unavailable(&live, cart(Uuid::new_v4()), fault).await;
    live.world.stripe.clear_faults();
    till::deliver_webhooks(&live, false);
    let asked = till::stripe_calls(&live, "POST", SESSIONS).len();

    let day = Duration::from_secs(25 * 3_600);
    live.world.stripe.advance(day);
    till::move_core(&live, day);
    assert_ended(&live, all).await;
    assert_eq!(till::stripe_calls(&live, "POST", SESSIONS).len(), asked);
    assert_eq!(live.world.stripe.sessions().len(), 1);
    live.close().await;
}

/// G-10: the customer was made, no answer came, and Stripe has forgotten the key by the time its
/// user comes back.
async fn a_customer_that_nobody_heard_of_is_found_days_later(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let wanted = cart(Uuid::new_v4());
    let lost = stripe.inject(Fault::on("POST", CUSTOMERS, Effect::DropAfter).always());
    assert_unavailable(&live, wanted.clone(), lost).await;
    till::move_core(&live, PAST_ITS_TIME);
    assert_ended(&live, all).await;
    stripe.clear_faults();
    live.wait_until_unleased().await;
    let created = stripe.customers();
    assert_eq!(created.len(), 1);

    stripe.advance(TWO_DAYS);
    till::move_core(&live, TWO_DAYS);
    live.wait_until_sellable().await;
    let again = CreateCheckoutSessionRequest {
        request_id: Uuid::new_v4().to_string(),
        ..wanted
    };
    let order = bought(&live, again).await;
    assert_eq!(order.stripe_customer_id, created[0].id);
    assert_eq!(stripe.customers().len(), 1);
    live.pay(&order);
    live.wait_running(&order.id).await;
    live.close().await;
}
