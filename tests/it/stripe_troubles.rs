//! Stripe in trouble while a customer checks out: told at once to come back, and once it is
//! over there is one session and one customer, the very ones that Stripe may have made.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sandbox::stripe::{Effect, Fault};
use spawnpoint::rpc::proto::{CreateCheckoutSessionRequest, CreateCheckoutSessionResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    till, wait,
};

both_engines!(
    whatever_ails_stripe_there_is_one_session_in_the_end,
    a_customer_behind_a_stored_error_is_found_or_made_anew,
);

const SESSIONS: &str = "/v1/checkout/sessions";
const CUSTOMERS: &str = "/v1/customers";
/// What callers allow for a checkout. Our own patience with Stripe is longer.
const DEADLINE: Duration = Duration::from_millis(1_500);

async fn checkout_in_time(
    live: &Live,
    cart: CreateCheckoutSessionRequest,
) -> Result<CreateCheckoutSessionResponse, Status> {
    let user = cart.user_id.parse().unwrap();
    let mut request = live.storefront(cart, user);
    request.set_timeout(DEADLINE);
    let answer = live.orders().create_checkout_session(request).await?;
    Ok(answer.into_inner())
}

/// Customers of this address at Stripe.
async fn customers(live: &Live, email: &str) -> Vec<String> {
    let found = till::stripe_object(live, &format!("{CUSTOMERS}?limit=100&email={email}")).await;
    let rows = found["data"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Each key was only ever sent with one body, and never met a body that was stored under it.
fn assert_keys_are_kept(live: &Live) {
    for path in [SESSIONS, CUSTOMERS] {
        let mut bodies = BTreeMap::new();
        for call in till::stripe_calls(live, "POST", path) {
            let first = bodies
                .entry(call.idempotency_key.clone())
                .or_insert_with(|| call.params.clone());
            assert_eq!(*first, call.params);
            assert_ne!(call.status, 400, "an idempotency error: {call:?}");
        }
    }
}

/// G-10: Stripe is down, says 429, fails after it committed, or is silent after it
/// committed, at either of the two calls: UNAVAILABLE within the caller's deadline; and the
/// same request, later, gets the same session, asked for under the same key with the same
/// stored parameters.
async fn whatever_ails_stripe_there_is_one_session_in_the_end(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let down = || Effect::Status {
        status: 503,
        body: None,
    };
    let mut bought = 0;
    // The trouble, where it strikes, and how many sessions Stripe made meanwhile.
    for (effect, path, made) in [
        (Effect::DropBefore, "/v1/", 0),
        (down(), "/v1/", 0),
        (down(), SESSIONS, 0),
        (Effect::RateLimited { retry_after: 30 }, CUSTOMERS, 0),
        (Effect::RateLimited { retry_after: 30 }, SESSIONS, 0),
        (Effect::Hang { after_work: false }, SESSIONS, 0),
        (Effect::Hang { after_work: true }, CUSTOMERS, 0),
        (Effect::Hang { after_work: true }, SESSIONS, 1),
        (Effect::DelayAnswer { millis: 60_000 }, SESSIONS, 1),
        (Effect::DropAfter, SESSIONS, 1),
        (Effect::Html, SESSIONS, 1),
        (Effect::Truncated, SESSIONS, 1),
    ] {
        let what = format!("{effect:?} at {path}");
        let wanted = cart(Uuid::new_v4());
        let fault = stripe.inject(Fault::on("*", path, effect).always());
        let told = RefCell::new(None);
        // A busy machine may come to no call of Stripe in that time.
        wait::until(&what, PATIENCE, || async {
            let began = Instant::now();
            let status = checkout_in_time(&live, wanted.clone()).await.unwrap_err();
            told.replace(Some((status, began.elapsed())));
            stripe.fired(fault) > 0
        })
        .await;
        let (status, elapsed) = told.take().unwrap();
        assert!(elapsed < DEADLINE, "{what}");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unavailable, "STRIPE_UNAVAILABLE"),
            "{what}"
        );
        let retry = status.get_details_retry_info().unwrap();
        assert!(retry.retry_delay.is_some(), "{what}");
        assert_eq!(stripe.sessions().len(), bought + made, "{what}");
        let before = stripe.sessions().pop().filter(|_| made == 1);

        stripe.clear_faults();
        let order = live.reserve(wanted.clone()).await;
        bought += 1;
        let sessions = stripe.sessions();
        assert_eq!(sessions.len(), bought, "{what}");
        assert_eq!(order.stripe_checkout_session_id, sessions[bought - 1].id);
        if let Some(before) = before {
            assert_eq!(order.stripe_checkout_session_id, before.id, "{what}");
        }
        assert_eq!(customers(&live, &wanted.email).await.len(), 1, "{what}");
        let keys = till::stripe_calls(&live, "POST", SESSIONS);
        let mine = |key: &Option<String>| key.as_deref() == Some(order.id.as_str());
        assert!(keys.iter().any(|call| mine(&call.idempotency_key)));
    }
    assert_eq!(till::rows(&live, "orders").await, 12);
    assert_keys_are_kept(&live);
    live.close().await;
}

/// G-10, of the customer: Stripe failed, before or after it had made one, and replays that
/// failure for a day. The user's carts would have failed as long.
async fn a_customer_behind_a_stored_error_is_found_or_made_anew(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    for after_work in [true, false] {
        let wanted = cart(Uuid::new_v4());
        let broken = Effect::InternalError { after_work };
        let fault = stripe.inject(Fault::on("POST", CUSTOMERS, broken));
        let order = live.reserve(wanted.clone()).await;
        assert_eq!(stripe.fired(fault), 1);
        let known = customers(&live, &wanted.email).await;
        assert_eq!(known, [order.stripe_customer_id.as_str()], "{after_work}");
        let next = live
            .reserve(CreateCheckoutSessionRequest {
                request_id: Uuid::new_v4().to_string(),
                server_name: "Another".to_owned(),
                ..wanted
            })
            .await;
        assert_eq!(next.stripe_customer_id, order.stripe_customer_id);
        live.pay(&order);
        live.wait_running(&order.id).await;
    }
    assert_eq!(stripe.sessions().len(), 4);
    assert_keys_are_kept(&live);
    live.close().await;
}
