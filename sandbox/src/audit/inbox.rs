//! I6: what Stripe was told we have is on disk, an event has one effect, and so has a
//! request.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{Invariant, Violation, picture::Picture, rows::Event};

/// Remarks of these actors tell of what was found at Stripe without any event.
const SWEEPS: [&str; 2] = ["sweep:pending_sessions", "sweep:subscriptions"];
/// Remarks with this cause tell of an operator who had an order looked at.
const WAKE: &str = "ProvisioningService/ProvisionOrder";
/// Likewise of an event that had been applied before.
const REPLAY: &str = "OrderService/ReplayStripeEvent";
const CHECKOUT: &str = "OrderService/CreateCheckoutSession";

pub(super) fn judge(picture: &Picture, found: &mut Vec<Violation>) {
    stored(picture, found);
    hints(picture, found);
    effects(picture, found);
    requests(picture, found);
}

fn stored(picture: &Picture, found: &mut Vec<Violation>) {
    let mut add = |text: String| found.push(Violation::new(Invariant::I6, text));
    let inbox = &picture.store.inbox;
    let ids: HashSet<&str> = inbox.iter().map(|event| event.id.as_str()).collect();
    for id in &picture.stripe.acknowledged {
        if !ids.contains(id.as_str()) {
            add(format!("event {id} was acknowledged, and is not on disk"));
        }
    }
    for event in inbox {
        match (event.state.as_str(), event.order_id) {
            // At rest nothing is asked about any more: see `Picture::unrest`.
            ("applied", Some(_)) | ("ignored" | "received", None) | ("failed", _) => {}
            (state, order) => add(format!("event {} is {state}, order {order:?}", event.id)),
        }
    }
}

/// Each applied event counted once, and nothing else counted.
fn hints(picture: &Picture, found: &mut Vec<Violation>) {
    let mut told: HashMap<Uuid, i64> = HashMap::new();
    for event in picture
        .store
        .inbox
        .iter()
        .filter(|event| event.state == "applied")
    {
        if let Some(id) = event.order_id {
            *told.entry(id).or_default() += 1;
        }
    }
    let remarks = picture
        .store
        .events
        .iter()
        .filter(|event| event.what == "note");
    let counts = |remark: &&Event| {
        SWEEPS.contains(&remark.actor.as_str()) || [WAKE, REPLAY].contains(&remark.cause.as_str())
    };
    for remark in remarks.filter(counts) {
        *told.entry(remark.order_id).or_default() += 1;
    }
    for row in &picture.store.billing {
        let told = told.get(&row.order_id).copied().unwrap_or(0);
        if row.hints != told {
            let text = format!(
                "{told} events, finds and wakes told of it, {} counted",
                row.hints
            );
            found.push(Violation::of(Invariant::I6, row.order_id, text));
        }
    }
}

/// What an event changed, it changed at one moment.
fn effects(picture: &Picture, found: &mut Vec<Violation>) {
    let mut moments: BTreeMap<&str, BTreeSet<(Uuid, i64)>> = BTreeMap::new();
    for event in picture
        .store
        .events
        .iter()
        .filter(|event| event.actor == "stripe")
    {
        let moments = moments.entry(&event.cause).or_default();
        moments.insert((event.order_id, event.created_us));
    }
    let inbox: HashMap<&str, &str> = picture
        .store
        .inbox
        .iter()
        .map(|event| (event.id.as_str(), event.state.as_str()))
        .collect();
    for (cause, moments) in moments {
        let mut add = |text: String| found.push(Violation::new(Invariant::I6, text));
        if moments.len() > 1 {
            add(format!(
                "event {cause} had an effect {} times",
                moments.len()
            ));
        }
        if inbox.get(cause) != Some(&"applied") {
            add(format!(
                "event {cause} had an effect, and is not stored as applied"
            ));
        }
    }
}

/// A remembered checkout names the order that it made.
fn requests(picture: &Picture, found: &mut Vec<Violation>) {
    let orders: HashSet<String> = picture
        .store
        .orders
        .iter()
        .map(|order| order.id.to_string())
        .collect();
    for key in picture
        .store
        .request_keys
        .iter()
        .filter(|key| key.method == CHECKOUT)
    {
        if !orders.contains(&key.resource_id) {
            let text = format!(
                "request {} made order {:?}",
                key.request_id, key.resource_id
            );
            found.push(Violation::new(Invariant::I6, text));
        }
    }
}
