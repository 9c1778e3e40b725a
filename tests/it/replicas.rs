//! Four worker processes share one store: every order is made once, by one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use spawnpoint::{boot::Mode, rpc::proto};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort::bar,
    live::{Live, PATIENCE, reason},
    pool::pool_cart,
    postgres,
    processes::CoreProcess,
    sql, wait,
};

/// Orders, ports, and gigabytes of the node.
const ORDERS: u16 = 200;
const WORKERS: usize = 4;
/// Checkouts under way at the same time.
const AT_ONCE: u16 = 8;
/// Fewer than this made by one of them means that the others did its work.
const FAIR: usize = 15;
/// As many hex digits of an event's trace id name the worker.
const OWNER_DIGITS: usize = 8;
/// The catalogue's bar for the time from a payment to its running server, there for 500
/// orders and eight workers.
const FIGURE: Duration = Duration::from_secs(30);
/// And on a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(120);

/// P-21: as many ports as orders, and each order gets one of its own. Findings 3, 21 and
/// 24: redelivered events, and two workers at once, made second servers, or chose the
/// same port and lost the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_worker_processes_share_200_orders_and_200_ports() {
    if postgres::skipped() {
        return;
    }
    let variables = [
        // The events are the barrier: nothing may find the payments before.
        ("SWEEP_PENDING_SECONDS", "3600"),
        ("PANEL_MAX_CREATES", "16"),
        ("PANEL_MAX_CREATES_PER_NODE", "8"),
    ];
    let mut live = Live::open_with(Engine::Postgres, |options| {
        options.set_all(&variables);
    })
    .await;
    let node = live.add_pool(ORDERS).await;
    live.world.stop_cores().await;
    live.world.start_core(Mode::NoWorker).await.unwrap();
    let workers = join_all((0..WORKERS).map(|_| CoreProcess::start(&live, &variables))).await;

    live.hold_webhooks();
    let mut orders = Vec::new();
    // A few at a time: this is no test of how many checkouts a busy machine bears.
    for _ in 0..ORDERS / AT_ONCE {
        let carts = (0..AT_ONCE).map(|_| live.reserve(pool_cart(Uuid::new_v4())));
        orders.extend(join_all(carts).await);
    }
    assert_eq!(orders.len(), usize::from(ORDERS));
    let full = live.checkout(pool_cart(Uuid::new_v4())).await;
    assert_eq!(reason(&full.unwrap_err()), "NO_CAPACITY");
    for order in &orders {
        live.pay(order);
    }
    live.release_webhooks();
    wait::until("all servers run", 3 * PATIENCE, || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let running = "SELECT count(*) FROM orders
            WHERE status = 'provisioned' AND server_state = 'running'";
        sql::count(&live.store.db, running).await == i64::from(ORDERS)
    })
    .await;

    assert_each_has_a_server_and_a_port(&live, node.pterodactyl_node_id, &orders);
    let mut by_worker: BTreeMap<String, usize> = BTreeMap::new();
    for order in &orders {
        let events = live.events(&order.id).await;
        let created = events
            .iter()
            .find(|event| event.what == "pterodactyl_server_id")
            .unwrap();
        assert_eq!(created.cause, "CreateServer");
        *by_worker
            .entry(created.trace_id[..OWNER_DIGITS].to_owned())
            .or_default() += 1;
    }
    assert_eq!(by_worker.len(), WORKERS, "{by_worker:?}");
    assert!(
        by_worker.values().all(|made| *made >= FAIR),
        "{by_worker:?}"
    );
    let room = live.node(node.id).await;
    assert_eq!(
        (room.held_ram_gb, room.free_allocations),
        (i32::from(ORDERS), 0)
    );
    let slow = slowest_hundredth(&live).await;
    eprintln!("paid to running, p99 of {ORDERS}: {slow:?}; made by each: {by_worker:?}");
    assert!(slow < bar(FIGURE, BUSY), "{slow:?}");
    drop(workers);
    live.close().await;
}

fn assert_each_has_a_server_and_a_port(live: &Live, node: i64, orders: &[proto::Order]) {
    let panel = &live.world.panel;
    assert_eq!(panel.count_route("POST", "/servers"), orders.len());
    let mut made = panel.servers();
    made.retain(|row| row.node == node);
    assert_eq!(made.len(), orders.len());
    let ids: BTreeSet<_> = made
        .iter()
        .filter_map(|row| row.external_id.clone())
        .collect();
    assert_eq!(ids, orders.iter().map(|order| order.id.clone()).collect());
    let ports: BTreeSet<_> = made.iter().map(|row| row.port.unwrap()).collect();
    assert_eq!(ports.len(), orders.len());
}

/// The 99th percentile of the time from hearing of a payment to a running server.
async fn slowest_hundredth(live: &Live) -> Duration {
    let query = "SELECT CAST(percentile_disc(0.99) WITHIN GROUP
            (ORDER BY servers.first_running_us - billing.paid_hint_us) AS bigint)
        FROM servers JOIN billing ON billing.order_id = servers.order_id
        WHERE billing.paid_hint_us IS NOT NULL";
    let us = sql::count(&live.store.db, query).await;
    Duration::from_micros(u64::try_from(us).unwrap())
}
