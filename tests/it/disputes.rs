//! Payments that a bank disputes, or that somebody gave back at Stripe: their events name no
//! order, and what they say is read before anything is done.

use std::time::Duration;

use sandbox::{
    faults::{self, FaultAction},
    stripe::{ApiVersion, DisputeOutcome, Effect, Fault, SubscriptionStatus},
};
use serde_json::json;
use spawnpoint::rpc::proto::{Order, OrderStatus, ServerState, SuspensionReason};
use uuid::Uuid;

use crate::support::{
    changes::{suspend, unsuspend},
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    a_disputed_payment_stops_the_server_until_it_is_won,
    a_dispute_that_is_lost_ends_the_subscription,
    a_question_of_the_bank_stops_nothing,
    each_reason_is_lifted_by_itself,
    news_of_a_dispute_in_any_order_come_to_the_same,
    whose_it_is_is_asked_until_stripe_answers,
    what_stripe_never_tells_of_holds_up_nothing_later,
    what_a_dispute_is_is_asked_until_it_can_be_read,
    nothing_stops_for_a_dispute_that_cannot_be_read,
    a_dispute_that_no_webhook_told_of_is_found,
    money_of_others_is_nobodys_here,
    an_empty_list_hides_no_dispute,
    a_shop_may_leave_disputes_to_people,
    what_is_given_back_whole_ends_and_a_part_does_not,
);

const DAY: Duration = Duration::from_secs(24 * 3600);
const PAYMENTS: &str = "/v1/invoice_payments";
const DISPUTES: &str = "/v1/disputes/";
const SUSPEND: &str = "/servers/{server}/suspend";

async fn open(engine: Engine, further: &[(&str, &str)]) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_CHARGES_SECONDS", "0.2");
        for (name, value) in further {
            options.set(name, value);
        }
    })
    .await
}

async fn running(live: &Live) -> Order {
    live.buy(Uuid::new_v4()).await
}

fn dispute(live: &Live, order: &Order) -> String {
    let stripe = &live.world.stripe;
    stripe
        .open_dispute(&order.stripe_sub_id, "fraudulent")
        .unwrap()
}

fn close(live: &Live, dispute: &str, outcome: DisputeOutcome) {
    live.world.stripe.close_dispute(dispute, outcome).unwrap();
}

async fn until_state(live: &Live, order: &Order, state: ServerState) -> Order {
    live.wait_order(&order.id, state.as_str_name(), |order| {
        order.server_state() == state
    })
    .await
}

fn reasons(order: &Order) -> Vec<SuspensionReason> {
    order.suspension_reasons().collect()
}

async fn noted(live: &Live, order: &Order, text: &str) -> usize {
    let events = live.events(&order.id).await;
    let notes = events.iter().filter(|event| event.what == "note");
    notes.filter(|event| event.to.contains(text)).count()
}

/// How many events that tell of a refund or of a dispute's begin are so far.
async fn events(live: &Live, state: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM stripe_events WHERE state = '{state}'
         AND type IN ('charge.refunded', 'charge.dispute.created')"
    );
    sql::count(&live.store.db, &query).await
}

fn status_of(live: &Live, order: &Order) -> SubscriptionStatus {
    let stripe = &live.world.stripe;
    stripe.subscription(&order.stripe_sub_id).unwrap().status
}

async fn a_disputed_payment_stops_the_server_until_it_is_won(engine: Engine) {
    let live = open(engine, &[]).await;
    let (order, other) = (running(&live).await, running(&live).await);
    let disputed = dispute(&live, &order);
    let stopped = until_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(reasons(&stopped), [SuspensionReason::Dispute]);
    assert_eq!(stopped.status(), OrderStatus::Provisioned);
    assert!(live.made(&order.id).suspended);
    assert_eq!(noted(&live, &order, "a bank disputes a payment").await, 1);
    // Nothing of it is for ever: what is on the server stays however long the bank takes.
    live.skip(30 * DAY);
    live.wait_until_unleased().await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Active);
    close(&live, &disputed, DisputeOutcome::Won);
    let going_on = live.wait_running(&order.id).await;
    assert_eq!(reasons(&going_on), []);
    assert!(!live.made(&order.id).suspended);
    let others = live.order(&other.id).await;
    assert_eq!(others.server_state(), ServerState::Running);
    assert_eq!(reasons(&others), []);
    live.close().await;
}

async fn a_dispute_that_is_lost_ends_the_subscription(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let disputed = dispute(&live, &order);
    until_state(&live, &order, ServerState::Suspended).await;
    close(&live, &disputed, DisputeOutcome::Lost);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Canceled);
    live.wait_until_unleased().await;
    assert_eq!(
        live.order(&order.id).await.server_state(),
        ServerState::Suspended
    );
    assert_eq!(live.world.stripe.refunds(), [], "the bank took it already");
    live.world.stripe.advance(7 * DAY);
    live.skip(7 * DAY);
    until_state(&live, &order, ServerState::Deleted).await;
    live.close().await;
}

async fn a_question_of_the_bank_stops_nothing(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let asked = stripe
        .open_inquiry(&order.stripe_sub_id, "general")
        .unwrap();
    wait::until("it is noted", PATIENCE, || async {
        noted(&live, &order, "a bank asks about a payment").await == 1
    })
    .await;
    live.wait_until_unleased().await;
    let runs = live.order(&order.id).await;
    assert_eq!(
        (runs.server_state(), reasons(&runs)),
        (ServerState::Running, vec![])
    );
    stripe.escalate_inquiry(&asked).unwrap();
    until_state(&live, &order, ServerState::Suspended).await;
    live.close().await;
}

/// A payment lifts only what billing suspends, a won dispute only its own, an operator the rest.
async fn each_reason_is_lifted_by_itself(engine: Engine) {
    let live = open(engine, &[("GRACE_DAYS", "0")]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let disputed = dispute(&live, &order);
    until_state(&live, &order, ServerState::Suspended).await;
    let unpaid = SubscriptionStatus::Unpaid;
    stripe
        .set_subscription_status(&order.stripe_sub_id, unpaid)
        .unwrap();
    suspend(&live, &order.id).await;
    let all = [
        SuspensionReason::Billing,
        SuspensionReason::Dispute,
        SuspensionReason::Operator,
    ];
    live.wait_order(&order.id, "all hold", |order| reasons(order) == all)
        .await;
    let paid = SubscriptionStatus::Active;
    stripe
        .set_subscription_status(&order.stripe_sub_id, paid)
        .unwrap();
    live.wait_order(&order.id, "billing is lifted", |order| {
        reasons(order) == all[1..]
    })
    .await;
    close(&live, &disputed, DisputeOutcome::Won);
    live.wait_order(&order.id, "the dispute is lifted", |order| {
        reasons(order) == all[2..]
    })
    .await;
    live.wait_until_unleased().await;
    assert!(live.made(&order.id).suspended);
    unsuspend(&live, &order.id).await;
    live.wait_running(&order.id).await;
    live.close().await;
}

async fn news_of_a_dispute_in_any_order_come_to_the_same(engine: Engine) {
    let live = open(engine, &[]).await;
    for backwards in [false, true] {
        let order = running(&live).await;
        till::delivered(&live).await;
        till::deliver_webhooks(&live, false);
        let disputed = dispute(&live, &order);
        let created = till::event_about(&live, "charge.dispute.created", &disputed);
        close(&live, &disputed, DisputeOutcome::Won);
        let closed = till::event_about(&live, "charge.dispute.closed", &disputed);
        let mut told = vec![created, closed];
        if backwards {
            told.reverse();
        }
        for event in told {
            for version in [ApiVersion::OLD, ApiVersion::NEW] {
                let version = ApiVersion::parse(version).unwrap();
                let body = live.world.stripe.event_json(&event.id, &version).unwrap();
                assert_eq!(till::send_webhook(&live, &body).await, 200);
            }
        }
        wait::until("it is read", PATIENCE, || async {
            noted(&live, &order, "a dispute ended for the shop").await == 1
        })
        .await;
        live.wait_until_unleased().await;
        let runs = live.order(&order.id).await;
        assert_eq!(
            (runs.server_state(), reasons(&runs)),
            (ServerState::Running, vec![])
        );
        assert_eq!(
            noted(&live, &order, "a bank disputes").await,
            0,
            "it is over by our read"
        );
        till::deliver_webhooks(&live, true);
    }
    live.close().await;
}

/// Finding 13: an event counted as seen before anything came of it, and its retry was lost.
async fn whose_it_is_is_asked_until_stripe_answers(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let away = stripe.inject(Fault::on("GET", PAYMENTS, Effect::DropBefore).always());
    dispute(&live, &order);
    wait::until("Stripe was asked", PATIENCE, || async {
        stripe.fired(away) > 3
    })
    .await;
    assert_eq!(
        (
            events(&live, "received").await,
            events(&live, "ignored").await
        ),
        (1, 0)
    );
    assert_eq!(
        live.order(&order.id).await.server_state(),
        ServerState::Running
    );
    stripe.remove_fault(away);
    until_state(&live, &order, ServerState::Suspended).await;
    // Another event of the same dispute may have told of it first.
    wait::until("it is applied", PATIENCE, || async {
        events(&live, "applied").await == 1
    })
    .await;
    assert_eq!(events(&live, "received").await, 0);
    live.close().await;
}

/// Of some payments Stripe never tells whose they are, of a later one it does.
async fn what_stripe_never_tells_of_holds_up_nothing_later(engine: Engine) {
    let live = open(engine, &[]).await;
    let (order, later) = (running(&live).await, running(&live).await);
    let stripe = &live.world.stripe;
    let silent = stripe.inject(Fault::on("GET", "/v1/charges/", Effect::Html).always());
    let payment = stripe.payment(&order.stripe_sub_id).unwrap();
    stripe.refund_by_hand(&order.stripe_sub_id, None).unwrap();
    let told = till::event_about(&live, "charge.refunded", &payment.charge);
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    for copy in 1..8 {
        let mut event = stripe.event_json(&told.id, &version).unwrap();
        event["id"] = json!(format!("evt_untold_{copy}"));
        assert_eq!(till::send_webhook(&live, &event).await, 200);
    }
    wait::until("all are here", PATIENCE, || async {
        events(&live, "received").await == 8
    })
    .await;
    dispute(&live, &later);
    until_state(&live, &later, ServerState::Suspended).await;
    assert_eq!(events(&live, "received").await, 8);
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Active);
    assert!(stripe.fired(silent) > 5);
    stripe.remove_fault(silent);
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    live.close().await;
}

/// A page of somebody in between, a key that may not read it: everything else of the order goes
/// on meanwhile.
async fn what_a_dispute_is_is_asked_until_it_can_be_read(engine: Engine) {
    let live = open(engine, &[]).await;
    let stripe = &live.world.stripe;
    let refused = Effect::Status {
        status: 403,
        body: None,
    };
    for effect in [Effect::Html, refused] {
        let order = running(&live).await;
        let unread = stripe.inject(Fault::on("GET", DISPUTES, effect).always());
        dispute(&live, &order);
        wait::until("it was asked", PATIENCE, || async {
            stripe.fired(unread) > 0
        })
        .await;
        suspend(&live, &order.id).await;
        until_state(&live, &order, ServerState::Suspended).await;
        unsuspend(&live, &order.id).await;
        live.wait_running(&order.id).await;
        live.wait_until_unleased().await;
        stripe.remove_fault(unread);
        live.skip(Duration::from_secs(90));
        let stopped = until_state(&live, &order, ServerState::Suspended).await;
        assert_eq!(reasons(&stopped), [SuspensionReason::Dispute]);
    }
    live.close().await;
}

/// It was open at the first look, and is won by the time that the server would be stopped.
async fn nothing_stops_for_a_dispute_that_cannot_be_read(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let unread = Fault::on("GET", DISPUTES, Effect::Html).nth(2).always();
    let unread = stripe.inject(unread);
    let disputed = dispute(&live, &order);
    wait::until("it was asked at the last moment", PATIENCE, || async {
        stripe.fired(unread) > 0
    })
    .await;
    live.wait_until_unleased().await;
    assert!(!live.made(&order.id).suspended);
    close(&live, &disputed, DisputeOutcome::Won);
    stripe.remove_fault(unread);
    live.skip(Duration::from_secs(90));
    wait::until("it is read", PATIENCE, || async {
        noted(&live, &order, "a dispute ended for the shop").await == 1
    })
    .await;
    live.wait_until_unleased().await;
    let runs = live.order(&order.id).await;
    assert_eq!(
        (runs.server_state(), reasons(&runs)),
        (ServerState::Running, vec![])
    );
    assert_eq!(live.world.panel.count_route("POST", SUSPEND), 0);
    live.close().await;
}

/// W-18.
async fn a_dispute_that_no_webhook_told_of_is_found(engine: Engine) {
    let live = open(engine, &[("SWEEP_EVENTS_SECONDS", "0.2")]).await;
    let order = running(&live).await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    dispute(&live, &order);
    until_state(&live, &order, ServerState::Suspended).await;
    let swept = "SELECT count(*) FROM stripe_events WHERE type = 'charge.dispute.created'
        AND source = 'sweep' AND state = 'applied'";
    assert_eq!(sql::count(&live.store.db, swept).await, 1);
    live.close().await;
}

async fn money_of_others_is_nobodys_here(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let stray = stripe.stray_payment(1_000, "usd").unwrap();
    stripe
        .open_dispute(&stray.payment_intent, "fraudulent")
        .unwrap();
    wait::until("it is asked for, and asked for again", PATIENCE, || async {
        till::stripe_calls(&live, "GET", PAYMENTS).len() > 3
    })
    .await;
    // What Stripe has just made may not be in its lists yet.
    assert_eq!(events(&live, "received").await, 1);
    live.skip(Duration::from_secs(600));
    wait::until("it is ignored", PATIENCE, || async {
        events(&live, "ignored").await == 1
    })
    .await;
    assert_eq!(
        (
            events(&live, "received").await,
            events(&live, "failed").await
        ),
        (0, 0)
    );
    live.wait_until_unleased().await;
    let runs = live.order(&order.id).await;
    assert_eq!(
        (runs.server_state(), reasons(&runs)),
        (ServerState::Running, vec![])
    );
    live.close().await;
}

/// Stripe lists nothing of what it has just made: the payment is nobody's for now, not for good.
async fn an_empty_list_hides_no_dispute(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let empty = faults::Fault::on("GET", PAYMENTS, FaultAction::EmptyList);
    let empty = stripe.inject(empty);
    dispute(&live, &order);
    wait::until("Stripe was asked", PATIENCE, || async {
        stripe.fired(empty) > 3
    })
    .await;
    assert_eq!(events(&live, "received").await, 1);
    stripe.remove_fault(empty);
    until_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(events(&live, "applied").await, 1);
    live.close().await;
}

async fn a_shop_may_leave_disputes_to_people(engine: Engine) {
    let live = open(engine, &[("DISPUTES", "ignore"), ("REFUNDED", "keep")]).await;
    let order = running(&live).await;
    let disputed = dispute(&live, &order);
    wait::until("it is noted", PATIENCE, || async {
        noted(&live, &order, "a bank disputes a payment").await == 1
    })
    .await;
    close(&live, &disputed, DisputeOutcome::Lost);
    wait::until("its end is noted", PATIENCE, || async {
        noted(&live, &order, "a dispute was lost").await == 1
    })
    .await;
    let second = running(&live).await;
    live.world
        .stripe
        .refund_by_hand(&second.stripe_sub_id, None)
        .unwrap();
    wait::until("all was applied", PATIENCE, || async {
        events(&live, "applied").await == 2
    })
    .await;
    live.wait_until_unleased().await;
    for order in [&order, &second] {
        let runs = live.order(&order.id).await;
        assert_eq!(
            (runs.server_state(), reasons(&runs)),
            (ServerState::Running, vec![])
        );
        assert_eq!(status_of(&live, order), SubscriptionStatus::Active);
    }
    live.close().await;
}

async fn what_is_given_back_whole_ends_and_a_part_does_not(engine: Engine) {
    let live = open(engine, &[]).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.pay(&order);
    let order = live.wait_running(&order.id).await;
    let stripe = &live.world.stripe;
    stripe
        .refund_by_hand(&order.stripe_sub_id, Some(100))
        .unwrap();
    wait::until("it is applied", PATIENCE, || async {
        events(&live, "applied").await == 1
    })
    .await;
    live.wait_until_unleased().await;
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Active);
    assert_eq!(live.order(&order.id).await.cancel_time, None);
    stripe.refund_by_hand(&order.stripe_sub_id, None).unwrap();
    let over = live
        .wait_order(&order.id, "it is over", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    assert_eq!(over.user_id, order.user_id);
    assert_eq!(status_of(&live, &order), SubscriptionStatus::Canceled);
    // What is on it is kept for as long as after any end.
    until_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(noted(&live, &order, "given back whole at Stripe").await, 1);
    assert_eq!(stripe.refunds().len(), 2, "none of ours");
    live.close().await;
}
