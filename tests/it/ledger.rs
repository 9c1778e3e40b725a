//! Room: what orders hold of nodes, when many take it at once.

use std::sync::Arc;

use futures_util::future::join_all;
use spawnpoint::{
    db::{Db, Error, allocations, holds, nodes},
    domain::{OrderId, placement::Need},
};
use tokio::sync::Barrier;

use crate::support::{
    db::{Engine, TestDb},
    effort,
    shop::{BIG, NEED, Shop, Size},
    sql,
};

both_engines!(
    forty_takes_of_room_for_25_end_with_25,
    the_last_gigabyte_has_one_winner,
    ports_are_never_given_twice,
    a_refused_take_leaves_no_trace,
    giving_back_twice_is_giving_back_once,
    a_node_that_takes_no_more_gives_no_room,
    less_than_nothing_is_never_held,
);

/// As a replica does: a store that is too busy is asked again.
async fn take(db: &Db, id: OrderId, node: i32, need: Need) -> bool {
    for _ in 0..20 {
        let taken = db
            .tx(|tx| async move { holds::take(&tx, id, node, need, 1).await })
            .await;
        match taken {
            Err(Error::Unavailable(_)) => {}
            other => return other.expect("taken or refused"),
        }
    }
    panic!("the store stayed unavailable");
}

async fn release(db: &Db, id: OrderId) {
    db.tx(|tx| async move { holds::release(&tx, id).await })
        .await
        .expect("room can be given back");
}

/// Every order tries at the same instant, spread over three replicas.
async fn all_at_once(test: &TestDb, orders: &[OrderId], node: i32, need: Need) -> Vec<bool> {
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(test.replica().await);
    }
    let barrier = Arc::new(Barrier::new(orders.len()));
    let tries = orders.iter().zip(replicas.iter().cycle()).map(|(id, db)| {
        let (id, db, barrier) = (*id, db.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            take(&db, id, node, need).await
        })
    });
    let tries: Vec<_> = tries.collect();
    join_all(tries)
        .await
        .into_iter()
        .map(|tried| tried.expect("no panic"))
        .collect()
}

async fn forty_takes_of_room_for_25_end_with_25(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    // Ports for all: only the room is scarce.
    let (ram_gb, disk_gb) = (25 * NEED.ram_gb + 1, 1_000);
    let node = shop
        .node(Size {
            ram_gb,
            disk_gb,
            ports: 60,
        })
        .await;
    let orders = shop.orders(40, i64::MAX).await;
    let taken = all_at_once(&test, &orders, node, NEED).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 25);

    let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!((stored.held_ram_gb, stored.held_disk_gb), (50, 250));
    assert_eq!(sql::count(&test.db, "SELECT count(*) FROM holds").await, 25);
    assert_eq!(stored.free_allocations, 60 - 25);
    for (id, taken) in orders.iter().zip(taken) {
        let held = holds::find(test.db.read(), *id).await.unwrap();
        assert_eq!(held.is_some(), taken);
        let ports = allocations::of_order(test.db.read(), *id).await.unwrap();
        assert_eq!(
            ports.len(),
            usize::from(taken),
            "a refused order keeps no port"
        );
    }
    for id in orders {
        release(&test.db, id).await;
    }
    let empty = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!(
        (
            empty.held_ram_gb,
            empty.held_disk_gb,
            empty.free_allocations
        ),
        (0, 0, 60)
    );
}

/// P-23: the last room of a node, for which several orders race on three replicas, round
/// after round (a thousand in the long mode). Each time one wins it, the others hold
/// nothing, and what nodes count as held is what orders hold (I5).
async fn the_last_gigabyte_has_one_winner(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let node = shop.node_for(3).await;
    let orders = shop.orders(2 + 4, i64::MAX).await;
    let (holders, racers) = orders.split_at(2);
    for id in holders {
        assert!(take(&test.db, *id, node, NEED).await);
    }
    let replicas = [
        test.replica().await,
        test.replica().await,
        test.replica().await,
    ];
    let held = "SELECT CAST(held_ram_gb - (SELECT sum(ram_gb) FROM holds) AS bigint)
        + CAST(held_disk_gb - (SELECT sum(disk_gb) FROM holds) AS bigint) FROM ptero_nodes";
    for round in 0..effort::runs(40, 1_000) {
        let barrier = Arc::new(Barrier::new(racers.len()));
        let races = racers.iter().zip(replicas.iter().cycle()).map(|(id, db)| {
            let (id, db, barrier) = (*id, db.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                take(&db, id, node, NEED).await
            })
        });
        let races: Vec<_> = races.collect();
        let won = join_all(races).await.into_iter().map(Result::unwrap);
        let won: Vec<bool> = won.collect();
        let winners: Vec<OrderId> = racers
            .iter()
            .zip(&won)
            .filter_map(|(id, won)| won.then_some(*id))
            .collect();
        assert_eq!(winners.len(), 1, "round {round}: {won:?}");
        let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
        assert_eq!(
            (
                stored.held_ram_gb,
                stored.held_disk_gb,
                stored.free_allocations
            ),
            (3 * NEED.ram_gb, 3 * NEED.disk_gb, 0),
            "round {round}"
        );
        assert_eq!(sql::count(&test.db, held).await, 0, "round {round}");
        assert_eq!(sql::count(&test.db, "SELECT count(*) FROM holds").await, 3);
        release(&test.db, winners[0]).await;
    }
}

async fn ports_are_never_given_twice(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    // Room for all: only ports are scarce, three for each of 20 orders.
    let node = shop.node(Size { ports: 60, ..BIG }).await;
    let orders = shop.orders(40, i64::MAX).await;
    let need = Need { ports: 3, ..NEED };
    let taken = all_at_once(&test, &orders, node, need).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 20);
    let mut ports = Vec::new();
    for id in &orders {
        let own = allocations::of_order(test.db.read(), *id).await.unwrap();
        let slots: Vec<_> = own.iter().map(|port| port.slot).collect();
        assert!(
            own.is_empty() || slots == [Some(0), Some(1), Some(2)],
            "{slots:?}"
        );
        ports.extend(own.into_iter().map(|port| port.panel_id));
    }
    let count = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((count, ports.len()), (60, 60));
    let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!(
        stored.held_ram_gb,
        20 * NEED.ram_gb,
        "who got no ports holds no room"
    );
}

async fn a_refused_take_leaves_no_trace(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let node = shop.node(Size { ports: 2, ..BIG }).await;
    let (one, other) = (shop.order().await, shop.order().await);
    assert!(take(&test.db, one, node, NEED).await);
    for need in [
        Need { ports: 2, ..NEED },
        Need {
            ram_gb: BIG.ram_gb - 1,
            ..NEED
        },
        Need {
            disk_gb: BIG.disk_gb - 9,
            ..NEED
        },
    ] {
        assert!(!take(&test.db, other, node, need).await, "{need:?}");
    }
    let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!(
        (stored.held_ram_gb, stored.held_disk_gb),
        (NEED.ram_gb, NEED.disk_gb)
    );
    assert_eq!(stored.free_allocations, 1);
    assert_eq!(holds::find(test.db.read(), other).await.unwrap(), None);
    // To the last byte it fits.
    let rest = Need {
        ram_gb: BIG.ram_gb - 2,
        disk_gb: BIG.disk_gb - 10,
        vcores: 1_000,
        ports: 1,
    };
    assert!(take(&test.db, other, node, rest).await);
}

async fn giving_back_twice_is_giving_back_once(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let node = shop.node_for(2).await;
    let (one, other) = (shop.order().await, shop.order().await);
    assert!(take(&test.db, one, node, NEED).await);
    assert!(take(&test.db, other, node, NEED).await);
    release(&test.db, one).await;
    release(&test.db, one).await;
    let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!(
        (stored.held_ram_gb, stored.free_allocations),
        (NEED.ram_gb, 1)
    );
    assert_eq!(
        allocations::of_order(test.db.read(), other)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_node_that_takes_no_more_gives_no_room(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let (node, order) = (shop.node(BIG).await, shop.order().await);
    let none = if test.db.is_postgres() { "false" } else { "0" };
    let all = if test.db.is_postgres() { "true" } else { "1" };
    for (close, reopen) in [
        (format!("enabled = {none}"), format!("enabled = {all}")),
        (
            format!("maintenance = {all}"),
            format!("maintenance = {none}"),
        ),
        (
            format!("panel_maintenance = {all}"),
            format!("panel_maintenance = {none}"),
        ),
        (
            format!("panel_changed = {all}"),
            format!("panel_changed = {none}"),
        ),
        (
            "max_vcores = 1, held_vcores = 1".to_owned(),
            "max_vcores = NULL".to_owned(),
        ),
        (
            format!("reserved_headroom_gb = {}", BIG.ram_gb - 1),
            "reserved_headroom_gb = 0".to_owned(),
        ),
    ] {
        sql::run(&test.db, &format!("UPDATE ptero_nodes SET {close}"))
            .await
            .unwrap();
        assert!(!take(&test.db, order, node, NEED).await, "{close}");
        sql::run(&test.db, &format!("UPDATE ptero_nodes SET {reopen}"))
            .await
            .unwrap();
    }
    assert!(take(&test.db, order, node, NEED).await);
}

async fn less_than_nothing_is_never_held(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let node = shop.node(BIG).await;
    let given = test
        .db
        .tx(|tx| async move { nodes::unhold(&tx, node, NEED).await })
        .await;
    assert!(matches!(given, Err(Error::Corrupt(_))), "{given:?}");
    let stored = nodes::find(test.db.read(), node).await.unwrap().unwrap();
    assert_eq!((stored.held_ram_gb, stored.held_disk_gb), (0, 0));
}
