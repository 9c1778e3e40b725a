//! Ports, from checkout to the server: our ledger chooses them, and what others took on
//! the panel meanwhile is chosen anew.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use sandbox::panel::{Call, DaemonMode, Fault, FaultAction};
use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use crate::{
    placement_live::{in_region, node, node_spec},
    support::{
        db::Engine,
        live::{Live, PATIENCE, cart, reason},
        provisioning::{EAST, cart_of},
        till, wait,
    },
};

both_engines!(
    a_port_taken_behind_our_back_is_a_new_choice,
    a_free_port_is_found_behind_any_number_of_taken_ones,
    with_every_port_of_its_node_taken_the_order_moves,
    without_any_port_nothing_is_sold_and_a_paid_order_waits,
    a_port_stolen_during_the_create_is_noticed,
    ports_beyond_the_first_page_are_sold,
    ports_of_one_server_are_on_one_address,
);

/// P-20, and finding 24: the panel refused a port that somebody else had, and the order died.
async fn a_port_taken_behind_our_back_is_a_new_choice(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    // The first port, then a further one of a game that needs three.
    for (plan, taken) in [("mc-2gb", 0), ("rust-3gb", 2)] {
        let order = live.reserve(cart_of(Uuid::new_v4(), plan)).await;
        let held = live.ports_of(EAST.1, &order.id).await;
        let stolen = held[taken].pterodactyl_allocation_id;
        live.occupy(stolen);
        live.pay(&order);
        let order = live.wait_running(&order.id).await;
        let creates = live.creates(&order.id);
        let statuses: Vec<_> = creates.iter().map(|call| call.status).collect();
        assert_eq!(statuses, [Some(422), Some(201)], "{plan}");
        assert_eq!(live.tries(&order.id).await, 0, "a new choice is not a try");
        let made = live.made(&order.id);
        assert_eq!(made.allocations.len(), held.len());
        assert!(!made.allocations.contains(&stolen));
        let ours = live.ports_of(EAST.1, &order.id).await;
        let ours: BTreeSet<i64> = ours
            .iter()
            .map(|port| port.pterodactyl_allocation_id)
            .collect();
        assert_eq!(ours, made.allocations.iter().copied().collect());
        let foreign = live.ports(EAST.1, "foreign").await;
        assert!(
            foreign
                .iter()
                .any(|port| port.pterodactyl_allocation_id == stolen)
        );
    }
    assert_eq!(
        panel
            .servers()
            .iter()
            .filter(|row| row.external_id.is_some())
            .count(),
        2
    );
    live.close().await;
}

/// P-20: an administrator took the first thirty ports since we read them. Each refusal is a
/// new choice and none a try, so the order gets the first that is really free.
async fn a_free_port_is_found_behind_any_number_of_taken_ones(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        // The mirror is read at the start and then as seldom as with many ports in stock.
        options.set("SWEEP_PORTS_SECONDS", till::NEVER);
    })
    .await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let mut free = panel.free_allocations(EAST.0);
    free.sort_unstable();
    let (taken, left) = free.split_at(30);
    for port in taken {
        live.occupy(*port);
    }
    live.pay(&order);
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (live.made(&order.id).allocation, live.tries(&order.id).await),
        (left[0], 0)
    );
    let creates = live.creates(&order.id);
    assert_eq!(creates.len(), taken.len() + 1);
    let made = |call: &&Call| call.status == Some(201);
    assert_eq!(creates.iter().filter(made).count(), 1);
    assert_eq!(live.ports(EAST.1, "foreign").await.len(), taken.len());
    assert_eq!(live.ports_of(EAST.1, &order.id).await.len(), 1);
    let held = live.node(EAST.1).await;
    assert_eq!((held.held_ram_gb, held.free_allocations), (2, 169));
    live.close().await;
}

/// P-20, then another node: every port of the held node was taken since we read them, and
/// the panel's list of them cannot be read again. Each choice there is refused, none is a
/// try, and then the order moves with all that it holds.
async fn with_every_port_of_its_node_taken_the_order_moves(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    // Games of one port and of three, on nodes of so many.
    let cases = [("mc-2gb", 1, 7), ("rust-3gb", 3, 6)];
    for (sold, (plan, wanted, ports)) in (1..).zip(cases) {
        let region = format!("pair-{sold}");
        let spec = node_spec(&format!("one-{sold}"), 50 + sold, 34_001..=34_000 + ports);
        let first = live.add_node(&spec, node("One", &region, 64)).await;
        let spec = node_spec(&format!("two-{sold}"), 60 + sold, 34_000..=34_005);
        let second = live.add_node(&spec, node("Two", &region, 64)).await;
        let cart = in_region(cart_of(Uuid::new_v4(), plan), &region);
        let order = live.reserve(cart).await;
        assert_eq!(order.node_id, first.id);
        let (_, need) = live.hold(&order.id).await.unwrap();

        let list = format!("/nodes/{}/allocations", first.pterodactyl_node_id);
        let unread = panel.inject(Fault::on("GET", &list, FaultAction::InternalError));
        wait::until("its ports cannot be read", PATIENCE, || async {
            panel.fired(unread) > 0
        })
        .await;
        let taken = panel.free_allocations(first.pterodactyl_node_id);
        assert_eq!(taken.len(), usize::from(ports), "the held ones too");
        for port in &taken {
            live.occupy(*port);
        }
        live.pay(&order);
        let order = live.wait_running(&order.id).await;
        panel.remove_fault(unread);

        let made = live.made(&order.id);
        let (node_id, panel_node) = (second.id, second.pterodactyl_node_id);
        assert_eq!((order.node_id, made.node), (node_id, panel_node), "{plan}");
        let creates = live.creates(&order.id);
        let statuses: Vec<_> = creates.iter().map(|call| call.status).collect();
        let mut expected = vec![Some(422); taken.len() / wanted];
        expected.push(Some(201));
        assert_eq!(statuses, expected, "{plan}");
        assert_eq!(live.tries(&order.id).await, 0, "a new choice is not a try");
        let servers = panel.servers();
        let ours = servers.iter().filter(|row| row.external_id.is_some());
        assert_eq!(ours.count(), usize::from(sold));

        assert_eq!(live.hold(&order.id).await, Some((second.id, need)));
        let (left, room) = (live.node(first.id).await, live.node(second.id).await);
        let held = |node: &proto::Node| (node.held_ram_gb, node.held_disk_gb);
        assert_eq!((held(&left), left.free_allocations), ((0, 0), 0));
        assert_eq!(held(&room), (need.ram_gb, need.disk_gb));
        assert!(live.ports_of(first.id, &order.id).await.is_empty());
        assert_eq!(live.ports(first.id, "foreign").await.len(), taken.len());
        let ports = live.ports_of(second.id, &order.id).await;
        let ports = ports.iter().map(|port| port.pterodactyl_allocation_id);
        assert_eq!(ports.collect::<Vec<_>>(), made.allocations);
        assert_eq!(made.allocations.len(), wanted);
    }
    live.close().await;
}

/// The panel does not guard additional ports: another create may take one meanwhile.
async fn a_port_stolen_during_the_create_is_noticed(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let slow = DaemonMode::Slow {
        wait: Duration::from_millis(700),
        method: Some("POST".to_owned()),
    };
    panel.set_daemon(EAST.0, slow);
    let order = live.purchase(cart_of(Uuid::new_v4(), "rust-3gb")).await;
    wait::until("the row is there", PATIENCE, || async {
        panel.server(&order.id).is_some()
    })
    .await;
    let ports = live.made(&order.id).allocations;
    let thief = live.occupy(panel.free_allocations(EAST.0)[100]);
    panel.assign_allocation(ports[1], Some(thief));
    let order = live.wait_running(&order.id).await;
    let left: Vec<i64> = live
        .ports_of(EAST.1, &order.id)
        .await
        .iter()
        .map(|port| port.pterodactyl_allocation_id)
        .collect();
    assert_eq!(left, [ports[0], ports[2]], "the panel's word wins");
    assert_eq!(live.server(&order.id).await.ports.len(), 2);
    let events = live.events(&order.id).await;
    assert!(
        events
            .iter()
            .any(|event| event.what == "note" && event.to.contains("1 lost")),
        "{events:?}"
    );
    live.close().await;
}

/// Finding 25: only the first page of ports was read.
async fn ports_beyond_the_first_page_are_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let ip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
    let more = panel.add_allocations(EAST.0, ip, 26_000..=27_049);
    let last = *more.last().unwrap();
    for port in panel.free_allocations(EAST.0) {
        if port != last {
            panel.assign_allocation(port, Some(9_999));
        }
    }
    live.skip(Duration::from_secs(301));
    wait::until("all ports were read again", PATIENCE, || async {
        live.ports(EAST.1, "foreign").await.len() == 200 + more.len() - 1
    })
    .await;
    let order = live.buy_cart(cart(Uuid::new_v4())).await;
    assert_eq!(live.made(&order.id).allocation, last);
    live.close().await;
}

/// Findings 30 and 31: nothing kept a cart from being paid for which there was no room; and
/// without a free port an assigned one was handed out.
async fn without_any_port_nothing_is_sold_and_a_paid_order_waits(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let thief = live.occupy(panel.free_allocations(EAST.0)[199]);
    for port in panel.free_allocations(EAST.0) {
        panel.assign_allocation(port, Some(thief));
    }
    live.skip(Duration::from_secs(301));
    wait::until("the mirror has no free port", PATIENCE, || async {
        live.ports(EAST.1, "free").await.is_empty()
    })
    .await;
    let (sessions, customers) = (
        live.world.stripe.sessions().len(),
        live.world.stripe.count("POST", "/v1/customers"),
    );
    let refused = live.checkout(cart(Uuid::new_v4())).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "NO_CAPACITY")
    );
    assert_eq!(
        live.world.stripe.sessions().len(),
        sessions,
        "no money was asked for"
    );
    assert_eq!(live.world.stripe.count("POST", "/v1/customers"), customers);

    // The order's own port is gone too: it waits, and takes the first that comes free.
    live.pay(&order);
    let waiting = live.wait_for_reason(&order.id, "NO_PORTS").await;
    assert_eq!(
        (live.tries(&waiting.id).await, live.creates(&order.id).len()),
        (0, 1)
    );
    let freed = panel.server(&order.id).map_or(thief, |made| made.id);
    assert_eq!(freed, thief, "nothing was made on a port of another");
    let port = live.ports(EAST.1, "foreign").await[77].pterodactyl_allocation_id;
    panel.assign_allocation(port, None);
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (live.made(&order.id).allocation, live.tries(&order.id).await),
        (port, 0)
    );
    live.close().await;
}

/// A game's ports are on one address, or its players would find only some of them.
async fn ports_of_one_server_are_on_one_address(engine: Engine) {
    let live = Live::open(engine).await;
    let spec = node_spec("two-addresses", 43, 33_000..=33_001);
    let pool = live
        .add_node(&spec, node("Two addresses", "pool", 64))
        .await;
    let other = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 44));
    let panel = &live.world.panel;
    let enough = panel.add_allocations(pool.pterodactyl_node_id, other, 33_000..=33_002);
    wait::until("the new ports are known", PATIENCE, || async {
        live.ports(pool.id, "free").await.len() == 5
    })
    .await;
    let rust = || in_region(cart_of(Uuid::new_v4(), "rust-3gb"), "pool");
    let order = live.buy_cart(rust()).await;
    assert_eq!(live.made(&order.id).allocations, enough);
    let addresses: BTreeSet<String> = live
        .server(&order.id)
        .await
        .ports
        .into_iter()
        .map(|port| port.ip)
        .collect();
    assert_eq!(addresses, [other.to_string()].into());
    // Two are left, on the other address: enough for a game of one port only.
    assert_eq!(
        reason(&live.checkout(rust()).await.unwrap_err()),
        "NO_CAPACITY"
    );
    live.buy_cart(in_region(cart(Uuid::new_v4()), "pool")).await;
    live.close().await;
}
