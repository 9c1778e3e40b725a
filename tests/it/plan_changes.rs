//! Another plan for a server that runs: nothing is delivered that is not paid, and nothing paid
//! for that cannot be delivered.

mod names;
mod refusals;

use std::time::Duration;

use sandbox::stripe::{Effect, Fault, SubscriptionView};
use spawnpoint::rpc::proto::{self, Order, OrderStatus};
use tonic::Status;
use uuid::Uuid;

use crate::support::{
    changes::{ask, rename},
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, wait,
};

both_engines!(
    a_larger_plan_is_paid_and_delivered,
    what_is_not_paid_at_once_waits_for_its_customer,
    what_is_never_paid_leaves_everything_as_it_was,
    a_payment_that_nobody_told_of_is_found,
    what_is_left_out_goes_and_its_rest_is_credit,
    an_answer_that_is_lost_changes_nothing_twice,
    what_stripe_refuses_stands_in_nobodys_way,
    an_end_meanwhile_ends_the_change_too,
    who_stands_still_meanwhile_is_not_charged,
    what_people_deliver_meanwhile_stays_delivered,
    what_stripe_does_not_let_go_of_is_shown,
);

const BUILD: &str = "/servers/{server}/build";
const DETAILS: &str = "/servers/{server}/details";
const REFUSAL: &str =
    r#"{"error":{"type":"invalid_request_error","message":"managed by a schedule"}}"#;
/// Longer than Stripe keeps what is not paid.
const A_DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600 + 60);

async fn running(live: &Live) -> Order {
    live.buy(Uuid::new_v4()).await
}

fn subscription(live: &Live, order: &Order) -> SubscriptionView {
    live.world
        .stripe
        .subscription(&order.stripe_sub_id)
        .unwrap()
}

fn prices(live: &Live, order: &Order) -> Vec<String> {
    let items = subscription(live, order).items;
    let mut prices: Vec<String> = items.into_iter().map(|(price, _)| price).collect();
    prices.sort_unstable();
    prices
}

/// How often Stripe was told to change a subscription.
fn updates(live: &Live) -> usize {
    live.world.stripe.count("POST", "/v1/subscriptions/")
}

fn written(live: &Live) -> usize {
    live.world.panel.count_route("PATCH", BUILD)
}

/// Memory, disk and cores that an order holds, as text.
async fn held(live: &Live, order: &Order) -> String {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let query = format!(
        "SELECT CAST(ram_gb AS text) || '/' || CAST(disk_gb AS text) || '/' || \
         CAST(vcores AS text) FROM holds WHERE order_id = {id}"
    );
    sql::texts(&live.store.db, &query).await.concat()
}

async fn events(live: &Live, order: &Order) -> Vec<proto::OrderEvent> {
    let message = proto::ListOrderEventsRequest {
        order_id: order.id.clone(),
        page_size: 200,
        ..proto::ListOrderEventsRequest::default()
    };
    let mut client = live.orders();
    let listed = client.list_order_events(live.operator(message)).await;
    listed.unwrap().into_inner().events
}

/// Waits until the panel has the limits of a plan, and the order holds only that.
async fn delivered(live: &Live, order: &Order, memory: i64, holds: &str) {
    wait::until("the server has its limits", PATIENCE, || async {
        let server = live.world.panel.server(&order.id).unwrap();
        server.memory == memory && held(live, order).await == holds
    })
    .await;
}

/// The fields that a refusal names, sorted.
fn fields(refusal: &Status) -> Vec<String> {
    use tonic_types::StatusExt;
    let named = refusal.get_details_bad_request().unwrap().field_violations;
    let mut named: Vec<String> = named.into_iter().map(|violation| violation.field).collect();
    named.sort_unstable();
    named
}

async fn a_larger_plan_is_paid_and_delivered(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    assert_eq!(held(&live, &order).await, "2/20/1");
    let asked = ask(&live, &order.id, "mc-4gb", &["extra-database"])
        .await
        .unwrap();
    assert_eq!(
        (asked.plan_id.as_str(), asked.pending_plan_id.as_str()),
        ("mc-2gb", "mc-4gb"),
        "nothing is delivered on a wish alone"
    );
    let paid = live
        .wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    assert_eq!(paid.addons, ["extra-database"]);
    assert_eq!(
        (paid.pending_plan_id.as_str(), paid.error_reason.as_str()),
        ("", "")
    );
    let price = paid.price.clone().unwrap();
    assert_eq!(price.currency, "usd");
    assert_eq!(price.amount_minor, 1399 + 249);
    delivered(&live, &order, 4096, "4/40/2").await;
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!((server.disk, server.cpu), (40 * 1024, 200));
    assert_eq!(server.external_id.as_deref(), Some(order.id.as_str()));
    let mut wanted = [
        "price_test_mc_4gb_monthly",
        "price_test_extra_database_monthly",
    ];
    wanted.sort_unstable();
    assert_eq!(prices(&live, &order), wanted);
    assert_eq!((updates(&live), written(&live)), (1, 1));
    let names = live.world.panel.count_route("PATCH", DETAILS);
    assert_eq!(names, 0, "its name is its customer's");
    let told = events(&live, &order).await;
    for (what, from, to) in [
        ("plan_id", "mc-2gb", "mc-4gb"),
        ("pending_plan_id", "", "mc-4gb"),
        ("pending_plan_id", "mc-4gb", ""),
    ] {
        let event = told
            .iter()
            .find(|event| (event.what.as_str(), event.from.as_str()) == (what, from));
        assert_eq!(event.unwrap().to, to);
    }
    let price = told.iter().find(|event| event.what == "price").unwrap();
    assert_eq!(price.from, "699 usd");
    // Its subscription is what it is to be: a later read finds nothing to complain of.
    live.world
        .stripe
        .cancel_at_period_end(&order.stripe_sub_id, true)
        .unwrap();
    let read = live
        .wait_order(&order.id, "it is read", |order| order.cancel_time.is_some())
        .await;
    assert_eq!(read.error_reason, "");
    live.close().await;
}

/// Lets the card of an order decline, asks for a plan, and waits until Stripe waits.
async fn waiting(live: &Live, order: &Order, plan_id: &str) {
    let stripe = &live.world.stripe;
    stripe
        .set_card_declines(&order.stripe_sub_id, true)
        .unwrap();
    ask(live, &order.id, plan_id, &[]).await.unwrap();
    wait::until("Stripe waits for a payment", PATIENCE, || async {
        let id = sql::id(&live.store.db, order.id.parse().unwrap());
        let seen = format!(
            "SELECT count(*) FROM order_changes WHERE order_id = {id} AND look_us IS NOT NULL"
        );
        sql::count(&live.store.db, &seen).await == 1
    })
    .await;
    assert!(subscription(live, order).pending_update.is_some());
}

async fn what_is_not_paid_at_once_waits_for_its_customer(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    waiting(&live, &order, "mc-4gb").await;
    let now = live.order(&order.id).await;
    assert_eq!(
        (now.plan_id.as_str(), now.pending_plan_id.as_str()),
        ("mc-2gb", "mc-4gb")
    );
    assert_eq!(held(&live, &order).await, "4/40/2", "its room waits for it");
    let again = ask(&live, &order.id, "mc-8gb", &[]).await.unwrap_err();
    assert_eq!(reason(&again), "CHANGE_PENDING");
    assert_eq!(prices(&live, &order), ["price_test_mc_2gb_monthly"]);
    assert_eq!(written(&live), 0, "nothing is delivered before it is paid");
    live.world
        .stripe
        .pay_pending_update(&order.stripe_sub_id)
        .unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, &order, 4096, "4/40/2").await;
    assert_eq!((updates(&live), written(&live)), (1, 1));
    live.close().await;
}

async fn what_is_never_paid_leaves_everything_as_it_was(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    waiting(&live, &order, "mc-8gb").await;
    assert_eq!(held(&live, &order).await, "8/80/4");
    live.world.stripe.advance(A_DAY);
    live.skip(A_DAY);
    let now = live
        .wait_order(&order.id, "it is given up", |order| {
            order.pending_plan_id.is_empty()
        })
        .await;
    assert_eq!(now.plan_id, "mc-2gb");
    assert_eq!(now.price.unwrap().amount_minor, 699);
    assert_eq!(held(&live, &order).await, "2/20/1");
    assert_eq!((updates(&live), written(&live)), (1, 0));
    let told = events(&live, &order).await;
    let given_up = "the change to mc-8gb was given up: the difference was not paid";
    assert!(told.iter().any(|event| event.to == given_up), "{told:?}");
    // And it may be tried again.
    let stripe = &live.world.stripe;
    stripe
        .set_card_declines(&order.stripe_sub_id, false)
        .unwrap();
    ask(&live, &order.id, "mc-4gb", &[]).await.unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, &order, 4096, "4/40/2").await;
    live.close().await;
}

async fn a_payment_that_nobody_told_of_is_found(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    waiting(&live, &order, "mc-4gb").await;
    let stripe = &live.world.stripe;
    stripe.withhold(&["*"]);
    stripe.pay_pending_update(&order.stripe_sub_id).unwrap();
    assert_eq!(live.order(&order.id).await.plan_id, "mc-2gb");
    stripe.advance(HOUR);
    live.skip(HOUR);
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, &order, 4096, "4/40/2").await;
    live.close().await;
}

async fn what_is_left_out_goes_and_its_rest_is_credit(engine: Engine) {
    let live = Live::open(engine).await;
    let with_addon = proto::CreateCheckoutSessionRequest {
        addon_ids: vec!["extra-vcpu".to_owned(), "discord-integration".to_owned()],
        ..cart(Uuid::new_v4())
    };
    let order = live.buy_cart(with_addon).await;
    assert_eq!(held(&live, &order).await, "2/20/2");
    let done = proto::CompleteManualAddonRequest {
        order_id: order.id.clone(),
        addon_id: "discord-integration".to_owned(),
        request_id: String::new(),
    };
    let mut client = live.orders();
    client
        .complete_manual_addon(live.operator(done))
        .await
        .unwrap();
    let fewer = ["discord-integration", "advanced-analytics"];
    // One add-on becomes another, and then one goes for good.
    ask(&live, &order.id, "mc-2gb", &fewer).await.unwrap();
    let changed = live
        .wait_order(&order.id, "it is changed", |order| order.addons == fewer)
        .await;
    let manual: Vec<(&str, bool)> = changed
        .manual_addons
        .iter()
        .map(|addon| (addon.addon_id.as_str(), addon.done))
        .collect();
    assert_eq!(
        manual,
        [("advanced-analytics", false), ("discord-integration", true)],
        "what was delivered stays delivered"
    );
    wait::until("it is delivered", PATIENCE, || async {
        held(&live, &order).await == "2/20/1"
    })
    .await;
    ask(&live, &order.id, "mc-2gb", &[]).await.unwrap();
    live.wait_order(&order.id, "it is changed", |order| order.addons.is_empty())
        .await;
    assert_eq!(prices(&live, &order), ["price_test_mc_2gb_monthly"]);
    assert_eq!(updates(&live), 2, "one swap, one removal");
    wait::until("nothing is on its way", PATIENCE, || async {
        sql::count(&live.store.db, "SELECT count(*) FROM order_changes").await == 0
    })
    .await;
    assert_eq!(live.world.panel.server(&order.id).unwrap().cpu, 100);
    live.close().await;
}

async fn an_answer_that_is_lost_changes_nothing_twice(engine: Engine) {
    let live = Live::open_impatient(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let lost = Fault::on("POST", "/v1/subscriptions/", Effect::DropAfter).times(1);
    let lost = stripe.inject(lost);
    let nodes = sandbox::panel::Fault::on("PATCH", "/servers/", sandbox::panel::FaultAction::Drop);
    let unheard = live.world.panel.inject(nodes.after_work().times(1));
    ask(&live, &order.id, "mc-4gb", &[]).await.unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, &order, 4096, "4/40/2").await;
    assert_eq!(stripe.fired(lost), 1);
    assert_eq!(live.world.panel.fired(unheard), 1);
    assert_eq!(prices(&live, &order), ["price_test_mc_4gb_monthly"]);
    let paid = stripe.events();
    let paid = paid.iter().filter(|event| event.kind == "invoice.paid");
    assert_eq!(paid.count(), 2, "the first, and one for the difference");
    live.close().await;
}

async fn what_stripe_refuses_stands_in_nobodys_way(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let effect = Effect::Status {
        status: 400,
        body: Some(REFUSAL.to_owned()),
    };
    let refused = Fault::on("POST", "/v1/subscriptions/", effect).times(1);
    let refused = stripe.inject(refused);
    ask(&live, &order.id, "mc-4gb", &[]).await.unwrap();
    let now = live
        .wait_order(&order.id, "it is given up", |order| {
            order.pending_plan_id.is_empty()
        })
        .await;
    assert_eq!(stripe.fired(refused), 1);
    assert_eq!(
        (now.plan_id.as_str(), now.error_reason.as_str()),
        ("mc-2gb", "")
    );
    assert_eq!(held(&live, &order).await, "2/20/1");
    live.close().await;
}

async fn an_end_meanwhile_ends_the_change_too(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    waiting(&live, &order, "mc-4gb").await;
    live.world
        .stripe
        .cancel_subscription(&order.stripe_sub_id)
        .unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    assert_eq!(live.order(&order.id).await.pending_plan_id, "");
    assert_eq!(held(&live, &order).await, "2/20/1", "no more than it has");
    let late = ask(&live, &order.id, "mc-4gb", &[]).await.unwrap_err();
    assert_eq!(reason(&late), "ORDER_ENDED");
    let named = rename(&live, &order.id, "Too late").await.unwrap_err();
    assert_eq!(reason(&named), "ORDER_ENDED");
    let retention = Duration::from_secs(7 * 24 * 3600);
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == proto::ServerState::Suspended
    })
    .await;
    live.world.stripe.advance(retention);
    live.skip(retention);
    live.wait_order(&order.id, "it is deleted", |order| {
        order.server_state() == proto::ServerState::Deleted
    })
    .await;
    wait::until("nothing is on its way", PATIENCE, || async {
        sql::count(&live.store.db, "SELECT count(*) FROM order_changes").await == 0
            && sql::count(&live.store.db, "SELECT count(*) FROM holds").await == 0
    })
    .await;
    live.close().await;
}

/// Stripe is away when the change is asked for, and back once an operator has stopped the server.
async fn who_stands_still_meanwhile_is_not_charged(engine: Engine) {
    let live = Live::open_impatient(engine, &[]).await;
    let order = running(&live).await;
    let stripe = &live.world.stripe;
    let away = Fault::on("GET", "/v1/subscriptions/", Effect::DropBefore).always();
    let away = stripe.inject(away);
    ask(&live, &order.id, "mc-4gb", &[]).await.unwrap();
    let message = proto::SuspendServerRequest {
        order_id: order.id.clone(),
        note: "abuse".to_owned(),
        request_id: String::new(),
    };
    let mut client = live.provisioning();
    client.suspend_server(live.operator(message)).await.unwrap();
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == proto::ServerState::Suspended
    })
    .await;
    assert!(stripe.fired(away) > 0);
    stripe.clear_faults();
    live.wait_order(&order.id, "it is given up", |order| {
        order.pending_plan_id.is_empty()
    })
    .await;
    let told = events(&live, &order).await;
    let given_up = "the change to mc-4gb was given up: its server does not run";
    assert!(told.iter().any(|event| event.to == given_up), "{told:?}");
    assert_eq!(
        (updates(&live), held(&live, &order).await.as_str()),
        (0, "2/20/1")
    );
    live.close().await;
}

async fn what_people_deliver_meanwhile_stays_delivered(engine: Engine) {
    let live = Live::open(engine).await;
    let addon = "discord-integration";
    let with_addon = proto::CreateCheckoutSessionRequest {
        addon_ids: vec![addon.to_owned()],
        ..cart(Uuid::new_v4())
    };
    let order = live.buy_cart(with_addon).await;
    let stripe = &live.world.stripe;
    stripe
        .set_card_declines(&order.stripe_sub_id, true)
        .unwrap();
    ask(&live, &order.id, "mc-4gb", &[addon]).await.unwrap();
    wait::until("Stripe waits for a payment", PATIENCE, || async {
        subscription(&live, &order).pending_update.is_some()
    })
    .await;
    let done = proto::CompleteManualAddonRequest {
        order_id: order.id.clone(),
        addon_id: addon.to_owned(),
        request_id: String::new(),
    };
    let mut client = live.orders();
    client
        .complete_manual_addon(live.operator(done))
        .await
        .unwrap();
    stripe.pay_pending_update(&order.stripe_sub_id).unwrap();
    let paid = live
        .wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    assert!(paid.manual_addons[0].done, "{paid:?}");
    delivered(&live, &order, 4096, "4/40/2").await;
    live.close().await;
}

/// The larger plan is paid; the add-on that goes with the smaller one cannot be removed.
async fn what_stripe_does_not_let_go_of_is_shown(engine: Engine) {
    let live = Live::open(engine).await;
    let with_addon = proto::CreateCheckoutSessionRequest {
        addon_ids: vec!["extra-vcpu".to_owned()],
        ..cart(Uuid::new_v4())
    };
    let order = live.buy_cart(with_addon).await;
    let stripe = &live.world.stripe;
    let effect = Effect::Status {
        status: 400,
        body: Some(REFUSAL.to_owned()),
    };
    let refused = Fault::on("POST", "/v1/subscriptions/", effect).nth(2);
    let refused = stripe.inject(refused);
    ask(&live, &order.id, "mc-4gb", &[]).await.unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, &order, 4096, "4/40/2").await;
    assert_eq!((stripe.fired(refused), updates(&live)), (1, 2));
    stripe
        .cancel_at_period_end(&order.stripe_sub_id, true)
        .unwrap();
    live.wait_order(&order.id, "it is shown", |order| {
        order.error_reason == "PLAN_MISMATCH"
    })
    .await;
    live.close().await;
}
