//! Two worker processes share one store: every order is made once, by either of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use futures_util::future::join_all;
use sandbox::panel::NodeSpec;
use spawnpoint::{boot::Mode, rpc::proto};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    postgres,
    processes::CoreProcess,
    wait,
};

/// Orders, ports, and gigabytes of the node.
const ORDERS: u16 = 60;
/// Checkouts under way at the same time.
const AT_ONCE: u16 = 6;
/// Fewer than this made by one of the two means that the other did the work.
const FAIR: usize = 15;
/// As many hex digits of an event's trace id name the worker.
const OWNER_DIGITS: usize = 8;

fn pool() -> NodeSpec {
    NodeSpec {
        name: "pool".to_owned(),
        description: String::new(),
        location: 1,
        fqdn: "pool.example.net".to_owned(),
        memory: 65_536,
        disk: 1_024_000,
        ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 60)),
        alias: None,
        ports: 40_000..=40_000 + ORDERS - 1,
    }
}

fn pool_node() -> proto::Node {
    proto::Node {
        name: "Pool".to_owned(),
        region: "pool".to_owned(),
        max_ram_gb: i32::from(ORDERS),
        max_disk_gb: i32::from(ORDERS) * 10,
        enabled: true,
        weight: 100,
        ..proto::Node::default()
    }
}

/// Findings 3, 21 and 24: redelivered events, and two workers at once, made second
/// servers, or chose the same port and lost the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_worker_processes_share_sixty_orders_and_sixty_ports() {
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
        options
            .variables
            .extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    })
    .await;
    live.world.panel.set_rate_limit(100_000);
    let node = live.add_node(&pool(), pool_node()).await;
    live.world.stop_cores().await;
    live.world.start_core(Mode::NoWorker).await.unwrap();
    let workers = [
        CoreProcess::start(&live, &variables).await,
        CoreProcess::start(&live, &variables).await,
    ];

    live.hold_webhooks();
    let mut orders = Vec::new();
    // A few at a time: this is no test of how many checkouts a busy machine bears.
    for _ in 0..ORDERS / AT_ONCE {
        let carts = (0..AT_ONCE).map(|_| {
            live.reserve(proto::CreateCheckoutSessionRequest {
                plan_id: "mc-1gb".to_owned(),
                region: "pool".to_owned(),
                ..cart(Uuid::new_v4())
            })
        });
        orders.extend(join_all(carts).await);
    }
    assert_eq!(orders.len(), usize::from(ORDERS));
    let full = live.checkout(proto::CreateCheckoutSessionRequest {
        plan_id: "mc-1gb".to_owned(),
        region: "pool".to_owned(),
        ..cart(Uuid::new_v4())
    });
    assert_eq!(
        crate::support::live::reason(&full.await.unwrap_err()),
        "NO_CAPACITY"
    );
    for order in &orders {
        live.pay(order);
    }
    live.release_webhooks();
    wait::until("all servers run", 2 * PATIENCE, || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let message = proto::ListOrdersRequest {
            status: proto::OrderStatus::Provisioned as i32,
            page_size: 500,
            ..proto::ListOrdersRequest::default()
        };
        let listed = live
            .orders()
            .list_orders(live.operator(message))
            .await
            .unwrap()
            .into_inner();
        let running = |order: &&proto::Order| order.server_state() == proto::ServerState::Running;
        listed.orders.iter().filter(running).count() == orders.len()
    })
    .await;

    let panel = &live.world.panel;
    assert_eq!(panel.count_route("POST", "/servers"), orders.len());
    let made: Vec<_> = panel
        .servers()
        .into_iter()
        .filter(|row| row.node == node.pterodactyl_node_id)
        .collect();
    assert_eq!(made.len(), orders.len());
    let ids: BTreeSet<_> = made
        .iter()
        .filter_map(|row| row.external_id.clone())
        .collect();
    assert_eq!(ids, orders.iter().map(|order| order.id.clone()).collect());
    let ports: BTreeSet<_> = made.iter().map(|row| row.port.unwrap()).collect();
    assert_eq!(ports.len(), orders.len());

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
    assert_eq!(by_worker.len(), 2, "{by_worker:?}");
    assert!(
        by_worker.values().all(|made| *made >= FAIR),
        "{by_worker:?}"
    );
    let room = live.node(node.id).await;
    assert_eq!(
        (room.held_ram_gb, room.free_allocations),
        (i32::from(ORDERS), 0)
    );
    drop(workers);
    live.close().await;
}
