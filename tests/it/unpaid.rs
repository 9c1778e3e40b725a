//! What happens to a server that is not paid for: it stands still, goes on once it is paid,
//! and goes with its subscription; never on old or missing news.

use std::time::Duration;

use sandbox::{
    panel::{DaemonMode, Fault as PanelFault, FaultAction},
    stripe::{DisputeOutcome, Effect, Fault, FaultId, SubscriptionStatus},
};
use serde_json::json;
use spawnpoint::{
    boot::Mode,
    rpc::proto::{Order, OrderStatus, ServerState, SuspensionReason},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{
    changes::{suspend, unsuspend},
    db::Engine,
    live::{Live, cart},
    provisioning::EAST,
    sql, till,
};

both_engines!(
    a_failed_renewal_stops_the_server_after_the_grace_time_and_a_payment_lets_it_go_on,
    each_news_of_a_bill_is_enough_by_itself,
    an_ended_subscription_stops_its_server_at_once_and_deletes_it_after_the_retention,
    an_unpaid_subscription_is_ended_before_its_server_goes,
    nothing_is_stopped_while_stripe_cannot_be_read,
    a_payment_nobody_heard_of_keeps_the_server_running,
    a_word_that_nobody_knows_stops_nothing,
    a_word_that_nobody_knows_keeps_no_server_stopped,
    a_node_that_is_down_is_waited_for_both_ways,
    a_suspension_without_an_answer_reaches_the_node,
    a_server_is_not_stopped_while_it_installs,
    a_planned_end_that_nobody_tells_of_is_noticed,
    a_session_that_stripe_has_forgotten_is_not_missed,
);

const DAY: Duration = Duration::from_secs(24 * 3600);
const GRACE: Duration = Duration::from_secs(3 * 24 * 3600);
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
const SUSPEND: &str = "/servers/{server}/suspend";
const UNSUSPEND: &str = "/servers/{server}/unsuspend";
const DELETE: &str = "/servers/{server}";
const NEW_WORDS: &str = "spawnpoint_subscriptions_unclear_total";

async fn running(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_running(&order.id).await
}

fn set(live: &Live, order: &Order, status: SubscriptionStatus) {
    let subscription = live.subscription(order);
    let stripe = &live.world.stripe;
    stripe
        .set_subscription_status(&subscription, status)
        .unwrap();
}

async fn wait_state(live: &Live, order: &Order, state: ServerState) -> Order {
    live.wait_order(&order.id, "the server is so far", |order| {
        order.server_state() == state && order.waiting_reason.is_empty()
    })
    .await
}

async fn wait_status(live: &Live, order: &Order, status: &str) -> Order {
    live.wait_order(&order.id, "the subscription is read", |order| {
        order.subscription_status == status
    })
    .await
}

fn reasons(order: &Order) -> Vec<SuspensionReason> {
    order.suspension_reasons().collect()
}

/// Findings 9 and 10: a failed payment changed nothing, or took the server at once.
async fn a_failed_renewal_stops_the_server_after_the_grace_time_and_a_payment_lets_it_go_on(
    engine: Engine,
) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    live.world
        .stripe
        .fail_payment(&live.subscription(&order))
        .unwrap();
    let due = wait_status(&live, &order, "past_due").await;
    assert_eq!(
        (due.status(), due.server_state()),
        (OrderStatus::Provisioned, ServerState::Running)
    );
    live.skip(GRACE - DAY);
    live.wait_until_unleased().await;
    assert_eq!(panel.count_route("POST", SUSPEND), 0);
    assert_eq!(reasons(&live.order(&order.id).await), []);

    live.skip(DAY);
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(stopped.status(), OrderStatus::Provisioned);
    assert_eq!(reasons(&stopped), [SuspensionReason::Billing]);
    assert!(live.made(&order.id).suspended);
    // As long as Stripe tries, nothing is deleted.
    live.skip(30 * DAY);
    live.wait_until_unleased().await;

    set(&live, &order, SubscriptionStatus::Active);
    let paid = wait_state(&live, &order, ServerState::Running).await;
    assert_eq!(reasons(&paid), []);
    assert!(!live.made(&order.id).suspended);
    let calls = [SUSPEND, UNSUSPEND].map(|route| panel.count_route("POST", route));
    assert_eq!(calls, [1, 1]);
    assert_eq!(panel.count_route("DELETE", DELETE), 0);
    live.close().await;
}

/// Stripe tells the same in several ways, and any of them may be lost: a pause, its end, and a
/// renewal that the customer has to confirm are each known from the one event that is left.
async fn each_news_of_a_bill_is_enough_by_itself(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let withheld = ["customer.subscription.updated", "invoice.payment_failed"];
    stripe.withhold(&withheld);
    let heard = |kind: &'static str| {
        let heard = format!(
            "SELECT count(*) FROM stripe_events WHERE type = '{kind}' AND state = 'applied'"
        );
        let db = &live.store.db;
        async move { sql::count(db, &heard).await }
    };
    set(&live, &order, SubscriptionStatus::Paused);
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(reasons(&stopped), [SuspensionReason::Billing]);
    assert_eq!(heard("customer.subscription.paused").await, 1);
    set(&live, &order, SubscriptionStatus::Active);
    let runs = wait_state(&live, &order, ServerState::Running).await;
    assert_eq!(reasons(&runs), []);
    assert_eq!(heard("customer.subscription.resumed").await, 1);
    stripe.require_action(&live.subscription(&order)).unwrap();
    let due = wait_status(&live, &order, "past_due").await;
    assert_eq!(due.server_state(), ServerState::Running, "it has its grace");
    assert_eq!(heard("invoice.payment_action_required").await, 1);
    let events = live.events(&order.id).await;
    let asked = events
        .iter()
        .filter(|event| event.to.contains("wants the customer to confirm"));
    assert_eq!(asked.count(), 1);
    for kind in withheld {
        assert_eq!(heard(kind).await, 0, "{kind}");
    }
    live.close().await;
}

/// Finding 11: a cancel never removed anything.
async fn an_ended_subscription_stops_its_server_at_once_and_deletes_it_after_the_retention(
    engine: Engine,
) {
    let live = Live::open(engine).await;
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    stripe
        .cancel_subscription(&live.subscription(&order))
        .unwrap();
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(stopped.status(), OrderStatus::Canceled);
    assert_eq!(reasons(&stopped), [SuspensionReason::Billing]);
    live.skip(RETENTION - DAY);
    live.wait_until_unleased().await;
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 0);
    live.skip(DAY);
    let gone = wait_state(&live, &order, ServerState::Deleted).await;
    assert_eq!(
        (gone.status(), reasons(&gone)),
        (OrderStatus::Canceled, vec![])
    );
    till::wait_remaining(&live, "mc-2gb", "us-east", all).await;
    assert_eq!(live.world.panel.servers(), []);
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 1);
    live.close().await;
}

async fn an_unpaid_subscription_is_ended_before_its_server_goes(engine: Engine) {
    let live = Live::open(engine).await;
    for status in [SubscriptionStatus::Unpaid, SubscriptionStatus::Paused] {
        let order = running(&live).await;
        let subscription = live.subscription(&order);
        live.world.stripe.fail_payment(&subscription).unwrap();
        set(&live, &order, status);
        let stopped = wait_state(&live, &order, ServerState::Suspended).await;
        assert_eq!(stopped.status(), OrderStatus::Provisioned);
        live.world.stripe.advance(RETENTION);
        live.skip(RETENTION);
        let gone = wait_state(&live, &order, ServerState::Deleted).await;
        assert_eq!(gone.status(), OrderStatus::Canceled);
        let ended = live.world.stripe.subscription(&subscription).unwrap();
        assert_eq!(ended.status, SubscriptionStatus::Canceled);
        let path = format!("/v1/subscriptions/{subscription}");
        assert_eq!(till::stripe_calls(&live, "DELETE", &path).len(), 1);
        assert_eq!(live.world.panel.servers(), []);
        // And the page of the bill takes no money for what is gone.
        let bills = format!("/v1/invoices?subscription={subscription}&status=");
        for (status, count) in [("open", 0), ("void", 1)] {
            let listed = till::stripe_object(&live, &format!("{bills}{status}")).await;
            assert_eq!(listed["data"].as_array().unwrap().len(), count, "{status}");
        }
    }
    live.close().await;
}

/// O-02: the control plane was away for days and comes back while Stripe does not answer: news
/// that are missing stop nothing, neither of who owes nor of who has paid.
async fn nothing_is_stopped_while_stripe_cannot_be_read(engine: Engine) {
    let mut live = Live::open(engine).await;
    let (owing, paid) = (running(&live).await, running(&live).await);
    let subscription = live.subscription(&owing);
    live.world.stripe.fail_payment(&subscription).unwrap();
    wait_status(&live, &owing, "past_due").await;
    live.world.stop_cores().await;
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let down = Fault::on("GET", "/v1/", down).always();
    let down = live.world.stripe.inject(down);
    live.world.start_core(Mode::All).await.unwrap();
    live.skip(GRACE);
    live.wait_order(&owing.id, "Stripe is waited for", |order| {
        order.waiting_reason == "STRIPE_UNAVAILABLE"
    })
    .await;
    for order in [&owing, &paid] {
        let now = live.order(&order.id).await;
        assert_eq!(now.server_state(), ServerState::Running);
    }
    let (stripe, panel) = (&live.world.stripe, &live.world.panel);
    assert!(stripe.fired(down) > 0);
    let stopped = || {
        (
            panel.count_route("POST", SUSPEND),
            panel.count_route("DELETE", DELETE),
        )
    };
    assert_eq!(stopped(), (0, 0));
    stripe.clear_faults();
    wait_state(&live, &owing, ServerState::Suspended).await;
    assert_eq!(stopped(), (1, 0));
    let now = live.order(&paid.id).await;
    assert_eq!(now.server_state(), ServerState::Running);
    live.close().await;
}

/// O-02: its customer has paid meanwhile, and no event told of it.
async fn a_payment_nobody_heard_of_keeps_the_server_running(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    stripe.fail_payment(&live.subscription(&order)).unwrap();
    wait_status(&live, &order, "past_due").await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    set(&live, &order, SubscriptionStatus::Active);
    live.skip(GRACE);
    let read = wait_status(&live, &order, "active").await;
    assert_eq!(read.server_state(), ServerState::Running);
    // Likewise one whose payment came after the server was stopped, at the end of all.
    till::deliver_webhooks(&live, true);
    set(&live, &order, SubscriptionStatus::Unpaid);
    wait_state(&live, &order, ServerState::Suspended).await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    set(&live, &order, SubscriptionStatus::Active);
    live.skip(RETENTION);
    wait_state(&live, &order, ServerState::Running).await;
    assert_eq!(live.world.panel.count_route("POST", SUSPEND), 1);
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 0);
    live.close().await;
}

/// From now on Stripe says a word that it has added. Tells the fault, to see whether it was read.
async fn hibernate(live: &Live, order: &Order) -> FaultId {
    let path = format!("/v1/subscriptions/{}", live.subscription(order));
    let mut object = till::stripe_object(live, &path).await;
    object["status"] = json!("hibernating");
    let body = Some(object.to_string());
    let odd = Effect::Status { status: 200, body };
    let stripe = &live.world.stripe;
    let odd = stripe.inject(Fault::on("GET", &path, odd).always());
    stripe.fail_payment(&live.subscription(order)).unwrap();
    wait_status(live, order, "hibernating").await;
    odd
}

async fn a_word_that_nobody_knows_stops_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let before = live.counted(NEW_WORDS).await;
    let odd = hibernate(&live, &order).await;
    let read = live.order(&order.id).await;
    assert_eq!(read.server_state(), ServerState::Running);
    assert!(live.counted(NEW_WORDS).await > before);
    assert!(stripe.fired(odd) > 0);
    live.skip(30 * DAY);
    live.wait_until_unleased().await;
    let later = live.order(&order.id).await;
    assert_eq!(
        (later.server_state(), reasons(&later)),
        (ServerState::Running, vec![])
    );
    stripe.clear_faults();
    live.close().await;
}

/// It lifts nothing that billing began, and hinders nothing else from being lifted.
async fn a_word_that_nobody_knows_keeps_no_server_stopped(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let (held, disputed) = (running(&live).await, running(&live).await);
    let unpaid = running(&live).await;
    suspend(&live, &held.id).await;
    let subscription = live.subscription(&disputed);
    let dispute = stripe.open_dispute(&subscription, "fraudulent").unwrap();
    set(&live, &unpaid, SubscriptionStatus::Unpaid);
    for order in [&held, &disputed, &unpaid] {
        wait_state(&live, order, ServerState::Suspended).await;
        hibernate(&live, order).await;
    }
    suspend(&live, &unpaid.id).await;
    live.wait_until_unleased().await;
    for order in [&held, &unpaid] {
        unsuspend(&live, &order.id).await;
    }
    stripe.close_dispute(&dispute, DisputeOutcome::Won).unwrap();
    for order in [&held, &disputed] {
        let goes_on = wait_state(&live, order, ServerState::Running).await;
        assert_eq!(reasons(&goes_on), []);
        assert!(!live.made(&order.id).suspended);
    }
    live.wait_until_unleased().await;
    let stays = live.order(&unpaid.id).await;
    assert_eq!(stays.server_state(), ServerState::Suspended);
    assert_eq!(reasons(&stays), [SuspensionReason::Billing]);
    stripe.clear_faults();
    live.close().await;
}

/// Contract 3.7: a failed suspension is put back, and shows for a moment.
async fn a_node_that_is_down_is_waited_for_both_ways(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    for (status, state, suspended) in [
        (SubscriptionStatus::Unpaid, ServerState::Suspended, true),
        (SubscriptionStatus::Active, ServerState::Running, false),
    ] {
        panel.set_daemon(EAST.0, DaemonMode::Down);
        set(&live, &order, status);
        live.wait_for_reason(&order.id, "PANEL_UNAVAILABLE").await;
        assert_eq!(live.made(&order.id).suspended, !suspended);
        panel.set_daemon(EAST.0, DaemonMode::Ok);
        let now = wait_state(&live, &order, state).await;
        assert_eq!((now.attempts, now.error_reason.as_str()), (0, ""));
        assert_eq!(live.made(&order.id).suspended, suspended);
    }
    live.close().await;
}

/// Contract 5: what is suspended already is not told to the node again; so where nobody knows
/// whether it heard, it is let go on first.
async fn a_suspension_without_an_answer_reaches_the_node(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    let lost = PanelFault::on("POST", "/servers/", FaultAction::Drop).after_work();
    let lost = panel.inject(lost.times(1));
    set(&live, &order, SubscriptionStatus::Unpaid);
    wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(panel.fired(lost), 1);
    assert!(live.made(&order.id).suspended);
    let calls = [SUSPEND, UNSUSPEND].map(|route| panel.count_route("POST", route));
    assert_eq!(calls, [2, 1]);
    live.close().await;
}

/// Contract 3.6: suspended during an install, the panel forgets the install.
async fn a_server_is_not_stopped_while_it_installs(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let panel = &live.world.panel;
    panel.set_install_delay(Duration::from_secs(600));
    // An administrator runs the script again.
    till::administer(&live, &order, "reinstall").await;
    set(&live, &order, SubscriptionStatus::Unpaid);
    live.wait_for_reason(&order.id, "INSTALLING").await;
    assert_eq!(panel.count_route("POST", SUSPEND), 0);
    panel.advance(Duration::from_secs(600));
    wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(panel.count_route("POST", SUSPEND), 1);
    live.close().await;
}

/// W-18: the end of a subscription that was to end, with its event lost.
async fn a_planned_end_that_nobody_tells_of_is_noticed(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let subscription = live.subscription(&order);
    let path = format!("/v1/subscriptions/{subscription}");
    let ends_at = (OffsetDateTime::now_utc() + 2 * DAY).unix_timestamp();
    let answer = till::http()
        .post(format!("{}{path}", stripe.url()))
        .bearer_auth(stripe.secret_key())
        .form(&[("cancel_at", ends_at.to_string())])
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    let planned = live
        .wait_order(&order.id, "its end is known", |order| {
            order.cancel_time.is_some()
        })
        .await;
    assert_eq!(planned.server_state(), ServerState::Running);
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    live.world.stripe.advance(2 * DAY);
    live.skip(2 * DAY + Duration::from_secs(61));
    let stopped = wait_state(&live, &order, ServerState::Suspended).await;
    assert_eq!(stopped.status(), OrderStatus::Canceled);
    let reads = "SELECT count(*) FROM stripe_events WHERE type = 'customer.subscription.deleted'";
    assert_eq!(sql::count(&live.store.db, reads).await, 0);
    live.wait_until_unleased().await;
    live.close().await;
}

/// What was paid at first is known: for the rest of an order's life its subscription speaks,
/// and a session that was redacted or that cannot be read parks nothing.
async fn a_session_that_stripe_has_forgotten_is_not_missed(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let gone = Effect::Status {
        status: 404,
        body: None,
    };
    let path = format!("/v1/checkout/sessions/{}", order.stripe_checkout_session_id);
    let redacted = stripe.inject(Fault::on("GET", &path, gone).always());
    for (status, word) in [
        (SubscriptionStatus::PastDue, "past_due"),
        (SubscriptionStatus::Active, "active"),
    ] {
        set(&live, &order, status);
        let now = wait_status(&live, &order, word).await;
        assert_eq!(now.error_reason, "");
    }
    let subscription = live.subscription(&order);
    stripe.cancel_subscription(&subscription).unwrap();
    wait_state(&live, &order, ServerState::Suspended).await;
    live.skip(RETENTION);
    wait_state(&live, &order, ServerState::Deleted).await;
    assert_eq!(stripe.fired(redacted), 0, "the session was read again");
    live.close().await;
}
