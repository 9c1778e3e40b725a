//! Stripe refuses the data of a customer: nothing stays held for somebody who can
//! never pay, and the next checkout starts afresh.

use sandbox::stripe::{Effect, Fault};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, wait,
};

both_engines!(a_customer_that_stripe_refuses_holds_nothing_and_may_try_again);

async fn a_customer_that_stripe_refuses_holds_nothing_and_may_try_again(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let refusal = serde_json::json!({"error": {
        "type": "invalid_request_error",
        "code": "email_invalid",
        "param": "email",
        "message": "Invalid email address",
    }});
    let fault = live.world.stripe.inject(Fault::on(
        "POST",
        "/v1/customers",
        Effect::Status {
            status: 400,
            body: Some(refusal.to_string()),
        },
    ));
    let refused = live.checkout(cart(user)).await.unwrap_err();
    assert_eq!(live.world.stripe.fired(fault), 1);
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "FIELD_INVALID")
    );
    wait::until("room and ports are free again", PATIENCE, || async {
        let held = "SELECT (SELECT count(*) FROM holds)
            + (SELECT count(*) FROM allocations WHERE order_id IS NOT NULL)";
        sql::count(&live.store.db, held).await == 0
    })
    .await;
    assert_eq!(
        sql::texts(&live.store.db, "SELECT status FROM orders").await,
        ["canceled"]
    );

    live.world.stripe.clear_faults();
    live.buy(user).await;
    assert_eq!(live.world.stripe.count("POST", "/v1/customers"), 2);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    live.close().await;
}
