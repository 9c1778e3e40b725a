//! What an order holds when its worker dies between choosing a place and using it: kept for
//! the order as long as it goes on, given back when it does not, and never lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use spawnpoint::{
    boot::Mode,
    domain::step::StepKind,
    probe::{Moment, Probe, Struck},
    rpc::proto,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE, cart},
    provisioning::{EAST, cart_of},
    sql, till, wait,
};

both_engines!(
    a_place_chosen_before_a_crash_is_used_after_it,
    a_place_chosen_before_a_crash_is_given_back_when_the_order_ends,
    a_worker_that_lost_its_lease_changes_no_reservation,
);

const ENDED: &str = "customer.subscription.deleted";
/// Longer than a lease.
const LEASE_IS_OVER: Duration = Duration::from_secs(61);

/// Holds every order still that has just been placed, until it is let go.
#[derive(Debug)]
struct Placed {
    holds: AtomicBool,
    /// Then it holds those that are about to be made.
    holds_creates: AtomicBool,
    arrived: Semaphore,
    go: Semaphore,
}

impl Placed {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            holds: AtomicBool::new(true),
            holds_creates: AtomicBool::new(false),
            arrived: Semaphore::new(0),
            go: Semaphore::new(0),
        })
    }

    /// Waits until so many orders stand between their place and their create.
    async fn wait(&self, orders: u32) {
        let arrived = tokio::time::timeout(PATIENCE, self.arrived.acquire_many(orders)).await;
        arrived.expect("they are placed").unwrap().forget();
    }

    fn hold_no_more(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Probe for Placed {
    async fn at(&self, moment: Moment) -> Result<(), Struck> {
        let holds = match moment {
            Moment::StepEnds(_, StepKind::Place) => &self.holds,
            Moment::StepBegins(_, StepKind::CreateServer) => &self.holds_creates,
            _ => return Ok(()),
        };
        if holds.load(Ordering::SeqCst) {
            self.arrived.add_permits(1);
            self.go.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

async fn open(engine: Engine, placed: &Arc<Placed>) -> Live {
    let probe = Arc::clone(placed) as Arc<dyn Probe>;
    Live::open_with(engine, |options| {
        options.probe = Some(probe);
        // Started once more it listens to Stripe's events again; until then it asks.
        options.set("SWEEP_PENDING_SECONDS", "0.2");
    })
    .await
}

/// Node and ports of an order.
async fn place(live: &Live, order: &proto::Order) -> (Option<i32>, Vec<i64>) {
    let node = live.hold(&order.id).await.map(|(node, _)| node);
    let ports = live.ports_of(EAST.1, &order.id).await;
    let ports = ports.iter().map(|port| port.pterodactyl_allocation_id);
    (node, ports.collect())
}

/// Every count of what is held, over all nodes, is what holds and ports of orders add up to.
async fn assert_nothing_leaked(live: &Live, holds: i64) {
    let db = &live.store.db;
    let leaked = "SELECT CAST(sum(held_ram_gb) AS bigint)
        - CAST((SELECT coalesce(sum(ram_gb), 0) FROM holds) AS bigint) FROM ptero_nodes";
    assert_eq!(sql::count(db, leaked).await, 0);
    let ports = "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL
        AND order_id NOT IN (SELECT order_id FROM holds)";
    assert_eq!(sql::count(db, ports).await, 0, "ports without room");
    let states = "SELECT count(*) FROM allocations
        WHERE (order_id IS NULL) <> (state NOT IN ('held', 'assigned'))";
    assert_eq!(
        sql::count(db, states).await,
        0,
        "a port in an impossible state"
    );
    assert_eq!(sql::count(db, "SELECT count(*) FROM holds").await, holds);
}

/// P-03: killed after node and ports were chosen, before the create. The next process makes
/// the server there and nowhere else.
async fn a_place_chosen_before_a_crash_is_used_after_it(engine: Engine) {
    let placed = Placed::new();
    let mut live = open(engine, &placed).await;
    let runs = effort::runs(1, 10);
    for run in 0..runs {
        placed.holds.store(true, Ordering::SeqCst);
        let mut orders = Vec::new();
        for plan in ["mc-1gb", "rust-3gb"] {
            orders.push(live.purchase(cart_of(Uuid::new_v4(), plan)).await);
        }
        placed.wait(2).await;
        live.world.kill_cores().await;
        // Before the next one runs: on SQLite it goes on at once.
        for order in &orders {
            assert_eq!(live.creates(&order.id).len(), 0, "killed before the create");
        }
        placed.hold_no_more();
        live.world.start_core(Mode::All).await.unwrap();
        let mut places = Vec::new();
        for order in &orders {
            places.push(place(&live, order).await);
        }
        // Each process begins with the machine's time, behind that of the one before it.
        live.skip(LEASE_IS_OVER * (run + 1));
        for (order, before) in orders.iter().zip(places) {
            let order = live.wait_running(&order.id).await;
            let made = live.made(&order.id);
            assert_eq!(before, (Some(EAST.1), made.allocations.clone()));
            assert_eq!(place(&live, &order).await, before);
            assert_eq!(live.creates(&order.id).len(), 1);
        }
        assert_nothing_leaked(&live, i64::from(run + 1) * 2).await;
    }
    assert_eq!(placed.arrived.available_permits(), 0);
    live.close().await;
}

/// P-03, where the order ends before anybody goes on with it: nothing is made, and what was
/// chosen is free again.
async fn a_place_chosen_before_a_crash_is_given_back_when_the_order_ends(engine: Engine) {
    let placed = Placed::new();
    let mut live = open(engine, &placed).await;
    let order = live.purchase(cart_of(Uuid::new_v4(), "rust-3gb")).await;
    placed.wait(1).await;
    live.world.kill_cores().await;
    assert_eq!(place_in_store(&live).await, (1, 3));
    let subscription = live.subscription(&order);
    live.world
        .stripe
        .cancel_subscription(&subscription)
        .unwrap();
    // The next process hears of it and dies as well, before it has made anything.
    let before = till::hints(&live, &order.id).await;
    placed.holds_creates.store(true, Ordering::SeqCst);
    placed.hold_no_more();
    live.world.start_core(Mode::All).await.unwrap();
    let ended = till::event_about(&live, ENDED, &subscription);
    live.world.stripe.deliver(&ended.id).unwrap();
    wait::until("the end was heard of", PATIENCE, || async {
        till::hints(&live, &order.id).await > before
    })
    .await;
    live.world.kill_cores().await;
    placed.holds_creates.store(false, Ordering::SeqCst);
    live.world.start_core(Mode::All).await.unwrap();
    live.skip(LEASE_IS_OVER);
    wait::until("its place is free", PATIENCE, || async {
        place_in_store(&live).await == (0, 0)
    })
    .await;
    let order = live.order(&order.id).await;
    assert_eq!(order.status(), proto::OrderStatus::Canceled);
    assert_nothing_leaked(&live, 0).await;
    let node = live.node(EAST.1).await;
    assert_eq!((node.held_ram_gb, node.free_allocations), (0, 200));
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.close().await;
}

/// Holds, and ports that orders have, whoever runs.
async fn place_in_store(live: &Live) -> (i64, i64) {
    let db = &live.store.db;
    let ports = "SELECT count(*) FROM allocations WHERE order_id IS NOT NULL";
    (
        sql::count(db, "SELECT count(*) FROM holds").await,
        sql::count(db, ports).await,
    )
}

/// P-03, by the fence: a worker stands still past its lease after it has placed the order.
/// Another one goes on; what the first does when it wakes is refused.
async fn a_worker_that_lost_its_lease_changes_no_reservation(engine: Engine) {
    let placed = Placed::new();
    let live = open(engine, &placed).await;
    let order = live.purchase(cart(Uuid::new_v4())).await;
    placed.wait(1).await;
    let before = place(&live, &order).await;
    placed.hold_no_more();
    // As if the process had stood still: its lease is over, and somebody else's claim counts.
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    let over = format!("UPDATE orders SET lease_until_us = 1, due_us = 1 WHERE id = {id}");
    sql::run(&live.store.db, &over).await.unwrap();
    live.world.cores[0].app.nudge.all_here();
    let order = live.wait_running(&order.id).await;
    // Now the first one wakes.
    placed.go.add_permits(1);
    wait::until("it has woken", PATIENCE, || async {
        placed.go.available_permits() == 0
    })
    .await;
    let next = live.buy_cart(cart(Uuid::new_v4())).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    assert_eq!(place(&live, &order).await, before);
    assert_eq!(live.made(&order.id).allocations, before.1);
    assert_eq!(live.tries(&order.id).await, 0);
    assert_eq!(live.creates(&next.id).len(), 1);
    assert_nothing_leaked(&live, 2).await;
    assert_eq!(live.world.panel.servers().len(), 2);
    live.close().await;
}
