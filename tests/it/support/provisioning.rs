//! What tests of provisioning do to an open shop, and what they look at: the calls
//! that reached the panel stand-in, and the ledger in the database.

use std::{cell::RefCell, time::Duration};

use sandbox::{
    panel::{Call, NodeSpec, ServerSeed, ServerView, UserView},
    stripe::{ReleaseOrder, WebhookSwitches},
};
use spawnpoint::{
    db::holds,
    domain::{OrderId, placement::Need},
    rpc::proto,
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    live::{Live, PATIENCE, cart},
    sql, wait,
};

/// The panel's and our own id of the node of us-east.
pub const EAST: (i64, i32) = (1, 1);
/// Panel ids of servers that others made, far from those that the panel gives itself.
const FOREIGN_SERVERS: i64 = 9_000;

/// A cart of another plan than the usual one.
pub fn cart_of(user: Uuid, plan_id: &str) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        plan_id: plan_id.to_owned(),
        ..cart(user)
    }
}

impl Live {
    /// Checks a cart out that must be sellable. As a shop does, it repeats the same request
    /// while it is told to come back: eggs are being read, or the machine is busy.
    pub async fn reserve(&self, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
        let reserved = RefCell::new(None);
        wait::until("the cart is taken", PATIENCE, || async {
            match self.checkout(cart.clone()).await {
                Ok(answer) => reserved.replace(answer.order).is_none(),
                Err(status) => {
                    let passing = [Code::Unavailable, Code::DeadlineExceeded];
                    assert!(passing.contains(&status.code()), "{status:?}");
                    false
                }
            }
        })
        .await;
        reserved.into_inner().unwrap()
    }

    /// Checks a cart out and pays it.
    pub async fn purchase(&self, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
        let order = self.reserve(cart).await;
        self.pay(&order);
        order
    }

    /// Buys a cart and waits until its server runs.
    pub async fn buy_cart(&self, cart: proto::CreateCheckoutSessionRequest) -> proto::Order {
        let order = self.purchase(cart).await;
        self.wait_running(&order.id).await
    }

    /// Waits until the order waits for this.
    pub async fn wait_for_reason(&self, order_id: &str, reason: &str) -> proto::Order {
        self.wait_order(order_id, reason, |order| order.waiting_reason == reason)
            .await
    }

    /// Waits until the order is parked for this reason.
    pub async fn wait_parked(&self, order_id: &str, reason: &str) -> proto::Order {
        self.wait_order(order_id, reason, |order| order.error_reason == reason)
            .await
    }

    /// ProvisionOrder, as an operator.
    pub async fn provision(&self, order_id: &str) -> Result<proto::Order, Status> {
        let message = proto::ProvisionOrderRequest {
            order_id: order_id.to_owned(),
            request_id: String::new(),
        };
        let answer = self
            .provisioning()
            .provision_order(self.operator(message))
            .await?;
        Ok(answer.into_inner().order.unwrap())
    }

    /// GetServer, as an operator.
    pub async fn server(&self, order_id: &str) -> proto::Server {
        let message = proto::GetServerRequest {
            order_id: order_id.to_owned(),
        };
        let answer = self
            .provisioning()
            .get_server(self.operator(message))
            .await
            .unwrap();
        answer.into_inner().server.unwrap()
    }

    /// GetNode, as an operator.
    pub async fn node(&self, node_id: i32) -> proto::Node {
        let message = proto::GetNodeRequest { node_id };
        let answer = self
            .provisioning()
            .get_node(self.operator(message))
            .await
            .unwrap();
        answer.into_inner().node.unwrap()
    }

    /// Every change of an order so far.
    pub async fn events(&self, order_id: &str) -> Vec<proto::OrderEvent> {
        let message = proto::ListOrderEventsRequest {
            order_id: order_id.to_owned(),
            page_size: 500,
            page_token: String::new(),
        };
        let answer = self
            .orders()
            .list_order_events(self.operator(message))
            .await
            .unwrap();
        answer.into_inner().events
    }

    /// How often a definite refusal was ever counted. The order itself forgets it as soon
    /// as its server is made.
    pub async fn tries(&self, order_id: &str) -> usize {
        let events = self.events(order_id).await;
        let counted = |event: &&proto::OrderEvent| event.what == "attempts" && event.to != "0";
        events.iter().filter(counted).count()
    }

    /// Our mirror of a node's ports in one state.
    pub async fn ports(&self, node_id: i32, state: &str) -> Vec<proto::Allocation> {
        let (mut ports, mut page_token) = (Vec::new(), String::new());
        loop {
            let message = proto::ListAllocationsRequest {
                node_id,
                state: state.to_owned(),
                page_size: 500,
                page_token,
            };
            let answer = self
                .provisioning()
                .list_allocations(self.operator(message))
                .await
                .unwrap()
                .into_inner();
            ports.extend(answer.allocations);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return ports;
            }
        }
    }

    /// The ports that an order holds or has, as the mirror tells.
    pub async fn ports_of(&self, node_id: i32, order_id: &str) -> Vec<proto::Allocation> {
        let mut ports = self.ports(node_id, "").await;
        ports.retain(|port| port.order_id == order_id);
        ports
    }

    /// The room that an order holds, and where.
    pub async fn hold(&self, order_id: &str) -> Option<(i32, Need)> {
        let id = OrderId(order_id.parse().unwrap());
        holds::find(self.store.db.read(), id).await.unwrap()
    }

    /// Creates of an order's server that reached the panel.
    pub fn creates(&self, order_id: &str) -> Vec<Call> {
        self.calls("POST", "/servers")
            .into_iter()
            .filter(|call| call.external_id.as_deref() == Some(order_id))
            .collect()
    }

    /// Calls of one route of the panel, which is given without the API's base path.
    pub fn calls(&self, method: &str, template: &str) -> Vec<Call> {
        let template = format!("/api/application{template}");
        let mut calls = self.world.panel.calls();
        calls.retain(|call| {
            call.method == method && call.template.unwrap_or(call.path.as_str()) == template
        });
        calls
    }

    /// The order's server at the stand-in.
    pub fn made(&self, order_id: &str) -> ServerView {
        self.world.panel.server(order_id).unwrap()
    }

    /// The panel's users that bear a customer's id.
    pub fn panel_users(&self, user: Uuid) -> Vec<UserView> {
        let mut users = self.world.panel.users();
        users.retain(|row| row.external_id.as_deref() == Some(&user.to_string()));
        users
    }

    /// The subscription of a paid order.
    pub fn subscription(&self, order: &proto::Order) -> String {
        let session = self.world.stripe.session(&order.stripe_checkout_session_id);
        session.unwrap().subscription.unwrap()
    }

    /// Moves the clock of every control plane, and wakes its worker.
    pub fn skip(&self, by: Duration) {
        let by_us = i64::try_from(by.as_micros()).unwrap();
        for core in &self.world.cores {
            core.app.db.shift_clock(by_us);
            core.app.nudge.all_here();
        }
    }

    /// Waits until nobody works at an order: a clock that jumps takes the lease from whoever
    /// does, and what was in doubt then is settled in another time.
    pub async fn wait_until_unleased(&self) {
        let leased = "SELECT count(*) FROM orders WHERE lease_owner IS NOT NULL";
        wait::until("no order is worked at", PATIENCE, || async {
            sql::count(&self.store.db, leased).await == 0
        })
        .await;
    }

    /// Keeps Stripe's events back until they are let go.
    pub fn hold_webhooks(&self) {
        let switches = WebhookSwitches {
            hold: true,
            ..self.world.stripe.webhooks()
        };
        self.world.stripe.set_webhooks(switches);
    }

    /// Lets the events that were kept back go, and further ones at once.
    pub fn release_webhooks(&self) {
        let switches = WebhookSwitches {
            hold: false,
            ..self.world.stripe.webhooks()
        };
        self.world.stripe.set_webhooks(switches);
        self.world.stripe.release_all(ReleaseOrder::Created);
    }

    /// Puts somebody else's server on a port of the panel, behind our back.
    pub fn occupy(&self, allocation: i64) -> i64 {
        let id = FOREIGN_SERVERS + allocation;
        self.world.panel.seed_server(&ServerSeed {
            id,
            external_id: None,
            uuid: None,
            name: "Somebody else's".to_owned(),
            startup: None,
            status: None,
            user: 1,
            egg: 39,
            allocation,
        });
        id
    }

    /// Adds a node to the panel and to the shop, and waits until its ports are known.
    pub async fn add_node(&self, spec: &NodeSpec, node: proto::Node) -> proto::Node {
        let free = spec.ports.len();
        let message = proto::CreateNodeRequest {
            node: Some(proto::Node {
                pterodactyl_node_id: self.world.panel.add_node(spec),
                ..node
            }),
            request_id: String::new(),
        };
        let answer = self
            .provisioning()
            .create_node(self.operator(message))
            .await
            .unwrap();
        let node = answer.into_inner().node.unwrap();
        wait::until("the node's ports are known", PATIENCE, || async {
            self.ports(node.id, "free").await.len() == free
        })
        .await;
        node
    }

    /// `table.column` of every stored value that contains this text.
    pub async fn stored_in(&self, text: &str) -> Vec<String> {
        let db = &self.store.db;
        let columns = if db.is_postgres() {
            "SELECT table_name || '.' || column_name || '.' || data_type
             FROM information_schema.columns WHERE table_schema = 'public'"
        } else {
            "SELECT t.name || '.' || c.name || '.' || c.type
             FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        };
        let mut found = Vec::new();
        for column in sql::texts(db, columns).await {
            let parts: Vec<&str> = column.splitn(3, '.').collect();
            let [table, name, kind] = parts[..] else {
                panic!("{column}");
            };
            let holds = match (db.is_postgres(), kind) {
                (true, "bytea") => {
                    format!("position('{text}' in encode(\"{name}\", 'escape')) > 0")
                }
                (true, _) => format!("position('{text}' in \"{name}\"::text) > 0"),
                (false, _) => format!("instr(CAST(\"{name}\" AS TEXT), '{text}') > 0"),
            };
            let query = format!("SELECT count(*) FROM \"{table}\" WHERE {holds}");
            if sql::count(db, &query).await > 0 {
                found.push(format!("{table}.{name}"));
            }
        }
        found
    }
}
