//! What was paid against what was ordered: our own read of Stripe decides, a difference
//! parks the order, and trouble of Stripe only delays it.

use sandbox::stripe::{Effect, Fault, PayMode};
use serde_json::{Value, json};
use spawnpoint::rpc::proto::{CreateCheckoutSessionRequest, Order, OrderStatus};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    what_was_not_ordered_parks_until_its_cause_is_gone,
    what_is_changed_at_stripe_later_is_shown_until_it_is_put_back,
    tax_and_promotion_codes_are_no_difference,
    trouble_of_stripe_is_waited_out,
    only_a_paid_order_can_be_provisioned_by_hand,
    a_subscription_that_ends_before_its_server_makes_none,
);

/// A shop that hears only of what a test delivers.
async fn open(engine: Engine) -> Live {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    till::deliver_webhooks(&live, false);
    live
}

async fn pending(live: &Live) -> Order {
    let wanted = CreateCheckoutSessionRequest {
        addon_ids: vec!["extra-database".to_owned()],
        ..cart(Uuid::new_v4())
    };
    live.checkout(wanted).await.unwrap().order.unwrap()
}

/// Tells the shop that the order's session is complete.
fn tell(live: &Live, order: &Order) {
    let session = &order.stripe_checkout_session_id;
    let paid = till::event_about(live, "checkout.session.completed", session);
    live.world.stripe.deliver(&paid.id).unwrap();
}

/// One thing that Stripe shows otherwise than ordered: on the session or its subscription.
type Difference = (&'static str, &'static str, fn(&mut Value));

const DIFFERENCES: &[Difference] = &[
    ("session", "the session is in another currency", |it| {
        it["currency"] = json!("eur")
    }),
    (
        "session",
        "the session's subtotal is not the order's price",
        |it| {
            it["amount_subtotal"] = json!(1);
        },
    ),
    ("session", "the session's lines are not the order's", |it| {
        it["line_items"]["data"][0]["price"]["id"] = json!("price_test_mc_1gb_monthly");
    }),
    ("session", "the session's lines are not the order's", |it| {
        it["line_items"]["data"][1]["quantity"] = json!(2);
    }),
    ("session", "the session is another order's", |it| {
        it["client_reference_id"] = json!(Uuid::new_v4().to_string());
    }),
    ("session", "the session is of the other mode", |it| {
        it["livemode"] = json!(true)
    }),
    (
        "subscription",
        "the subscription is of the other mode",
        |it| it["livemode"] = json!(true),
    ),
    // The add-on was taken off before the server was made.
    (
        "subscription",
        "the subscription's items are not the order's",
        |it| {
            it["items"]["data"].as_array_mut().unwrap().pop();
        },
    ),
];

async fn what_was_not_ordered_parks_until_its_cause_is_gone(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let mut parked = Vec::new();
    for (on, message, change) in DIFFERENCES {
        let order = pending(&live).await;
        let session = stripe
            .pay(&order.stripe_checkout_session_id, PayMode::Paid)
            .unwrap();
        let (path, shown) = match *on {
            "session" => {
                let path = format!("/v1/checkout/sessions/{}", session.id);
                (path.clone(), format!("{path}?expand[]=line_items"))
            }
            _ => {
                let path = format!("/v1/subscriptions/{}", session.subscription.unwrap());
                (path.clone(), path)
            }
        };
        let mut object = till::stripe_object(&live, &shown).await;
        change(&mut object);
        let body = Some(object.to_string());
        let fault = Fault::on("GET", &path, Effect::Status { status: 200, body }).always();
        let fault = stripe.inject(fault);
        tell(&live, &order);
        parked.push((order, fault, *message));
    }
    for (order, fault, message) in &parked {
        let now = live
            .wait_order(&order.id, message, |order| {
                order.status() == OrderStatus::Error
            })
            .await;
        assert_eq!(now.error_reason, "BILLING_MISMATCH");
        assert_eq!(now.error_message, *message);
        assert!(stripe.fired(*fault) > 0);
    }
    // Parked, with their room: somebody has paid something.
    let orders = i64::try_from(parked.len()).unwrap();
    assert_eq!(till::rows(&live, "holds").await, orders);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    assert_eq!(live.world.panel.count_route("POST", "/users"), 0);

    // Woken while the cause is there, it parks again for the same cause.
    let (order, _, message) = &parked[0];
    let before = till::changes(&live, &order.id).await.len();
    till::provision(&live, &order.id).await.unwrap();
    live.wait_order(&order.id, "it is parked again", |order| {
        order.status() == OrderStatus::Error && order.error_message == *message
    })
    .await;
    assert!(till::changes(&live, &order.id).await.len() > before);

    stripe.clear_faults();
    for (order, ..) in &parked {
        till::provision(&live, &order.id).await.unwrap();
    }
    for (order, ..) in &parked {
        let done = live.wait_running(&order.id).await;
        assert_eq!(
            (done.error_reason.as_str(), done.error_message.as_str()),
            ("", "")
        );
    }
    assert_eq!(live.world.panel.servers().len(), parked.len());
    assert_eq!(
        live.world.panel.count_route("POST", "/servers"),
        parked.len()
    );
    live.close().await;
}

/// The plan of a subscription can be switched in the Dashboard.
async fn what_is_changed_at_stripe_later_is_shown_until_it_is_put_back(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let order = pending(&live).await;
    let session = &order.stripe_checkout_session_id;
    let session = stripe.pay(session, PayMode::Paid).unwrap();
    tell(&live, &order);
    live.wait_running(&order.id).await;
    let path = format!("/v1/subscriptions/{}", session.subscription.unwrap());
    let mut object = till::stripe_object(&live, &path).await;
    object["items"]["data"].as_array_mut().unwrap().pop();
    let body = Some(object.to_string());
    let fault = Fault::on("GET", &path, Effect::Status { status: 200, body }).always();
    let fault = stripe.inject(fault);
    till::deliver_webhooks(&live, true);
    let subscription = live.subscription(&order);
    stripe.cancel_at_period_end(&subscription, true).unwrap();
    let shown = live
        .wait_order(&order.id, "the change is shown", |order| {
            order.error_reason == "PLAN_MISMATCH"
        })
        .await;
    assert!(stripe.fired(fault) > 0);
    // Its customer keeps the server meanwhile.
    assert_eq!(shown.status(), OrderStatus::Provisioned);
    stripe.clear_faults();
    stripe.cancel_at_period_end(&subscription, false).unwrap();
    let put_back = live
        .wait_order(&order.id, "it is put back", |order| {
            order.error_reason.is_empty()
        })
        .await;
    assert_eq!(put_back.error_message, "");
    live.close().await;
}

async fn tax_and_promotion_codes_are_no_difference(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set_all(&[
            ("STRIPE_PROMOTION_CODES", "on"),
            ("STRIPE_AUTOMATIC_TAX", "on"),
        ]);
    })
    .await;
    let order = pending(&live).await;
    let call = till::stripe_calls(&live, "POST", "/v1/checkout/sessions").remove(0);
    assert_eq!(call.param("allow_promotion_codes"), Some("true"));
    assert_eq!(call.param("automatic_tax[enabled]"), Some("true"));
    assert_eq!(call.param("customer_update[address]"), Some("auto"));
    let session = &order.stripe_checkout_session_id;
    let paid = live
        .world
        .stripe
        .pay(session, PayMode::NoPaymentRequired)
        .unwrap();
    assert_eq!((paid.amount_subtotal, paid.amount_total), (699 + 249, 0));
    let done = live.wait_running(&order.id).await;
    assert_eq!(done.price.unwrap().amount_minor, 699 + 249);
    live.close().await;
}

async fn trouble_of_stripe_is_waited_out(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    for effect in [
        Effect::Status {
            status: 503,
            body: None,
        },
        Effect::Status {
            status: 401,
            body: None,
        },
        Effect::RateLimited { retry_after: 1 },
        Effect::DropBefore,
    ] {
        let order = pending(&live).await;
        stripe
            .pay(&order.stripe_checkout_session_id, PayMode::Paid)
            .unwrap();
        let path = format!("/v1/checkout/sessions/{}", order.stripe_checkout_session_id);
        let fault = stripe.inject(Fault::on("GET", &path, effect.clone()).always());
        tell(&live, &order);
        let now = live
            .wait_order(&order.id, "it waits for Stripe", |order| {
                order.waiting_reason == "STRIPE_UNAVAILABLE"
            })
            .await;
        assert_eq!(now.status(), OrderStatus::Pending);
        assert_eq!(
            (live.tries(&now.id).await, now.error_reason.as_str()),
            (0, ""),
            "{effect:?}"
        );
        assert!(stripe.fired(fault) > 0);
        stripe.clear_faults();
        let done = live.wait_running(&order.id).await;
        assert_eq!(
            (live.tries(&done.id).await, done.waiting_reason.as_str()),
            (0, "")
        );
    }
    assert_eq!(live.world.panel.servers().len(), 4);
    live.close().await;
}

async fn only_a_paid_order_can_be_provisioned_by_hand(engine: Engine) {
    let live = open(engine).await;
    let order = pending(&live).await;
    let refused = till::provision(&live, &order.id).await.unwrap_err();
    assert_refused(&refused, &order, "ORDER_NOT_PAID");
    live.world
        .stripe
        .pay(&order.stripe_checkout_session_id, PayMode::Unpaid)
        .unwrap();
    tell(&live, &order);
    let refused = till::provision(&live, &order.id).await.unwrap_err();
    assert_refused(&refused, &order, "ORDER_NOT_PAID");
    let unknown = till::provision(&live, &Uuid::new_v4().to_string())
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "ORDER_NOT_FOUND")
    );

    let other = pending(&live).await;
    live.world
        .stripe
        .expire(&other.stripe_checkout_session_id)
        .unwrap();
    let session = &other.stripe_checkout_session_id;
    let expired = till::event_about(&live, "checkout.session.expired", session);
    live.world.stripe.deliver(&expired.id).unwrap();
    live.wait_order(&other.id, "the order has ended", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    let refused = till::provision(&live, &other.id).await.unwrap_err();
    assert_refused(&refused, &other, "ORDER_ENDED");
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.close().await;
}

fn assert_refused(status: &tonic::Status, order: &Order, expected: &str) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::FailedPrecondition, expected)
    );
    let named = status.get_details_error_info().unwrap().metadata;
    assert_eq!(named.get("order_id"), Some(&order.id));
}

async fn a_subscription_that_ends_before_its_server_makes_none(engine: Engine) {
    let live = open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let order = pending(&live).await;
    let session = live
        .world
        .stripe
        .pay(&order.stripe_checkout_session_id, PayMode::Paid)
        .unwrap();
    live.world
        .stripe
        .cancel_subscription(&session.subscription.unwrap())
        .unwrap();
    tell(&live, &order);
    let ended = live
        .wait_order(&order.id, "the order has ended", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    assert_eq!(ended.subscription_status, "canceled");
    till::wait_remaining(&live, "mc-2gb", "us-east", all).await;
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.close().await;
}
