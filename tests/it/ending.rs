//! How orders end by somebody's will: now, with the period that is paid for, or for good; and
//! how that is taken back.

use std::time::Duration;

use sandbox::stripe::{Effect, Fault, SubscriptionStatus};
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState, SuspensionReason};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    till, wait,
};

both_engines!(
    a_customer_ends_an_order_now,
    a_customer_ends_an_order_with_its_period_and_takes_it_back,
    what_the_portal_planned_is_taken_back_too,
    an_order_that_is_not_paid_is_given_up,
    a_wish_outlives_stripes_trouble_and_is_done_once,
    a_wish_that_stripe_refuses_stands_in_nobodys_way,
    what_makes_no_sense_is_refused_and_changes_nothing,
    nobody_ends_what_is_anothers,
    an_operators_suspension_is_lifted_by_an_operator_alone,
    an_operator_ends_a_server_for_good,
);

const SUSPEND: &str = "/servers/{server}/suspend";
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

async fn running(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_running(&order.id).await
}

fn user(order: &Order) -> Uuid {
    order.user_id.parse().unwrap()
}

async fn cancel(live: &Live, order: &Order, at_period_end: bool) -> Result<Order, Status> {
    cancel_as(live, order, at_period_end, user(order), Uuid::new_v4()).await
}

async fn cancel_as(
    live: &Live,
    order: &Order,
    at_period_end: bool,
    user: Uuid,
    request_id: Uuid,
) -> Result<Order, Status> {
    let message = proto::CancelOrderRequest {
        order_id: order.id.clone(),
        at_period_end,
        request_id: request_id.to_string(),
    };
    let mut client = live.orders();
    let answer = client.cancel_order(live.storefront(message, user)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn resume(live: &Live, order: &Order, user: Uuid) -> Result<Order, Status> {
    let message = proto::ResumeOrderRequest {
        order_id: order.id.clone(),
        ..proto::ResumeOrderRequest::default()
    };
    let mut client = live.orders();
    let answer = client.resume_order(live.storefront(message, user)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn suspend(live: &Live, order: &Order, note: &str) -> Result<Order, Status> {
    let message = proto::SuspendServerRequest {
        order_id: order.id.clone(),
        note: note.to_owned(),
        ..proto::SuspendServerRequest::default()
    };
    let mut client = live.provisioning();
    let answer = client.suspend_server(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn unsuspend(live: &Live, order: &Order) -> Result<Order, Status> {
    let message = proto::UnsuspendServerRequest {
        order_id: order.id.clone(),
        ..proto::UnsuspendServerRequest::default()
    };
    let mut client = live.provisioning();
    let answer = client.unsuspend_server(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn terminate(live: &Live, order: &Order, request_id: Uuid) -> Result<Order, Status> {
    let message = proto::TerminateServerRequest {
        order_id: order.id.clone(),
        note: "mines coins".to_owned(),
        request_id: request_id.to_string(),
    };
    let mut client = live.provisioning();
    let answer = client.terminate_server(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

fn assert_refused(refused: Result<Order, Status>, code: Code, wanted: &str) {
    let status = refused.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, wanted));
}

async fn wait_state(live: &Live, order: &Order, state: ServerState) -> Order {
    live.wait_order(&order.id, "the server is so far", |order| {
        order.server_state() == state && order.waiting_reason.is_empty()
    })
    .await
}

fn ends(live: &Live, order: &Order) -> bool {
    let subscription = live.world.stripe.subscription(&live.subscription(order));
    subscription.unwrap().cancel_at_period_end
}

async fn a_customer_ends_an_order_now(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let request_id = Uuid::new_v4();
    cancel_as(&live, &order, false, user(&order), request_id)
        .await
        .unwrap();
    let ended = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(ended.status(), OrderStatus::Canceled);
    // The same call once more, long after.
    let again = cancel_as(&live, &order, false, user(&order), request_id).await;
    assert_eq!(again.unwrap().status(), OrderStatus::Canceled);
    let path = format!("/v1/subscriptions/{}", live.subscription(&order));
    assert_eq!(till::stripe_calls(&live, "DELETE", &path).len(), 1);
    live.skip(RETENTION);
    wait_state(&live, &order, ServerState::Deleted).await;
    live.close().await;
}

async fn a_customer_ends_an_order_with_its_period_and_takes_it_back(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    for _ in 0..2 {
        cancel(&live, &order, true).await.unwrap();
        let planned = live
            .wait_order(&order.id, "its end is known", |order| {
                order.cancel_time.is_some()
            })
            .await;
        assert_eq!(planned.cancel_time, planned.current_period_end_time);
        assert_eq!(
            (planned.status(), planned.server_state()),
            (OrderStatus::Provisioned, ServerState::Running)
        );
        assert!(ends(&live, &order));
        resume(&live, &order, user(&order)).await.unwrap();
        live.wait_order(&order.id, "it goes on", |order| order.cancel_time.is_none())
            .await;
        assert!(!ends(&live, &order));
    }
    assert_refused(
        resume(&live, &order, user(&order)).await,
        Code::FailedPrecondition,
        "NOT_CANCELING",
    );
    live.close().await;
}

/// Stripe's portal sets a time where we set a flag.
async fn what_the_portal_planned_is_taken_back_too(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let subscription = live.subscription(&order);
    let path = format!("/v1/subscriptions/{subscription}");
    let ends_at = live
        .world
        .stripe
        .subscription(&subscription)
        .unwrap()
        .current_period_end;
    let answer = till::http()
        .post(format!("{}{path}", live.world.stripe.url()))
        .bearer_auth(live.world.stripe.secret_key())
        .form(&[("cancel_at", ends_at.to_string())])
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    live.wait_order(&order.id, "its end is known", |order| {
        order.cancel_time.is_some()
    })
    .await;
    resume(&live, &order, user(&order)).await.unwrap();
    live.wait_order(&order.id, "it goes on", |order| order.cancel_time.is_none())
        .await;
    let object = till::stripe_object(&live, &path).await;
    assert!(object["cancel_at"].is_null(), "{object}");
    live.close().await;
}

async fn an_order_that_is_not_paid_is_given_up(engine: Engine) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    assert_refused(
        resume(&live, &order, user(&order)).await,
        Code::FailedPrecondition,
        "NOT_CANCELING",
    );
    cancel(&live, &order, true).await.unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    till::wait_remaining(&live, "mc-2gb", "us-east", all).await;
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.close().await;
}

/// The answer of Stripe is lost: the wish is on disk, and the key of the request is its own.
async fn a_wish_outlives_stripes_trouble_and_is_done_once(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let order = running(&live).await;
    let path = format!("/v1/subscriptions/{}", live.subscription(&order));
    let lost = stripe.inject(Fault::on("POST", &path, Effect::DropAfter));
    cancel(&live, &order, true).await.unwrap();
    live.wait_order(&order.id, "its end is known", |order| {
        order.cancel_time.is_some()
    })
    .await;
    assert_eq!(stripe.fired(lost), 1);
    // A failure that Stripe keeps under its key is not asked for again and again.
    let kept = Effect::InternalError { after_work: false };
    let kept = stripe.inject(Fault::on("POST", &path, kept));
    resume(&live, &order, user(&order)).await.unwrap();
    live.wait_order(&order.id, "it goes on", |order| order.cancel_time.is_none())
        .await;
    assert_eq!(stripe.fired(kept), 1);
    let lost = stripe.inject(Fault::on("DELETE", &path, Effect::DropAfter));
    cancel(&live, &order, false).await.unwrap();
    wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(stripe.fired(lost), 1);
    let ended = stripe.events();
    let ended = ended.iter();
    let ended = ended.filter(|event| event.kind == "customer.subscription.deleted");
    assert_eq!(ended.count(), 1);
    live.close().await;
}

/// A schedule of Stripe's may own the subscription: the wish is forgotten, which its order
/// tells, and a bill that is not paid has all the consequences it has.
async fn a_wish_that_stripe_refuses_stands_in_nobodys_way(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let order = running(&live).await;
    let path = format!("/v1/subscriptions/{}", live.subscription(&order));
    let error = r#"{"error":{"type":"invalid_request_error","message":"managed by a schedule"}}"#;
    let refused = Effect::Status {
        status: 400,
        body: Some(error.to_owned()),
    };
    let refused = stripe.inject(Fault::on("POST", &path, refused).always());
    cancel(&live, &order, true).await.unwrap();
    let said = "Stripe refused to change the planned end";
    wait::until("it is told", PATIENCE, || async {
        let changes = till::changes(&live, &order.id).await;
        changes.iter().any(|change| change.to == said)
    })
    .await;
    assert_eq!(stripe.fired(refused), 1);
    let subscription = live.subscription(&order);
    stripe
        .set_subscription_status(&subscription, SubscriptionStatus::Unpaid)
        .unwrap();
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!((stopped.attempts, stopped.error_reason.as_str()), (0, ""));
    live.close().await;
}

async fn what_makes_no_sense_is_refused_and_changes_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    cancel(&live, &order, false).await.unwrap();
    let ended = wait_state(&live, &order, ServerState::Suspended).await;
    live.wait_until_unleased().await;
    let ended = live.order(&ended.id).await;
    for refused in [
        cancel(&live, &order, false).await,
        cancel(&live, &order, true).await,
        resume(&live, &order, user(&order)).await,
        suspend(&live, &order, "").await,
        unsuspend(&live, &order).await,
    ] {
        assert_refused(refused, Code::FailedPrecondition, "ORDER_ENDED");
    }
    let bad = proto::CancelOrderRequest {
        order_id: "x".to_owned(),
        request_id: "y".to_owned(),
        ..proto::CancelOrderRequest::default()
    };
    let mut client = live.orders();
    let status = client.cancel_order(live.operator(bad)).await.unwrap_err();
    let violated = tonic_types::StatusExt::get_details_bad_request(&status).unwrap();
    assert_eq!(violated.field_violations.len(), 2, "all at once");
    assert_refused(
        suspend(&live, &order, &"x".repeat(501)).await,
        Code::InvalidArgument,
        "FIELD_INVALID",
    );
    assert_eq!(live.order(&order.id).await, ended);
    live.close().await;
}

async fn nobody_ends_what_is_anothers(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stranger = Uuid::new_v4();
    let absent = Order {
        id: Uuid::new_v4().to_string(),
        ..order.clone()
    };
    for order in [&order, &absent] {
        let refused = cancel_as(&live, order, false, stranger, Uuid::new_v4()).await;
        assert_refused(refused, Code::NotFound, "ORDER_NOT_FOUND");
        let refused = resume(&live, order, stranger).await;
        assert_refused(refused, Code::NotFound, "ORDER_NOT_FOUND");
    }
    live.wait_until_unleased().await;
    assert_eq!(
        live.order(&order.id).await.status(),
        OrderStatus::Provisioned
    );
    live.close().await;
}

async fn an_operators_suspension_is_lifted_by_an_operator_alone(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let order = running(&live).await;
    let subscription = live.subscription(&order);
    suspend(&live, &order, "mines coins").await.unwrap();
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    let reasons = |order: &Order| order.suspension_reasons().collect::<Vec<_>>();
    assert_eq!(reasons(&stopped), [SuspensionReason::Operator]);
    let changes = till::changes(&live, &order.id).await;
    let said = "suspended by an operator: mines coins";
    assert!(changes.iter().any(|change| change.to == said));
    // Nothing of Stripe's lifts it.
    stripe
        .set_subscription_status(&subscription, SubscriptionStatus::Unpaid)
        .unwrap();
    let both = live
        .wait_order(&order.id, "billing suspends as well", |order| {
            reasons(order).len() == 2
        })
        .await;
    assert_eq!(both.server_state(), ServerState::Suspended);
    stripe
        .set_subscription_status(&subscription, SubscriptionStatus::Active)
        .unwrap();
    let paid = live
        .wait_order(&order.id, "it is paid", |order| reasons(order).len() == 1)
        .await;
    assert_eq!(paid.server_state(), ServerState::Suspended);
    live.wait_until_unleased().await;
    assert!(live.made(&order.id).suspended);
    assert_eq!(live.world.panel.count_route("POST", SUSPEND), 1);
    // And what an operator lifts stays stopped for billing.
    stripe
        .set_subscription_status(&subscription, SubscriptionStatus::Unpaid)
        .unwrap();
    live.wait_order(&order.id, "billing suspends again", |order| {
        reasons(order).len() == 2
    })
    .await;
    let lifted = unsuspend(&live, &order).await.unwrap();
    assert_eq!(reasons(&lifted), [SuspensionReason::Billing]);
    live.wait_until_unleased().await;
    assert!(live.made(&order.id).suspended);
    stripe
        .set_subscription_status(&subscription, SubscriptionStatus::Active)
        .unwrap();
    wait_state(&live, &order, ServerState::Running).await;
    live.close().await;
}

async fn an_operator_ends_a_server_for_good(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let (paid, kept) = (running(&live).await, running(&live).await);
    let pending = live.reserve(cart(Uuid::new_v4())).await;
    cancel(&live, &kept, false).await.unwrap();
    wait_state(&live, &kept, ServerState::Suspended).await;
    for order in [&paid, &kept, &pending] {
        let request_id = Uuid::new_v4();
        terminate(&live, order, request_id).await.unwrap();
        let gone = live
            .wait_order(&order.id, "it is gone", |order| {
                order.status() == OrderStatus::Canceled
                    && matches!(
                        order.server_state(),
                        ServerState::None | ServerState::Deleted
                    )
            })
            .await;
        terminate(&live, order, request_id).await.unwrap();
        assert_refused(
            terminate(&live, &gone, Uuid::new_v4()).await,
            Code::FailedPrecondition,
            "ORDER_ENDED",
        );
    }
    till::wait_remaining(&live, "mc-2gb", "us-east", all).await;
    assert_eq!(live.world.panel.servers(), []);
    let ended = stripe.subscription(&live.subscription(&paid)).unwrap();
    assert_eq!(ended.status, SubscriptionStatus::Canceled);
    live.close().await;
}
