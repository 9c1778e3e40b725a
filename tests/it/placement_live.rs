//! Room on nodes, from checkout to the server: what is sold fits, a failing node is
//! left, and what operators are told is the truth.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use futures_util::future::join_all;
use sandbox::panel::{DaemonMode, NodeSpec};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    provisioning::EAST,
};

both_engines!(
    each_server_of_a_burst_fits_its_node,
    another_node_of_the_region_takes_over,
    nodes_ports_and_placements_are_told_as_they_are,
);

/// A node of the panel's first location.
pub fn node_spec(name: &str, last: u8, ports: RangeInclusive<u16>) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        description: String::new(),
        location: 1,
        fqdn: format!("{name}.example.net"),
        memory: 1 << 20,
        disk: 1 << 24,
        ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)),
        alias: None,
        ports,
    }
}

/// The same node for the shop.
pub fn node(name: &str, region: &str, max_ram_gb: i32) -> proto::Node {
    proto::Node {
        name: name.to_owned(),
        region: region.to_owned(),
        max_ram_gb,
        max_disk_gb: 10_000,
        enabled: true,
        weight: 100,
        ..proto::Node::default()
    }
}

pub fn in_region(
    cart: proto::CreateCheckoutSessionRequest,
    region: &str,
) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        region: region.to_owned(),
        ..cart
    }
}

/// Findings 26 and 27: unplaced orders were not counted, so that a burst oversold a node,
/// and delivered ones were forgotten.
async fn each_server_of_a_burst_fits_its_node(engine: Engine) {
    let live = Live::open(engine).await;
    let spec = node_spec("pool", 40, 30_000..=30_049);
    let pool = live.add_node(&spec, node("Pool", "pool", 7)).await;
    let carts = (0..10).map(|_| live.checkout(in_region(cart(Uuid::new_v4()), "pool")));
    let (sold, refused): (Vec<_>, Vec<_>) =
        join_all(carts).await.into_iter().partition(Result::is_ok);
    assert_eq!(sold.len(), 3, "7 GB hold three servers of 2");
    for status in refused {
        assert_eq!(reason(&status.unwrap_err()), "NO_CAPACITY");
    }
    let held = live.node(pool.id).await;
    assert_eq!(
        (held.held_ram_gb, held.held_disk_gb, held.free_allocations),
        (6, 60, 47)
    );
    for answer in sold {
        let order = answer.unwrap().order.unwrap();
        live.pay(&order);
        live.wait_running(&order.id).await;
    }
    // Delivered servers take as much as they were held for.
    let refused = live
        .checkout(in_region(cart(Uuid::new_v4()), "pool"))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "NO_CAPACITY");
    let held = live.node(pool.id).await;
    assert_eq!(
        (held.held_ram_gb, held.held_disk_gb, held.free_allocations),
        (6, 60, 47)
    );
    live.close().await;
}

/// Finding 29: the first node stayed recorded although a retry had moved.
async fn another_node_of_the_region_takes_over(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let first = live
        .add_node(
            &node_spec("one", 41, 31_000..=31_009),
            node("One", "pair", 64),
        )
        .await;
    let second = live
        .add_node(
            &node_spec("two", 42, 32_000..=32_009),
            node("Two", "pair", 64),
        )
        .await;
    let order = live.reserve(in_region(cart(Uuid::new_v4()), "pair")).await;
    assert_eq!(order.node_id, first.id);
    panel.set_daemon(first.pterodactyl_node_id, DaemonMode::Down);
    live.pay(&order);
    let order = live.wait_running(&order.id).await;
    let made = live.made(&order.id);
    assert_eq!(
        (order.node_id, made.node),
        (second.id, second.pterodactyl_node_id)
    );
    assert_eq!(
        (live.creates(&order.id).len(), live.tries(&order.id).await),
        (2, 0)
    );
    let (first, second) = (live.node(first.id).await, live.node(second.id).await);
    assert_eq!(
        (
            first.held_ram_gb,
            first.held_disk_gb,
            first.free_allocations
        ),
        (0, 0, 10)
    );
    assert_eq!(
        (
            second.held_ram_gb,
            second.held_disk_gb,
            second.free_allocations
        ),
        (2, 20, 9)
    );
    // The next cart does not go to the failing node either.
    let next = live.buy_cart(in_region(cart(Uuid::new_v4()), "pair")).await;
    assert_eq!((next.node_id, live.creates(&next.id).len()), (second.id, 1));
    live.close().await;
}

async fn nodes_ports_and_placements_are_told_as_they_are(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart(user)).await;
    let made = live.made(&order.id);
    let mut api = live.provisioning();

    let east = live.node(EAST.1).await;
    assert_eq!(
        (east.pterodactyl_node_id, east.region.as_str()),
        (EAST.0, "us-east")
    );
    assert_eq!(
        (east.held_ram_gb, east.held_disk_gb, east.free_allocations),
        (2, 20, 199)
    );
    assert!(east.last_seen_time.is_some() && east.avoided_until_time.is_none());
    let page = |page_token: String| proto::ListNodesRequest {
        page_size: 1,
        page_token,
        ..Default::default()
    };
    let first = api
        .list_nodes(live.viewer(page(String::new())))
        .await
        .unwrap()
        .into_inner();
    let first_node = proto::Node {
        last_seen_time: east.last_seen_time,
        ..first.nodes[0].clone()
    };
    assert_eq!((first.nodes.len(), first_node), (1, east.clone()));
    let second = api
        .list_nodes(live.viewer(page(first.next_page_token)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (second.nodes.len(), second.next_page_token.as_str()),
        (1, "")
    );
    assert_eq!(
        (second.nodes[0].region.as_str(), second.nodes[0].held_ram_gb),
        ("us-west", 0)
    );

    let ports = live.ports(EAST.1, "").await;
    assert_eq!(ports.len(), 200);
    let ours: Vec<_> = ports.iter().filter(|port| port.state != "free").collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(
        (ours[0].order_id.as_str(), ours[0].state.as_str()),
        (order.id.as_str(), "assigned")
    );
    assert_eq!(ours[0].pterodactyl_allocation_id, made.allocation);

    let server = live.server(&order.id).await;
    assert_eq!(
        (server.pterodactyl_server_id, &server.identifier),
        (made.id, &made.identifier)
    );
    assert_eq!(
        (server.uuid.clone(), &server.name),
        (made.uuid.to_string(), &made.name)
    );
    assert_eq!(
        (server.ram_mb, server.disk_mb, server.cpu_percent),
        (2048, 20_480, 100)
    );
    assert_eq!(
        (server.node_id, server.node_name.as_str()),
        (EAST.1, "US-East-1")
    );
    let port = made.port.unwrap();
    assert_eq!(server.address, format!("us-east-1.example.net:{port}"));
    assert_eq!(server.panel_url, live.world.panel.url());
    assert_eq!(server.panel_username, live.panel_users(user)[0].username);
    assert_eq!(
        (server.state(), server.panel_status.as_str()),
        (proto::ServerState::Running, "")
    );

    let explain = || proto::ExplainPlacementRequest {
        plan_id: "mc-4gb".to_owned(),
        region: "us-east".to_owned(),
        ..Default::default()
    };
    let told = api
        .explain_placement(live.viewer(explain()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.chosen_node_id, Some(EAST.1));
    let node = &told.nodes[0];
    assert!(node.fits && node.reasons.is_empty());
    // 64 GB less 2 of headroom less what is held.
    assert_eq!(
        (node.free_ram_gb, node.free_disk_gb, node.free_allocations),
        (60, 980, 199)
    );
    let disabled = proto::UpdateNodeRequest {
        node: Some(proto::Node {
            enabled: false,
            ..east
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["enabled".to_owned()],
        }),
        request_id: String::new(),
    };
    api.update_node(live.operator(disabled)).await.unwrap();
    let told = api
        .explain_placement(live.viewer(explain()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.chosen_node_id, None);
    assert_eq!(told.nodes[0].reasons, ["DISABLED"]);
    let refused = live.checkout(cart(Uuid::new_v4())).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_CAPACITY");
    live.close().await;
}
