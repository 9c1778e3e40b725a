//! Nodes where creates fail: they are the last to be sold, nobody waits there for long, and an
//! order that fails wherever it goes is trouble of its own.

use std::{collections::BTreeSet, time::Duration};

use sandbox::panel::DaemonMode;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::{
    placement_live::{in_region, node, node_spec},
    support::{
        db::Engine,
        live::{Live, PATIENCE, cart, reason},
        provisioning::EAST,
        wait,
    },
    unkind_panel::assert_delivered,
};

both_engines!(
    a_node_that_failed_a_moment_ago_is_the_last_to_be_sold,
    orders_that_wait_for_a_failing_node_go_elsewhere,
    an_order_that_fails_everywhere_takes_no_node_from_the_others,
);

const SERVERS: &str = "/servers";

/// How placement sees the one node of the region.
async fn explained(live: &Live) -> proto::NodePlacement {
    let message = proto::ExplainPlacementRequest {
        plan_id: "mc-2gb".to_owned(),
        region: "us-east".to_owned(),
        ..Default::default()
    };
    let mut client = live.provisioning();
    let answer = client.explain_placement(live.operator(message)).await;
    let explained = answer.unwrap().into_inner();
    assert_eq!(explained.chosen_node_id.is_some(), explained.nodes[0].fits);
    explained.nodes.into_iter().next().unwrap()
}

/// A node where a create failed a moment ago is well by the time that its customer has paid:
/// in a region of one node the shop sells on. Where another node has room, that one is sold;
/// and a node that goes on failing for minutes is not sold at all.
async fn a_node_that_failed_a_moment_ago_is_the_last_to_be_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    panel.set_daemon(EAST.0, DaemonMode::Down);
    let first = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&first.id, "PANEL_UNAVAILABLE").await;
    assert!(live.node(EAST.1).await.avoided_until_time.is_some());
    let second = live.reserve(cart(Uuid::new_v4())).await;
    assert_eq!(second.node_id, EAST.1);
    let node = explained(&live).await;
    assert_eq!(
        (node.fits, node.reasons),
        (true, vec!["AVOIDED".to_owned()])
    );

    // Both orders try it again and again; after ten minutes it is no node to sell.
    live.pay(&second);
    live.wait_for_reason(&second.id, "PANEL_UNAVAILABLE").await;
    for minute in 1..=13 {
        live.wait_until_unleased().await;
        let tried = panel.count_route("POST", SERVERS);
        live.skip(Duration::from_secs(61));
        wait::until("the node is tried again", PATIENCE, || async {
            panel.count_route("POST", SERVERS) > tried
        })
        .await;
        wait::until("it failed again", PATIENCE, || async {
            explained(&live).await.reasons != Vec::<String>::new()
        })
        .await;
        let (reasons, sold) = (explained(&live).await.reasons, minute <= 9);
        if sold {
            assert_eq!(reasons, ["AVOIDED"], "after {minute} minutes");
        }
    }
    assert_eq!(explained(&live).await.reasons, ["FAILING"]);
    let refused = live.checkout(cart(Uuid::new_v4())).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_CAPACITY");

    panel.set_daemon(EAST.0, DaemonMode::Ok);
    live.skip(Duration::from_secs(121));
    for order in [&first, &second] {
        assert_delivered(&live, order, "a node that was down").await;
    }
    live.close().await;
}

/// A region of its own with one node, and room for another.
async fn first_of_two(live: &Live) -> proto::Node {
    let spec = node_spec("one", 41, 31_000..=31_009);
    live.add_node(&spec, node("One", "pair", 64)).await
}

async fn second_of_two(live: &Live) -> proto::Node {
    let spec = node_spec("two", 42, 32_000..=32_009);
    live.add_node(&spec, node("Two", "pair", 64)).await
}

/// Two creates at a time go to a node. When one fails there, those that wait for their turn
/// do not go on to a node that hangs, each for as long, while other nodes have room.
async fn orders_that_wait_for_a_failing_node_go_elsewhere(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let first = first_of_two(&live).await;
    let mut orders = Vec::new();
    for _ in 0..6 {
        let order = live.reserve(in_region(cart(Uuid::new_v4()), "pair")).await;
        assert_eq!(order.node_id, first.id);
        orders.push(order);
    }
    let second = second_of_two(&live).await;
    let hang = DaemonMode::Hang {
        wait: Duration::from_secs(1),
        method: Some("POST".to_owned()),
    };
    panel.set_daemon(first.pterodactyl_node_id, hang);
    live.hold_webhooks();
    for order in &orders {
        live.pay(order);
    }
    live.release_webhooks();
    // An order whose store was away when the node's answer came is in doubt: it asks the same
    // node once more, when that is no longer avoided.
    wait::until("all are delivered", 2 * PATIENCE, || async {
        panel.servers().len() == orders.len()
    })
    .await;
    let mut unlucky = Vec::new();
    for order in &orders {
        let order = assert_delivered(&live, order, "a node that hangs").await;
        assert_eq!(order.node_id, second.id);
        let creates = live.creates(&order.id).into_iter();
        let failed = creates.filter(|call| call.status == Some(504)).count();
        if failed > 0 {
            unlucky.push(failed);
        }
    }
    let fired = panel.daemon_fired(first.pterodactyl_node_id);
    assert_eq!(fired, unlucky.iter().sum::<usize>());
    let waited = unlucky.len();
    assert!((1..=2).contains(&waited), "they waited: {unlucky:?}");
    live.close().await;
}

/// P-24: an order whose create the daemon of each node refuses keeps its room and waits. It
/// does not keep every node of its region from the others, however long it tries.
async fn an_order_that_fails_everywhere_takes_no_node_from_the_others(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let nodes = [first_of_two(&live).await, second_of_two(&live).await];
    let refused = DaemonMode::Status {
        status: 422,
        body: r#"{"error":"no such image"}"#.to_owned(),
    };
    for node in &nodes {
        panel.set_daemon(node.pterodactyl_node_id, refused.clone());
    }
    let poisoned = live.purchase(in_region(cart(Uuid::new_v4()), "pair")).await;
    let fails = async |tries: usize| {
        wait::until("it is tried again", PATIENCE, || async {
            live.creates(&poisoned.id).len() >= tries
        })
        .await;
        live.wait_for_reason(&poisoned.id, "PANEL_UNAVAILABLE")
            .await;
    };
    for tries in 1..=8 {
        fails(tries).await;
        live.wait_until_unleased().await;
        live.skip(Duration::from_secs(61));
    }
    fails(9).await;
    // What just failed once more did not make anybody avoid the node.
    for node in &nodes {
        let avoided = live.node(node.id).await.avoided_until_time;
        let now_us = live.world.cores[0].app.db.now().await.unwrap();
        let passed = |until: i64| until < now_us / 1_000_000;
        assert!(
            avoided.is_none_or(|until| passed(until.seconds)),
            "{avoided:?}"
        );
    }
    let tried = live.creates(&poisoned.id);
    assert!(tried.iter().all(|call| call.status == Some(422)));
    let ports = tried
        .iter()
        .map(|call| call.body.as_ref().unwrap()["allocation"]["default"].as_i64());
    let ports: BTreeSet<_> = ports.collect();
    assert!(ports.len() > 1, "it went nowhere else");
    assert_eq!(live.tries(&poisoned.id).await, 0);
    assert!(live.hold(&poisoned.id).await.is_some());

    for node in &nodes {
        panel.set_daemon(node.pterodactyl_node_id, DaemonMode::Ok);
    }
    let other = live.buy_cart(in_region(cart(Uuid::new_v4()), "pair")).await;
    assert_eq!(live.creates(&other.id).len(), 1);
    live.skip(Duration::from_secs(61));
    assert_delivered(&live, &poisoned, "refusals of every node").await;
    live.close().await;
}
