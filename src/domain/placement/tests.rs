use proptest::prelude::*;

use super::{Strategy, *};

fn node(id: i32, held_ram_gb: i32) -> Node {
    Node {
        id,
        name: format!("node-{id}"),
        region: "us-east".to_owned(),
        enabled: true,
        maintenance: false,
        panel_changed: false,
        ports_known: true,
        avoided_until_us: 0,
        failing_since_us: None,
        weight: 100,
        max_ram_gb: 62,
        max_disk_gb: 1000,
        max_vcores: None,
        held_ram_gb,
        held_disk_gb: 0,
        held_vcores: 0,
        free_ports: 10,
    }
}

const NEED: Need = Need {
    ram_gb: 4,
    disk_gb: 40,
    vcores: 2,
    ports: 1,
};

fn best(nodes: &[Node], strategy: Strategy) -> Option<i32> {
    rank(nodes, NEED, strategy, 0)
        .into_iter()
        .find(Verdict::fits)
        .map(|v| v.node_id)
}

#[test]
fn spread_takes_the_emptiest_and_pack_the_fullest_that_fits() {
    let nodes = [node(1, 10), node(2, 40), node(3, 60)];
    assert_eq!(best(&nodes, Strategy::Spread), Some(1));
    assert_eq!(best(&nodes, Strategy::Pack), Some(2));
}

#[test]
fn weight_decides_between_equals_and_the_lower_id_between_twins() {
    let mut heavy = node(2, 10);
    heavy.weight = 200;
    assert_eq!(
        best(&[node(1, 10), heavy.clone()], Strategy::Spread),
        Some(2)
    );
    assert_eq!(best(&[node(1, 10), heavy], Strategy::Pack), Some(2));
    assert_eq!(best(&[node(2, 10), node(1, 10)], Strategy::Spread), Some(1));
}

#[test]
fn every_obstacle_is_named_alone() {
    type Change = (fn(&mut Node), Obstacle);
    let changes: [Change; 10] = [
        (|n| n.enabled = false, Obstacle::Disabled),
        (|n| n.maintenance = true, Obstacle::Maintenance),
        (|n| n.panel_changed = true, Obstacle::PanelChanged),
        (|n| n.ports_known = false, Obstacle::WarmingUp),
        (|n| n.avoided_until_us = 1, Obstacle::Avoided),
        (
            |n| (n.avoided_until_us, n.failing_since_us) = (1, Some(-FAILING_US - 1)),
            Obstacle::Failing,
        ),
        (|n| n.held_ram_gb = 59, Obstacle::Ram),
        (|n| n.held_disk_gb = 961, Obstacle::Disk),
        (|n| n.max_vcores = Some(1), Obstacle::Cpu),
        (|n| n.free_ports = 0, Obstacle::Ports),
    ];
    for (change, obstacle) in changes {
        let mut changed = node(1, 0);
        change(&mut changed);
        let verdict = judge(&changed, NEED, Strategy::Spread, 0);
        assert_eq!(verdict.obstacles, [obstacle]);
        // Room is there, only not now.
        let held = obstacle == Obstacle::Avoided;
        assert_eq!((verdict.sellable(), verdict.remaining > 0), (held, held));
    }
}

#[test]
fn a_node_that_failed_a_moment_ago_is_the_last_resort_and_one_that_goes_on_failing_is_none() {
    let failed = |id, since_us| Node {
        avoided_until_us: 1,
        failing_since_us: Some(since_us),
        ..node(id, 0)
    };
    let nodes = [failed(1, -1), node(2, 40), failed(3, -FAILING_US - 1)];
    let ranked = rank(&nodes, NEED, Strategy::Spread, 0);
    let ids: Vec<i32> = ranked.iter().map(|verdict| verdict.node_id).collect();
    assert_eq!(ids, [2, 1, 3]);
    let held: Vec<bool> = ranked.iter().map(Verdict::sellable).collect();
    assert_eq!(held, [true, true, false]);
    // Nothing failed lately: however long ago it began, it is over.
    let ranked = rank(&nodes, NEED, Strategy::Spread, 1);
    assert!(ranked.iter().all(Verdict::fits));
}

#[test]
fn remaining_is_bound_by_the_scarcest() {
    assert_eq!(judge(&node(1, 0), NEED, Strategy::Spread, 0).remaining, 10);
    assert_eq!(judge(&node(1, 50), NEED, Strategy::Spread, 0).remaining, 3);
    let mut cores = node(1, 0);
    cores.max_vcores = Some(5);
    assert_eq!(judge(&cores, NEED, Strategy::Spread, 0).remaining, 2);
}

proptest! {
    #[test]
    fn what_fits_never_oversells(
        held in prop::collection::vec((-5..80i32, 0..1100i32, 0..20i32), 0..6),
        ram in 1..64i32,
        disk in 1..1000i32,
        ports in 1..4i32,
    ) {
        let nodes: Vec<Node> = held
            .iter()
            .zip(1..)
            .map(|(&(ram, disk, free), id)| Node {
                held_ram_gb: ram.max(0),
                held_disk_gb: disk,
                free_ports: free,
                ..node(id, 0)
            })
            .collect();
        let need = Need { ram_gb: ram, disk_gb: disk, vcores: 1, ports };
        let ranked = rank(&nodes, need, Strategy::Spread, 0);
        prop_assert_eq!(ranked.len(), nodes.len());
        let mut seen_misfit = false;
        for verdict in ranked {
            let node = nodes.iter().find(|n| n.id == verdict.node_id).unwrap();
            let n = verdict.remaining;
            prop_assert!(node.held_ram_gb + n * ram <= node.max_ram_gb.max(node.held_ram_gb));
            prop_assert!(node.held_disk_gb + n * disk <= node.max_disk_gb.max(node.held_disk_gb));
            prop_assert!(n * ports <= node.free_ports);
            prop_assert_eq!(n >= 1, verdict.sellable());
            prop_assert!(!(seen_misfit && verdict.fits()));
            seen_misfit |= !verdict.fits();
        }
    }
}
