//! A shop whose control plane reaches PostgreSQL through a proxy, with a worker that
//! works when it is told to: its statements come in the same order every time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox::{proxy::Proxy, stripe::ApiVersion};
use spawnpoint::{
    app::App,
    boot::Mode,
    rpc::proto,
    worker::{ByHand, Settings},
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason, with_token},
    postgres, sql,
    till::{catalog_with, deliver_webhooks, event_about},
};

/// What comes in between, whatever flow is looked at: the last asks whether the store is well.
const ASIDE: [&str; 4] = ["LISTEN", "NOTIFY", "api_tokens", "transaction_read_only"];
const LEASE: Duration = Duration::from_secs(30);
/// Orders that one shop has ports for.
pub const ROOM: usize = 150;

/// Whether a statement is part of a flow.
pub fn counts(sql: &str) -> bool {
    !ASIDE.iter().any(|word| sql.contains(word))
}

/// `url` with the proxy in between.
pub fn through(proxy: &Proxy, url: &str) -> String {
    let port = |port: u16| format!(":{port}/");
    let near = postgres::shared().port();
    assert!(url.contains(&port(near)), "{url}");
    url.replace(&port(near), &port(proxy.addr().port()))
}

/// A proxy to the cluster of the tests.
pub async fn proxy() -> Proxy {
    let port = postgres::shared().port();
    Proxy::start(([127, 0, 0, 1], port).into()).await.unwrap()
}

/// The catalog with nodes that only their ports fill up.
pub fn roomy() -> String {
    let room = "max_ram_gb = 64\nmax_disk_gb = 1000";
    let more = "max_ram_gb = 4096\nmax_disk_gb = 9999";
    catalog_with(&[(room, more)])
}

/// A purchase that the control plane does not know of.
pub struct Paid {
    pub user: Uuid,
    pub order: proto::Order,
    pub event_id: String,
    pub payload: Vec<u8>,
}

/// What a caller is told while the store is away: a refusal that says when to come back.
pub fn assert_store_away(status: &tonic::Status) {
    use tonic_types::StatusExt;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(status), "STORE_UNAVAILABLE", "{status:?}");
    let retry = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    assert!(
        retry.is_some_and(|after| after > Duration::ZERO),
        "{status:?}"
    );
}

/// The shop, its proxy, and its worker.
pub struct Bench {
    pub live: Live,
    pub proxy: Proxy,
    pub app: Arc<App>,
    hand: ByHand,
}

impl Bench {
    /// Opens the shop. Nothing in it happens by itself: no webhook, no worker.
    pub async fn open() -> Self {
        let proxy = proxy().await;
        let mut live = Live::open_with(Engine::Postgres, |options| {
            options.database_url = through(&proxy, &options.database_url);
            options.install = Duration::from_millis(5);
            options.catalog = roomy();
        })
        .await;
        deliver_webhooks(&live, false);
        live.world.stop_cores().await;
        // The use of a token is noted beside a call, by statements of which only one says what
        // it is about: none is due, ever, so that each statement that is met is of the flow.
        let noted = format!("UPDATE api_tokens SET last_used_us = {}", i64::MAX);
        assert!(sql::run(&live.store.db, &noted).await.unwrap() > 0);
        live.world.start_core(Mode::NoWorker).await.unwrap();
        let app = Arc::clone(&live.world.cores[0].app);
        let settings = Settings {
            retry: Duration::from_millis(20),
            // Long enough that no renewal comes between the statements that are counted.
            lease: LEASE,
            longest_call: LEASE / 3,
            lease_margin: LEASE / 6,
            ..Settings::default()
        };
        let hand = ByHand::new(Arc::clone(&app), settings);
        Self {
            live,
            proxy,
            app,
            hand,
        }
    }

    /// Lets the worker take the steps of what is due. Its errors are the test's doing.
    pub async fn drive(&self) {
        let _ = self.hand.drive_due(16).await;
    }

    /// Lets every sweep have its turn.
    pub async fn sweep(&self) {
        let _ = self.hand.sweep().await;
    }

    /// Lets the worker work until the order's server runs, as the store itself tells.
    pub async fn deliver(&self, order_id: &str) {
        let id = sql::id(&self.live.store.db, order_id.parse().unwrap());
        let query = format!(
            "SELECT count(*) FROM orders WHERE id = {id}
                AND status = 'provisioned' AND server_state = 'running'"
        );
        let mut turns = 0;
        let deadline = Instant::now() + PATIENCE;
        while sql::count(&self.live.store.db, &query).await == 0 {
            assert!(Instant::now() < deadline, "the server does not run");
            self.drive().await;
            self.sweep().await;
            turns += 1;
            if turns > 3 {
                // A claim that was lost with its connection runs out.
                self.pass(LEASE / 3);
            }
        }
    }

    /// Lets the worker work until nothing is due and every event has its number.
    async fn work_to_rest(&self) {
        let db = &self.live.store.db;
        let deadline = Instant::now() + PATIENCE;
        for turn in 1.. {
            self.drive().await;
            self.sweep().await;
            let now_us = self.app.db.now().await.unwrap();
            let busy = format!(
                "SELECT (SELECT count(*) FROM orders
                    WHERE lease_owner IS NOT NULL OR due_us <= {now_us})
                    + (SELECT count(*) FROM order_events WHERE sequence IS NULL)"
            );
            if sql::count(db, &busy).await == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "the shop does not come to rest");
            if turn > 3 {
                self.pass(LEASE / 3);
            }
        }
    }

    /// Lets time pass for the control plane and for Stripe.
    pub fn pass(&self, by: Duration) {
        let us = i64::try_from(by.as_micros()).unwrap();
        self.app.db.shift_clock(us);
        self.live.world.stripe.advance(by);
    }

    /// Closes the shop, which audits it.
    pub async fn close(self) {
        self.proxy.disarm();
        self.work_to_rest().await;
        drop(self.hand);
        drop(self.app);
        self.live.close().await;
    }

    /// An order that is paid, and Stripe's event that tells so, which nobody has got yet.
    pub async fn paid(&self) -> Paid {
        let user = Uuid::new_v4();
        let order = self.live.reserve(cart(user)).await;
        self.pay(user, order)
    }

    /// Pays an order.
    pub fn pay(&self, user: Uuid, order: proto::Order) -> Paid {
        self.live.pay(&order);
        let session = &order.stripe_checkout_session_id;
        let event = event_about(&self.live, "checkout.session.completed", session);
        let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
        let json = self.live.world.stripe.event_json(&event.id, &version);
        Paid {
            user,
            order,
            event_id: event.id,
            payload: serde_json::to_vec(&json.unwrap()).unwrap(),
        }
    }

    /// RecordStripeEvent, as the gateway.
    pub async fn record(
        &self,
        paid: &Paid,
    ) -> Result<proto::RecordStripeEventResponse, tonic::Status> {
        let message = proto::RecordStripeEventRequest {
            payload: paid.payload.clone(),
            receive_time: None,
        };
        let request = with_token(message, &self.live.world.tokens.gateway);
        let answer = self.live.orders().record_stripe_event(request).await?;
        Ok(answer.into_inner())
    }

    /// Asks for something by each token, so that none is looked up within the next flow.
    pub async fn warm(&self) {
        let user = Uuid::new_v4();
        let message = proto::GetProfileRequest {
            user_id: user.to_string(),
        };
        let request = self.live.storefront(message, user);
        let profile = self.live.orders().get_profile(request).await;
        assert_eq!(profile.unwrap_err().code(), Code::NotFound);
        let message = proto::RecordStripeEventRequest::default();
        let request = with_token(message, &self.live.world.tokens.gateway);
        let refused = self.live.orders().record_stripe_event(request).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        self.proxy.take_statements();
    }

    /// The statements that the flow sent since it was warm, oldest first.
    pub fn statements(&self) -> Vec<String> {
        let mut statements = self.proxy.take_statements();
        statements.retain(|sql| counts(sql));
        statements
    }

    /// One order of the user, one session, one customer; delivered, one server, one user
    /// of the panel; and the ledger as if nothing had happened.
    pub async fn assert_bought_once(&self, user: Uuid, order_id: &str) {
        let (live, store) = (&self.live, &self.live.store.db);
        let user_id = sql::id(store, user);
        let orders = format!("SELECT count(*) FROM orders WHERE user_id = {user_id}");
        assert_eq!(sql::count(store, &orders).await, 1, "orders");
        let sessions = live.world.stripe.sessions();
        let sessions = sessions
            .iter()
            .filter(|session| session.client_reference_id.as_deref() == Some(order_id));
        assert_eq!(sessions.count(), 1, "sessions");
        assert_eq!(live.creates(order_id).len(), 1, "creates");
        let servers = live.world.panel.servers();
        let servers = servers
            .iter()
            .filter(|server| server.external_id.as_deref() == Some(order_id));
        assert_eq!(servers.count(), 1, "servers");
        assert_eq!(live.panel_users(user).len(), 1, "users of the panel");
        self.assert_ledger().await;
    }

    /// What is held is what the holds say, and each server has the port it holds.
    pub async fn assert_ledger(&self) {
        let store = &self.live.store.db;
        let rooms = "SELECT count(*) FROM ptero_nodes n WHERE
            n.held_ram_gb <> (SELECT coalesce(sum(h.ram_gb), 0) FROM holds h WHERE h.node_id = n.id)
            OR n.held_disk_gb <>
                (SELECT coalesce(sum(h.disk_gb), 0) FROM holds h WHERE h.node_id = n.id)";
        assert_eq!(sql::count(store, rooms).await, 0, "nodes with wrong sums");
        let portless = "SELECT count(*) FROM orders o JOIN holds h ON h.order_id = o.id
            WHERE (SELECT count(*) FROM allocations a WHERE a.order_id = o.id) <> 1";
        assert_eq!(
            sql::count(store, portless).await,
            0,
            "orders without their one port"
        );
        let parts = "SELECT count(*) FROM orders o WHERE
            (SELECT count(*) FROM billing b WHERE b.order_id = o.id) <> 1
            OR (SELECT count(*) FROM servers s WHERE s.order_id = o.id) <> 1
            OR (SELECT count(*) FROM order_events e WHERE e.order_id = o.id) = 0";
        assert_eq!(sql::count(store, parts).await, 0, "half orders");
    }
}
