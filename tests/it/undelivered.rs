//! Orders that are paid and get no server before their period ends: nobody pays for another
//! period of what never came.

use std::time::Duration;

use sandbox::{
    audit::Invariant,
    panel,
    stripe::{Effect, Fault, FaultId},
};
use serde_json::json;
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    changes::{suspend, unsuspend},
    db::Engine,
    live::{Live, PATIENCE, cart},
    till, wait,
};

both_engines!(
    what_never_comes_is_paid_for_once,
    what_comes_after_all_goes_on,
    what_its_customer_ended_stays_ended,
    with_the_policy_it_goes_back_as_well,
    what_was_paid_otherwise_than_ordered_is_paid_for_once,
    what_is_gone_is_paid_for_no_further,
    what_a_step_finds_gone_is_paid_for_no_further,
    what_is_back_unseen_does_not_end,
);

const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: &str = "nothing was delivered";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An order whose installs fail, with less than a day left of what is paid for.
async fn almost_over(live: &Live) -> Order {
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.panel.fail_install(&order.id);
    live.pay(&order);
    live.wait_parked(&order.id, "INSTALL_FAILED").await;
    go_on_to_its_last_day(live, &order, NOTHING).await;
    order
}

/// An order whose session shows another price than it has.
async fn mismatched(live: &Live) -> (Order, FaultId) {
    live.hold_webhooks();
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.pay(&order);
    let path = format!("/v1/checkout/sessions/{}", order.stripe_checkout_session_id);
    let mut session = till::stripe_object(live, &format!("{path}?expand[]=line_items")).await;
    session["amount_subtotal"] = json!(1);
    let body = Some(session.to_string());
    let wrong = Fault::on("GET", &path, Effect::Status { status: 200, body });
    let wrong = live.world.stripe.inject(wrong.always());
    live.release_webhooks();
    live.wait_parked(&order.id, "BILLING_MISMATCH").await;
    (order, wrong)
}

/// Lets time pass until less than a day is left, and waits for the end to be planned.
async fn go_on_to_its_last_day(live: &Live, order: &Order, why: &str) {
    live.wait_until_unleased().await;
    let stripe = &live.world.stripe;
    let own = stripe.subscription(&live.subscription(order)).unwrap();
    let left = own.current_period_end - stripe.now();
    let before = Duration::from_secs(u64::try_from(left).unwrap()) - DAY;
    pass(live, before.saturating_sub(HOUR));
    live.wait_until_unleased().await;
    assert!(!ends(live, order), "there is time left");
    pass(live, 2 * HOUR);
    live.wait_order(&order.id, "its end is planned", |order| {
        order.cancel_time.is_some()
    })
    .await;
    assert!(ends(live, order));
    assert!(said(live, order, why).await);
}

fn pass(live: &Live, by: Duration) {
    live.world.stripe.advance(by);
    live.skip(by);
}

/// Whether Stripe will end it with its period.
fn ends(live: &Live, order: &Order) -> bool {
    let own = live.subscription(order);
    live.world
        .stripe
        .subscription(&own)
        .unwrap()
        .cancel_at_period_end
}

async fn said(live: &Live, order: &Order, text: &str) -> bool {
    let changes = till::changes(live, &order.id).await;
    changes.iter().any(|change| change.to.contains(text))
}

/// What holds for a server that never came holds whatever kept it from coming: its operator is
/// away all that time, or puts right on the last day what was wrong.
async fn what_was_paid_otherwise_than_ordered_is_paid_for_once(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    let stripe = &live.world.stripe;
    let (order, _) = mismatched(&live).await;
    let (mended, wrong) = mismatched(&live).await;
    go_on_to_its_last_day(&live, &order, NOTHING).await;
    live.wait_order(&mended.id, "its end is planned as well", |order| {
        order.cancel_time.is_some()
    })
    .await;
    stripe.remove_fault(wrong);
    deliver(&live, &mended).await;
    live.wait_order(&mended.id, "its end is taken back", |order| {
        order.cancel_time.is_none()
    })
    .await;
    pass(&live, DAY);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::None
    })
    .await;
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&order.id).await.is_none()
    })
    .await;
    assert_eq!(stripe.refunds(), [], "no policy says so");
    assert_eq!(
        invoices_paid(&live),
        3,
        "a second period of the other alone"
    );
    let goes_on = live.order(&mended.id).await;
    assert_eq!(goes_on.server_state(), ServerState::Running);
    live.close().await;
}

fn invoices_paid(live: &Live) -> usize {
    let events = live.world.stripe.events();
    let paid = events.iter().filter(|event| event.kind == "invoice.paid");
    paid.count()
}

/// What failed is mended, and an operator wakes the order.
async fn deliver(live: &Live, order: &Order) {
    live.world.panel.allow_install(&order.id);
    let message = proto::ProvisionOrderRequest {
        order_id: order.id.clone(),
        ..proto::ProvisionOrderRequest::default()
    };
    let mut client = live.provisioning();
    client
        .provision_order(live.operator(message))
        .await
        .unwrap();
    live.wait_order(&order.id, "it runs", |order| {
        order.server_state() == ServerState::Running
    })
    .await;
}

/// The shop gives back what it could not deliver in 40 days, and the month is over before.
async fn with_the_policy_it_goes_back_as_well(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("REFUND_UNFULFILLABLE_AFTER_SECONDS", "3456000");
    })
    .await;
    let order = almost_over(&live).await;
    assert_eq!(live.world.stripe.refunds(), []);
    pass(&live, DAY);
    wait::until("it went back", PATIENCE, || async {
        live.world.stripe.refunds().len() == 1
    })
    .await;
    assert_eq!(live.world.stripe.refunds()[0].amount, 699);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::Deleted
    })
    .await;
    assert!(said(&live, &order, "is to be refunded").await);
    wait::until("it is told", PATIENCE, || async {
        said(&live, &order, "refunded 699 usd").await
    })
    .await;
    live.close().await;
}

async fn what_never_comes_is_paid_for_once(engine: Engine) {
    let live = Live::open(engine).await;
    let order = almost_over(&live).await;
    pass(&live, DAY);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::Deleted
    })
    .await;
    assert_eq!(invoices_paid(&live), 1, "no second period");
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&order.id).await.is_none()
    })
    .await;
    live.close().await;
}

async fn what_comes_after_all_goes_on(engine: Engine) {
    let live = Live::open(engine).await;
    let order = almost_over(&live).await;
    deliver(&live, &order).await;
    live.wait_order(&order.id, "its end is taken back", |order| {
        order.cancel_time.is_none()
    })
    .await;
    assert!(!ends(&live, &order));
    wait::until("it is told", PATIENCE, || async {
        said(&live, &order, "its server is there after all").await
    })
    .await;
    pass(&live, DAY);
    let renewed = live
        .wait_order(&order.id, "it is renewed", |now| {
            now.current_period_end_time != order.current_period_end_time
        })
        .await;
    assert_eq!(renewed.server_state(), ServerState::Running);
    live.close().await;
}

/// The customer wanted the end as well, and that is not taken back.
async fn what_its_customer_ended_stays_ended(engine: Engine) {
    let live = Live::open(engine).await;
    let order = almost_over(&live).await;
    let message = proto::CancelOrderRequest {
        order_id: order.id.clone(),
        at_period_end: true,
        ..proto::CancelOrderRequest::default()
    };
    let mut client = live.orders();
    client.cancel_order(live.operator(message)).await.unwrap();
    live.wait_until_unleased().await;
    deliver(&live, &order).await;
    live.wait_until_unleased().await;
    assert!(ends(&live, &order));
    let now = live.order(&order.id).await;
    assert!(now.cancel_time.is_some());
    assert!(!said(&live, &order, "its server is there after all").await);
    live.close().await;
}

/// Whoever's server is gone from the panel pays for no further period of it, though nobody looks;
/// one that is brought back in time goes on.
async fn what_is_gone_is_paid_for_no_further(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_SERVERS_SECONDS", "0.2");
    })
    .await;
    let orders = till::running(&live, 3).await;
    let [lost, back, there] = &orders[..] else {
        unreachable!("three were bought");
    };
    let panel = &live.world.panel;
    panel.remove_server(lost.pterodactyl_server_id);
    live.wait_parked(&lost.id, "SERVER_MISSING").await;
    let backup = panel.back_up();
    panel.remove_server(back.pterodactyl_server_id);
    live.wait_parked(&back.id, "SERVER_MISSING").await;
    go_on_to_its_last_day(&live, lost, "its server is gone").await;
    live.wait_order(&back.id, "its end is planned as well", |order| {
        order.cancel_time.is_some()
    })
    .await;

    panel.set_back(&backup);
    live.wait_order(&back.id, "its end is taken back", |order| {
        order.cancel_time.is_none() && order.error_reason.is_empty()
    })
    .await;
    wait::until("it is told", PATIENCE, || async {
        said(&live, back, "its server is there after all").await
    })
    .await;
    assert_eq!(
        [lost, back, there].map(|order| ends(&live, order)),
        [true, false, false]
    );
    live.wait_until_unleased().await;
    pass(&live, DAY);
    live.wait_order(&lost.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::Deleted
    })
    .await;
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&lost.id).await.is_none()
    })
    .await;
    for order in [back, there] {
        live.wait_order(&order.id, "it is renewed", |now| {
            now.current_period_end_time != order.current_period_end_time
        })
        .await;
    }
    assert_eq!(invoices_paid(&live), 5, "no second period of what is gone");
    assert_eq!(panel.count_route("POST", "/servers"), 3);
    let why = "it was gone before its time, by the panel's doing";
    live.close_expecting(&[Invariant::I8], why).await;
}

/// Also where no sweep looks, and a step of another intent finds it.
async fn what_a_step_finds_gone_is_paid_for_no_further(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_SERVERS_SECONDS", till::NEVER);
    })
    .await;
    let order = live.buy(Uuid::new_v4()).await;
    let panel = &live.world.panel;
    panel.remove_server(order.pterodactyl_server_id);
    suspend(&live, &order.id).await;
    live.wait_parked(&order.id, "SERVER_MISSING").await;
    unsuspend(&live, &order.id).await;
    go_on_to_its_last_day(&live, &order, "its server is gone").await;
    live.wait_until_unleased().await;
    pass(&live, DAY);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled && order.server_state() == ServerState::Deleted
    })
    .await;
    assert_eq!(invoices_paid(&live), 1);
    let why = "it was gone before its time, by the panel's doing";
    live.close_expecting(&[Invariant::I8], why).await;
}

/// It was missing weeks ago, and nothing has looked since: the panel is asked before the end is
/// planned, and waited for while it does not answer.
async fn what_is_back_unseen_does_not_end(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_SERVERS_SECONDS", till::NEVER);
    })
    .await;
    let order = live.buy(Uuid::new_v4()).await;
    let (panel, stripe) = (&live.world.panel, &live.world.stripe);
    let backup = panel.back_up();
    panel.remove_server(order.pterodactyl_server_id);
    suspend(&live, &order.id).await;
    live.wait_parked(&order.id, "SERVER_MISSING").await;
    unsuspend(&live, &order.id).await;
    live.wait_until_unleased().await;
    panel.set_back(&backup);
    let away = panel.inject(panel::Fault::on(
        "GET",
        "/servers/external",
        panel::FaultAction::InternalError,
    ));
    let own = stripe.subscription(&live.subscription(&order)).unwrap();
    let left = own.current_period_end - stripe.now();
    let left = Duration::from_secs(u64::try_from(left).unwrap());
    pass(&live, left - DAY + HOUR);
    live.wait_for_reason(&order.id, "PANEL_UNAVAILABLE").await;
    assert!(panel.fired(away) > 0);
    assert!(!ends(&live, &order), "nobody knows");
    panel.remove_fault(away);
    let back = live.wait_order(&order.id, "it is there again", |order| {
        order.error_reason.is_empty() && order.waiting_reason.is_empty()
    });
    assert_eq!(back.await.server_state(), ServerState::Running);
    live.wait_until_unleased().await;
    assert!(!ends(&live, &order));
    live.close().await;
}
