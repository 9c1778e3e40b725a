//! A shop whose control plane is a process that can be killed, and the look at what is
//! left once everything has come to rest.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sandbox::{
    panel::{Fault as PanelFault, FaultAction, FaultId},
    stripe::{Effect, Fault as StripeFault},
    world::Options,
};
use serde_json::Value;
use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    processes::CoreProcess,
    sql, till, wait,
};

/// How long a killed process's orders belong to it.
pub const LEASE: Duration = Duration::from_secs(2);
/// The catalogue's bar for going on after a kill: the lease and this.
pub const GRACE: Duration = Duration::from_secs(5);
/// Longer than any kill is waited for.
const HANG_MS: u64 = 120_000;

/// What every process of these tests has, to scale with the usual values.
pub const VARIABLES: [(&str, &str); 6] = [
    ("LEASE_SECONDS", "2"),
    ("LEASE_MARGIN_SECONDS", "0.5"),
    ("CALL_TIMEOUT_SECONDS", "1"),
    ("SETTLE_SECONDS", "2"),
    ("PANEL_MAX_CREATES", "16"),
    ("PANEL_MAX_CREATES_PER_NODE", "16"),
];

/// What hangs at a stand-in: a request that came and is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// At the panel: method, beginning of the path, and whether the work was done.
    Panel(&'static str, &'static str, bool),
    /// The same at Stripe.
    Stripe(&'static str, &'static str, bool),
}

/// A hang that was prepared.
pub enum Armed {
    Panel(FaultId),
    Stripe(sandbox::stripe::FaultId),
}

/// The shop and its process.
pub struct Scene {
    pub live: Live,
    pub core: CoreProcess,
    variables: Vec<(&'static str, String)>,
}

impl Scene {
    /// Opens a shop with one process, `serve`.
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, |_| {}, &[]).await
    }

    /// As [`Scene::open`], with other options of the shop and variables of the process.
    pub async fn open_with(
        engine: Engine,
        change: impl FnOnce(&mut Options),
        further: &[(&'static str, String)],
    ) -> Self {
        let mut live = Live::open_with(engine, change).await;
        live.world.panel.set_rate_limit(100_000);
        live.world.stop_cores().await;
        let mut variables: Vec<_> = VARIABLES
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        variables.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        variables.extend(further.iter().cloned());
        let core = start(&live, &variables).await;
        Self {
            live,
            core,
            variables,
        }
    }

    /// Starts the process anew, after it was killed.
    pub async fn restart(&mut self) {
        self.core = start(&self.live, &self.variables).await;
    }

    /// Lets the next such request hang.
    pub fn arm(&self, hang: Hang) -> Armed {
        let world = &self.live.world;
        match hang {
            Hang::Panel(method, path, after_work) => {
                let milliseconds = HANG_MS;
                let mut fault = PanelFault::on(method, path, FaultAction::Hang { milliseconds });
                fault.after_work = after_work;
                Armed::Panel(world.panel.inject(fault))
            }
            Hang::Stripe(method, path, after_work) => {
                let fault = StripeFault::on(method, path, Effect::Hang { after_work });
                Armed::Stripe(world.stripe.inject(fault.always()))
            }
        }
    }

    /// How many requests hang, or hung.
    pub fn fired(&self, armed: &Armed) -> usize {
        match armed {
            Armed::Panel(id) => self.live.world.panel.fired(*id),
            Armed::Stripe(id) => usize::try_from(self.live.world.stripe.fired(*id)).unwrap(),
        }
    }

    /// Kills the process as soon as so many requests hang; nothing hangs any more then.
    /// Tells when.
    pub async fn kill_when_hanging(&self, armed: &Armed, count: usize) -> Instant {
        self.wait_until_hanging(armed, count).await;
        self.core.kill().await;
        self.unhang();
        Instant::now()
    }

    /// Waits until so many requests hang.
    pub async fn wait_until_hanging(&self, armed: &Armed, count: usize) {
        wait::until("the requests hang", PATIENCE, || async {
            self.fired(armed) >= count
        })
        .await;
    }

    /// The stand-ins answer again.
    pub fn unhang(&self) {
        self.live.world.panel.clear_faults();
        self.live.world.stripe.clear_faults();
    }

    /// Checks a cart out as often as the shop's pages would: until it is open. A call that
    /// the death of a process cut off is one of those that are repeated.
    pub async fn reserve(&self, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
        let began = Instant::now();
        loop {
            match self.live.checkout(cart.clone()).await {
                Ok(answer) if !answer.checkout_url.is_empty() => return answer.order.unwrap(),
                Ok(_) => {}
                Err(status) => assert!(
                    matches!(
                        status.code(),
                        Code::Unavailable | Code::Unknown | Code::Cancelled
                    ),
                    "{status:?}"
                ),
            }
            assert!(began.elapsed() < PATIENCE, "the cart is not taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// New customers' carts, one each, paid. The payments are heard of.
    pub async fn purchases(&self, count: usize) -> Vec<proto::Order> {
        let mut orders = Vec::new();
        for _ in 0..count {
            orders.push(self.reserve(cart(Uuid::new_v4())).await);
        }
        for order in &orders {
            self.live.pay(order);
        }
        orders
    }

    /// Waits until every order of the shop runs and nobody has anything to do.
    pub async fn wait_until_delivered(&self) {
        let query = "SELECT count(*) FROM orders WHERE NOT (status = 'provisioned'
            AND server_state = 'running' AND lease_owner IS NULL AND due_us IS NULL)";
        self.wait_for_none(query).await;
    }

    /// Ends an order's subscription at once, as its customer would.
    pub fn cancel(&self, order: &proto::Order) {
        let subscription = self.live.subscription(order);
        let stripe = &self.live.world.stripe;
        stripe.cancel_subscription(&subscription).unwrap();
    }

    /// Waits until every order of the shop is over, nothing is held and nobody has
    /// anything to do.
    pub async fn wait_until_over(&self) {
        let query = "SELECT count(*) FROM orders WHERE NOT (status = 'canceled'
            AND lease_owner IS NULL AND due_us IS NULL
            AND NOT EXISTS (SELECT 1 FROM holds WHERE order_id = orders.id))";
        self.wait_for_none(query).await;
    }

    /// Waits until no row is left of a query that counts; else shows the orders.
    pub async fn wait_for_none(&self, query: &str) {
        let began = Instant::now();
        while sql::count(&self.live.store.db, query).await > 0 {
            if began.elapsed() > PATIENCE {
                panic!(
                    "not at rest: {:#?}\n{}",
                    self.states().await,
                    self.core.log()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every order in a line.
    async fn states(&self) -> Vec<String> {
        let query = "SELECT CAST(id AS text) || ' ' || status || ' ' || server_state || ' '
            || waiting_reason || ' ' || error_reason || ' ' || error_message FROM orders";
        sql::texts(&self.live.store.db, query).await
    }

    /// Every order of the shop, as it is.
    pub async fn orders(&self) -> Vec<proto::Order> {
        let message = proto::ListOrdersRequest {
            page_size: 500,
            ..proto::ListOrdersRequest::default()
        };
        let answer = self
            .live
            .orders()
            .list_orders(self.live.operator(message))
            .await
            .unwrap();
        answer.into_inner().orders
    }

    /// After rest: each order has exactly one server, made once as far as the panel knows;
    /// one account, one customer and one session where there must be one; the ledger is
    /// the panel's; nothing is parked or was counted against an order.
    pub async fn assert_each_delivered_once(&self, count: usize) {
        self.wait_until_delivered().await;
        let (live, orders) = (&self.live, self.orders().await);
        assert_eq!(orders.len(), count);
        let ids: BTreeSet<_> = orders.iter().map(|order| order.id.clone()).collect();
        let users: BTreeSet<_> = orders.iter().map(|order| order.user_id.clone()).collect();
        let servers = live.world.panel.servers();
        assert_eq!(servers.len(), count, "servers");
        let named: BTreeSet<_> = servers
            .iter()
            .filter_map(|row| row.external_id.clone())
            .collect();
        assert_eq!(named, ids);
        for order in &orders {
            let made = live.made(&order.id);
            assert_eq!(order.pterodactyl_server_id, made.id);
            assert_eq!((order.attempts, order.error_reason.as_str()), (0, ""));
        }
        let mut accounts: Vec<_> = live.world.panel.users();
        accounts.retain(|user| !user.root_admin);
        assert_eq!(accounts.len(), users.len(), "panel accounts");
        let named = accounts.iter().filter_map(|user| user.external_id.clone());
        assert_eq!(named.collect::<BTreeSet<_>>(), users);
        let customers = till::stripe_object(live, "/v1/customers?limit=100").await;
        assert_eq!(
            customers["data"].as_array().map(Vec::len),
            Some(users.len().min(100))
        );
        let sessions = live.world.stripe.sessions();
        assert_eq!(sessions.len(), count, "sessions");
        let named = sessions
            .iter()
            .filter_map(|one| one.client_reference_id.clone());
        assert_eq!(named.collect::<BTreeSet<_>>(), ids);
        self.assert_ledger_is_the_panels().await;
    }

    /// What we hold for servers is what the panel's servers have.
    pub async fn assert_ledger_is_the_panels(&self) {
        let (live, db) = (&self.live, &self.live.store.db);
        let servers = live.world.panel.servers();
        let held = sql::count(db, "SELECT count(*) FROM holds").await;
        assert_eq!(held, i64::try_from(servers.len()).unwrap(), "holds");
        let sums = "SELECT (SELECT CAST(sum(held_ram_gb) AS bigint) FROM ptero_nodes)
            - (SELECT CAST(coalesce(sum(ram_gb), 0) AS bigint) FROM holds)";
        assert_eq!(sql::count(db, sums).await, 0, "gigabytes held");
        let ours = sql::texts(
            db,
            "SELECT CAST(pterodactyl_allocation_id AS text) FROM allocations
             WHERE order_id IS NOT NULL AND state = 'assigned'",
        );
        let ours: BTreeSet<i64> = ours.await.iter().map(|id| id.parse().unwrap()).collect();
        let theirs: Vec<i64> = servers
            .iter()
            .flat_map(|row| row.allocations.clone())
            .collect();
        assert_eq!(theirs.len(), ours.len(), "a port is used twice");
        assert_eq!(theirs.into_iter().collect::<BTreeSet<_>>(), ours);
        let leaked = "SELECT count(*) FROM allocations WHERE state = 'held'";
        assert_eq!(sql::count(db, leaked).await, 0, "ports are still held");
    }

    /// POSTs of servers that arrived at the panel, done or not.
    pub fn posts(&self) -> usize {
        self.live.calls("POST", "/servers").len()
    }

    /// Lines of the process's log with this message.
    pub fn logged(&self, message: &str) -> usize {
        let log = self.core.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).count()
    }
}

async fn start(live: &Live, variables: &[(&'static str, String)]) -> CoreProcess {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    CoreProcess::start_all(live, &variables).await
}
