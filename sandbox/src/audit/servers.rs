//! I1, I2 and I8: a paid order has one server, the one that was paid for, and keeps it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use uuid::Uuid;

use super::{
    Invariant, Rest, Violation,
    picture::{Case, Picture},
};
use crate::panel::ServerView;

type ByExternalId<'a> = BTreeMap<&'a str, Vec<&'a ServerView>>;

/// How long the example shop keeps a server that is not paid for, where nothing else was sold.
const RETENTION_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// What was sold, as far as the panel shows it.
#[derive(Deserialize)]
struct Spec {
    ram_mb: i64,
    disk_mb: i64,
    swap_mb: i64,
    cpu_percent: i64,
    databases: i64,
    backups: i64,
}

/// How lenient the shop is with an order, as far as the end of its server shows it.
#[derive(Deserialize)]
struct Lenience {
    patience: Patience,
}

#[derive(Deserialize)]
struct Patience {
    retention_us: i64,
}

pub(super) fn judge(picture: &Picture, rest: Rest, found: &mut Vec<Violation>) {
    let cases = picture.cases();
    if cases.len() != picture.store.orders.len() {
        let missing = picture.store.orders.len() - cases.len();
        let text = format!("{missing} orders lack their billing or server row");
        found.push(Violation::new(Invariant::I2, text));
    }
    let servers = picture.servers_by_external_id();
    one_each(picture, &cases, &servers, found);
    for case in &cases {
        let theirs = servers
            .get(case.id().to_string().as_str())
            .map_or(&[][..], Vec::as_slice);
        as_its_row_says(picture, case, theirs, rest, found);
        as_sold(picture, case, found);
        provided(case, rest, found);
        entitled(case, theirs, rest, found);
        stands_still(picture, case, rest, found);
    }
}

/// I1: no order has two servers, and no server two orders.
fn one_each(
    picture: &Picture,
    cases: &[Case<'_>],
    servers: &ByExternalId<'_>,
    found: &mut Vec<Violation>,
) {
    for (external_id, servers) in servers.iter().filter(|(_, servers)| servers.len() > 1) {
        let ids: Vec<i64> = servers.iter().map(|server| server.id).collect();
        let text = format!("the panel's servers {ids:?} all bear the external id {external_id}");
        found.push(Violation::new(Invariant::I1, text));
    }
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for external_id in &picture.after.created_servers {
        *made.entry(external_id).or_default() += 1;
    }
    for (external_id, times) in made.into_iter().filter(|(_, times)| *times > 1) {
        let text = format!("the panel made the server of {external_id} {times} times");
        found.push(Violation::new(Invariant::I1, text));
    }
    let mut owners: HashMap<i64, Uuid> = HashMap::new();
    for case in cases.iter().filter(|case| case.exists()) {
        let Some(panel_id) = case.server.pterodactyl_server_id else {
            continue;
        };
        if let Some(other) = owners.insert(panel_id, case.id()) {
            let text = format!("server {panel_id} is also order {other}'s");
            found.push(Violation::of(Invariant::I1, case.id(), text));
        }
    }
}

/// The row of an order and the panel tell of the same server, or both of none.
fn as_its_row_says(
    picture: &Picture,
    case: &Case<'_>,
    theirs: &[&ServerView],
    rest: Rest,
    found: &mut Vec<Violation>,
) {
    let mut add = |invariant, text: String| {
        found.push(Violation::of(invariant, case.id(), text));
    };
    let known = case.server.pterodactyl_server_id.filter(|_| case.exists());
    for server in theirs {
        match known {
            Some(panel_id) if panel_id == server.id => {}
            Some(panel_id) => add(
                Invariant::I1,
                format!(
                    "its row says server {panel_id}, the panel has it as {}",
                    server.id
                ),
            ),
            // Whoever works on it, or will, may still find it.
            None if rest == Rest::Running && (case.leased() || case.order.due_us.is_some()) => {}
            None if case.in_doubt() => {}
            None => add(
                Invariant::I3,
                format!(
                    "the panel has server {} of it, of which its row knows nothing",
                    server.id
                ),
            ),
        }
    }
    if let Some(panel_id) = known
        && picture.absent(panel_id)
        && !case.leased()
        && !case.parked()
    {
        add(
            Invariant::I2,
            format!("its row says server {panel_id}, which the panel does not have"),
        );
    }
}

/// I2: the server is the one that was sold, where our rows say that it is.
fn as_sold(picture: &Picture, case: &Case<'_>, found: &mut Vec<Violation>) {
    let known = case.server.pterodactyl_server_id.filter(|_| case.exists());
    let mut servers = picture.after.servers.iter();
    let Some(server) = servers.find(|server| Some(server.id) == known) else {
        return;
    };
    let row = case.server;
    let mut differences = Vec::new();
    let mut compare = |what: &str, row: String, panel: String| {
        if row != panel {
            differences.push(format!("{what} {panel} instead of {row}"));
        }
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    compare(
        "external id",
        case.id().to_string(),
        text(&server.external_id),
    );
    compare("uuid", text(&row.uuid), server.uuid.to_string());
    compare(
        "identifier",
        text(&row.identifier),
        server.identifier.clone(),
    );
    compare("egg", number(row.egg_id), server.egg.to_string());
    compare("owner", number(row.owner_id), server.user.to_string());
    let accounts = &picture.store.accounts;
    let account = accounts
        .iter()
        .find(|account| account.user_id == case.order.user_id);
    compare(
        "owner by the customer's account",
        number(account.map(|account| account.pterodactyl_user_id)),
        server.user.to_string(),
    );
    let node = picture
        .store
        .nodes
        .iter()
        .find(|node| Some(node.id) == row.node_id);
    compare(
        "node",
        number(node.map(|node| node.pterodactyl_node_id)),
        server.node.to_string(),
    );
    match serde_json::from_str::<Spec>(&case.order.spec) {
        // It is to get other limits, and has not got them yet, or nobody knows.
        Ok(_) if row.respec_us.is_some() => {}
        Ok(spec) => {
            compare("memory", spec.ram_mb.to_string(), server.memory.to_string());
            compare("disk", spec.disk_mb.to_string(), server.disk.to_string());
            compare("swap", spec.swap_mb.to_string(), server.swap.to_string());
            compare("cpu", spec.cpu_percent.to_string(), server.cpu.to_string());
            compare(
                "databases",
                spec.databases.to_string(),
                number(server.databases),
            );
            compare(
                "backups",
                spec.backups.to_string(),
                server.backups.to_string(),
            );
        }
        Err(error) => differences.push(format!("nothing known to be sold: {error}")),
    }
    if !differences.is_empty() {
        let text = format!("its server {} has {}", server.id, differences.join(", "));
        found.push(Violation::of(Invariant::I2, case.id(), text));
    }
}

/// I2: a paid order gets its server, or it is shown why not; and somebody will look again.
fn provided(case: &Case<'_>, rest: Rest, found: &mut Vec<Violation>) {
    if case.over() || case.parked() {
        return;
    }
    let mut add = |text: &str| found.push(Violation::of(Invariant::I2, case.id(), text));
    if !case.ever_ran() && !case.leased() && case.order.due_us.is_none() {
        add("it is not done, and nobody will ever look at it again");
    }
    if rest == Rest::Running || !case.confirmed() {
        return;
    }
    let follows = case.server.respec_us.or(case.server.rename_us);
    let looks = case.order.due_us.is_some();
    if case.exists() && case.ever_ran() && follows.is_some() && !looks {
        add("its server never got the name or the limits that it has by now");
    }
    // A try that failed is shown by its count until the next one.
    let shown = !case.order.waiting_reason.is_empty() || case.order.attempts > 0;
    if !case.exists() && !shown {
        add("it is paid, has no server, and shows no reason");
    }
}

/// I8: a server that was used stands still where it is not paid for, and only there.
fn stands_still(picture: &Picture, case: &Case<'_>, rest: Rest, found: &mut Vec<Violation>) {
    let known = case.server.pterodactyl_server_id.filter(|_| case.exists());
    let mut servers = picture.after.servers.iter();
    let Some(server) = servers.find(|server| Some(server.id) == known) else {
        return;
    };
    let mut add = |text: &str| found.push(Violation::of(Invariant::I8, case.id(), text));
    if server.suspended && case.server.suspend_sent_us.is_none() && !case.leased() {
        add("its server is suspended, and nobody of ours asked for that");
    }
    let excused = case.parked() || !case.order.waiting_reason.is_empty();
    if rest == Rest::Running || !case.ever_ran() || excused {
        return;
    }
    match (case.must_stand_still(), server.suspended) {
        (true, false) if case.held(picture) => {}
        (true, false) => add("its server runs on, and is not paid for"),
        (false, true) => add("its server stands still, and is paid for"),
        _ => {}
    }
    if case.server.suspended_us.is_some() != server.suspended {
        add("its row and the panel differ about its suspension");
    }
}

/// How long the server of an order is kept.
fn retention_us(case: &Case<'_>) -> i64 {
    let sold = case.order.lenience.as_deref();
    let sold = sold.and_then(|text| serde_json::from_str::<Lenience>(text).ok());
    sold.map_or(RETENTION_US, |sold| sold.patience.retention_us)
}

/// I8: a server is for whom it was paid for; and what a customer used is not taken away.
fn entitled(case: &Case<'_>, theirs: &[&ServerView], rest: Rest, found: &mut Vec<Violation>) {
    let mut add = |invariant, text: &str| {
        found.push(Violation::of(invariant, case.id(), text));
    };
    if !theirs.is_empty() && !case.confirmed() {
        add(Invariant::I8, "it has a server and is not paid");
    }
    // One whose node was away all the time stood still for nobody's use.
    let away_us = case.server.node_failing_us;
    let away_us = away_us.filter(|_| case.server.force_sent_us.is_some());
    let still_us = case.server.suspended_us.or(away_us);
    let stood_still = case.billing.suspend_since_us.max(still_us);
    let stood_still = stood_still.filter(|_| still_us.is_some());
    let kept = stood_still.zip(case.server.deleted_us);
    let retention_us = retention_us(case);
    let kept = kept.is_some_and(|(since_us, deleted_us)| since_us + retention_us <= deleted_us)
        || case.server.terminated_us.is_some();
    if case.server.deleted_us.is_some() && case.ever_ran() && !(kept && case.over()) {
        add(
            Invariant::I8,
            "its server was deleted before its time although its customer used it",
        );
    }
    let excused = case.parked() || !case.order.waiting_reason.is_empty() || case.in_doubt();
    if rest == Rest::AtRest && case.over() && !case.ever_ran() && !theirs.is_empty() && !excused {
        let (invariant, text) = if case.confirmed() {
            (
                Invariant::I8,
                "its subscription ended before it ever ran, and it has a server",
            )
        } else {
            (Invariant::I2, "it is canceled, and has a server")
        };
        add(invariant, text);
    }
}
