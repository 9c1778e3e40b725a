//! Waits until everything has come to rest, and looks at what is left then: at the panel,
//! at Stripe and in our ledger.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use spawnpoint::rpc::proto;

use crate::support::{
    live::{Live, PATIENCE},
    sql, till,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until every order of the shop runs and nobody has anything to do.
pub async fn wait_until_delivered(live: &Live, log: impl Fn() -> String) {
    let query = "SELECT count(*) FROM orders WHERE NOT (status = 'provisioned'
        AND server_state = 'running' AND lease_owner IS NULL AND due_us IS NULL)";
    wait_for_none(live, query, log).await;
}

/// Waits until every order of the shop is over, nothing is held and nobody has anything
/// to do.
pub async fn wait_until_over(live: &Live, log: impl Fn() -> String) {
    let query = "SELECT count(*) FROM orders WHERE NOT (status = 'canceled'
        AND lease_owner IS NULL AND due_us IS NULL
        AND NOT EXISTS (SELECT 1 FROM holds WHERE order_id = orders.id))";
    wait_for_none(live, query, log).await;
}

/// Waits until a query that counts finds no row; else shows the orders and the log.
pub async fn wait_for_none(live: &Live, query: &str, log: impl Fn() -> String) {
    let began = Instant::now();
    while sql::count(&live.store.db, query).await > 0 {
        if began.elapsed() > 2 * PATIENCE {
            panic!("not at rest: {:#?}\n{}", states(live).await, log());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every order in a line.
async fn states(live: &Live) -> Vec<String> {
    let id = if live.store.db.is_postgres() {
        "CAST(id AS text)"
    } else {
        "hex(id)"
    };
    let query = format!(
        "SELECT {id} || ' ' || status || ' ' || server_state || ' ' || waiting_reason || ' '
         || error_reason || ' ' || error_message || ' due ' || coalesce(CAST(due_us AS text), '-')
         || ' leased to ' || coalesce(lease_owner, '-') FROM orders"
    );
    sql::texts(&live.store.db, &query).await
}

/// Every order of the shop, as it is.
async fn orders(live: &Live) -> Vec<proto::Order> {
    let message = proto::ListOrdersRequest {
        page_size: 500,
        ..proto::ListOrdersRequest::default()
    };
    let answer = live.orders().list_orders(live.operator(message)).await;
    answer.unwrap().into_inner().orders
}

/// At rest each order has exactly one server, which the panel made once; its customer has
/// one account and one customer at Stripe, and it one session; the ledger is the panel's;
/// nothing is parked or was counted against an order.
pub async fn assert_each_delivered_once(live: &Live, count: usize) {
    let orders = orders(live).await;
    assert_eq!(orders.len(), count);
    let ids: BTreeSet<_> = orders.iter().map(|order| order.id.clone()).collect();
    let users: BTreeSet<_> = orders.iter().map(|order| order.user_id.clone()).collect();
    let panel = &live.world.panel;
    let servers = panel.servers();
    assert_eq!(servers.len(), count, "servers");
    assert_eq!(panel.succeeded_route("POST", "/servers"), count, "creates");
    let named = servers.iter().filter_map(|row| row.external_id.clone());
    assert_eq!(named.collect::<BTreeSet<_>>(), ids);
    for order in &orders {
        let made = servers
            .iter()
            .find(|row| row.external_id.as_ref() == Some(&order.id));
        assert_eq!(made.map(|row| row.id), Some(order.pterodactyl_server_id));
        let counted = (order.attempts, order.error_reason.as_str());
        assert_eq!(counted, (0, ""), "{}", order.id);
    }
    let mut accounts = panel.users();
    accounts.retain(|user| !user.root_admin);
    assert_eq!(accounts.len(), users.len(), "panel accounts");
    let named = accounts.iter().filter_map(|user| user.external_id.clone());
    assert_eq!(named.collect::<BTreeSet<_>>(), users);
    // A page of Stripe has no more than a hundred.
    let customers = till::stripe_object(live, "/v1/customers?limit=100").await;
    let customers = customers["data"].as_array().unwrap().len();
    assert_eq!(customers, users.len().min(100), "customers at Stripe");
    let sessions = live.world.stripe.sessions();
    assert_eq!(sessions.len(), count, "sessions");
    let named = sessions
        .iter()
        .filter_map(|one| one.client_reference_id.clone());
    assert_eq!(named.collect::<BTreeSet<_>>(), ids);
    assert_ledger_is_the_panels(live).await;
}

/// What we hold is what the panel's servers have, and nothing else.
pub async fn assert_ledger_is_the_panels(live: &Live) {
    let (servers, db) = (live.world.panel.servers(), &live.store.db);
    let held = sql::count(db, "SELECT count(*) FROM holds").await;
    assert_eq!(usize::try_from(held).unwrap(), servers.len(), "holds");
    let surplus = "SELECT (SELECT CAST(sum(held_ram_gb) AS bigint) FROM ptero_nodes)
        - (SELECT CAST(coalesce(sum(ram_gb), 0) AS bigint) FROM holds)";
    assert_eq!(sql::count(db, surplus).await, 0, "gigabytes held");
    let assigned = "SELECT CAST(pterodactyl_allocation_id AS text) FROM allocations
        WHERE state = 'assigned'";
    let ours = sql::texts(db, assigned).await;
    let ours: BTreeSet<i64> = ours.iter().map(|id| id.parse().unwrap()).collect();
    let theirs: Vec<i64> = servers
        .iter()
        .flat_map(|row| row.allocations.clone())
        .collect();
    assert_eq!(theirs.len(), ours.len(), "ports in use");
    assert_eq!(theirs.into_iter().collect::<BTreeSet<_>>(), ours);
    let held = "SELECT count(*) FROM allocations WHERE state = 'held'";
    assert_eq!(sql::count(db, held).await, 0, "ports held without a server");
}
