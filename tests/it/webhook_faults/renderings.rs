//! Every rendering and every oddity of a body leads to the same result: stored, its order
//! awake where it is ours, and nothing believed of what it says.

use sandbox::stripe::{ApiVersion, DisputeOutcome, PayMode, SubscriptionStatus};
use serde_json::json;
use spawnpoint::{rpc::proto::Order, stripe::events::MATTERING};
use uuid::Uuid;

use super::{
    bodies::{Fate, Ids, table},
    sending::{Sender, pay_silently},
};
use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    bodies_of_every_rendering_have_the_same_result,
    what_the_stand_in_sends_is_the_same_in_both_renderings,
);

/// A shop that hears of payments from webhooks alone.
async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

async fn read(live: &Live, order: &Order) -> i64 {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let query = format!("SELECT hints_read FROM billing WHERE order_id = {id}");
    sql::count(&live.store.db, &query).await
}

async fn wait_read(live: &Live, order: &Order) {
    wait::until(
        "every hint has led to a look at Stripe",
        PATIENCE,
        || async { read(live, order).await == till::hints(live, &order.id).await },
    )
    .await;
}

async fn api_version(live: &Live, event_id: &str) -> String {
    let query = format!("SELECT api_version FROM stripe_events WHERE id = '{event_id}'");
    sql::texts(&live.store.db, &query).await.remove(0)
}

/// W-16: some seventy bodies after Stripe's own, old and new, with unknown fields and
/// words, a null parent, a thin event, lists of 200: through the real gateway into the
/// store, each with one and the same result in both renderings.
async fn bodies_of_every_rendering_have_the_same_result(engine: Engine) {
    let live = open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.pay(&order);
    let running = live.wait_running(&order.id).await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    let session = live
        .world
        .stripe
        .session(&order.stripe_checkout_session_id)
        .unwrap();
    let rows = table(&Ids {
        order: order.id.clone(),
        session: session.id.clone(),
        subscription: session.subscription.clone().unwrap(),
        customer: session.customer.clone().unwrap(),
        invoice: session.invoice.clone().unwrap(),
    });
    eprintln!("W-16: {} bodies", rows.len());
    assert!(rows.len() >= 40, "{} bodies", rows.len());
    let gateway = Sender::to(live.world.gateway);
    let (hints, stored) = (
        till::hints(&live, &order.id).await,
        till::rows(&live, "stripe_events").await,
    );
    let mut applied = 0;
    let mut kept = 0;
    for row in &rows {
        let reply = gateway.event(&row.event).await;
        let id = row.event["id"].as_str().unwrap();
        let (status, state) = match row.fate {
            Fate::Applied => (200, Some("applied:")),
            Fate::Ignored => (200, Some("ignored:")),
            Fate::Refused => (400, None),
        };
        assert_eq!(reply.status, status, "{}", row.name);
        assert_eq!(
            till::inbox(&live, id).await.as_deref(),
            state,
            "{}",
            row.name
        );
        applied += i64::from(row.fate == Fate::Applied);
        kept += i64::from(row.fate != Fate::Refused);
        let now = till::hints(&live, &order.id).await;
        assert_eq!(now, hints + applied, "{}", row.name);
        if row.fate != Fate::Refused {
            let version = row.event["api_version"].as_str().unwrap_or("-");
            assert_eq!(api_version(&live, id).await, version, "{}", row.name);
        }
    }
    assert_eq!(till::rows(&live, "stripe_events").await, stored + kept);
    wait_read(&live, &order).await;

    // They told of ends and failures; Stripe itself says that nothing has changed.
    let now = live.order(&order.id).await;
    assert_eq!(now.status(), running.status());
    assert_eq!(now.server_state(), running.server_state());
    assert_eq!(now.subscription_status, "active");
    assert_eq!(now.pterodactyl_server_id, running.pterodactyl_server_id);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

/// Everything happens to these orders that Stripe tells of, and nobody hears of it: the first one
/// is paid, the second later, the third in vain, the fourth not at all.
fn live_through_everything(live: &Live, [bought, late, failed, given_up]: [&Order; 4]) {
    let stripe = &live.world.stripe;
    pay_silently(live, bought);
    till::deliver_webhooks(live, false);
    for order in [late, failed] {
        let session = &order.stripe_checkout_session_id;
        stripe.pay(session, PayMode::Unpaid).unwrap();
    }
    let settle = |order: &Order, ok| stripe.settle(&order.stripe_checkout_session_id, ok);
    settle(late, true).unwrap();
    settle(failed, false).unwrap();
    stripe.expire(&given_up.stripe_checkout_session_id).unwrap();
    let own = &live.subscription(bought);
    for status in [SubscriptionStatus::Paused, SubscriptionStatus::Active] {
        stripe.set_subscription_status(own, status).unwrap();
    }
    let dispute = &stripe.open_dispute(own, "fraudulent").unwrap();
    stripe.answer_dispute(dispute).unwrap();
    stripe.close_dispute(dispute, DisputeOutcome::Won).unwrap();
    let refund = stripe.refund_by_hand(own, Some(100)).unwrap();
    stripe.fail_refund(&refund.id).unwrap();
    stripe.require_action(own).unwrap();
    stripe.cancel_subscription(own).unwrap();
}

/// W-16: the stand-in's own events, one of each type that matters, each told in the old and in the
/// new rendering, the second time under another id: both find their order.
async fn what_the_stand_in_sends_is_the_same_in_both_renderings(engine: Engine) {
    let live = open(engine).await;
    let gateway = Sender::to(live.world.gateway);
    let stripe = &live.world.stripe;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(live.reserve(cart(Uuid::new_v4())).await);
    }
    let [bought, late, failed, given_up] = &orders[..] else {
        unreachable!("four were reserved");
    };
    live_through_everything(&live, [bought, late, failed, given_up]);
    let mut events = stripe.events();
    events.retain(|event| MATTERING.contains(&event.kind.as_str()));
    for kind in MATTERING {
        assert!(events.iter().any(|event| event.kind == kind), "no {kind}");
    }
    for event in &events {
        for version in [ApiVersion::OLD, ApiVersion::NEW] {
            let parsed = ApiVersion::parse(version).unwrap();
            let mut body = stripe.event_json(&event.id, &parsed).unwrap();
            body["id"] = json!(format!("{}_{}", event.id, &version[..4]));
            let reply = gateway.event(&body).await;
            assert_eq!(reply.status, 200, "{} {version}", event.kind);
        }
    }
    // Those about money name no order: Stripe is asked whose they are.
    wait::until("Stripe has told whose they are", PATIENCE, || async {
        let open = "SELECT count(*) FROM stripe_events WHERE state = 'received'";
        sql::count(&live.store.db, open).await == 0
    })
    .await;
    for event in &events {
        let query = format!(
            "SELECT state FROM stripe_events WHERE id LIKE '{}\\_%' ESCAPE '\\'",
            event.id
        );
        let states = sql::texts(&live.store.db, &query).await;
        assert_eq!(states, ["applied"; 2], "{}", event.kind);
        let query = format!(
            "SELECT count(DISTINCT order_id) FROM stripe_events WHERE id LIKE '{}\\_%' ESCAPE '\\'",
            event.id
        );
        let found = sql::count(&live.store.db, &query).await;
        assert_eq!(found, 1, "{}: not the same order", event.kind);
    }
    for order in &orders {
        assert!(till::hints(&live, &order.id).await >= 2);
    }
    live.wait_running(&late.id).await;
    live.close().await;
}
