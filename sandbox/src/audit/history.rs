//! I7: status and server state move only along the table of legal changes, are what the
//! facts add up to, and every change is on record, numbered without a gap.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    Invariant, Violation,
    picture::{Case, Picture},
    rows::Event,
};

/// From where a status may go where. Canceled is the end.
const STATUS: [(&str, &[&str]); 7] = [
    ("", &["pending"]),
    ("pending", &["paid", "error", "canceled"]),
    ("paid", &["provisioning", "error", "canceled"]),
    ("provisioning", &["provisioned", "error", "canceled"]),
    ("provisioned", &["error", "canceled"]),
    (
        "error",
        &["pending", "paid", "provisioning", "provisioned", "canceled"],
    ),
    ("canceled", &[]),
];

/// From where a server may go where. A create that was found late may be in any state but
/// ready, which only a later look says.
const SERVER_STATE: [(&str, &[&str]); 6] = [
    ("none", &["installing", "install_failed", "suspended"]),
    (
        "installing",
        &["running", "install_failed", "suspended", "deleted"],
    ),
    (
        "install_failed",
        &["installing", "running", "suspended", "deleted"],
    ),
    (
        "running",
        &["installing", "install_failed", "suspended", "deleted"],
    ),
    (
        "suspended",
        &["running", "installing", "install_failed", "deleted"],
    ),
    ("deleted", &[]),
];

pub(super) fn judge(picture: &Picture, found: &mut Vec<Violation>) {
    let mut of_order: HashMap<Uuid, Vec<&Event>> = HashMap::new();
    for event in &picture.store.events {
        of_order.entry(event.order_id).or_default().push(event);
    }
    for case in picture.cases() {
        let events = of_order.get(&case.id()).map_or(&[][..], Vec::as_slice);
        let mut texts = Vec::new();
        let last = chain(events, &mut texts);
        as_recorded(&case, &last, &mut texts);
        as_computed(&case, &mut texts);
        versions(&case, events, &mut texts);
        let id = case.id();
        found.extend(
            texts
                .into_iter()
                .map(|text| Violation::of(Invariant::I7, id, text)),
        );
    }
    sequences(picture, found);
}

/// Each change begins where the one before ended, and is a legal one.
fn chain<'a>(events: &[&'a Event], texts: &mut Vec<String>) -> HashMap<&'a str, &'a str> {
    let mut last: HashMap<&str, &str> = HashMap::new();
    for event in events.iter().filter(|event| event.what != "note") {
        let (what, from, to) = (
            event.what.as_str(),
            event.from_value.as_str(),
            event.to_value.as_str(),
        );
        let before = last.insert(what, to).or_else(|| initial(what));
        if before.is_some_and(|before| before != from) || from == to {
            let before = before.unwrap_or_default();
            texts.push(format!(
                "{what} went from {from:?} to {to:?}, was {before:?} before"
            ));
        }
        let table: &[(&str, &[&str])] = match what {
            "status" => &STATUS,
            "server_state" => &SERVER_STATE,
            _ => continue,
        };
        let legal = table.iter().find(|(state, _)| *state == from);
        if legal.is_none_or(|(_, next)| !next.contains(&to)) {
            texts.push(format!("{what} may not go from {from:?} to {to:?}"));
        }
    }
    last
}

/// What a field is before its first change, where that is the same for all orders.
fn initial(what: &str) -> Option<&'static str> {
    match what {
        "status"
        | "waiting_reason"
        | "error_reason"
        | "error_message"
        | "stripe_sub_id"
        | "stripe_customer_id"
        | "stripe_checkout_session_id"
        | "subscription_status"
        | "pterodactyl_server_id"
        | "pterodactyl_server_identifier" => Some(""),
        "server_state" => Some("none"),
        "attempts" => Some("0"),
        _ => None,
    }
}

/// The row is what the record ends with.
fn as_recorded(case: &Case<'_>, last: &HashMap<&str, &str>, texts: &mut Vec<String>) {
    let (order, billing, server) = (case.order, case.billing, case.server);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let node = server.node_id.or(case.hold.map(|hold| hold.node_id));
    let fields = [
        ("status", order.status.clone()),
        ("server_state", order.server_state.clone()),
        ("server_name", order.server_name.clone()),
        ("waiting_reason", order.waiting_reason.clone()),
        ("error_reason", order.error_reason.clone()),
        ("error_message", order.error_message.clone()),
        ("attempts", order.attempts.to_string()),
        ("stripe_checkout_session_id", text(&billing.session_id)),
        ("stripe_customer_id", text(&billing.customer_id)),
        ("stripe_sub_id", text(&billing.subscription_id)),
        ("subscription_status", text(&billing.subscription_status)),
        ("node_id", number(node.map(i64::from))),
        (
            "pterodactyl_server_id",
            number(server.pterodactyl_server_id),
        ),
        ("pterodactyl_server_identifier", text(&server.identifier)),
    ];
    for (what, value) in fields {
        let recorded = last.get(what).copied().or_else(|| initial(what));
        if let Some(recorded) = recorded.filter(|recorded| *recorded != value) {
            texts.push(format!(
                "{what} is {value:?}, its record ends with {recorded:?}"
            ));
        }
    }
    // Written with the first change: an order that nothing happened to has them not yet.
    let copies = [
        (
            "node_id",
            number(order.node_id.map(i64::from)),
            number(node.map(i64::from)),
        ),
        (
            "pterodactyl_server_id",
            number(order.pterodactyl_server_id),
            number(server.pterodactyl_server_id),
        ),
        (
            "pterodactyl_server_identifier",
            text(&order.pterodactyl_server_identifier),
            text(&server.identifier),
        ),
        (
            "stripe_sub_id",
            text(&order.stripe_sub_id),
            text(&billing.subscription_id),
        ),
    ];
    for (what, copy, value) in copies {
        if order.version > 1 && copy != value {
            texts.push(format!(
                "{what} is {copy:?} in orders, {value:?} in its part"
            ));
        }
    }
}

/// Status and server state are what the facts add up to.
fn as_computed(case: &Case<'_>, texts: &mut Vec<String>) {
    let status = if case.over() {
        "canceled"
    } else if case.parked() && !(case.exists() && case.ever_ran()) {
        "error"
    } else if case.exists() {
        "provisioned"
    } else if !case.confirmed() {
        "pending"
    } else if case.server.attempt > 0 {
        "provisioning"
    } else {
        "paid"
    };
    let server_state = match (case.exists(), case.server.observed_status.as_deref()) {
        (false, _) if case.server.deleted_us.is_some() => "deleted",
        (false, _) => "none",
        (true, None | Some("installing")) => "installing",
        (true, Some("install_failed" | "reinstall_failed")) => "install_failed",
        (true, Some("suspended")) => "suspended",
        (true, Some(_)) => "running",
    };
    for (what, stored, facts) in [
        ("status", &case.order.status, status),
        ("server_state", &case.order.server_state, server_state),
    ] {
        if stored != facts {
            texts.push(format!("{what} is {stored:?}, its facts say {facts:?}"));
        }
    }
}

/// One version per recorded moment of change: none was skipped, none given twice.
fn versions(case: &Case<'_>, events: &[&Event], texts: &mut Vec<String>) {
    let changes = events.iter().filter(|event| event.what != "note");
    let moments: BTreeSet<(i64, &str, &str, &str)> = changes
        .map(|event| {
            let trace = event.trace_id.as_str();
            (
                event.created_us,
                event.actor.as_str(),
                event.cause.as_str(),
                trace,
            )
        })
        .collect();
    let recorded = i64::try_from(moments.len()).unwrap_or(i64::MAX);
    if case.order.version != recorded {
        let version = case.order.version;
        texts.push(format!(
            "its version is {version}, its record has {recorded} changes"
        ));
    }
}

/// The feed of all orders: numbered from 1 without a gap, and in the order of each order.
fn sequences(picture: &Picture, found: &mut Vec<Violation>) {
    let events = &picture.store.events;
    let mut numbers: Vec<i64> = events.iter().filter_map(|event| event.sequence).collect();
    numbers.sort_unstable();
    if let Some((place, number)) = (1..).zip(&numbers).find(|(place, number)| place != *number) {
        let text = format!("the feed has number {number} at place {place}");
        found.push(Violation::new(Invariant::I7, text));
    }
    let mut last: HashMap<Uuid, i64> = HashMap::new();
    for event in events {
        let Some(number) = event.sequence else {
            continue;
        };
        let before = last.insert(event.order_id, number);
        if before.is_some_and(|before| before >= number) {
            let text = format!(
                "event {} has number {number}, an earlier one a later",
                event.id
            );
            found.push(Violation::of(Invariant::I7, event.order_id, text));
        }
    }
}
