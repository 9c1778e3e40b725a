//! The store's rows as the audit reads them: by SQL of its own, into structs of its own.
//! Plain data; what they mean is judged elsewhere.

use sea_orm::FromQueryResult;
use uuid::Uuid;

/// What was bought and how the work on it goes.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Order {
    pub id: Uuid,
    pub user_id: Uuid,
    pub status: String,
    pub server_state: String,
    pub node_id: Option<i32>,
    pub pterodactyl_server_id: Option<i64>,
    pub pterodactyl_server_identifier: Option<String>,
    pub stripe_sub_id: Option<String>,
    pub server_name: String,
    pub due_us: Option<i64>,
    pub lease_owner: Option<String>,
    pub attempts: i32,
    pub waiting_reason: String,
    pub error_reason: String,
    pub error_message: String,
    pub version: i64,
    pub spec: String,
    /// How lenient the shop is with it, as it was sold.
    pub lenience: Option<String>,
    /// Of a change of its plan: what it may come to, or had before.
    pub other_spec: Option<String>,
}

/// What is known of Stripe's side.
#[derive(Clone, Debug, Default, FromQueryResult)]
pub(super) struct Billing {
    pub order_id: Uuid,
    pub session_id: Option<String>,
    pub customer_id: Option<String>,
    pub subscription_id: Option<String>,
    pub hints: i64,
    pub never_opened: bool,
    pub session_status: Option<String>,
    pub payment_status: Option<String>,
    pub payment_failed_us: Option<i64>,
    pub read_us: Option<i64>,
    pub subscription_status: Option<String>,
    pub suspend_since_us: Option<i64>,
    pub disputed_since_us: Option<i64>,
    pub ended_at_us: Option<i64>,
    pub confirmed_at_us: Option<i64>,
    pub refunds_due: i32,
    /// Once its plan was changed: what its subscription is for.
    pub prices: Option<String>,
}

/// A payment that goes back.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Refund {
    pub order_id: Uuid,
    pub session_id: String,
    pub done_us: Option<i64>,
    pub refund_ids: String,
    pub amount_minor: i64,
}

/// A user who sends customers.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Affiliate {
    pub user_id: Uuid,
    pub code: String,
    pub signups: i32,
    pub credits_cents: i64,
    pub currency: String,
}

/// An order that an affiliate brought.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Referral {
    pub order_id: Uuid,
    pub user_id: Uuid,
}

/// What a paid invoice earns.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Commission {
    pub order_id: Uuid,
    pub invoice_id: String,
    pub user_id: Uuid,
    pub amount_minor: i64,
    pub currency: String,
    pub state: String,
}

/// What is known of the panel's side.
#[derive(Clone, Debug, Default, FromQueryResult)]
pub(super) struct Server {
    pub order_id: Uuid,
    pub attempt: i32,
    pub node_id: Option<i32>,
    pub create_sent_us: Option<i64>,
    pub create_slot_until_us: Option<i64>,
    pub pterodactyl_server_id: Option<i64>,
    pub identifier: Option<String>,
    pub uuid: Option<String>,
    pub owner_id: Option<i64>,
    pub egg_id: Option<i64>,
    pub first_running_us: Option<i64>,
    pub observed_status: Option<String>,
    pub suspend_sent_us: Option<i64>,
    pub suspended_us: Option<i64>,
    pub node_failing_us: Option<i64>,
    pub force_sent_us: Option<i64>,
    pub suspend_held_us: Option<i64>,
    pub operator_suspended_us: Option<i64>,
    pub terminated_us: Option<i64>,
    pub deleted_us: Option<i64>,
    pub respec_us: Option<i64>,
    pub rename_us: Option<i64>,
}

/// Room held of a node.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Hold {
    pub order_id: Uuid,
    pub node_id: i32,
    pub ram_gb: i32,
    pub disk_gb: i32,
    pub vcores: i32,
    pub why: String,
}

/// A machine and what is held of it.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Node {
    pub id: i32,
    pub pterodactyl_node_id: i64,
    pub max_ram_gb: i32,
    pub max_disk_gb: i32,
    pub max_vcores: Option<i32>,
    pub reserved_headroom_gb: i32,
    pub held_ram_gb: i32,
    pub held_disk_gb: i32,
    pub held_vcores: i32,
}

/// A port of the ledger.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Port {
    pub pterodactyl_allocation_id: i64,
    pub node_id: i32,
    pub ip: String,
    pub port: i32,
    pub order_id: Option<Uuid>,
    pub state: String,
}

/// A recorded change of an order.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Event {
    pub id: i64,
    pub sequence: Option<i64>,
    pub order_id: Uuid,
    pub what: String,
    pub from_value: String,
    pub to_value: String,
    pub actor: String,
    pub cause: String,
    pub trace_id: String,
    pub created_us: i64,
}

/// An event of Stripe in the inbox.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Inbox {
    pub id: String,
    pub state: String,
    pub order_id: Option<Uuid>,
}

/// A customer.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Profile {
    pub user_id: Uuid,
    pub stripe_customer_id: Option<String>,
    /// Stripe or the panel still has to be told of a change.
    pub following: bool,
}

/// A customer's account on the panel.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Account {
    pub user_id: Uuid,
    pub pterodactyl_user_id: i64,
}

/// A call that is remembered.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct RequestKey {
    pub method: String,
    pub request_id: Uuid,
    pub resource_id: String,
}

/// A sweep that its guard holds.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Guarded {
    pub name: String,
}

/// All of it, of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub orders: Vec<Order>,
    pub billing: Vec<Billing>,
    pub servers: Vec<Server>,
    pub holds: Vec<Hold>,
    pub nodes: Vec<Node>,
    pub ports: Vec<Port>,
    pub events: Vec<Event>,
    pub inbox: Vec<Inbox>,
    pub profiles: Vec<Profile>,
    pub accounts: Vec<Account>,
    pub request_keys: Vec<RequestKey>,
    pub refunds: Vec<Refund>,
    pub affiliates: Vec<Affiliate>,
    pub referrals: Vec<Referral>,
    pub commissions: Vec<Commission>,
    pub guarded: Vec<Guarded>,
}
