//! What is broken, one rule at a time.

use uuid::Uuid;

use super::{
    Invariant::{I1, I2, I3, I4, I5, I6, I7, I8},
    always, at_rest, found,
    sound::{CANCELED, PENDING, RUNNING, Shop, USER, port, session},
};
use crate::{
    audit::rows::Guarded,
    stripe::{CustomerView, PaymentStatus, SessionStatus, SubscriptionStatus},
};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Makes the order that runs one whose server is not made yet; looked at again then.
fn not_made_yet(shop: &mut Shop, due_us: Option<i64>) {
    shop.lose_server();
    shop.picture.before.created_servers.clear();
    shop.picture.after.created_servers.clear();
    let store = &mut shop.picture.store;
    store.ports[0].state = "held".to_owned();
    store.holds[0].why = "checkout".to_owned();
    store
        .events
        .retain(|event| event.order_id != RUNNING || event.id <= 7);
    for (event, number) in store.events.iter_mut().zip(1..) {
        event.sequence = Some(number);
    }
    let (order, _, server) = shop.running();
    order.version = 7;
    order.status = "provisioning".to_owned();
    order.server_state = "none".to_owned();
    order.due_us = due_us;
    order.pterodactyl_server_id = None;
    order.pterodactyl_server_identifier = None;
    server.pterodactyl_server_id = None;
    server.identifier = None;
    server.first_running_us = None;
}

/// Ends the order that runs by the end of its subscription.
fn ended(shop: &mut Shop) {
    let status = shop.running().0.status.clone();
    shop.running().1.ended_at_us = Some(6);
    shop.running().0.status = "canceled".to_owned();
    shop.record(RUNNING, "status", &status, "canceled");
    shop.picture.stripe.subscriptions[0].status = SubscriptionStatus::Canceled;
}

/// Has the server of the order that runs stand still.
fn suspended(shop: &mut Shop) {
    shop.server(|server| server.suspended = true);
    let (order, _, server) = shop.running();
    order.server_state = "suspended".to_owned();
    server.suspend_sent_us = Some(7);
    server.suspended_us = Some(7);
    server.observed_status = Some("suspended".to_owned());
    shop.record(RUNNING, "server_state", "running", "suspended");
}

/// Takes back that the server of the order that runs was ever ready.
fn never_ran(shop: &mut Shop) {
    shop.running().2.first_running_us = None;
    shop.running().0.due_us = Some(9_000_000);
}

#[test]
fn no_order_has_two_servers() {
    always(I1, |shop| {
        let again = RUNNING.to_string();
        shop.picture.after.created_servers.push(again);
    });
    // That both bear its id, and that its row knows but one of them.
    let two = |shop: &mut Shop| shop.add_server(|_| ());
    assert_eq!(found(two), (vec![I1, I1], vec![I1, I1]));
}

#[test]
fn no_server_has_two_orders() {
    // The second order's row is wrong about much else, too.
    let (running, at_rest) = found(|shop| shop.of(PENDING).2.pterodactyl_server_id = Some(500));
    assert!(running.contains(&I1) && at_rest.contains(&I1));
}

#[test]
fn a_paid_order_has_the_server_that_was_sold() {
    always(I2, Shop::lose_server);
    always(I2, |shop| shop.server(|server| server.memory = 1));
    always(I2, |shop| shop.server(|server| server.swap = 1));
    always(I2, |shop| shop.server(|server| server.backups = 0));
    always(I2, |shop| shop.server(|server| server.user = 8));
    always(I2, |shop| shop.server(|server| server.node = 4));
    always(I2, |shop| shop.server(|server| server.egg = 4));
    always(I2, |shop| shop.server(|server| server.uuid = Uuid::nil()));
    let (part, _) = found(|shop| shop.picture.store.servers.truncate(2));
    assert!(part.contains(&I2), "a part of an order is missing");
}

#[test]
fn a_paid_order_without_a_server_shows_why() {
    assert_eq!(
        found(|shop| not_made_yet(shop, None)).0,
        [I2],
        "never again"
    );
    at_rest(I2, |shop| not_made_yet(shop, Some(9_000_000)));
    let waits = |shop: &mut Shop| {
        not_made_yet(shop, Some(9_000_000));
        shop.running().0.waiting_reason = "NO_CAPACITY".to_owned();
        shop.record(RUNNING, "waiting_reason", "", "NO_CAPACITY");
    };
    assert_eq!(found(waits), (vec![], vec![]));
    let parked = |shop: &mut Shop| {
        not_made_yet(shop, None);
        shop.running().0.error_reason = "EGG_NOT_FOUND".to_owned();
        shop.running().0.status = "error".to_owned();
        shop.record(RUNNING, "error_reason", "", "EGG_NOT_FOUND");
        shop.record(RUNNING, "status", "provisioning", "error");
    };
    assert_eq!(found(parked), (vec![], vec![]));
    always(I2, |shop| shop.of(PENDING).0.due_us = None);
}

#[test]
fn what_we_made_belongs_to_somebody() {
    let stranger = Uuid::from_u128(1234).to_string();
    let made = |shop: &mut Shop| {
        shop.add_server(|server| server.external_id = Some(stranger.clone()));
        shop.picture.before.created_servers.push(stranger.clone());
    };
    always(I3, made);
    let foreign = |shop: &mut Shop| shop.add_server(|server| server.external_id = None);
    assert_eq!(found(foreign), (vec![], vec![]), "an operator's own");
    always(I3, |shop| {
        shop.picture.before.created_users.push(stranger.clone())
    });
    always(I3, |shop| {
        let mut again = shop.picture.after.users[0].clone();
        again.id = 8;
        shop.picture.after.users.push(again);
    });
    always(I3, |shop| shop.picture.after.users[0].root_admin = true);
    always(I3, |shop| shop.picture.after.users[0].external_id = None);
    always(I3, |shop| shop.picture.after.users.clear());
    // Until somebody looks again, a late server may still be found.
    at_rest(I3, |shop| {
        shop.add_server(|server| server.external_id = Some(PENDING.to_string()));
        shop.of(PENDING).1.confirmed_at_us = Some(1);
        shop.of(PENDING).0.status = "paid".to_owned();
        shop.record(PENDING, "status", "pending", "paid");
    });
}

#[test]
fn what_stripe_has_of_us_belongs_to_somebody() {
    let customer = |user: Uuid| CustomerView {
        id: "cus_2".to_owned(),
        metadata: [("user_id".to_owned(), user.to_string())].into(),
    };
    always(I3, |shop| {
        shop.picture.stripe.customers.push(customer(USER))
    });
    let nobody = Uuid::from_u128(1234);
    always(I3, |shop| {
        shop.picture.stripe.customers.push(customer(nobody))
    });
    at_rest(I3, |shop| shop.picture.stripe.customers.clear());
    let open = SessionStatus::Open;
    always(I3, |shop| {
        let session = session(nobody, open, PaymentStatus::Unpaid);
        shop.picture.stripe.sessions.push(session);
    });
    always(I3, |shop| {
        let again = session(PENDING, open, PaymentStatus::Unpaid);
        shop.picture.stripe.sessions.push(again);
    });
    at_rest(I3, |shop| {
        shop.picture.stripe.sessions[1].id = "cs_other".to_owned()
    });
    at_rest(I3, |shop| shop.picture.stripe.sessions[2].status = open);
    at_rest(I3, |shop| {
        ended(shop);
        suspended(shop);
        shop.picture.stripe.subscriptions[0].status = SubscriptionStatus::Active;
    });
}

#[test]
fn no_order_is_paid_twice() {
    let (running, _) = found(|shop| {
        let again = session(RUNNING, SessionStatus::Complete, PaymentStatus::Paid);
        shop.picture.stripe.sessions.push(again);
    });
    assert_eq!(running, [I3, I3], "two sessions, two payments");
}

#[test]
fn no_port_is_used_twice() {
    always(I4, |shop| {
        shop.add_server(|server| {
            server.external_id = None;
            server.allocation = 100;
        });
    });
    always(I4, |shop| {
        let mut twin = port(103, None, "free");
        twin.port = 102;
        shop.picture.store.ports.push(twin);
    });
    let stolen = |shop: &mut Shop| shop.server(|server| server.allocations.clear());
    assert_eq!(
        found(stolen).0,
        [I4, I4],
        "listed under another, and not its own"
    );
}

#[test]
fn the_ledger_of_ports_is_the_panels() {
    // Not in the ledger of its order, and free for the next.
    let more = |shop: &mut Shop| shop.server(|server| server.allocations.push(102));
    assert_eq!(found(more).0, [I4, I4]);
    always(I4, |shop| {
        shop.picture.store.ports[0].state = "held".to_owned()
    });
    always(I4, |shop| {
        shop.picture.store.ports[1].state = "assigned".to_owned()
    });
}

#[test]
fn a_node_holds_what_its_orders_hold() {
    always(I5, |shop| shop.picture.store.nodes[0].held_ram_gb = 5);
    always(I5, |shop| shop.picture.store.nodes[0].held_vcores = 1);
    always(I5, |shop| {
        shop.picture.store.nodes[0].reserved_headroom_gb = 5
    });
    always(I5, |shop| shop.picture.store.nodes[0].max_disk_gb = 21);
    let other = |shop: &mut Shop| {
        shop.picture.store.holds[1].ram_gb = 3;
        shop.picture.store.nodes[0].held_ram_gb = 5;
    };
    always(I5, other);
}

#[test]
fn an_order_holds_what_it_may_need() {
    let without = |shop: &mut Shop, place: usize| {
        shop.picture.store.holds.remove(place);
        let node = &mut shop.picture.store.nodes[0];
        (node.held_ram_gb, node.held_disk_gb, node.held_vcores) = (2, 11, 1);
    };
    always(I5, |shop| without(shop, 0));
    always(I5, |shop| {
        without(shop, 1);
        shop.of(PENDING).0.node_id = None;
    });
    always(I5, |shop| {
        shop.picture.store.holds[0].why = "checkout".to_owned()
    });
    always(I5, |shop| shop.picture.store.ports[1].order_id = None);
    always(I5, |shop| shop.picture.store.ports[1].node_id = 2);
    always(I5, |shop| {
        shop.picture.store.ports[2].order_id = Some(CANCELED)
    });
    // Somebody else has the port of a paid order: it looks for another, or has to.
    let taken = |shop: &mut Shop, due_us: Option<i64>| {
        not_made_yet(shop, due_us);
        shop.picture.store.ports[0] = port(100, None, "foreign");
    };
    at_rest(I2, |shop| taken(shop, Some(9_000_000)));
    assert_eq!(found(|shop| taken(shop, None)).0, [I2, I5]);
    at_rest(I5, |shop| {
        let hold = super::sound::hold(CANCELED, "checkout");
        shop.picture.store.holds.push(hold);
        shop.of(CANCELED).0.node_id = Some(1);
        let node = &mut shop.picture.store.nodes[0];
        (node.held_ram_gb, node.held_disk_gb, node.held_vcores) = (6, 33, 3);
    });
    at_rest(I5, |shop| shop.running().2.create_slot_until_us = Some(1));
    at_rest(I5, |shop| {
        shop.running().0.lease_owner = Some("w".to_owned())
    });
}

#[test]
fn an_event_is_kept_and_counts_once() {
    let lost = "evt_lost".to_owned();
    always(I6, |shop| {
        shop.picture.stripe.acknowledged.insert(lost.clone());
    });
    always(I6, |shop| shop.running().1.hints = 2);
    always(I6, |shop| shop.running().1.hints = 0);
    let found_by_sweep = |shop: &mut Shop| {
        shop.running().1.hints = 2;
        shop.record(RUNNING, "note", "", "found");
        let note = shop.picture.store.events.last_mut().unwrap();
        note.actor = "sweep:pending_sessions".to_owned();
    };
    assert_eq!(found(found_by_sweep), (vec![], vec![]));
    always(I6, |shop| {
        shop.record(RUNNING, "server_name", "planet", "world");
        let event = shop.picture.store.events.last_mut().unwrap();
        event.actor = "stripe".to_owned();
        event.cause = "evt_1".to_owned();
    });
    always(I6, |shop| {
        let mut half = shop.picture.store.inbox[0].clone();
        half.id = "evt_half".to_owned();
        half.state = "received".to_owned();
        shop.picture.store.inbox.push(half);
    });
    always(I6, |shop| {
        shop.picture.store.request_keys[0].resource_id = lost.clone()
    });
}

#[test]
fn a_change_is_legal_and_on_record() {
    always(I7, |shop| shop.running().0.version = 13);
    always(I7, |shop| {
        shop.running().0.waiting_reason = "INSTALLING".to_owned()
    });
    always(I7, |shop| shop.running().0.node_id = None);
    always(I7, |shop| shop.picture.store.events[19].sequence = Some(21));
    always(I7, |shop| {
        shop.record(RUNNING, "error_reason", "INTERNAL", "")
    });
    always(I7, |shop| {
        // Both at once: in the feed, the later one came first.
        let events = &mut shop.picture.store.events;
        (events[12].sequence, events[13].sequence) = (Some(14), Some(13));
    });
    always(I7, |shop| {
        shop.record(CANCELED, "status", "canceled", "error");
        shop.record(CANCELED, "status", "error", "canceled");
    });
    let wrong = found(|shop| {
        shop.record(RUNNING, "status", "provisioned", "paid");
        shop.running().0.status = "paid".to_owned();
    });
    assert_eq!(wrong.0, [I7, I7], "neither legal nor what the facts say");
}

#[test]
fn a_server_runs_only_for_whom_it_was_paid() {
    let bought = |shop: &mut Shop| {
        shop.running().1.prices = Some("[\"price_large\"]".to_owned());
        shop.picture.stripe.subscriptions[0].items = vec![("price_large".to_owned(), 1)];
    };
    assert_eq!(found(bought), (vec![], vec![]));
    at_rest(I8, |shop| {
        bought(shop);
        shop.picture.stripe.subscriptions[0].items[0].0 = "price_small".to_owned();
    });
    at_rest(I8, |shop| {
        never_ran(shop);
        ended(shop);
    });
    at_rest(I8, ended);
    let kept = |shop: &mut Shop| {
        ended(shop);
        suspended(shop);
    };
    assert_eq!(found(kept), (vec![], vec![]), "its customer used it");
    // Suspended by whom? And paid for.
    always(I8, |shop| {
        shop.server(|server| server.suspended = true);
        shop.running().0.waiting_reason = "INSTALLING".to_owned();
        shop.record(RUNNING, "waiting_reason", "", "INSTALLING");
    });
    at_rest(I8, suspended);
    at_rest(I8, |shop| shop.running().1.suspend_since_us = Some(6));
    let held = |shop: &mut Shop| {
        shop.running().1.disputed_since_us = Some(6);
        shop.running().2.suspend_held_us = Some(7);
    };
    let guarded = |shop: &mut Shop| {
        held(shop);
        let name = "charges".to_owned();
        shop.picture.store.guarded.push(Guarded { name });
    };
    assert_eq!(found(guarded), (vec![], vec![]), "a guard says so");
    at_rest(I8, held);
    at_rest(I8, |shop| {
        guarded(shop);
        shop.running().1.suspend_since_us = Some(6);
    });
    at_rest(I8, |shop| shop.running().2.operator_suspended_us = Some(6));
    always(I8, |shop| {
        ended(shop);
        shop.running().1.suspend_since_us = Some(6);
        shop.lose_server();
        shop.running().2.deleted_us = Some(1);
        shop.running().0.server_state = "deleted".to_owned();
        shop.record(RUNNING, "server_state", "running", "deleted");
        let store = &mut shop.picture.store;
        store.ports[0] = port(100, None, "free");
        store.holds.remove(0);
        let node = &mut store.nodes[0];
        (node.held_ram_gb, node.held_disk_gb, node.held_vcores) = (2, 11, 1);
    });
    // What was sold counts: gone after a day, it was kept for as long as that, or not.
    let gone_after_a_day = |shop: &mut Shop, sold: i64| {
        ended(shop);
        shop.running().1.suspend_since_us = Some(6);
        shop.lose_server();
        let (order, _, server) = shop.running();
        order.server_state = "deleted".to_owned();
        let lenience = serde_json::json!({"patience": {"retention_us": sold * DAY_US}});
        order.lenience = Some(lenience.to_string());
        (server.suspend_sent_us, server.suspended_us) = (Some(7), Some(7));
        server.deleted_us = Some(7 + DAY_US);
        shop.record(RUNNING, "server_state", "running", "deleted");
        let store = &mut shop.picture.store;
        store.ports[0] = port(100, None, "free");
        store.holds.remove(0);
        let node = &mut store.nodes[0];
        (node.held_ram_gb, node.held_disk_gb, node.held_vcores) = (2, 11, 1);
    };
    assert_eq!(found(|shop| gone_after_a_day(shop, 1)), (vec![], vec![]));
    always(I8, |shop| gone_after_a_day(shop, 2));
    let (running, _) = found(|shop| {
        shop.add_server(|server| server.external_id = Some(PENDING.to_string()));
    });
    assert_eq!(running, [I8], "not paid");
}
