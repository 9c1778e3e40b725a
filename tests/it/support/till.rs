//! What a purchase leaves behind: rows in the store, calls at the Stripe stand-in; and
//! webhooks that are made by hand.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::{
    stripe::{Call, EventView, PayMode, WebhookSwitches, sign},
    world::{EXAMPLE_CATALOG, WEBHOOK_SECRET},
};
use secrecy::SecretString;
use serde_json::Value;
use spawnpoint::{
    db::billing,
    domain::OrderId,
    rpc::proto,
    stripe::{HttpStripe, Settings, Stripe, fixed_key},
};
use uuid::Uuid;

use super::{
    live::{Live, PATIENCE, cart},
    sql, wait,
};

/// As [`open_again`], and pays it.
pub async fn pay_again(live: &Live, order: &proto::Order) -> String {
    let session_id = open_again(live, order).await;
    live.world.stripe.pay(&session_id, PayMode::Paid).unwrap();
    session_id
}

/// Opens a second session of an order, as could happen once Stripe has forgotten the key of the
/// first. Tells its id.
pub async fn open_again(live: &Live, order: &proto::Order) -> String {
    let id = order.id.parse().map(OrderId).unwrap();
    let form = billing::request(live.store.db.read(), id).await.unwrap();
    let key = format!("again:{}", Uuid::new_v4());
    let session = stripe_client(live).create_session(&form, &key).await;
    session.unwrap().id
}

/// A client of Stripe of the test's own.
pub fn stripe_client(live: &Live) -> HttpStripe {
    let base = live.world.stripe.url().parse().unwrap();
    let key = SecretString::from(live.world.stripe.secret_key());
    HttpStripe::new(Settings::new(base, fixed_key(key))).unwrap()
}

/// Longer than any test: what is set to it does not happen by itself.
pub const NEVER: &str = "3600";

/// Everything that a checkout can make, counted: equal before and after means that
/// nothing was made.
pub async fn made(live: &Live) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for (what, query) in [
        ("orders", "SELECT count(*) FROM orders"),
        ("billing", "SELECT count(*) FROM billing"),
        ("servers", "SELECT count(*) FROM servers"),
        ("order events", "SELECT count(*) FROM order_events"),
        ("profiles", "SELECT count(*) FROM profiles"),
        ("request keys", "SELECT count(*) FROM request_keys"),
        ("holds", "SELECT count(*) FROM holds"),
        (
            "ports",
            "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL",
        ),
        (
            "held GB of RAM",
            "SELECT CAST(sum(held_ram_gb) AS bigint) FROM ptero_nodes",
        ),
        (
            "held GB of disk",
            "SELECT CAST(sum(held_disk_gb) AS bigint) FROM ptero_nodes",
        ),
    ] {
        counts.push((what, sql::count(&live.store.db, query).await));
    }
    let posts = live.world.stripe.count("POST", "/v1/");
    counts.push(("POSTs at Stripe", i64::try_from(posts).unwrap()));
    counts
}

/// The rows of a table.
pub async fn rows(live: &Live, table: &str) -> i64 {
    sql::count(&live.store.db, &format!("SELECT count(*) FROM {table}")).await
}

/// What the window says: how many such servers still fit in a region.
pub async fn remaining(live: &Live, plan_id: &str, region: &str) -> i32 {
    availability(live, plan_id, region).await.remaining
}

/// Waits until the eggs of these plans were looked for on the panel.
pub async fn wait_warm(live: &Live, plan_ids: &[&str]) {
    for plan_id in plan_ids {
        wait::until("the panel was read", PATIENCE, || async {
            availability(live, plan_id, "us-east").await.reason != "WARMING_UP"
        })
        .await;
    }
}

async fn availability(live: &Live, plan_id: &str, region: &str) -> proto::Availability {
    let message = proto::CheckAvailabilityRequest {
        plan_id: plan_id.to_owned(),
        region: region.to_owned(),
        ..proto::CheckAvailabilityRequest::default()
    };
    let answer = live
        .catalog()
        .check_availability(live.operator(message))
        .await
        .unwrap();
    answer.into_inner().availability.remove(0)
}

/// Waits until so many such servers fit again.
pub async fn wait_remaining(live: &Live, plan_id: &str, region: &str, wanted: i32) {
    wait::until("room is free again", PATIENCE, || async {
        remaining(live, plan_id, region).await == wanted
    })
    .await;
}

/// Every change of an order, oldest first.
pub async fn changes(live: &Live, order_id: &str) -> Vec<proto::OrderEvent> {
    let message = proto::ListOrderEventsRequest {
        order_id: order_id.to_owned(),
        ..proto::ListOrderEventsRequest::default()
    };
    let answer = live
        .orders()
        .list_order_events(live.operator(message))
        .await
        .unwrap();
    answer.into_inner().events
}

/// Wakes an order as an operator.
pub async fn provision(live: &Live, order_id: &str) -> Result<proto::Order, tonic::Status> {
    let message = proto::ProvisionOrderRequest {
        order_id: order_id.to_owned(),
        ..proto::ProvisionOrderRequest::default()
    };
    let answer = live
        .provisioning()
        .provision_order(live.operator(message))
        .await?;
    Ok(answer.into_inner().order.unwrap())
}

/// Calls of a method on exactly this path of the Stripe stand-in.
pub fn stripe_calls(live: &Live, method: &str, path: &str) -> Vec<Call> {
    let mut calls = live.world.stripe.calls();
    calls.retain(|call| call.method == method && call.path == path);
    calls
}

/// An object as the Stripe stand-in answers it.
pub async fn stripe_object(live: &Live, path: &str) -> Value {
    let url = format!("{}{path}", live.world.stripe.url());
    let answer = http()
        .get(url)
        .bearer_auth(live.world.stripe.secret_key())
        .header("Stripe-Version", sandbox::stripe::ApiVersion::NEW)
        .send()
        .await
        .unwrap();
    let text = answer.error_for_status().unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Turns the webhooks of the Stripe stand-in on or off.
pub fn deliver_webhooks(live: &Live, enabled: bool) {
    live.world.stripe.set_webhooks(WebhookSwitches {
        enabled,
        ..live.world.stripe.webhooks()
    });
}

/// Lets events wait until they are released, or no longer.
pub fn hold_webhooks(live: &Live, hold: bool) {
    live.world.stripe.set_webhooks(WebhookSwitches {
        hold,
        ..live.world.stripe.webhooks()
    });
}

/// The newest event of a type about an object.
pub fn event_about(live: &Live, kind: &str, object_id: &str) -> EventView {
    let events = live.world.stripe.events();
    let found = events
        .into_iter()
        .rev()
        .find(|event| event.kind == kind && event.object_id == object_id);
    found.unwrap_or_else(|| panic!("no {kind} about {object_id}"))
}

/// Has the panel do something to the order's server, as an administrator would: `suspend`,
/// `unsuspend` or `reinstall`.
pub async fn administer(live: &Live, order: &proto::Order, verb: &str) {
    let panel = &live.world.panel;
    let server = order.pterodactyl_server_id;
    let url = format!("{}/api/application/servers/{server}/{verb}", panel.url());
    let answer = http()
        .post(url)
        .bearer_auth(panel.key())
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 204);
}

/// Waits until nothing is on its way to the gateway.
pub async fn delivered(live: &Live) {
    assert!(
        live.world.stripe.deliveries_idle(PATIENCE).await,
        "webhooks are under way for too long"
    );
}

/// Sends a body to the gateway, signed as Stripe would; the answer is the status.
pub async fn send_webhook(live: &Live, event: &Value) -> u16 {
    let body = serde_json::to_vec(event).unwrap();
    send_signed(live, body.clone(), &sign(WEBHOOK_SECRET, now(), &body)).await
}

/// Sends a body to the gateway under this signature; the answer is the status.
pub async fn send_signed(live: &Live, body: Vec<u8>, signature: &str) -> u16 {
    let url = format!("http://{}/stripe-webhook", live.world.gateway);
    let answer = http()
        .post(url)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("Stripe-Signature", signature)
        .body(body)
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

/// What became of a stored event: its state and its error; none where it is not stored.
pub async fn inbox(live: &Live, event_id: &str) -> Option<String> {
    let query =
        format!("SELECT state || ':' || last_error FROM stripe_events WHERE id = '{event_id}'");
    sql::texts(&live.store.db, &query).await.pop()
}

/// How many events told of an order.
pub async fn hints(live: &Live, order_id: &str) -> i64 {
    let id = sql::id(&live.store.db, order_id.parse().unwrap());
    let query = format!("SELECT hints FROM billing WHERE order_id = {id}");
    sql::count(&live.store.db, &query).await
}

/// The machine's Unix second, which signatures carry.
#[expect(clippy::disallowed_methods, reason = "a signature carries real time")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Moves the core's clock forward.
pub fn move_core(live: &Live, by: Duration) {
    let us = i64::try_from(by.as_micros()).unwrap();
    for core in &live.world.cores {
        core.app.db.shift_clock(us);
    }
}

/// The example catalog with some of its text replaced.
pub fn catalog_with(edits: &[(&str, &str)]) -> String {
    let mut catalog = EXAMPLE_CATALOG.to_owned();
    for (from, to) in edits {
        assert!(catalog.contains(from), "the example has no {from:?}");
        catalog = catalog.replacen(from, to, 1);
    }
    catalog
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Every order of these.
pub fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        for mut tail in permutations(&rest) {
            tail.insert(0, first);
            all.push(tail);
        }
    }
    all
}

/// So many orders, one after the other, with their servers running.
pub async fn running(live: &Live, count: usize) -> Vec<proto::Order> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(live.buy_cart(cart(Uuid::new_v4())).await);
    }
    orders
}

/// An id as our orders have, of none in any store.
pub fn lost_order(number: u8) -> Uuid {
    Uuid::from_u128(0x0192_f0c1_2f3a_7c4d_9e5f_0000_0000_0000 | u128::from(number))
}
