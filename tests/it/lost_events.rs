//! Events that no webhook brings, or that Stripe never made: the sweeps find what they would
//! have told.

use std::time::Duration;

use sandbox::{
    faults::{self, FaultAction},
    stripe::{ApiVersion, Effect, Fault, PayMode, SubscriptionStatus},
};
use serde_json::{Value, json};
use spawnpoint::{
    boot::Mode,
    rpc::proto::{self, Order, OrderStatus, ServerState},
};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, sweeps, till, wait,
};

both_engines!(
    with_every_webhook_lost_for_four_days_one_pass_heals_everything,
    with_every_webhook_lost_one_pass_finds_what_became_of_money,
    what_stripe_itself_lost_is_seen_in_its_list_of_subscriptions,
    a_look_that_breaks_off_goes_on_where_it_was,
    a_list_longer_than_one_look_is_seen_to_its_end,
    what_is_listed_and_is_not_ours_changes_nothing,
    an_account_that_knows_nothing_stops_no_server,
);

const DAY: Duration = Duration::from_secs(24 * 3600);

const EVENTS: &str = "stripe_events";
const SUBSCRIPTIONS: &str = "subscriptions";
const SUBSCRIPTION_LIST: &str = "/v1/subscriptions";

/// A shop whose sweeps have looked once, and look again when they are told to.
async fn open(engine: Engine) -> Live {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    sweeps::looked(&live, &[EVENTS, SUBSCRIPTIONS]).await;
    live
}

async fn running(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_running(&order.id).await
}

/// No event is delivered any more; those that were are settled.
async fn go_deaf(live: &Live) {
    till::delivered(live).await;
    till::deliver_webhooks(live, false);
}

fn set(live: &Live, order: &Order, status: SubscriptionStatus) {
    let subscription = live.subscription(order);
    let stripe = &live.world.stripe;
    stripe
        .set_subscription_status(&subscription, status)
        .unwrap();
}

/// Lets so much time pass, here and at Stripe.
fn pass(live: &Live, by: Duration) {
    live.world.stripe.advance(by);
    live.skip(by);
}

async fn wait_for(live: &Live, order: &Order, status: OrderStatus, state: ServerState) {
    live.wait_order(&order.id, "what no webhook told is known", |order| {
        (order.status(), order.server_state()) == (status, state)
    })
    .await;
}

/// W-18. Finding 4: a lost webhook left nothing to compare with.
async fn with_every_webhook_lost_for_four_days_one_pass_heals_everything(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let ended = running(&live).await;
    let unpaid = running(&live).await;
    let planned = running(&live).await;
    let untouched = running(&live).await;
    let bought = live.reserve(cart(Uuid::new_v4())).await;
    let failed = live.reserve(cart(Uuid::new_v4())).await;
    let session = &failed.stripe_checkout_session_id;
    stripe.pay(session, PayMode::Unpaid).unwrap();
    go_deaf(&live).await;
    let told = till::rows(&live, "stripe_events").await;

    live.pay(&bought);
    stripe.settle(session, false).unwrap();
    stripe
        .cancel_subscription(&live.subscription(&ended))
        .unwrap();
    set(&live, &unpaid, SubscriptionStatus::Unpaid);
    let subscription = live.subscription(&planned);
    stripe.cancel_at_period_end(&subscription, true).unwrap();
    assert_eq!(till::rows(&live, "stripe_events").await, told);
    pass(&live, 4 * DAY);
    sweeps::look(&live, EVENTS).await;

    wait_for(&live, &ended, OrderStatus::Canceled, ServerState::Suspended).await;
    wait_for(
        &live,
        &unpaid,
        OrderStatus::Provisioned,
        ServerState::Suspended,
    )
    .await;
    live.wait_order(&planned.id, "its end is known", |order| {
        order.cancel_time.is_some()
    })
    .await;
    live.wait_running(&bought.id).await;
    wait_for(&live, &failed, OrderStatus::Canceled, ServerState::None).await;
    assert_eq!(
        live.order(&untouched.id).await.server_state(),
        ServerState::Running
    );
    let swept = "SELECT count(*) FROM stripe_events WHERE source = 'sweep'";
    let swept = sql::count(&live.store.db, swept).await;
    assert_eq!(swept, till::rows(&live, "stripe_events").await - told);
    assert!(swept >= 5, "{swept}");
    let look = sweeps::shown(&live, EVENTS).await;
    assert_eq!(i64::from(look.finds), swept, "one pass found all of it");
    assert!(look.last_run_time.is_some());
    live.close().await;
}

/// W-18, of money: a debt that was paid, a payment that a bank disputes, one that was given back,
/// and an order that was paid twice.
async fn with_every_webhook_lost_one_pass_finds_what_became_of_money(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let owed = running(&live).await;
    let disputed = running(&live).await;
    let given_back = running(&live).await;
    let twice = running(&live).await;
    set(&live, &owed, SubscriptionStatus::Unpaid);
    let (stays, stopped) = (OrderStatus::Provisioned, ServerState::Suspended);
    wait_for(&live, &owed, stays, stopped).await;
    go_deaf(&live).await;
    set(&live, &owed, SubscriptionStatus::Active);
    stripe
        .open_dispute(&live.subscription(&disputed), "fraudulent")
        .unwrap();
    stripe
        .refund_by_hand(&live.subscription(&given_back), None)
        .unwrap();
    let second = till::pay_again(&live, &twice).await;
    let second = stripe.session(&second).unwrap().subscription.unwrap();
    pass(&live, 4 * DAY);
    sweeps::look(&live, EVENTS).await;
    sweeps::look(&live, "charges").await;

    live.wait_running(&owed.id).await;
    wait_for(&live, &disputed, stays, stopped).await;
    wait_for(&live, &given_back, OrderStatus::Canceled, stopped).await;
    wait::until("the second payment went back", PATIENCE, || async {
        stripe
            .refunds()
            .iter()
            .any(|refund| refund.subscription.as_ref() == Some(&second))
    })
    .await;
    live.wait_until_unleased().await;
    let ended = stripe.subscription(&second).unwrap();
    assert_eq!(ended.status, SubscriptionStatus::Canceled);
    live.wait_running(&twice.id).await;
    assert_eq!(stripe.refunds().len(), 2);
    live.close().await;
}

/// Stripe may fail to make an event at all; then its list of events lacks it too.
async fn what_stripe_itself_lost_is_seen_in_its_list_of_subscriptions(engine: Engine) {
    let live = open(engine).await;
    let (ended, unpaid) = (running(&live).await, running(&live).await);
    let untouched = running(&live).await;
    go_deaf(&live).await;
    let before = till::hints(&live, &untouched.id).await;
    live.world
        .stripe
        .cancel_subscription(&live.subscription(&ended))
        .unwrap();
    set(&live, &unpaid, SubscriptionStatus::Unpaid);
    sweeps::look(&live, SUBSCRIPTIONS).await;
    wait_for(&live, &ended, OrderStatus::Canceled, ServerState::Suspended).await;
    wait_for(
        &live,
        &unpaid,
        OrderStatus::Provisioned,
        ServerState::Suspended,
    )
    .await;
    let changes = till::changes(&live, &unpaid.id).await;
    let found = changes
        .iter()
        .filter(|change| change.actor == "sweep:subscriptions");
    assert_eq!(found.count(), 1);
    // The next look finds nothing new, and nobody is read for nothing.
    sweeps::look(&live, SUBSCRIPTIONS).await;
    let looked = "SELECT count(*) FROM sweeps WHERE name = 'subscriptions' AND finds = 0";
    assert_eq!(sql::count(&live.store.db, looked).await, 1);
    assert_eq!(till::hints(&live, &untouched.id).await, before);
    live.close().await;
}

async fn a_look_that_breaks_off_goes_on_where_it_was(engine: Engine) {
    let live = open(engine).await;
    let stripe = &live.world.stripe;
    let order = running(&live).await;
    go_deaf(&live).await;
    // What is to be found is the oldest of more events than one page holds.
    set(&live, &order, SubscriptionStatus::Unpaid);
    let other = running_unheard(&live).await;
    for _ in 0..70 {
        set(&live, &other, SubscriptionStatus::PastDue);
        set(&live, &other, SubscriptionStatus::Active);
    }
    let down = Effect::Status {
        status: 503,
        body: None,
    };
    let down = stripe.inject(Fault::on("GET", "/v1/events", down).nth(2).times(20));
    sweeps::look(&live, EVENTS).await;
    let broken =
        "SELECT count(*) FROM sweeps WHERE name = 'stripe_events' AND cursor LIKE '%evt_%'";
    assert_eq!(sql::count(&live.store.db, broken).await, 1, "it broke off");
    assert!(stripe.fired(down) > 0);
    assert_eq!(
        live.order(&order.id).await.server_state(),
        ServerState::Running
    );
    stripe.clear_faults();
    sweeps::look(&live, EVENTS).await;
    wait_for(
        &live,
        &order,
        OrderStatus::Provisioned,
        ServerState::Suspended,
    )
    .await;
    live.close().await;
}

/// Twenty pages are read in one turn, and the next one is not six hours later.
async fn a_list_longer_than_one_look_is_seen_to_its_end(engine: Engine) {
    let mut live = open(engine).await;
    let (oldest, newest) = (running(&live).await, running(&live).await);
    go_deaf(&live).await;
    set(&live, &oldest, SubscriptionStatus::Unpaid);
    let path = format!("/v1/subscriptions/{}", live.subscription(&newest));
    let page = json!({
        "object": "list", "url": SUBSCRIPTION_LIST, "has_more": true,
        "data": [till::stripe_object(&live, &path).await],
    });
    let page = FaultAction::Status {
        status: 200,
        body: page.to_string(),
        content_type: None,
        headers: Vec::new(),
    };
    let pages = faults::Fault::on_route("GET", SUBSCRIPTION_LIST, page).times(20);
    live.world.stop_cores().await;
    let pages = live.world.stripe.inject(pages);
    let before = till::stripe_calls(&live, "GET", SUBSCRIPTION_LIST).len();
    let due = "UPDATE sweeps SET last_run_us = NULL WHERE name = 'subscriptions'";
    sql::run(&live.store.db, due).await.unwrap();
    live.world.start_core(Mode::All).await.unwrap();
    wait_for(
        &live,
        &oldest,
        OrderStatus::Provisioned,
        ServerState::Suspended,
    )
    .await;
    let through = "SELECT count(*) FROM sweeps WHERE name = 'subscriptions'
        AND last_run_us IS NOT NULL AND cursor = '' AND lease_owner IS NULL";
    wait::until("the look is through", PATIENCE, || async {
        sql::count(&live.store.db, through).await == 1
    })
    .await;
    assert_eq!(live.world.stripe.fired(pages), 20);
    let calls = till::stripe_calls(&live, "GET", SUBSCRIPTION_LIST).len();
    assert_eq!(calls - before, 21, "each page once");
    live.close().await;
}

/// An order that was paid, and of which nobody has heard.
async fn running_unheard(live: &Live) -> Order {
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.pay(&order);
    order
}

/// W-06: an account at Stripe is shared, and a list may hold what nobody can read.
async fn what_is_listed_and_is_not_ours_changes_nothing(engine: Engine) {
    let live = open(engine).await;
    let order = running(&live).await;
    go_deaf(&live).await;
    let before = live.order(&order.id).await;
    let event = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut event = json!({
            "id": id, "object": "event", "api_version": ApiVersion::NEW, "livemode": false,
            "created": 1_800_000_000, "type": "customer.subscription.deleted",
            "data": {"object": {"id": "sub_foreign", "object": "subscription", "metadata": {}}},
        });
        change(&mut event);
        event
    };
    let ours = |event: &mut Value| {
        event["data"]["object"]["metadata"]["order_id"] = json!(order.id);
    };
    let listed = json!({
        "object": "list", "url": "/v1/events", "has_more": false,
        "data": [
            event("evt_foreign", &|_| {}),
            event("evt_live", &|event| {
                ours(event);
                event["livemode"] = json!(true);
            }),
            event("evt_other", &|event| {
                ours(event);
                event["data"]["object"]["id"] = json!("sub_other");
            }),
            event("evt_torn", &|event| event["type"] = Value::Null),
        ],
    });
    let body = Some(listed.to_string());
    let listed = Effect::Status { status: 200, body };
    let stripe = &live.world.stripe;
    let listed = stripe.inject(Fault::on("GET", "/v1/events", listed));
    sweeps::look(&live, EVENTS).await;
    assert_eq!(stripe.fired(listed), 1);
    for (id, state) in [("evt_foreign", "ignored:"), ("evt_live", "ignored:")] {
        assert_eq!(till::inbox(&live, id).await.as_deref(), Some(state), "{id}");
    }
    let failed = till::inbox(&live, "evt_other").await.unwrap();
    assert!(failed.starts_with("failed:"), "{failed}");
    assert_eq!(till::inbox(&live, "evt_torn").await, None);
    live.wait_until_unleased().await;
    assert_eq!(live.order(&order.id).await.version, before.version);
    live.close().await;
}

/// O-03: Stripe lists nothing, and then knows none of our subscriptions, as with a key of another
/// account. Nothing is stopped, deleted or parked for it, and all goes on by itself once the key is
/// right again.
async fn an_account_that_knows_nothing_stops_no_server(engine: Engine) {
    let live = open(engine).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(running(&live).await);
    }
    let (stripe, panel) = (&live.world.stripe, &live.world.panel);
    let empty = stripe.inject(faults::Fault::on(
        "GET",
        "/v1/subscriptions",
        FaultAction::EmptyList,
    ));
    sweeps::look(&live, SUBSCRIPTIONS).await;
    assert!(stripe.fired(empty) > 0);
    stripe.clear_faults();
    let unknown = Effect::Status {
        status: 404,
        body: None,
    };
    let unknown = stripe.inject(Fault::on("GET", "/v1/subscriptions/", unknown).always());
    // Each is read for an event of its own, which says nothing new.
    for order in &orders {
        let session = &order.stripe_checkout_session_id;
        let told = till::event_about(&live, "checkout.session.completed", session);
        let message = proto::ReplayStripeEventRequest { event_id: told.id };
        let mut client = live.orders();
        let replayed = client.replay_stripe_event(live.operator(message)).await;
        replayed.unwrap();
    }
    wait::until("all were asked for", PATIENCE, || async {
        stripe.fired(unknown) >= 12
    })
    .await;
    for order in &orders {
        let now = live.wait_for_reason(&order.id, "STRIPE_UNAVAILABLE").await;
        assert_eq!(
            (now.status(), now.server_state(), now.error_reason.as_str()),
            (OrderStatus::Provisioned, ServerState::Running, "")
        );
        assert_eq!(
            live.tries(&order.id).await,
            0,
            "it is not this order's fault"
        );
    }
    stripe.clear_faults();
    for order in &orders {
        live.wait_for_reason(&order.id, "").await;
    }
    live.wait_until_unleased().await;
    let touched =
        |call: &&sandbox::panel::Call| call.method == "DELETE" || call.path.ends_with("/suspend");
    assert_eq!(panel.calls().iter().filter(touched).count(), 0);
    live.close().await;
}
