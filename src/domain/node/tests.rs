use super::*;

fn node() -> NewNode {
    NewNode {
        pterodactyl_node_id: 1,
        name: "US-East-1".to_owned(),
        region: "us-east".to_owned(),
        fqdn: "node1.example.com".to_owned(),
        max_ram_gb: 64,
        max_disk_gb: 1000,
        max_vcores: Some(16),
        reserved_headroom_gb: 2,
        enabled: true,
        maintenance: false,
        weight: 100,
    }
}

/// How a sound row is broken, and the field that is then named.
type Broken<T> = (fn(&mut T), &'static str);

fn paths(node: &NewNode) -> Vec<String> {
    let mut violations = Violations::default();
    node.check(&mut violations, "node");
    violations
        .into_vec()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

#[test]
fn a_sound_node_breaks_no_rule() {
    assert!(paths(&node()).is_empty());
    let bare = NewNode {
        fqdn: String::new(),
        max_vcores: None,
        ..node()
    };
    assert!(paths(&bare).is_empty());
}

#[test]
fn every_broken_rule_is_named() {
    let cases: [Broken<NewNode>; 12] = [
        (|n| n.pterodactyl_node_id = 0, "node.pterodactyl_node_id"),
        (|n| n.name = String::new(), "node.name"),
        (|n| n.region = "US East".to_owned(), "node.region"),
        (|n| n.region = "r".repeat(33), "node.region"),
        (|n| n.fqdn = "a b".to_owned(), "node.fqdn"),
        (|n| n.max_ram_gb = 0, "node.max_ram_gb"),
        (|n| n.max_disk_gb = -1, "node.max_disk_gb"),
        (|n| n.max_vcores = Some(0), "node.max_vcores"),
        (|n| n.reserved_headroom_gb = -1, "node.reserved_headroom_gb"),
        (|n| n.reserved_headroom_gb = 64, "node.reserved_headroom_gb"),
        (|n| n.weight = 0, "node.weight"),
        (|n| n.weight = 1001, "node.weight"),
    ];
    for (index, (break_it, path)) in cases.into_iter().enumerate() {
        let mut node = node();
        break_it(&mut node);
        assert_eq!(paths(&node), [path], "case {index}");
    }
}

#[test]
fn an_update_takes_what_it_names_and_never_the_panels_id() {
    let other = NewNode {
        pterodactyl_node_id: 9,
        name: "Other".to_owned(),
        region: "eu".to_owned(),
        fqdn: String::new(),
        max_ram_gb: 8,
        max_disk_gb: 9,
        max_vcores: None,
        reserved_headroom_gb: 1,
        enabled: false,
        maintenance: true,
        weight: 7,
    };
    let mut changed = node();
    changed.take(&other, &[NodeField::Enabled]);
    assert_eq!(
        changed,
        NewNode {
            enabled: false,
            ..node()
        }
    );
    changed.take(&other, NodeField::ALL);
    assert_eq!(
        changed,
        NewNode {
            pterodactyl_node_id: 1,
            ..other
        }
    );
}
