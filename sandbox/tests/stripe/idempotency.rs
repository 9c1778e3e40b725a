//! The rules of `Idempotency-Key`.

use std::time::Duration;

use sandbox::stripe::{Effect, Fault};

use crate::support::{Shop, cart, cart_with, read, until};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn the_same_key_and_body_replays_the_first_answer() {
    let shop = Shop::open().await;
    let first = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
    assert_eq!(
        (first.status, first.header("idempotent-replayed")),
        (200, None)
    );
    shop.stripe.expire(first.id()).unwrap();

    let mut shuffled = cart();
    shuffled.reverse();
    let second = shop.post_keyed(SESSIONS, &shuffled, "key-1").await;
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        second.body, first.body,
        "a replay is the answer as it was, however stale"
    );
    assert_eq!(second.body["status"], "open");
    assert_ne!(second.header("request-id"), first.header("request-id"));
    assert_eq!(
        second.header("original-request"),
        first.header("request-id")
    );
    assert_eq!(shop.stripe.sessions().len(), 1);
    let replayed: Vec<bool> = shop
        .stripe
        .calls()
        .iter()
        .map(|call| call.replayed)
        .collect();
    assert_eq!(replayed, [false, true]);
}

#[tokio::test]
async fn another_body_or_path_under_the_key_is_an_error() {
    let shop = Shop::open().await;
    shop.post_keyed(SESSIONS, &cart(), "key-1").await;
    let changed = cart_with(&[("client_reference_id", "order-2")]);
    let other_body = shop.post_keyed(SESSIONS, &changed, "key-1").await;
    let other_path = shop.post_keyed("/v1/customers", &[], "key-1").await;
    for reply in [other_body, other_path] {
        assert_eq!(
            (reply.status, reply.error("type")),
            (400, "idempotency_error")
        );
    }
    assert_eq!(shop.stripe.sessions().len(), 1);
}

#[tokio::test]
async fn a_key_in_flight_is_a_conflict_and_not_stored() {
    let shop = Shop::open().await;
    let slow = Fault::on("POST", "/v1/customers", Effect::Delay { millis: 60_000 });
    let fault = shop.stripe.inject(slow);
    let form = [("email", "a@example.com")];
    let first = shop.post_keyed("/v1/customers", &form, "key-1");
    let second = async {
        until("the first call is under way", || {
            shop.stripe.fired(fault) == 1
        })
        .await;
        let reply = shop.post_keyed("/v1/customers", &form, "key-1").await;
        shop.stripe.clear_faults();
        reply
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status, 200);
    assert_eq!(
        (second.status, second.error("code")),
        (409, "idempotency_key_in_use")
    );
    let third = shop.post_keyed("/v1/customers", &form, "key-1").await;
    assert_eq!((third.status, third.id()), (200, first.id()));
}

#[tokio::test]
async fn a_server_error_is_stored_with_or_without_its_work() {
    for after_work in [false, true] {
        let shop = Shop::open().await;
        shop.stripe.inject(Fault::on(
            "POST",
            SESSIONS,
            Effect::InternalError { after_work },
        ));
        let first = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
        let second = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
        assert_eq!((first.status, first.error("type")), (500, "api_error"));
        assert_eq!(
            (second.status, second.header("idempotent-replayed")),
            (500, Some("true"))
        );
        assert_eq!(shop.stripe.sessions().len(), usize::from(after_work));
        let fresh = shop.post_keyed(SESSIONS, &cart(), "key-2").await;
        assert_eq!(fresh.status, 200);
    }
}

#[tokio::test]
async fn refusals_before_the_work_leave_the_key_free() {
    let shop = Shop::open().await;
    let invalid = cart_with(&[("surprise", "1")]);
    assert_eq!(
        shop.post_keyed(SESSIONS, &invalid, "key-1").await.status,
        400
    );
    let limited = Effect::RateLimited { retry_after: 3 };
    shop.stripe.inject(Fault::on("POST", SESSIONS, limited));
    let reply = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("3"))
    );
    let unknown_key = shop.http.post(format!("{}{SESSIONS}", shop.stripe.url()));
    let unknown_key = unknown_key
        .bearer_auth("sk_test_other")
        .header("Idempotency-Key", "key-1");
    assert_eq!(read(unknown_key.form(&cart())).await.status, 401);
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    shop.stripe.inject(Fault::on("POST", SESSIONS, down));
    assert_eq!(
        shop.post_keyed(SESSIONS, &cart(), "key-1").await.status,
        503
    );

    let reply = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
    assert_eq!(
        (reply.status, reply.header("idempotent-replayed")),
        (200, None)
    );
}

#[tokio::test]
async fn refusals_by_state_are_stored_where_the_account_says_so() {
    let missing = cart_with(&[("line_items[0][price]", "price_none")]);
    for stored in [false, true] {
        let config = sandbox::stripe::StripeConfig {
            store_state_refusals: stored,
            ..crate::support::config()
        };
        let shop = Shop::with(config).await;
        shop.post_keyed(SESSIONS, &missing, "key-1").await;
        let again = shop.post_keyed(SESSIONS, &missing, "key-1").await;
        assert_eq!(
            (again.status, again.error("code")),
            (400, "resource_missing")
        );
        assert_eq!(again.header("idempotent-replayed").is_some(), stored);
    }
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let shop = Shop::open().await;
    let first = shop.post_keyed("/v1/customers", &[], "key-1").await;
    shop.stripe.advance(Duration::from_secs(86_399));
    let kept = shop.post_keyed("/v1/customers", &[], "key-1").await;
    assert_eq!(kept.id(), first.id());
    shop.stripe.advance(Duration::from_secs(1));
    let anew = shop.post_keyed("/v1/customers", &[], "key-1").await;
    assert_ne!(anew.id(), first.id());
    assert_eq!(anew.header("idempotent-replayed"), None);
}
