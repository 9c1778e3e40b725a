use std::sync::Arc;

use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::*;
use crate::db::testing::{self, TestDb};

const NEED: Need = Need {
    ram_gb: 4,
    disk_gb: 40,
    vcores: 2,
    ports: 1,
};

fn new_node(pterodactyl_node_id: i64, region: &str) -> NewNode {
    NewNode {
        pterodactyl_node_id,
        name: format!("node-{pterodactyl_node_id}"),
        region: region.to_owned(),
        fqdn: String::new(),
        max_ram_gb: 64,
        max_disk_gb: 1000,
        max_vcores: None,
        reserved_headroom_gb: 2,
        enabled: true,
        maintenance: false,
        weight: 100,
    }
}

async fn add(db: &TestDb, node: &NewNode) -> i32 {
    db.tx(|tx| async move { insert(&tx, node, 1).await })
        .await
        .unwrap()
}

async fn try_hold(db: &TestDb, id: i32, need: Need) -> bool {
    db.tx(|tx| async move { hold(&tx, id, need).await })
        .await
        .unwrap()
}

async fn set(db: &TestDb, id: i32, column: nodes::Column, value: bool) {
    db.tx(|tx| async move {
        nodes::Entity::update_many()
            .col_expr(column, Expr::value(value))
            .filter(nodes::Column::Id.eq(id))
            .exec(&*tx)
            .await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn add_ports(db: &TestDb, node_id: i32, ip: &str, ports: std::ops::Range<i32>, state: &str) {
    db.tx(|tx| {
        let ports = ports.clone();
        async move {
            for port in ports {
                let row = allocations::Model {
                    id: 0,
                    pterodactyl_allocation_id: i64::from(node_id) * 1_000_000
                        + i64::from(port)
                        + ip.bytes().map(i64::from).sum::<i64>() * 100_000_000,
                    node_id,
                    ip: ip.to_owned(),
                    alias: String::new(),
                    port,
                    order_id: None,
                    slot: None,
                    state: state.to_owned(),
                    seen_us: 1,
                };
                let mut row = row.into_active_model().reset_all();
                row.id = NotSet;
                row.insert(&*tx).await?;
            }
            Ok::<_, Error>(())
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_node_is_read_back_as_it_was_said() {
    let db = testing::open().await;
    let said = NewNode {
        max_vcores: Some(8),
        fqdn: "n.example".to_owned(),
        ..new_node(7, "eu")
    };
    let id = add(&db, &said).await;
    let node = find(db.read(), id).await.unwrap().unwrap();
    assert_eq!(node.set, said);
    assert_eq!(
        (node.held_ram_gb, node.held_disk_gb, node.free_allocations),
        (0, 0, 0)
    );
    assert_eq!(
        find_by_panel_id(db.read(), 7).await.unwrap().unwrap().id,
        id
    );
    assert!(find(db.read(), id + 1).await.unwrap().is_none());
    let twice = db.tx(|tx| {
        let said = &said;
        async move { insert(&tx, said, 1).await }
    });
    assert!(matches!(twice.await, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn no_more_is_held_than_there_is() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    // 62 GiB are usable: 15 of 4 GiB fit, the sixteenth does not.
    for _ in 0..15 {
        assert!(try_hold(&db, id, NEED).await);
    }
    assert!(!try_hold(&db, id, NEED).await);
    assert!(try_hold(&db, id, Need { ram_gb: 2, ..NEED }).await);
    let node = find(db.read(), id).await.unwrap().unwrap();
    assert_eq!((node.held_ram_gb, node.held_disk_gb), (62, 640));
    assert!(
        !try_hold(
            &db,
            id,
            Need {
                ram_gb: 0,
                disk_gb: 361,
                ..NEED
            }
        )
        .await
    );
    assert!(
        try_hold(
            &db,
            id,
            Need {
                ram_gb: 0,
                disk_gb: 360,
                ..NEED
            }
        )
        .await
    );
}

#[tokio::test]
async fn cores_count_only_where_they_are_limited() {
    let db = testing::open().await;
    let counted = NewNode {
        max_vcores: Some(3),
        ..new_node(1, "eu")
    };
    let counted = add(&db, &counted).await;
    assert!(try_hold(&db, counted, NEED).await);
    assert!(!try_hold(&db, counted, NEED).await);
    assert!(try_hold(&db, counted, Need { vcores: 1, ..NEED }).await);
    let free = add(&db, &new_node(2, "eu")).await;
    assert!(
        try_hold(
            &db,
            free,
            Need {
                vcores: 500,
                ..NEED
            }
        )
        .await
    );
}

#[tokio::test]
async fn a_node_out_of_service_takes_nothing() {
    use nodes::Column;
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    for (column, bad) in [
        (Column::Enabled, false),
        (Column::Maintenance, true),
        (Column::PanelMaintenance, true),
        (Column::PanelChanged, true),
    ] {
        set(&db, id, column, bad).await;
        assert!(!try_hold(&db, id, NEED).await, "{column:?}");
        let view = views(db.read(), None).await.unwrap().remove(0);
        assert!(
            !view.enabled || view.maintenance || view.panel_changed,
            "{column:?}"
        );
        let region = regions(db.read(), None, 10).await.unwrap().rows.remove(0);
        assert_eq!((region.nodes, region.enabled), (1, false), "{column:?}");
        set(&db, id, column, !bad).await;
    }
    assert!(try_hold(&db, id, NEED).await);
}

#[tokio::test]
async fn holds_at_once_never_oversell() {
    let db = Arc::new(testing::open().await);
    let id = add(&db, &new_node(1, "eu")).await;
    let tries: Vec<_> = (0..40)
        .map(|_| {
            let db = Arc::clone(&db);
            tokio::spawn(async move { try_hold(&db, id, NEED).await })
        })
        .collect();
    let mut won = 0;
    for one in tries {
        won += i32::from(one.await.unwrap());
    }
    assert_eq!(won, 15);
    assert_eq!(find(db.read(), id).await.unwrap().unwrap().held_ram_gb, 60);
}

#[tokio::test]
async fn what_is_given_back_twice_is_told() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    assert!(try_hold(&db, id, NEED).await);
    db.tx(|tx| async move { unhold(&tx, id, NEED).await })
        .await
        .unwrap();
    let again = db.tx(|tx| async move { unhold(&tx, id, NEED).await }).await;
    assert!(matches!(again, Err(Error::Corrupt(_))));
    let node = find(db.read(), id).await.unwrap().unwrap();
    assert_eq!((node.held_ram_gb, node.held_disk_gb), (0, 0));
}

#[tokio::test]
async fn free_ports_count_on_the_fullest_address() {
    let db = testing::open().await;
    let (one, two) = (
        add(&db, &new_node(1, "eu")).await,
        add(&db, &new_node(2, "us")).await,
    );
    add_ports(&db, one, "10.0.0.1", 25_000..25_003, "free").await;
    add_ports(&db, one, "10.0.0.2", 25_000..25_005, "free").await;
    add_ports(&db, one, "10.0.0.3", 25_000..25_009, "foreign").await;
    let view = views(db.read(), Some("eu")).await.unwrap();
    assert_eq!(view.len(), 1);
    assert_eq!(
        (view[0].free_ports, view[0].max_ram_gb, view[0].ports_known),
        (5, 62, false)
    );
    assert_eq!(
        find(db.read(), one)
            .await
            .unwrap()
            .unwrap()
            .free_allocations,
        8
    );
    assert_eq!(
        find(db.read(), two)
            .await
            .unwrap()
            .unwrap()
            .free_allocations,
        0
    );
    assert_eq!(views(db.read(), None).await.unwrap().len(), 2);
    assert!(views(db.read(), Some("mars")).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_operators_update_leaves_the_ledger_alone() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    assert!(try_hold(&db, id, NEED).await);
    mark_avoided_in(&db, id, 50).await;
    let changed = NewNode {
        max_ram_gb: 2,
        reserved_headroom_gb: 1,
        ..new_node(1, "us")
    };
    db.tx(|tx| {
        let changed = &changed;
        async move { update(&tx, id, changed, 9).await }
    })
    .await
    .unwrap();
    let node = find(db.read(), id).await.unwrap().unwrap();
    assert_eq!(node.set, changed);
    assert_eq!((node.held_ram_gb, node.held_disk_gb), (4, 40));
    assert_eq!(node.avoided_until_us, Some(50));
    assert!(!try_hold(&db, id, Need { ram_gb: 1, ..NEED }).await);
}

/// A create of this order failed at a time, and the node is to be avoided until another.
async fn failed(db: &TestDb, id: i32, order: u128, unless_alone: bool, times: (i64, i64)) {
    let order = OrderId(uuid::Uuid::from_u128(order));
    mark_avoided(db.write(), id, order, unless_alone, times.0, times.1)
        .await
        .unwrap();
}

async fn mark_avoided_in(db: &TestDb, id: i32, until_us: i64) {
    failed(db, id, 1, false, (0, until_us)).await;
}

#[tokio::test]
async fn the_longer_wish_to_avoid_stands() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    for (wish, stands) in [(50, 50), (40, 50), (60, 60)] {
        mark_avoided_in(&db, id, wish).await;
        let view = views(db.read(), None).await.unwrap().remove(0);
        assert_eq!(view.avoided_until_us, stands);
    }
}

#[tokio::test]
async fn a_node_fails_since_the_first_of_failures_that_follow_each_other() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    assert_eq!(avoided_until(db.read(), id).await.unwrap(), 0);
    let minute = crate::domain::MINUTE_US;
    let well = placement::WELL_US;
    let failures = [
        (5, 5),
        (6 * minute, 5),
        (6 * minute + well, 5),
        // Well for longer than that since it was last avoided.
        (8 * minute + 2 * well, 8 * minute + 2 * well),
    ];
    for (now_us, since_us) in failures {
        let until_us = now_us + minute;
        failed(&db, id, 1, false, (now_us, until_us)).await;
        let view = views(db.read(), None).await.unwrap().remove(0);
        assert_eq!(view.failing_since_us, Some(since_us), "at {now_us}");
        assert_eq!(avoided_until(db.read(), id).await.unwrap(), until_us);
    }
    mark_well(db.write(), id).await.unwrap();
    let view = views(db.read(), None).await.unwrap().remove(0);
    assert_eq!(view.failing_since_us, None);
}

#[tokio::test]
async fn an_order_that_fails_again_and_again_needs_another_to_say_so_too() {
    let db = testing::open().await;
    let id = add(&db, &new_node(1, "eu")).await;
    let until = async || avoided_until(db.read(), id).await.unwrap();
    failed(&db, id, 1, true, (0, 10)).await;
    assert_eq!(until().await, 0, "nobody failed before");
    failed(&db, id, 1, false, (0, 20)).await;
    failed(&db, id, 1, true, (0, 30)).await;
    assert_eq!(until().await, 20, "its own word");
    failed(&db, id, 2, true, (0, 40)).await;
    failed(&db, id, 1, true, (0, 50)).await;
    assert_eq!(until().await, 50, "two of them");
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let db = testing::open().await;
    for (panel_id, region) in [(1, "us"), (2, "eu"), (3, "us"), (4, "asia")] {
        add(&db, &new_node(panel_id, region)).await;
    }
    let first = list(db.read(), Some("us"), None, 1).await.unwrap();
    assert_eq!((first.rows.len(), first.more), (1, true));
    let rest = list(db.read(), Some("us"), Some(first.rows[0].id), 5)
        .await
        .unwrap();
    assert_eq!(rest.rows[0].set.pterodactyl_node_id, 3);
    assert_eq!((rest.rows.len(), rest.more), (1, false));
    let page = regions(db.read(), None, 2).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|region| region.id.as_str()).collect();
    assert_eq!((ids, page.more), (vec!["asia", "eu"], true));
    let last = regions(db.read(), Some("eu"), 2).await.unwrap();
    assert_eq!(
        (last.rows[0].id.as_str(), last.rows[0].nodes, last.more),
        ("us", 2, false)
    );
}
