//! A shop whose control plane is a process that can be killed, and the look at what is
//! left once everything has come to rest.

use std::time::{Duration, Instant};

use sandbox::{
    panel::{Fault as PanelFault, FaultAction, FaultId},
    stripe::{Effect, Fault as StripeFault},
    world::Options,
};
use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use super::rest;
use crate::support::{
    db::Engine,
    effort::bar,
    live::{Live, PATIENCE},
    pool::pool_cart,
    processes::CoreProcess,
    wait,
};

/// How long a killed process's orders belong to it: more than a write takes on a busy
/// machine, or nobody gets anywhere.
const LEASE: Duration = Duration::from_secs(4);
/// The catalogue's bar for going on after a kill: the lease and this.
const GRACE: Duration = Duration::from_secs(5);
/// A machine that does other things as well takes so many times as long.
pub const BUSY: u32 = 3;
/// Gigabytes and ports for everything that a scene sells.
pub const ROOM: u16 = 450;
/// Longer than any kill is waited for.
const HANG_MS: u64 = 120_000;

/// What every process of these tests has, to scale with the usual values.
pub const VARIABLES: [(&str, &str); 6] = [
    ("LEASE_SECONDS", "4"),
    ("LEASE_MARGIN_SECONDS", "0.5"),
    ("CALL_TIMEOUT_SECONDS", "2"),
    ("SETTLE_SECONDS", "2"),
    ("PANEL_MAX_CREATES", "16"),
    ("PANEL_MAX_CREATES_PER_NODE", "16"),
];

/// The longest time from a kill to the delivery of what it interrupted: harder than the
/// catalogue's bar, which ends where the interrupted step begins anew.
pub fn recovery() -> Duration {
    let figure = LEASE + GRACE;
    bar(figure, BUSY * figure)
}

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
    /// Of the processes before.
    logs: String,
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
        live.add_pool(ROOM).await;
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
            logs: String::new(),
        }
    }

    /// Gives processes that start from now on another value.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
    }

    /// Starts the process anew, after it was killed.
    pub async fn restart(&mut self) {
        self.logs += &self.core.log();
        self.core = start(&self.live, &self.variables).await;
    }

    /// Closes the shop, and audits it.
    pub async fn close(self) {
        let logs = self.logs + &self.core.log();
        self.live.close_served_by_processes(&logs).await;
    }

    /// Lets the next such request hang.
    pub fn arm(&self, hang: Hang) -> Armed {
        let world = &self.live.world;
        match hang {
            Hang::Panel(method, path, after_work) => {
                let milliseconds = HANG_MS;
                let mut fault = PanelFault::on(method, path, FaultAction::Hang { milliseconds });
                if after_work {
                    fault = fault.after_work();
                }
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

    /// See [`reserve`].
    pub async fn reserve(&self, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
        reserve(&self.live, cart).await
    }

    /// New customers' carts, one each, paid. The payments are heard of.
    pub async fn purchases(&self, count: usize) -> Vec<proto::Order> {
        let mut orders = Vec::new();
        for _ in 0..count {
            orders.push(self.reserve(pool_cart(Uuid::new_v4())).await);
        }
        for order in &orders {
            self.live.pay(order);
        }
        orders
    }

    /// Waits until every order of the shop runs and nobody has anything to do.
    pub async fn wait_until_delivered(&self) {
        rest::wait_until_delivered(&self.live, || self.core.log()).await;
    }

    /// Waits until every order of the shop is over, nothing is held and nobody has
    /// anything to do.
    pub async fn wait_until_over(&self) {
        rest::wait_until_over(&self.live, || self.core.log()).await;
    }

    /// See [`rest::assert_each_delivered_once`].
    pub async fn assert_each_delivered_once(&self, count: usize) {
        self.wait_until_delivered().await;
        rest::assert_each_delivered_once(&self.live, count).await;
    }

    /// Ends an order's subscription at once, as its customer would.
    pub fn cancel(&self, order: &proto::Order) {
        let subscription = self.live.subscription(order);
        let stripe = &self.live.world.stripe;
        stripe.cancel_subscription(&subscription).unwrap();
    }

    /// POSTs of servers that arrived at the panel, done or not.
    pub fn posts(&self) -> usize {
        self.live.calls("POST", "/servers").len()
    }
}

/// Checks a cart out as often as the shop's pages would: until its session is open. A call
/// that the death of a process cut off is one of those that are repeated.
pub async fn reserve(live: &Live, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
    let began = Instant::now();
    loop {
        match live.checkout(cart.clone()).await {
            Ok(answer) if !answer.checkout_url.is_empty() => return answer.order.unwrap(),
            Ok(_) => {}
            Err(status) => assert!(
                matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded
                ),
                "{status:?}"
            ),
        }
        assert!(began.elapsed() < PATIENCE, "the cart is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn start(live: &Live, variables: &[(&'static str, String)]) -> CoreProcess {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    CoreProcess::start_all(live, &variables).await
}
