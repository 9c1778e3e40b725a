//! A checkout's request id over time: after a failure it may be used again, after three days
//! it is forgotten.

use std::time::Duration;

use sandbox::stripe::{Effect, Fault};
use spawnpoint::rpc::proto::{CreateCheckoutSessionRequest, OrderStatus};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    a_request_id_whose_call_was_refused_is_as_if_never_used,
    a_request_id_whose_call_failed_after_the_order_finds_it,
    a_request_id_is_forgotten_after_three_days,
);

const SESSIONS: &str = "/v1/checkout/sessions";

/// G-09, after a failure: a refusal stores nothing, so the same id may ask again, even for
/// something else.
async fn a_request_id_whose_call_was_refused_is_as_if_never_used(engine: Engine) {
    let live = Live::open(engine).await;
    let wanted = cart(Uuid::new_v4());
    let before = till::made(&live).await;
    let nowhere = CreateCheckoutSessionRequest {
        region: "eu-west".to_owned(),
        ..wanted.clone()
    };
    let refused = live.checkout(nowhere).await.unwrap_err();
    assert_eq!(reason(&refused), "REGION_NOT_FOUND");
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let fault = live
        .world
        .stripe
        .inject(Fault::on("GET", "/v1/prices", down).always());
    let refused = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "STRIPE_UNAVAILABLE");
    assert!(live.world.stripe.fired(fault) > 0);
    live.world.stripe.clear_faults();
    assert_eq!(till::made(&live).await, before, "nothing was stored");

    let order = live.reserve(wanted.clone()).await;
    assert_eq!(live.reserve(wanted).await.id, order.id);
    assert_eq!(till::stripe_calls(&live, "POST", SESSIONS).len(), 1);
    live.close().await;
}

/// G-09, after a failure that came later: the order is there, so the id is its; and where
/// Stripe never opened a session, the id tells that, and makes no other one.
async fn a_request_id_whose_call_failed_after_the_order_finds_it(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let wanted = cart(Uuid::new_v4());
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let fault = stripe.inject(Fault::on("POST", SESSIONS, down).always());
    let failed = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&failed), "STRIPE_UNAVAILABLE");
    assert!(stripe.fired(fault) > 0);
    assert_eq!(till::rows(&live, "orders").await, 1);
    let other = CreateCheckoutSessionRequest {
        server_name: "Another".to_owned(),
        ..wanted.clone()
    };
    let refused = live.checkout(other).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    stripe.clear_faults();
    let order = live.reserve(wanted).await;
    assert_eq!(till::rows(&live, "orders").await, 1);
    assert_eq!(stripe.sessions().len(), 1);
    assert_eq!(order.stripe_checkout_session_id, stripe.sessions()[0].id);

    // Stripe refuses this one for good.
    let wanted = cart(Uuid::new_v4());
    let body = r#"{"error":{"type":"invalid_request_error","code":"resource_missing",
        "param":"line_items[0][price]","message":"No such price"}}"#;
    let refusal = Effect::Status {
        status: 400,
        body: Some(body.to_owned()),
    };
    let fault = stripe.inject(Fault::on("POST", SESSIONS, refusal));
    let refused = live.checkout(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "STRIPE_PRICE_INVALID");
    assert_eq!(stripe.fired(fault), 1);
    let again = live.checkout(wanted).await.unwrap();
    let ended = again.order.unwrap();
    assert_eq!(ended.status(), OrderStatus::Canceled);
    assert_eq!(
        (ended.error_reason.as_str(), again.checkout_url.as_str()),
        ("STRIPE_PRICE_INVALID", "")
    );
    assert_eq!(till::rows(&live, "orders").await, 2);
    assert_eq!(stripe.sessions().len(), 1);
    live.close().await;
}

/// G-09, after 72 h: the id is free again. By then its session is long over, so a second
/// order is a second purchase.
async fn a_request_id_is_forgotten_after_three_days(engine: Engine) {
    let live = Live::open(engine).await;
    let (wanted, other) = (cart(Uuid::new_v4()), cart(Uuid::new_v4()));
    let first = live.reserve(wanted.clone()).await;
    live.reserve(other.clone()).await;
    let nearly = Duration::from_secs(71 * 3_600);
    live.world.stripe.advance(nearly);
    live.skip(nearly);
    live.wait_order(&first.id, "its session is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    let again = live.checkout(wanted.clone()).await.unwrap();
    assert_eq!(again.order.unwrap().id, first.id);
    assert_eq!(live.world.stripe.sessions().len(), 2);

    let rest = Duration::from_secs(2 * 3_600);
    live.world.stripe.advance(rest);
    live.skip(rest);
    let second = live.reserve(wanted.clone()).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.status(), OrderStatus::Pending);
    assert_eq!(live.reserve(wanted).await.id, second.id);
    // Another body, too, and its key is its own from now on.
    let changed = CreateCheckoutSessionRequest {
        server_name: "Another".to_owned(),
        ..other.clone()
    };
    live.reserve(changed).await;
    let refused = live.checkout(other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    assert_eq!(live.world.stripe.sessions().len(), 4);
    let calls = till::stripe_calls(&live, "POST", SESSIONS);
    assert_eq!(calls.len(), 4, "one call for each session");
    live.close().await;
}
