//! A small shop in which everything is as it should be: one order that runs, one that
//! waits for payment, one that was never paid.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::{
    picture::{PanelSide, Picture, StripeSide},
    rows::{
        Account, Billing, Event, Hold, Inbox, Node, Order, Port, Profile, RequestKey, Server, Store,
    },
};
use crate::{
    panel::{ServerView, UserView},
    stripe::{
        CustomerView, PaymentStatus, SessionStatus, SessionView, SubscriptionStatus,
        SubscriptionView,
    },
};

/// The one that runs.
pub(super) const RUNNING: Uuid = Uuid::from_u128(1);
/// The one that waits for payment.
pub(super) const PENDING: Uuid = Uuid::from_u128(2);
/// The one that was never paid.
pub(super) const CANCELED: Uuid = Uuid::from_u128(3);
/// Who bought them all.
pub(super) const USER: Uuid = Uuid::from_u128(9);
const SERVER_UUID: Uuid = Uuid::from_u128(77);
const SPEC: &str = r#"{"game":"minecraft","ram_mb":2048,"disk_mb":10240,"swap_mb":1024,
    "cpu_percent":100,"databases":1,"backups":2,"allocations":0,"ports":1}"#;

/// The picture, and hands on its parts.
pub(super) struct Shop {
    pub picture: Picture,
}

impl Shop {
    /// The rows of an order.
    pub(super) fn of(&mut self, id: Uuid) -> (&mut Order, &mut Billing, &mut Server) {
        let store = &mut self.picture.store;
        let order = store.orders.iter_mut().find(|row| row.id == id);
        let billing = store.billing.iter_mut().find(|row| row.order_id == id);
        let server = store.servers.iter_mut().find(|row| row.order_id == id);
        (order.unwrap(), billing.unwrap(), server.unwrap())
    }

    pub(super) fn running(&mut self) -> (&mut Order, &mut Billing, &mut Server) {
        self.of(RUNNING)
    }

    /// Changes the panel's only server, before and after the store was read.
    pub(super) fn server(&mut self, change: impl Fn(&mut ServerView)) {
        change(&mut self.picture.before.servers[0]);
        change(&mut self.picture.after.servers[0]);
    }

    /// Puts one more server on the panel.
    pub(super) fn add_server(&mut self, change: impl Fn(&mut ServerView)) {
        let mut server = self.picture.after.servers[0].clone();
        server.id = 1_000;
        server.allocation = 5_000;
        server.allocations = vec![5_000];
        change(&mut server);
        self.picture.before.servers.push(server.clone());
        self.picture.after.servers.push(server);
    }

    /// Takes the server off the panel.
    pub(super) fn lose_server(&mut self) {
        self.picture.before.servers.clear();
        self.picture.after.servers.clear();
    }

    /// Appends a recorded change, as if it had been made in a transaction of its own.
    pub(super) fn record(&mut self, id: Uuid, what: &str, from: &str, to: &str) {
        let event = change(&mut self.picture.store.events, id, what, from, to);
        event.actor = "worker".to_owned();
        self.of(id).0.version += i64::from(what != "note");
    }
}

pub(super) fn shop() -> Shop {
    let mut store = Store {
        orders: vec![order(RUNNING), order(PENDING), order(CANCELED)],
        billing: vec![billing(RUNNING), billing(PENDING), billing(CANCELED)],
        servers: [RUNNING, PENDING, CANCELED].map(server_row).to_vec(),
        holds: vec![hold(RUNNING, "server"), hold(PENDING, "checkout")],
        nodes: vec![node()],
        ports: vec![
            port(100, Some(RUNNING), "assigned"),
            port(101, Some(PENDING), "held"),
            port(102, None, "free"),
        ],
        inbox: vec![Inbox {
            id: "evt_1".to_owned(),
            state: "applied".to_owned(),
            order_id: Some(RUNNING),
        }],
        profiles: vec![Profile {
            user_id: USER,
            stripe_customer_id: Some("cus_1".to_owned()),
            following: false,
        }],
        accounts: vec![Account {
            user_id: USER,
            pterodactyl_user_id: 7,
        }],
        request_keys: vec![RequestKey {
            method: "OrderService/CreateCheckoutSession".to_owned(),
            request_id: Uuid::from_u128(50),
            resource_id: RUNNING.to_string(),
        }],
        refunds: Vec::new(),
        affiliates: Vec::new(),
        referrals: Vec::new(),
        commissions: Vec::new(),
        guarded: Vec::new(),
        events: Vec::new(),
    };
    history(&mut store.events);
    let panel = PanelSide {
        servers: vec![panel_server()],
        users: vec![panel_user()],
        created_servers: vec![RUNNING.to_string()],
        created_users: vec![USER.to_string()],
    };
    let stripe = StripeSide {
        acknowledged: ["evt_1".to_owned()].into(),
        customers: vec![CustomerView {
            id: "cus_1".to_owned(),
            metadata: [("user_id".to_owned(), USER.to_string())].into(),
        }],
        sessions: vec![
            session(RUNNING, SessionStatus::Complete, PaymentStatus::Paid),
            session(PENDING, SessionStatus::Open, PaymentStatus::Unpaid),
            session(CANCELED, SessionStatus::Expired, PaymentStatus::Unpaid),
        ],
        subscriptions: vec![subscription()],
        refunds: Vec::new(),
    };
    Shop {
        picture: Picture {
            now_us: 1_000_000,
            store,
            before: panel.clone(),
            after: panel,
            stripe,
        },
    }
}

/// Makes the order that runs, and its end, as its record tells.
fn history(events: &mut Vec<Event>) {
    for (id, what, from, to) in [
        (RUNNING, "status", "", "pending"),
        (RUNNING, "stripe_checkout_session_id", "", "cs_1"),
        (RUNNING, "stripe_customer_id", "", "cus_1"),
        (RUNNING, "stripe_sub_id", "", "sub_1"),
        (RUNNING, "subscription_status", "", "active"),
        (RUNNING, "status", "pending", "paid"),
        (RUNNING, "status", "paid", "provisioning"),
        (RUNNING, "status", "provisioning", "provisioned"),
        (RUNNING, "pterodactyl_server_id", "", "500"),
        (RUNNING, "pterodactyl_server_identifier", "", "abcd"),
        (RUNNING, "server_state", "none", "installing"),
        (RUNNING, "server_state", "installing", "running"),
        (PENDING, "status", "", "pending"),
        (PENDING, "waiting_reason", "", "AWAITING_PAYMENT"),
        (PENDING, "stripe_checkout_session_id", "", "cs_2"),
        (PENDING, "stripe_customer_id", "", "cus_1"),
        (CANCELED, "status", "", "pending"),
        (CANCELED, "stripe_checkout_session_id", "", "cs_3"),
        (CANCELED, "stripe_customer_id", "", "cus_1"),
        (CANCELED, "status", "pending", "canceled"),
    ] {
        change(events, id, what, from, to);
    }
    // The payment was an event's work.
    events[5].actor = "stripe".to_owned();
    events[5].cause = "evt_1".to_owned();
}

fn change<'a>(
    events: &'a mut Vec<Event>,
    id: Uuid,
    what: &str,
    from: &str,
    to: &str,
) -> &'a mut Event {
    let number = i64::try_from(events.len()).unwrap() + 1;
    events.push(Event {
        id: number,
        sequence: Some(number),
        order_id: id,
        what: what.to_owned(),
        from_value: from.to_owned(),
        to_value: to.to_owned(),
        actor: "worker".to_owned(),
        cause: "Step".to_owned(),
        trace_id: "t".to_owned(),
        created_us: number * 10,
    });
    events.last_mut().unwrap()
}

fn order(id: Uuid) -> Order {
    let running = id == RUNNING;
    let (status, waiting, version) = match id {
        RUNNING => ("provisioned", "", 12),
        PENDING => ("pending", "AWAITING_PAYMENT", 4),
        _ => ("canceled", "", 4),
    };
    Order {
        id,
        user_id: USER,
        status: status.to_owned(),
        server_state: if running { "running" } else { "none" }.to_owned(),
        node_id: (id != CANCELED).then_some(1),
        pterodactyl_server_id: running.then_some(500),
        pterodactyl_server_identifier: running.then(|| "abcd".to_owned()),
        stripe_sub_id: running.then(|| "sub_1".to_owned()),
        server_name: "world".to_owned(),
        due_us: (id == PENDING).then_some(9_000_000),
        lease_owner: None,
        attempts: 0,
        waiting_reason: waiting.to_owned(),
        error_reason: String::new(),
        error_message: String::new(),
        version,
        lenience: None,
        other_spec: None,
        spec: SPEC.to_owned(),
    }
}

fn session_id(id: Uuid) -> String {
    format!("cs_{}", id.as_u128())
}

fn billing(id: Uuid) -> Billing {
    let running = id == RUNNING;
    let status = match id {
        RUNNING => "complete",
        PENDING => "open",
        _ => "expired",
    };
    Billing {
        order_id: id,
        session_id: Some(session_id(id)),
        customer_id: Some("cus_1".to_owned()),
        subscription_id: running.then(|| "sub_1".to_owned()),
        hints: i64::from(running),
        session_status: Some(status.to_owned()),
        payment_status: Some(if running { "paid" } else { "unpaid" }.to_owned()),
        read_us: Some(5),
        subscription_status: running.then(|| "active".to_owned()),
        confirmed_at_us: running.then_some(5),
        ..Billing::default()
    }
}

fn server_row(id: Uuid) -> Server {
    if id != RUNNING {
        return Server {
            order_id: id,
            ..Server::default()
        };
    }
    Server {
        order_id: id,
        attempt: 1,
        node_id: Some(1),
        create_sent_us: None,
        create_slot_until_us: None,
        pterodactyl_server_id: Some(500),
        identifier: Some("abcd".to_owned()),
        uuid: Some(SERVER_UUID.to_string()),
        owner_id: Some(7),
        egg_id: Some(39),
        first_running_us: Some(8),
        observed_status: Some(String::new()),
        ..Server::default()
    }
}

pub(super) fn hold(order_id: Uuid, why: &str) -> Hold {
    Hold {
        order_id,
        node_id: 1,
        ram_gb: 2,
        disk_gb: 11,
        vcores: 1,
        why: why.to_owned(),
    }
}

fn node() -> Node {
    Node {
        id: 1,
        pterodactyl_node_id: 3,
        max_ram_gb: 8,
        max_disk_gb: 50,
        max_vcores: Some(4),
        reserved_headroom_gb: 2,
        held_ram_gb: 4,
        held_disk_gb: 22,
        held_vcores: 2,
    }
}

pub(super) fn port(id: i64, order_id: Option<Uuid>, state: &str) -> Port {
    Port {
        pterodactyl_allocation_id: id,
        node_id: 1,
        ip: "10.0.0.1".to_owned(),
        port: i32::try_from(id).unwrap(),
        order_id,
        state: state.to_owned(),
    }
}

fn panel_server() -> ServerView {
    ServerView {
        id: 500,
        external_id: Some(RUNNING.to_string()),
        uuid: SERVER_UUID,
        identifier: "abcd".to_owned(),
        name: "world".to_owned(),
        status: None,
        suspended: false,
        memory: 2048,
        swap: 1024,
        disk: 10240,
        cpu: 100,
        databases: Some(1),
        backups: 2,
        user: 7,
        node: 3,
        egg: 39,
        allocation: 100,
        allocations: vec![100],
        port: Some(100),
        environment: BTreeMap::new(),
    }
}

fn panel_user() -> UserView {
    UserView {
        id: 7,
        external_id: Some(USER.to_string()),
        uuid: Uuid::from_u128(78),
        username: "u".to_owned(),
        email: "a@b.example".to_owned(),
        first_name: "A".to_owned(),
        last_name: "B".to_owned(),
        root_admin: false,
    }
}

pub(super) fn session(
    order_id: Uuid,
    status: SessionStatus,
    payment_status: PaymentStatus,
) -> SessionView {
    SessionView {
        id: session_id(order_id),
        status,
        payment_status,
        url: String::new(),
        customer: Some("cus_1".to_owned()),
        subscription: None,
        invoice: None,
        client_reference_id: Some(order_id.to_string()),
        metadata: BTreeMap::new(),
        lines: Vec::new(),
        amount_subtotal: 990,
        amount_total: 990,
        currency: "usd".to_owned(),
        created: 1,
        expires_at: 2,
        success_url: String::new(),
    }
}

fn subscription() -> SubscriptionView {
    SubscriptionView {
        id: "sub_1".to_owned(),
        status: SubscriptionStatus::Active,
        customer: "cus_1".to_owned(),
        metadata: [("order_id".to_owned(), RUNNING.to_string())].into(),
        items: Vec::new(),
        current_period_start: 1,
        current_period_end: 2,
        cancel_at_period_end: false,
        canceled_at: None,
        ended_at: None,
        latest_invoice: None,
        pending_update: None,
    }
}
