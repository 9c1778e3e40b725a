//! Sends signed bodies to any gateway and keeps what came back.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use sandbox::{
    stripe::{ApiVersion, EventView, PayMode, sign},
    world::WEBHOOK_SECRET,
};
use serde_json::Value;
use spawnpoint::rpc::proto::{Order, ServerState};

use crate::support::{
    live::{Live, PATIENCE},
    sql, till, wait,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a gateway answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status; 0 where the connection ended without one.
    pub status: u16,
    /// Whether it says when to come again.
    pub retry_after: bool,
    /// How long it took.
    pub took: Duration,
}

/// A sender with kept-alive connections, as Stripe is one.
#[derive(Clone)]
pub struct Sender {
    http: reqwest::Client,
    url: String,
}

impl Sender {
    pub fn to(gateway: SocketAddr) -> Self {
        let http = reqwest::Client::builder().no_proxy();
        Self {
            http: http.build().unwrap(),
            url: format!("http://{gateway}/stripe-webhook"),
        }
    }

    /// Sends a body under these headers and no others of ours.
    pub async fn send(&self, body: &[u8], headers: &[(&str, &str)]) -> Reply {
        let began = Instant::now();
        let mut request = self.http.post(&self.url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.ok();
        Reply {
            status: answer.as_ref().map_or(0, |answer| answer.status().as_u16()),
            retry_after: answer.is_some_and(|answer| answer.headers().contains_key("retry-after")),
            took: began.elapsed(),
        }
    }

    /// Sends a body, signed now.
    pub async fn signed(&self, body: &[u8]) -> Reply {
        let signature = sign(WEBHOOK_SECRET, till::now(), body);
        self.send(body, &[("Stripe-Signature", &signature)]).await
    }

    /// Sends an event, signed now.
    pub async fn event(&self, event: &Value) -> Reply {
        self.signed(&serde_json::to_vec(event).unwrap()).await
    }
}

/// Pays an order's session while Stripe tells nobody; the event that it would tell.
pub fn pay_silently(live: &Live, order: &Order) -> EventView {
    let before = live.world.stripe.webhooks();
    till::deliver_webhooks(live, false);
    let session = &order.stripe_checkout_session_id;
    live.world.stripe.pay(session, PayMode::Paid).unwrap();
    live.world.stripe.set_webhooks(before);
    till::event_about(live, "checkout.session.completed", session)
}

/// An event of the stand-in in the new rendering.
pub fn rendered(live: &Live, event_id: &str) -> Value {
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    live.world.stripe.event_json(event_id, &version).unwrap()
}

/// Whether an event is on disk.
pub async fn stored(live: &Live, event_id: &str) -> bool {
    let query = format!("SELECT count(*) FROM stripe_events WHERE id = '{event_id}'");
    sql::count(&live.store.db, &query).await == 1
}

/// Lets Stripe try until an event is taken, as it does for three days; the status of each
/// attempt, the first one first.
pub async fn redelivered(live: &Live, event_id: &str) -> Vec<u16> {
    let stripe = &live.world.stripe;
    wait::until("the event is taken", PATIENCE, || async {
        till::delivered(live).await;
        let taken = stripe.event(event_id).unwrap().delivered;
        if !taken {
            stripe.deliver(event_id).unwrap();
        }
        taken
    })
    .await;
    attempts(live, event_id)
}

/// The status of each attempt to deliver an event so far.
pub fn attempts(live: &Live, event_id: &str) -> Vec<u16> {
    let all = live.world.stripe.deliveries();
    let of_event = all.iter().filter(|delivery| delivery.event_id == event_id);
    of_event.map(|delivery| delivery.status).collect()
}

/// Longer than a lease: a machine that starves may have to wait for one to run out.
const PAST_A_LEASE: Duration = Duration::from_secs(100);

/// Waits until the order's server runs; tells what kept it.
async fn wait_running(live: &Live, order: &Order) {
    let running = tokio::time::timeout(PAST_A_LEASE, async {
        while live.order(&order.id).await.server_state() != ServerState::Running {
            tokio::time::sleep(PAUSE).await;
        }
    });
    if running.await.is_err() {
        let id = sql::id(&live.store.db, order.id.parse().unwrap());
        let claim = format!(
            "SELECT 'due ' || COALESCE(due_us, 0) || ', leased by ' || COALESCE(lease_owner, '-') \
             || ' until ' || COALESCE(lease_until_us, 0) || ', fence ' || fence FROM orders \
             WHERE id = {id}"
        );
        let claim = sql::texts(&live.store.db, &claim).await;
        panic!(
            "no server runs: {:?}, {claim:?}",
            live.order(&order.id).await
        );
    }
}

/// An event that came any number of times was stored, noted and obeyed once: one row, one
/// hint, one payment, one server.
pub async fn assert_processed_once(live: &Live, order: &Order, event_id: &str) {
    wait_running(live, order).await;
    assert!(stored(live, event_id).await);
    let state = till::inbox(live, event_id).await;
    assert_eq!(state.as_deref(), Some("applied:"));
    assert_eq!(till::hints(live, &order.id).await, 1);
    let changes = till::changes(live, &order.id).await;
    let times = |what: &str, to: Option<&str>| {
        let same = changes
            .iter()
            .filter(|change| change.what == what && to.is_none_or(|to| change.to == to));
        same.count()
    };
    assert_eq!(times("status", Some("provisioned")), 1, "{changes:?}");
    assert_eq!(times("pterodactyl_server_id", None), 1, "{changes:?}");
    let servers = live.world.panel.servers();
    let ours = |id: &Option<String>| id.as_deref() == Some(order.id.as_str());
    let made = servers.iter().filter(|server| ours(&server.external_id));
    assert_eq!(made.count(), 1);
    let user = servers.iter().find(|server| ours(&server.external_id));
    let user = user.unwrap().user;
    let owned = servers.iter().filter(|server| server.user == user);
    assert_eq!(owned.count(), 1, "one user, one purchase, one server");
}
