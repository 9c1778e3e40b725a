//! Ports: which are chosen, and what a look at the panel may change.

use std::sync::Arc;

use spawnpoint::{
    db::{
        Error,
        allocations::{self, Seen},
    },
    domain::{OrderId, port::Port},
};
use tokio::sync::Barrier;

use crate::support::{
    db::{Engine, TestDb},
    shop::{BIG, Shop, Size, ports},
    sql,
};

both_engines!(
    neighbours_are_held_where_there_are_any,
    without_neighbours_one_address_is_enough,
    two_addresses_are_never_mixed,
    a_look_never_touches_what_an_order_has,
    a_look_follows_ports_that_nobody_has,
    a_port_that_is_no_longer_listed_is_gone_unless_held,
    a_look_that_began_before_a_server_went_does_not_keep_its_ports,
    adopted_ports_go_to_their_order_only_if_free,
    even_without_the_node_lock_a_port_has_one_holder,
);

struct Ports {
    test: TestDb,
    shop: Shop,
    node: i32,
}

impl Ports {
    async fn new(engine: Engine, seen: &[Seen]) -> Self {
        let test = TestDb::new(engine).await;
        let shop = Shop::open(&test.db).await;
        let node = shop.node(Size { ports: 0, ..BIG }).await;
        let ports = Self { test, shop, node };
        ports.look(seen, 10).await;
        ports
    }

    async fn look(&self, seen: &[Seen], at_us: i64) {
        let node = self.node;
        let looked = self
            .test
            .db
            .tx(|tx| async move { allocations::mirror(&tx, node, seen, at_us, at_us).await });
        looked.await.expect("a page can be stored");
    }

    async fn hold(&self, id: OrderId, count: i32) -> bool {
        let node = self.node;
        let held = self
            .test
            .db
            .tx(|tx| async move { allocations::hold(&tx, id, node, count).await });
        held.await.expect("held or refused")
    }

    async fn assign(&self, id: OrderId) {
        let assigned = self
            .test
            .db
            .tx(|tx| async move { allocations::assign(&tx, id).await });
        assigned.await.expect("ports can be assigned");
    }

    async fn numbers(&self, id: OrderId) -> Vec<(String, i32)> {
        let own = allocations::of_order(self.test.db.read(), id)
            .await
            .expect("ports");
        own.into_iter().map(|port| (port.ip, port.port)).collect()
    }

    async fn all(&self) -> Vec<Port> {
        allocations::list(self.test.db.read(), self.node, None, None, 100)
            .await
            .expect("ports")
    }

    async fn states(&self) -> Vec<String> {
        self.all()
            .await
            .into_iter()
            .map(|port| port.state)
            .collect()
    }
}

fn on(ip: &str, numbers: &[i32]) -> Vec<(String, i32)> {
    numbers
        .iter()
        .map(|number| (ip.to_owned(), *number))
        .collect()
}

async fn neighbours_are_held_where_there_are_any(engine: Engine) {
    let seen = ports("10.0.0.1", [25_009, 25_001, 25_003, 25_004, 25_007, 25_008]);
    let ports = Ports::new(engine, &seen).await;
    let (one, other, third) = (
        ports.shop.order().await,
        ports.shop.order().await,
        ports.shop.order().await,
    );
    assert!(ports.hold(one, 3).await);
    assert_eq!(
        ports.numbers(one).await,
        on("10.0.0.1", &[25_007, 25_008, 25_009])
    );
    assert!(ports.hold(other, 2).await);
    assert_eq!(
        ports.numbers(other).await,
        on("10.0.0.1", &[25_003, 25_004])
    );
    assert!(!ports.hold(third, 2).await, "one port is left");
    assert!(ports.hold(third, 1).await);
    assert_eq!(ports.numbers(third).await, on("10.0.0.1", &[25_001]));
}

async fn without_neighbours_one_address_is_enough(engine: Engine) {
    let seen = [ports("10.0.0.1", [1]), ports("10.0.0.2", [10, 20, 30])].concat();
    let ports = Ports::new(engine, &seen).await;
    let order = ports.shop.order().await;
    assert!(ports.hold(order, 2).await);
    assert_eq!(ports.numbers(order).await, on("10.0.0.2", &[10, 20]));
}

async fn two_addresses_are_never_mixed(engine: Engine) {
    // Neighbours by number, on different addresses.
    let seen = [ports("10.0.0.1", [25_000]), ports("10.0.0.2", [25_001])].concat();
    let ports = Ports::new(engine, &seen).await;
    let order = ports.shop.order().await;
    assert!(!ports.hold(order, 2).await);
    assert_eq!(
        ports.states().await,
        ["free", "free"],
        "a refusal holds nothing"
    );
}

async fn a_look_never_touches_what_an_order_has(engine: Engine) {
    let mut seen = ports("10.0.0.1", [1, 2, 3]);
    let ports = Ports::new(engine, &seen).await;
    let (holder, owner) = (ports.shop.order().await, ports.shop.order().await);
    assert!(ports.hold(holder, 1).await);
    assert!(ports.hold(owner, 1).await);
    ports.assign(owner).await;
    // The panel is behind or ahead of us: both words about both ports change nothing.
    for assigned in [true, false, true] {
        for port in &mut seen[..2] {
            port.assigned = assigned;
            port.alias = format!("alias-{assigned}");
        }
        ports.look(&seen, 20).await;
        let all = ports.all().await;
        let now: Vec<_> = all
            .iter()
            .map(|port| (port.state.as_str(), port.order_id, port.slot))
            .collect();
        assert_eq!(
            now,
            [
                ("held", Some(holder), Some(0)),
                ("assigned", Some(owner), Some(0)),
                ("free", None, None),
            ]
        );
        assert_eq!(
            all[0].alias,
            format!("alias-{assigned}"),
            "names are the panel's"
        );
    }
}

async fn a_look_follows_ports_that_nobody_has(engine: Engine) {
    let mut seen = ports("10.0.0.1", [1, 2]);
    seen[1].assigned = true;
    let ports = Ports::new(engine, &seen).await;
    assert_eq!(ports.states().await, ["free", "foreign"]);
    (seen[0].assigned, seen[1].assigned) = (true, false);
    ports.look(&seen, 20).await;
    assert_eq!(ports.states().await, ["foreign", "free"]);
    let order = ports.shop.order().await;
    assert!(ports.hold(order, 1).await);
    assert_eq!(ports.numbers(order).await, on("10.0.0.1", &[2]));
}

async fn a_port_that_is_no_longer_listed_is_gone_unless_held(engine: Engine) {
    let seen = ports("10.0.0.1", [1, 2, 3]);
    let ports = Ports::new(engine, &seen).await;
    let order = ports.shop.order().await;
    assert!(ports.hold(order, 1).await);
    ports.look(&seen[2..], 20).await;
    let node = ports.node;
    let gone = ports
        .test
        .db
        .tx(|tx| async move { allocations::mark_gone(&tx, node, 20).await });
    assert_eq!(gone.await.unwrap(), 1);
    assert_eq!(ports.states().await, ["held", "gone", "free"]);
    let other = ports.shop.order().await;
    assert!(!ports.hold(other, 2).await, "what is gone cannot be held");
    ports.look(&seen, 30).await;
    assert_eq!(ports.states().await, ["held", "free", "free"]);
}

/// The panel is asked, then a server goes with its ports, then the panel's old answer is stored.
async fn a_look_that_began_before_a_server_went_does_not_keep_its_ports(engine: Engine) {
    let mut seen = ports("10.0.0.1", [1, 2]);
    let ports = Ports::new(engine, &seen).await;
    let order = ports.shop.order().await;
    assert!(ports.hold(order, 1).await);
    ports.assign(order).await;
    let freed = ports
        .test
        .db
        .tx(|tx| async move { allocations::free_with_server(&tx, order, 25).await });
    freed.await.unwrap();
    seen[0].assigned = true;
    let (node, old) = (ports.node, &seen);
    let stored = ports
        .test
        .db
        .tx(|tx| async move { allocations::mirror(&tx, node, old, 20, 30).await });
    stored.await.unwrap();
    assert_eq!(ports.states().await, ["free", "free"]);
    // Somebody else took it since.
    ports.look(&seen, 40).await;
    assert_eq!(ports.states().await, ["foreign", "free"]);
}

async fn adopted_ports_go_to_their_order_only_if_free(engine: Engine) {
    let seen = ports("10.0.0.1", [1, 2, 3]);
    let ports = Ports::new(engine, &seen).await;
    let (holder, owner) = (ports.shop.order().await, ports.shop.order().await);
    assert!(ports.hold(holder, 1).await);
    let ids: Vec<i64> = seen.iter().map(|port| port.panel_id).collect();
    let ids = &ids;
    let adopted = ports.test.db.tx(|tx| async move {
        allocations::adopt(&tx, owner, ids).await?;
        // The same word again changes nothing.
        allocations::adopt(&tx, owner, ids).await?;
        Ok::<_, Error>(())
    });
    adopted.await.unwrap();
    assert_eq!(ports.numbers(holder).await, on("10.0.0.1", &[1]));
    assert_eq!(ports.numbers(owner).await, on("10.0.0.1", &[2, 3]));
    let slots = "SELECT count(DISTINCT slot) FROM allocations WHERE state = 'assigned'";
    assert_eq!(sql::count(&ports.test.db, slots).await, 2);
}

/// `hold` asks its caller to lock the node; a caller that forgets gets a refusal
/// at worst, never another order's port.
async fn even_without_the_node_lock_a_port_has_one_holder(engine: Engine) {
    let ports = Ports::new(engine, &ports("10.0.0.1", 1..=3)).await;
    let (node, orders) = (ports.node, ports.shop.orders(12, i64::MAX).await);
    let (one, other) = (ports.test.replica().await, ports.test.replica().await);
    let barrier = Arc::new(Barrier::new(orders.len()));
    let takes = orders
        .iter()
        .zip([one, other].into_iter().cycle())
        .map(|(id, db)| {
            let (id, barrier) = (*id, Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let held = db.tx(|tx| async move { allocations::hold(&tx, id, node, 1).await });
                (id, held.await.expect("held or refused"))
            })
        });
    for take in takes.collect::<Vec<_>>() {
        let (id, held) = take.await.expect("no panic");
        assert_eq!(
            ports.numbers(id).await.len(),
            usize::from(held),
            "told {held}"
        );
    }
    assert!(
        ports.states().await.iter().any(|state| state == "held"),
        "somebody is served"
    );
}
