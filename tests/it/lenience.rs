//! Plans that are more or less lenient than their shop with whoever does not pay, and orders that
//! keep what they were sold.

use std::time::Duration;

use sandbox::stripe::{DisputeOutcome, SubscriptionStatus};
use spawnpoint::{
    app::catalog::file,
    boot::Mode,
    db::orders,
    domain::{DAY_US, OrderId, dispute::DisputePolicy, entitlement::Patience, lenience::Lenience},
    rpc::proto::{Order, OrderStatus, ServerState, SuspensionReason},
};
use uuid::Uuid;

use crate::support::{
    changes::ask,
    db::Engine,
    live::{Live, PATIENCE},
    provisioning::cart_of,
    sql, till, wait,
};

both_engines!(
    each_plan_has_its_own_grace_and_retention,
    a_catalog_that_says_otherwise_later_changes_nothing_that_is_sold,
    a_shop_that_says_otherwise_later_changes_nothing_that_is_sold,
    a_plan_may_do_otherwise_about_disputes,
    a_change_of_plan_brings_what_its_plan_says_once_it_is_paid,
);

const DAY: Duration = Duration::from_secs(24 * 3600);
const DELETE: &str = "/servers/{server}";
/// Says nothing of its own: as the shop is.
const SILENT: &str = "mc-2gb";
/// Says what a test has it say.
const OWN: &str = "mc-4gb";

/// The example catalog with more lines in its plans.
fn catalog(says: &[(&str, &str)]) -> String {
    let edits: Vec<(String, String)> = says
        .iter()
        .map(|(plan, lines)| {
            (
                format!("[plans.{plan}]"),
                format!("[plans.{plan}]\n{lines}"),
            )
        })
        .collect();
    let edits: Vec<(&str, &str)> = edits
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    till::catalog_with(&edits)
}

async fn open(engine: Engine, says: &[(&str, &str)], variables: &[(&str, &str)]) -> Live {
    Live::open_with(engine, |options| {
        options.catalog = catalog(says);
        options.set("SWEEP_CHARGES_SECONDS", "0.2");
        options.set_all(variables);
    })
    .await
}

/// Brings the open shop to another catalog.
async fn apply(live: &Live, says: &[(&str, &str)]) {
    let db = &live.world.cores[0].app.db;
    file::apply(db, &catalog(says)).await.unwrap();
}

async fn running(live: &Live, plan_id: &str) -> Order {
    live.buy_cart(cart_of(Uuid::new_v4(), plan_id)).await
}

/// Has a renewal fail, and waits until that is known.
async fn owe(live: &Live, order: &Order) {
    let stripe = &live.world.stripe;
    stripe.fail_payment(&order.stripe_sub_id).unwrap();
    live.wait_order(&order.id, "it is past due", |order| {
        order.subscription_status == "past_due"
    })
    .await;
}

fn cancel(live: &Live, order: &Order) {
    let stripe = &live.world.stripe;
    stripe.cancel_subscription(&order.stripe_sub_id).unwrap();
}

async fn until_state(live: &Live, order: &Order, state: ServerState) -> Order {
    live.wait_order(&order.id, state.as_str_name(), |order| {
        order.server_state() == state && order.waiting_reason.is_empty()
    })
    .await
}

/// Once nobody works at anything, the order's server is so.
async fn assert_state(live: &Live, order: &Order, state: ServerState) {
    live.wait_until_unleased().await;
    assert_eq!(live.order(&order.id).await.server_state(), state);
}

/// What the order was sold with.
async fn sold(live: &Live, order: &Order) -> Option<Lenience> {
    let id = OrderId(order.id.parse().unwrap());
    let facts = orders::find(live.store.db.read(), id).await.unwrap();
    facts.unwrap().order.lenience
}

fn lenience(grace: i64, retention: i64, disputes: DisputePolicy) -> Lenience {
    Lenience {
        patience: Patience {
            grace_us: grace * DAY_US,
            retention_us: retention * DAY_US,
        },
        disputes,
    }
}

async fn each_plan_has_its_own_grace_and_retention(engine: Engine) {
    let says = [(OWN, "grace_days = 1\nretention_days = 2")];
    let live = open(engine, &says, &[]).await;
    let (usual, own) = (running(&live, SILENT).await, running(&live, OWN).await);
    let suspends = DisputePolicy::Suspend;
    assert_eq!(sold(&live, &usual).await, Some(lenience(3, 7, suspends)));
    assert_eq!(sold(&live, &own).await, Some(lenience(1, 2, suspends)));
    // Past due at the same time, and one of them is stopped.
    owe(&live, &usual).await;
    owe(&live, &own).await;
    live.skip(DAY);
    let stopped = until_state(&live, &own, ServerState::Suspended).await;
    let reasons: Vec<_> = stopped.suspension_reasons().collect();
    assert_eq!(reasons, [SuspensionReason::Billing]);
    assert_state(&live, &usual, ServerState::Running).await;
    live.skip(2 * DAY);
    until_state(&live, &usual, ServerState::Suspended).await;
    // Each is kept since it stands still, for its own time; and as long as Stripe tries.
    assert_state(&live, &own, ServerState::Suspended).await;
    for order in [&usual, &own] {
        cancel(&live, order);
    }
    until_state(&live, &own, ServerState::Deleted).await;
    live.wait_order(&usual.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    live.wait_until_unleased().await;
    live.skip(6 * DAY);
    assert_state(&live, &usual, ServerState::Suspended).await;
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 1);
    live.skip(DAY);
    until_state(&live, &usual, ServerState::Deleted).await;
    live.close().await;
}

async fn a_catalog_that_says_otherwise_later_changes_nothing_that_is_sold(engine: Engine) {
    let says = [(OWN, "grace_days = 2\nretention_days = 5")];
    let live = open(engine, &says, &[]).await;
    let (usual, own) = (running(&live, SILENT).await, running(&live, OWN).await);
    let nothing = "grace_days = 0\nretention_days = 0\ndisputes = \"ignore\"";
    apply(&live, &[(SILENT, nothing), (OWN, nothing)]).await;
    // Who buys now gets what is said now.
    let late = running(&live, SILENT).await;
    let ignores = DisputePolicy::Ignore;
    assert_eq!(sold(&live, &late).await, Some(lenience(0, 0, ignores)));
    owe(&live, &late).await;
    until_state(&live, &late, ServerState::Suspended).await;
    cancel(&live, &late);
    until_state(&live, &late, ServerState::Deleted).await;
    for order in [&usual, &own] {
        owe(&live, order).await;
        assert_state(&live, order, ServerState::Running).await;
        cancel(&live, order);
        until_state(&live, order, ServerState::Suspended).await;
    }
    live.skip(4 * DAY);
    for order in [&usual, &own] {
        assert_state(&live, order, ServerState::Suspended).await;
    }
    live.skip(DAY);
    until_state(&live, &own, ServerState::Deleted).await;
    assert_state(&live, &usual, ServerState::Suspended).await;
    live.skip(2 * DAY);
    until_state(&live, &usual, ServerState::Deleted).await;
    live.close().await;
}

/// And an order of before that was kept follows its shop.
async fn a_shop_that_says_otherwise_later_changes_nothing_that_is_sold(engine: Engine) {
    let mut live = open(engine, &[], &[]).await;
    let (kept, older) = (running(&live, SILENT).await, running(&live, SILENT).await);
    live.wait_until_unleased().await;
    live.world.stop_cores().await;
    let id = sql::id(&live.store.db, older.id.parse().unwrap());
    let forget = format!("UPDATE orders SET lenience = NULL WHERE id = {id}");
    sql::run(&live.store.db, &forget).await.unwrap();
    live.world.reconfigure(|config| {
        (config.shop.grace_days, config.shop.retention_days) = (0, 9);
    });
    live.world.start_core(Mode::All).await.unwrap();
    assert_eq!(sold(&live, &older).await, None);
    owe(&live, &kept).await;
    owe(&live, &older).await;
    until_state(&live, &older, ServerState::Suspended).await;
    assert_state(&live, &kept, ServerState::Running).await;
    for order in [&kept, &older] {
        cancel(&live, order);
        live.wait_order(&order.id, "it is over", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
        until_state(&live, order, ServerState::Suspended).await;
    }
    live.wait_until_unleased().await;
    live.skip(7 * DAY);
    until_state(&live, &kept, ServerState::Deleted).await;
    assert_state(&live, &older, ServerState::Suspended).await;
    live.skip(2 * DAY);
    until_state(&live, &older, ServerState::Deleted).await;
    live.close().await;
}

/// How many remarks of an order tell of it.
async fn noted(live: &Live, order: &Order, text: &str) -> usize {
    let events = live.events(&order.id).await;
    let notes = events.iter().filter(|event| event.what == "note");
    notes.filter(|event| event.to.contains(text)).count()
}

async fn a_plan_may_do_otherwise_about_disputes(engine: Engine) {
    for (shop, plan) in [("suspend", "ignore"), ("ignore", "suspend")] {
        let says = format!("disputes = \"{plan}\"");
        let live = open(engine, &[(OWN, &says)], &[("DISPUTES", shop)]).await;
        let (usual, own) = (running(&live, SILENT).await, running(&live, OWN).await);
        let (stops, goes_on) = if shop == "suspend" {
            (&usual, &own)
        } else {
            (&own, &usual)
        };
        let stripe = &live.world.stripe;
        let dispute = |order: &Order| {
            let disputed = stripe.open_dispute(&order.stripe_sub_id, "fraudulent");
            disputed.unwrap()
        };
        let disputes = [goes_on, stops].map(dispute);
        let stopped = until_state(&live, stops, ServerState::Suspended).await;
        let reasons: Vec<_> = stopped.suspension_reasons().collect();
        assert_eq!(reasons, [SuspensionReason::Dispute]);
        wait::until("the other is noted", PATIENCE, || async {
            noted(&live, goes_on, "a bank disputes a payment").await == 1
        })
        .await;
        assert_state(&live, goes_on, ServerState::Running).await;
        for disputed in &disputes {
            stripe
                .close_dispute(disputed, DisputeOutcome::Lost)
                .unwrap();
        }
        live.wait_order(&stops.id, "it is over", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
        wait::until("the other is noted", PATIENCE, || async {
            noted(&live, goes_on, "a dispute was lost").await == 1
        })
        .await;
        assert_state(&live, goes_on, ServerState::Running).await;
        let subscription = stripe.subscription(&goes_on.stripe_sub_id).unwrap();
        assert_eq!(subscription.status, SubscriptionStatus::Active);
        live.close().await;
    }
}

async fn a_change_of_plan_brings_what_its_plan_says_once_it_is_paid(engine: Engine) {
    let says = [(
        OWN,
        "grace_days = 0\nretention_days = 1\ndisputes = \"ignore\"",
    )];
    let live = open(engine, &says, &[]).await;
    let order = running(&live, SILENT).await;
    let (stripe, id) = (&live.world.stripe, order.id.as_str());
    stripe
        .set_card_declines(&order.stripe_sub_id, true)
        .unwrap();
    ask(&live, id, OWN, &[]).await.unwrap();
    wait::until("Stripe waits for a payment", PATIENCE, || async {
        let subscription = stripe.subscription(&order.stripe_sub_id).unwrap();
        subscription.pending_update.is_some()
    })
    .await;
    live.wait_until_unleased().await;
    let before = lenience(3, 7, DisputePolicy::Suspend);
    assert_eq!(sold(&live, &order).await, Some(before), "it is not paid");
    // It is sold as it was when it was asked for.
    apply(&live, &[(OWN, "retention_days = 30")]).await;
    stripe.pay_pending_update(&order.stripe_sub_id).unwrap();
    live.wait_order(id, "it is paid", |order| order.plan_id == OWN)
        .await;
    let after = lenience(0, 1, DisputePolicy::Ignore);
    assert_eq!(sold(&live, &order).await, Some(after));
    wait::until("the server follows", PATIENCE, || async {
        sql::count(&live.store.db, "SELECT count(*) FROM order_changes").await == 0
    })
    .await;
    owe(&live, &order).await;
    until_state(&live, &order, ServerState::Suspended).await;
    cancel(&live, &order);
    live.wait_order(id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    assert_state(&live, &order, ServerState::Suspended).await;
    live.skip(DAY);
    until_state(&live, &order, ServerState::Deleted).await;
    live.close().await;
}
