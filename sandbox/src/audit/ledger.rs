//! I4 and I5: the ledger of ports is the panel's, no port is used twice, and what is held
//! of a node is what its orders hold, and fits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::{
    Invariant, Rest, Violation,
    picture::{Case, Picture},
    rows::{Hold, Node, Port},
};

const MB_PER_GB: i64 = 1024;

/// What of a purchase takes room.
#[derive(Deserialize)]
struct Spec {
    ram_mb: i64,
    disk_mb: i64,
    swap_mb: i64,
    cpu_percent: i64,
    ports: usize,
}

pub(super) fn judge(picture: &Picture, rest: Rest, found: &mut Vec<Violation>) {
    panel_ports(picture, found);
    ledger_ports(picture, found);
    let ports = picture.ports_by_order();
    for case in picture.cases() {
        let theirs = ports.get(&case.id()).map_or(&[][..], Vec::as_slice);
        server_ports(picture, &case, theirs, found);
        held(&case, theirs, rest, found);
    }
    for node in &picture.store.nodes {
        room(node, &picture.store.holds, found);
    }
}

/// I4 on the panel: a server's default port is its own, and no two have one.
fn panel_ports(picture: &Picture, found: &mut Vec<Violation>) {
    let orders: BTreeSet<String> = picture
        .store
        .orders
        .iter()
        .map(|order| order.id.to_string())
        .collect();
    let mut default_of: BTreeMap<i64, i64> = BTreeMap::new();
    for server in &picture.after.servers {
        let external_id = server.external_id.as_deref().unwrap_or_default();
        let ours = orders.contains(external_id);
        if let Some(other) = default_of.insert(server.allocation, server.id) {
            let text = format!(
                "port {} is the default one of the servers {other} and {}",
                server.allocation, server.id
            );
            found.push(Violation::new(Invariant::I4, text));
        }
        if ours && !server.allocations.contains(&server.allocation) {
            let text = format!(
                "the default port {} of server {} (order {external_id}) is listed under another",
                server.allocation, server.id
            );
            found.push(Violation::new(Invariant::I4, text));
        }
    }
}

/// I4 in the ledger: one row per address and number, and none that we think free or
/// another's is on a server of ours.
fn ledger_ports(picture: &Picture, found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::new(Invariant::I4, text));
    let mut places: BTreeMap<(i32, &str, i32), i64> = BTreeMap::new();
    for port in picture
        .store
        .ports
        .iter()
        .filter(|port| port.state != "gone")
    {
        let id = port.pterodactyl_allocation_id;
        let place = (port.node_id, port.ip.as_str(), port.port);
        if let Some(other) = places.insert(place, id) {
            add(format!(
                "ports {other} and {id} are both {}:{}",
                port.ip, port.port
            ));
        }
    }
    let states: HashMap<i64, &Port> = picture
        .store
        .ports
        .iter()
        .map(|port| (port.pterodactyl_allocation_id, port))
        .collect();
    for case in picture
        .cases()
        .iter()
        .filter(|case| case.exists() && !case.leased())
    {
        let server = picture.after.servers.iter();
        let mut server =
            server.filter(|server| Some(server.id) == case.server.pterodactyl_server_id);
        let Some(server) = server.next() else {
            continue;
        };
        for id in &server.allocations {
            let Some(port) = states.get(id) else { continue };
            let others = port.order_id != Some(case.id());
            if port.state == "free" || (port.state == "held" && others) {
                add(format!(
                    "port {id} is {} for us, and on our server {}",
                    port.state, server.id
                ));
            }
        }
    }
}

/// I4 between the two: the ports of an order are those of its server.
fn server_ports(picture: &Picture, case: &Case<'_>, ports: &[&Port], found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::of(Invariant::I4, case.id(), text));
    let wrong = if case.exists() { "held" } else { "assigned" };
    if ports.iter().any(|port| port.state == wrong) {
        let there = if case.exists() { "there" } else { "not there" };
        add(format!(
            "its server is {there}, and a port of it is {wrong}"
        ));
    }
    let mut servers = picture.after.servers.iter();
    let known = case.server.pterodactyl_server_id.filter(|_| case.exists());
    let Some(server) = servers.find(|server| Some(server.id) == known) else {
        return;
    };
    let ours: BTreeSet<i64> = ports
        .iter()
        .map(|port| port.pterodactyl_allocation_id)
        .collect();
    let theirs: BTreeSet<i64> = server.allocations.iter().copied().collect();
    // A worker that holds it may be just about to write it down.
    if ours != theirs && !case.leased() {
        add(format!(
            "its ports are {ours:?}, those of its server {theirs:?}"
        ));
    }
}

/// I5 of one order: it holds exactly what it was sold, for as long as it may need it.
fn held(case: &Case<'_>, ports: &[&Port], rest: Rest, found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::of(Invariant::I5, case.id(), text));
    let may_hold = !case.over() || case.exists() || case.in_doubt();
    match case.hold {
        Some(hold) => {
            if let Some(difference) = differs(case, hold, ports) {
                add(difference);
            }
            let excused = !case.order.waiting_reason.is_empty() || case.parked();
            if !may_hold && rest == Rest::AtRest && !excused {
                add("it is over, and still holds room".to_owned());
            }
        }
        None if !case.over() => add("it is not over, and holds no room".to_owned()),
        None if case.exists() => add("its server is there, and it holds no room".to_owned()),
        None if case.in_doubt() => add("its server may be there, and it holds no room".to_owned()),
        None if !ports.is_empty() => add("it holds ports, and no room".to_owned()),
        None => {}
    }
    let busy = case.leased() || case.server.create_slot_until_us.is_some();
    if rest == Rest::AtRest && busy && !case.in_doubt() {
        add("it keeps a lease or a create slot although nothing is under way".to_owned());
    }
}

fn differs(case: &Case<'_>, hold: &Hold, ports: &[&Port]) -> Option<String> {
    let spec: Spec = match serde_json::from_str(&case.order.spec) {
        Ok(spec) => spec,
        Err(error) => return Some(format!("nothing known to be sold: {error}")),
    };
    let need = |spec: &Spec| {
        (
            up(spec.ram_mb, MB_PER_GB),
            up(spec.disk_mb + spec.swap_mb, MB_PER_GB),
            up(spec.cpu_percent, 100),
        )
    };
    let mut sold = need(&spec);
    // While its plan changes it holds the larger of both.
    match case.order.other_spec.as_deref().map(serde_json::from_str) {
        None => {}
        Some(Ok(other)) => {
            let (ram, disk, cores) = need(&other);
            sold = (sold.0.max(ram), sold.1.max(disk), sold.2.max(cores));
        }
        Some(Err(error)) => return Some(format!("nothing known to be wanted: {error}")),
    }
    let holds = (
        i64::from(hold.ram_gb),
        i64::from(hold.disk_gb),
        i64::from(hold.vcores),
    );
    if holds != sold {
        return Some(format!(
            "it holds (memory, disk, cores) {holds:?}, sold {sold:?}"
        ));
    }
    let why = if case.server.pterodactyl_server_id.is_some() {
        "server"
    } else {
        "checkout"
    };
    if hold.why != why {
        return Some(format!(
            "it holds room for its {}, not for its {why}",
            hold.why
        ));
    }
    if ports.iter().any(|port| port.node_id != hold.node_id) {
        return Some("its ports are not on the node whose room it holds".to_owned());
    }
    // Somebody else may have taken its port on the panel: then it looks for another.
    let looks = case.leased() || (case.confirmed() && case.order.due_us.is_some());
    if !case.exists() && !case.over() && !looks && ports.len() < spec.ports {
        return Some(format!(
            "it holds {} ports, sold {}",
            ports.len(),
            spec.ports
        ));
    }
    None
}

fn up(amount: i64, unit: i64) -> i64 {
    amount.div_euclid(unit) + i64::from(amount.rem_euclid(unit) > 0)
}

/// I5 of one node: the sum is the sum, and it fits.
fn room(node: &Node, holds: &[Hold], found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::new(Invariant::I5, text));
    let here: Vec<&Hold> = holds
        .iter()
        .filter(|hold| hold.node_id == node.id)
        .collect();
    let sum = |part: fn(&Hold) -> i32| here.iter().map(|hold| i64::from(part(hold))).sum::<i64>();
    let usable_ram = node.max_ram_gb - node.reserved_headroom_gb;
    let rows = [
        (
            "memory",
            sum(|hold| hold.ram_gb),
            node.held_ram_gb,
            Some(usable_ram),
        ),
        (
            "disk",
            sum(|hold| hold.disk_gb),
            node.held_disk_gb,
            Some(node.max_disk_gb),
        ),
        (
            "cores",
            sum(|hold| hold.vcores),
            node.held_vcores,
            node.max_vcores,
        ),
    ];
    for (what, sum, held, most) in rows {
        if sum != i64::from(held) {
            add(format!(
                "node {}: {what} held {held}, its orders hold {sum}",
                node.id
            ));
        }
        if most.is_some_and(|most| held > most) {
            let most = most.unwrap_or_default();
            add(format!("node {}: {what} held {held} of {most}", node.id));
        }
    }
}
