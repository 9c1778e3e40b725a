//! The end of every test with a shop: all ten invariants are judged, and the test fails
//! with everything that breaks one.

use std::{
    thread,
    time::{Duration, Instant},
};

use sandbox::audit::{Auditor, Invariant, Picture, Rest, Violation, violations};
use serde_json::Value;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    live::{Live, PATIENCE},
    log_watch, sql,
    wait::Pace,
};

/// How long a shop may take to come to rest by itself.
const TO_REST: Duration = PATIENCE;
/// Orders that a stranger tries to see.
const SAMPLE: usize = 3;
/// A value too short to be a secret may be anywhere.
const SECRET_LENGTH: usize = 8;

/// How a shop is closed.
#[derive(Clone, Copy, Default)]
struct End<'a> {
    /// The invariants that the test itself has broken, and why.
    expected: &'a [Invariant],
    why: &'a str,
    /// What control planes that are processes of their own have logged.
    processes: Option<&'a str>,
}

/// Makes it a rule: a shop that is dropped was closed, and so was audited.
pub struct MustClose {
    closed: bool,
}

impl MustClose {
    pub fn new() -> Self {
        Self { closed: false }
    }
}

impl Drop for MustClose {
    fn drop(&mut self) {
        assert!(
            self.closed || thread::panicking(),
            "a test ends by closing its shop: `live.close().await`, which audits it"
        );
    }
}

impl Live {
    /// Closes the shop once it rests, and audits it: what must come to pass has come.
    pub async fn close(self) {
        self.close_expecting(&[], "").await;
    }

    /// Closes the shop of a test that breaks some of the invariants itself, by playing
    /// somebody who is not ours. All others hold.
    pub async fn close_expecting(self, expected: &[Invariant], why: &str) {
        assert_eq!(
            expected.is_empty(),
            why.is_empty(),
            "say why, or expect nothing"
        );
        self.end(End {
            expected,
            why,
            ..End::default()
        })
        .await;
    }

    /// Closes a shop whose control planes are processes of their own, which serve still.
    /// What they have logged is searched as well.
    pub async fn close_served_by_processes(self, logs: &str) {
        self.end(End {
            processes: Some(logs),
            ..End::default()
        })
        .await;
    }

    async fn end(mut self, end: End<'_>) {
        let auditor = Auditor::open(&self.store.url).await.unwrap();
        let worked = end.processes.is_some() || !self.world.cores.is_empty();
        let mut found = Vec::new();
        if worked {
            self.come_to_rest(&auditor).await;
            found.extend(self.strangers().await);
        }
        // The clock of the core that worked: a test may have moved it.
        let moved_us = match self.world.cores.first() {
            Some(core) => core.app.db.now().await.unwrap() - self.store.db.now().await.unwrap(),
            None => 0,
        };
        self.world.stop_gateway().await;
        self.world.stop_cores().await;
        let picture = self.picture(&auditor, moved_us).await;
        auditor.close().await.unwrap();
        let rest = if worked && picture.unrest().is_empty() {
            Rest::AtRest
        } else {
            Rest::Running
        };
        found.extend(violations(&picture, rest));
        let secrets = self.secrets().await;
        let Live {
            world,
            log_watch,
            mut must_close,
            ..
        } = self;
        world.close().await;
        found.extend(log_watch.end(&secrets));
        found.extend(log_watch::search(
            end.processes.unwrap_or_default().lines(),
            &secrets,
        ));
        must_close.closed = true;
        verdict(&found, end.expected, end.why);
    }

    /// Waits until nothing is under way: what is still to come could not be judged.
    async fn come_to_rest(&self, auditor: &Auditor) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        loop {
            let now_us = match self.world.cores.first() {
                Some(core) => core.app.db.now().await.unwrap(),
                None => self.store.db.now().await.unwrap(),
            };
            let unrest = self.picture_at(auditor, now_us).await.unrest();
            if unrest.is_empty() {
                return;
            }
            assert!(
                began.elapsed() < TO_REST,
                "the shop does not come to rest:\n  {}",
                unrest.join("\n  ")
            );
            pace.pause().await;
        }
    }

    async fn picture(&self, auditor: &Auditor, moved_us: i64) -> Picture {
        let now_us = self.store.db.now().await.unwrap() + moved_us;
        self.picture_at(auditor, now_us).await
    }

    async fn picture_at(&self, auditor: &Auditor, now_us: i64) -> Picture {
        let (panel, stripe) = (&self.world.panel, self.world.stripe.controls());
        auditor.picture(panel, &stripe, now_us).await.unwrap()
    }

    /// I9: to somebody who bought nothing, nothing of this shop's orders is there.
    async fn strangers(&self) -> Vec<Violation> {
        let owners = "SELECT CAST(id AS text) || ' ' || CAST(user_id AS text) FROM orders";
        let owners = if self.store.db.is_postgres() {
            owners.to_owned()
        } else {
            "SELECT lower(hex(id)) || ' ' || lower(hex(user_id)) FROM orders".to_owned()
        };
        let stranger = Uuid::new_v4();
        let mut found = Vec::new();
        for pair in sql::texts(&self.store.db, &owners)
            .await
            .iter()
            .take(SAMPLE)
        {
            let (order, user) = pair.split_once(' ').unwrap();
            let order: Uuid = order.parse().unwrap();
            let user: Uuid = user.parse().unwrap();
            found.extend(self.seen_by(stranger, order, user).await);
        }
        found
    }

    async fn seen_by(&self, stranger: Uuid, order: Uuid, user: Uuid) -> Vec<Violation> {
        let order_id = order.to_string();
        let (mut orders, mut provisioning) = (self.orders(), self.provisioning());
        let get = proto::GetOrderRequest {
            order_id: order_id.clone(),
        };
        let events = proto::ListOrderEventsRequest {
            order_id: order_id.clone(),
            ..Default::default()
        };
        let server = proto::GetServerRequest {
            order_id: order_id.clone(),
        };
        let profile = proto::GetProfileRequest {
            user_id: user.to_string(),
        };
        let list = proto::ListOrdersRequest::default();
        let list = orders.list_orders(self.storefront(list, stranger)).await;
        let all_hidden = |listed: &proto::ListOrdersResponse| listed.orders.is_empty();
        let seen = [
            (
                "GetOrder",
                shown(orders.get_order(self.storefront(get, stranger)).await),
            ),
            (
                "ListOrderEvents",
                shown(
                    orders
                        .list_order_events(self.storefront(events, stranger))
                        .await,
                ),
            ),
            (
                "GetServer",
                shown(
                    provisioning
                        .get_server(self.storefront(server, stranger))
                        .await,
                ),
            ),
            (
                "GetProfile",
                shown(orders.get_profile(self.storefront(profile, stranger)).await),
            ),
            (
                "ListOrders",
                list.is_ok_and(|answer| !all_hidden(answer.get_ref())),
            ),
        ];
        let seen = seen.into_iter().filter(|(_, seen)| *seen);
        seen.map(|(method, _)| {
            let text = format!("a stranger saw something of order {order} by {method}");
            Violation::new(Invariant::I9, text)
        })
        .collect()
    }

    /// Everything of this shop that no log may show, with what it is.
    async fn secrets(&self) -> Vec<(String, String)> {
        let world = &self.world;
        let tokens = &world.tokens;
        let mut secrets = vec![
            ("operator's token", tokens.operator.clone()),
            ("storefront's token", tokens.storefront.clone()),
            ("gateway's token", tokens.gateway.clone()),
            ("viewer's token", tokens.viewer.clone()),
            ("Stripe key", world.stripe.secret_key()),
            ("panel key", world.panel.key().to_owned()),
            ("webhook secret", sandbox::world::WEBHOOK_SECRET.to_owned()),
        ];
        let sessions = world.stripe.sessions();
        secrets.extend(sessions.into_iter().map(|one| ("page to pay on", one.url)));
        let named = "SELECT CAST(secret_variables AS text) FROM games";
        for names in sql::texts(&self.store.db, named).await {
            let names: Vec<Value> = serde_json::from_str(&names).unwrap_or_default();
            for name in names.iter().filter_map(Value::as_str) {
                for server in world.panel.servers() {
                    let value = server.environment.get(name).cloned();
                    secrets.extend(value.map(|value| ("server's secret", value)));
                }
            }
        }
        secrets.retain(|(_, secret)| secret.len() >= SECRET_LENGTH);
        secrets
            .into_iter()
            .map(|(what, secret)| (what.to_owned(), secret))
            .collect()
    }
}

/// Anything but a refusal.
fn shown<T>(answer: Result<tonic::Response<T>, Status>) -> bool {
    match answer {
        Ok(_) => true,
        Err(status) => matches!(status.code(), Code::PermissionDenied),
    }
}

fn verdict(found: &[Violation], expected: &[Invariant], why: &str) {
    let unexpected: Vec<String> = found
        .iter()
        .filter(|violation| !expected.contains(&violation.invariant))
        .map(ToString::to_string)
        .collect();
    assert!(
        unexpected.is_empty(),
        "the audit found:\n  {}",
        unexpected.join("\n  ")
    );
    for invariant in expected {
        assert!(
            found
                .iter()
                .any(|violation| violation.invariant == *invariant),
            "{invariant:?} was to be broken ({why}), and holds: expect it no longer"
        );
    }
}
