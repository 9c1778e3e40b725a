//! A shop whose processes die and come back, and what must be true of it at rest.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox::{
    audit::{Auditor, Picture, Rest, violations},
    panel::{FaultId, ServerView},
    stripe::RefundView,
};
use spawnpoint::{boot::Mode, domain::step::StepKind, rpc::proto};
use uuid::Uuid;

use super::{hand::Hand, scene::Scene, ways::Way};
use crate::support::{
    db::Engine,
    live::{Live, PATIENCE},
    provisioning::EAST,
    sql,
    till::catalog_with,
    wait::Pace,
};

const HOUR_US: i64 = 3_600_000_000;
/// How often a scene is played until its strike has happened.
const RUNS: usize = 3;

/// A shop in which a hand strikes.
pub struct LoopShop {
    pub live: Live,
    pub hand: Arc<Hand>,
    /// The fault that loses the answer of a create, in the scene of it.
    pub lost_answer: Option<FaultId>,
    /// Scenes so far, each of another customer.
    played: usize,
    /// How far the clock of the control plane was moved: it stays so over its death.
    moved: Duration,
    /// Strikes the next step of any kind once the process came back.
    again: Option<Way>,
    /// The way that is tried, and the one of the process that comes back: told where the
    /// shop is judged.
    tried: (Option<Way>, Option<Way>),
    auditor: Auditor,
}

impl LoopShop {
    pub async fn open(engine: Engine, hand: Arc<Hand>) -> Self {
        let probe = Arc::clone(&hand);
        let live = Live::open_with(engine, |options| {
            options.probe = Some(probe);
            // The long mode sells more than the example's node has room for.
            let room = "max_ram_gb = 64\nmax_disk_gb = 1000";
            let more = "max_ram_gb = 4096\nmax_disk_gb = 9999";
            options.catalog = catalog_with(&[(room, more)]);
            // A process that died keeps its leases for so long, and a step that hangs its order
            // for five calls.
            options.set_all(&[
                ("CALL_TIMEOUT_SECONDS", "1.2"),
                ("LEASE_MARGIN_SECONDS", "0.3"),
                ("LEASE_SECONDS", "2"),
                // Nobody else takes ports here.
                ("SWEEP_PORTS_SECONDS", "2"),
            ]);
        })
        .await;
        let auditor = Auditor::open(&live.store.url).await.unwrap();
        Self {
            live,
            hand,
            lost_answer: None,
            played: 0,
            moved: Duration::ZERO,
            again: None,
            tried: (None, None),
            auditor,
        }
    }

    /// Plays a step's scene and strikes in it. Where a transaction of the panel's budget made
    /// the step one longer when it was counted, the scene is played again.
    pub async fn run(&mut self, kind: StepKind, way: Way) {
        let mut struck = None;
        self.tried = (Some(way), self.again);
        for _ in 0..RUNS {
            self.hand.arm(Some(kind), way);
            let order_id = self.play(kind).await;
            struck = self.hand.struck();
            if struck == Some(order_id) {
                self.tried = (None, None);
                return;
            }
        }
        panic!("{kind}: {way:?} did not happen: {struck:?}");
    }

    /// As `run`, and the process that comes back is struck in its first transaction, too.
    /// Tells whether there was one.
    pub async fn run_twice(&mut self, kind: StepKind, way: Way, again: Way) -> bool {
        self.again = Some(again);
        self.run(kind, way).await;
        let second = self.again.is_none() && self.hand.spent();
        self.hand.disarm();
        second
    }

    pub async fn close(self) {
        self.auditor.close().await.unwrap();
        self.live.close().await;
    }

    /// Moves the clocks of the control plane and of Stripe.
    pub fn skip(&mut self, by: Duration) {
        self.moved += by;
        self.live.world.stripe.advance(by);
        self.live.skip(by);
    }

    pub async fn only_order_of(&self, user: Uuid) -> String {
        let message = proto::ListOrdersRequest {
            user_id: user.to_string(),
            ..proto::ListOrdersRequest::default()
        };
        let mut client = self.live.orders();
        let listed = client.list_orders(self.live.operator(message)).await;
        let mut orders = listed.unwrap().into_inner().orders;
        assert_eq!(orders.len(), 1);
        orders.remove(0).id
    }

    /// Waits for something of an order. A process that dies meanwhile is followed by another.
    pub async fn until(
        &mut self,
        what: &str,
        order_id: &str,
        holds: impl Fn(&proto::Order) -> bool,
    ) -> proto::Order {
        let (began, mut pace) = (Instant::now(), Pace::new());
        loop {
            self.bury().await;
            let order = self.live.order(order_id).await;
            if holds(&order) {
                return order;
            }
            assert!(began.elapsed() < PATIENCE, "still not: {what}: {order:?}");
            pace.pause().await;
        }
    }

    /// Waits until nothing is to go back any more, and something went.
    pub async fn until_refunded(&mut self, order: &proto::Order) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        let id = sql::id(&self.live.store.db, order.id.parse().unwrap());
        let done =
            format!("SELECT count(*) FROM refunds WHERE order_id = {id} AND done_us IS NOT NULL");
        while sql::count(&self.live.store.db, &done).await == 0 {
            self.bury().await;
            assert!(began.elapsed() < PATIENCE, "nothing went back");
            pace.pause().await;
        }
    }

    /// Waits until the panel shows something of the order's server.
    pub async fn until_server(
        &mut self,
        order: &proto::Order,
        holds: impl Fn(&ServerView) -> bool,
    ) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        loop {
            self.bury().await;
            let server = self.live.world.panel.server(&order.id).unwrap();
            if holds(&server) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the panel has {server:?}");
            pace.pause().await;
        }
    }

    /// Waits until nobody waits for the server's reinstall any more.
    pub async fn until_reinstalled(&mut self, order: &proto::Order) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        let id = sql::id(&self.live.store.db, order.id.parse().unwrap());
        let waits = format!(
            "SELECT count(*) FROM servers WHERE order_id = {id} AND reinstall_us IS NOT NULL"
        );
        while sql::count(&self.live.store.db, &waits).await > 0 {
            self.bury().await;
            assert!(began.elapsed() < PATIENCE, "it is not reinstalled");
            pace.pause().await;
        }
    }

    /// Starts another process where one died.
    async fn bury(&mut self) {
        if !self.hand.take_death() {
            return;
        }
        self.live.world.kill_cores().await;
        if let Some(again) = self.again.take() {
            self.hand.arm_again(again);
        }
        self.start().await;
    }

    /// Kills the process and starts another.
    pub async fn restart(&mut self) {
        self.live.world.kill_cores().await;
        self.start().await;
    }

    async fn start(&mut self) {
        self.live.world.start_core(Mode::All).await.unwrap();
        self.live.skip(self.moved);
    }

    /// Waits until nothing is due or leased any more, then looks at everything that the
    /// scene left behind, and judges the shop.
    pub async fn end(&mut self, kind: StepKind, user: Uuid, order: &proto::Order) {
        let scene = Scene::of(kind);
        let wanted = scene.wanted();
        self.until("the scene is over", &order.id, |order| {
            (order.status(), order.server_state()) == wanted
        })
        .await;
        self.rest(order).await;
        // A step that was taken again may have shown an install that was over: until the next
        // poll says so.
        self.until("the scene stays over", &order.id, |order| {
            (order.status(), order.server_state()) == wanted
        })
        .await;
        self.rest(order).await;
        let ended = self.live.order(&order.id).await;
        let shown = (ended.error_reason.as_str(), ended.waiting_reason.as_str());
        assert_eq!(shown, ("", ""), "{ended:?}");
        self.assert_effects(scene, user, order);
        self.assert_ledger(scene, order).await;
        self.assert_invariants(kind).await;
    }

    async fn rest(&mut self, order: &proto::Order) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        let id = sql::id(&self.live.store.db, order.id.parse().unwrap());
        // What is due in days is at rest now.
        let soon_us = self.live.world.cores[0].app.db.now().await.unwrap() + HOUR_US;
        let busy = format!(
            "SELECT count(*) FROM orders WHERE id = {id}
             AND (lease_owner IS NOT NULL OR due_us < {soon_us})"
        );
        while sql::count(&self.live.store.db, &busy).await > 0 {
            self.bury().await;
            assert!(
                began.elapsed() < PATIENCE,
                "{} does not come to rest",
                order.id
            );
            pace.pause().await;
        }
        self.bury().await;
    }

    /// What reached Stripe and the panel.
    fn assert_effects(&mut self, scene: Scene, user: Uuid, order: &proto::Order) {
        self.played += 1;
        let live = &self.live;
        let (panel, stripe) = (&live.world.panel, &live.world.stripe);
        if let Some(lost) = self.lost_answer.take() {
            assert_eq!(panel.fired(lost), 1, "the answer was not lost");
        }
        let creates = live.creates(&order.id).len();
        assert_eq!(creates, usize::from(scene.creates()), "POSTs of its server");
        let servers = panel.servers();
        let ours = servers
            .iter()
            .filter(|row| row.external_id.as_ref() == Some(&order.id));
        assert_eq!(
            ours.count(),
            usize::from(scene.delivers()),
            "servers on the panel"
        );
        let users = live.panel_users(user);
        assert_eq!(
            users.len(),
            usize::from(scene.creates()),
            "users on the panel"
        );
        let sessions = stripe.sessions();
        let sessions = sessions
            .iter()
            .filter(|session| session.client_reference_id.as_deref() == Some(order.id.as_str()));
        assert_eq!(sessions.count(), 1 + scene.refunds(), "sessions at Stripe");
        assert_eq!(
            stripe.count("POST", "/v1/customers"),
            self.played,
            "customers at Stripe"
        );
        let session = stripe.session(&order.stripe_checkout_session_id);
        let subscription = session.and_then(|session| session.subscription);
        let refunds = stripe.refunds();
        let of_order = |refund: &&RefundView| {
            let labels = &refund.metadata;
            labels.get("order_id").map(String::as_str) == Some(order.id.as_str())
        };
        let refunds: Vec<_> = refunds.iter().filter(of_order).collect();
        assert_eq!(refunds.len(), scene.refunds(), "refunds at Stripe");
        let own = |refund: &&RefundView| refund.subscription == subscription;
        assert!(!refunds.iter().any(own), "its own payment went back");
    }

    /// What is left of the order in our own books.
    async fn assert_ledger(&self, scene: Scene, order: &proto::Order) {
        let held = self.live.hold(&order.id).await.is_some();
        let ports = self.live.ports_of(EAST.1, &order.id).await.len();
        assert_eq!(held, scene.delivers(), "its hold");
        assert_eq!(ports > 0, scene.delivers(), "its ports");
    }

    /// Every invariant that a picture shows, while this way's traces are fresh: a later scene
    /// may make up for them. The two that need a stranger and the logs are judged when the
    /// shop closes.
    async fn assert_invariants(&mut self, kind: StepKind) {
        let (began, mut pace) = (Instant::now(), Pace::new());
        let picture = loop {
            // A strike that waits for a step of any kind may kill the process even now.
            self.bury().await;
            let picture = self.picture().await;
            let unrest = picture.unrest();
            if unrest.is_empty() {
                break picture;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{kind}, {:?}: the shop does not rest: {unrest:?}",
                self.tried
            );
            pace.pause().await;
        };
        let found: Vec<String> = violations(&picture, Rest::AtRest)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            found.is_empty(),
            "{kind}, {:?}: the audit found:\n  {}",
            self.tried,
            found.join("\n  ")
        );
    }

    async fn picture(&self) -> Picture {
        let world = &self.live.world;
        // The control plane's clock: a scene may have moved it.
        let now_us = world.cores[0].app.db.now().await.unwrap();
        let stripe = world.stripe.controls();
        let picture = self.auditor.picture(&world.panel, &stripe, now_us);
        picture.await.unwrap()
    }
}
