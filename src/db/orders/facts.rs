//! Reads an order's parts and turns the rows into facts.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    db::{
        Error,
        convert::{json, micros, word},
        entity::{allocations, billing, external_accounts, holds, orders, servers},
    },
    domain::{
        OrderId, UserId,
        order::{
            Billing, EndWish, ErrorReason, Facts, Order, Server, ServerState, Status, WaitingReason,
        },
    },
};

/// Reads the parts of one order.
pub(super) async fn complete(
    connection: &impl ConnectionTrait,
    row: orders::Model,
) -> Result<Facts, Error> {
    let mut all = complete_all(connection, vec![row]).await?;
    all.pop()
        .ok_or_else(|| Error::Corrupt("an order without facts".to_owned()))
}

/// Reads the parts of many orders, one query per table.
pub(super) async fn complete_all(
    connection: &impl ConnectionTrait,
    rows: Vec<orders::Model>,
) -> Result<Vec<Facts>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let users: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
    let billing = billing::Entity::find()
        .filter(billing::Column::OrderId.is_in(ids.clone()))
        .all(connection)
        .await?;
    let servers = servers::Entity::find()
        .filter(servers::Column::OrderId.is_in(ids.clone()))
        .all(connection)
        .await?;
    let holds = holds::Entity::find()
        .filter(holds::Column::OrderId.is_in(ids.clone()))
        .all(connection)
        .await?;
    let ports = allocations::Entity::find()
        .filter(allocations::Column::OrderId.is_in(ids))
        .all(connection)
        .await?;
    let accounts = external_accounts::Entity::find()
        .filter(external_accounts::Column::UserId.is_in(users))
        .all(connection)
        .await?;

    let mut billing: HashMap<Uuid, billing::Model> = billing
        .into_iter()
        .map(|part| (part.order_id, part))
        .collect();
    let mut servers: HashMap<Uuid, servers::Model> = servers
        .into_iter()
        .map(|part| (part.order_id, part))
        .collect();
    let holds: HashMap<Uuid, i32> = holds
        .into_iter()
        .map(|part| (part.order_id, part.node_id))
        .collect();
    let accounts: HashMap<Uuid, i64> = accounts
        .into_iter()
        .map(|part| (part.user_id, part.pterodactyl_user_id))
        .collect();
    let mut port_counts: HashMap<Uuid, i32> = HashMap::new();
    for order_id in ports.into_iter().filter_map(|port| port.order_id) {
        *port_counts.entry(order_id).or_default() += 1;
    }

    rows.into_iter()
        .map(|row| {
            let (id, user) = (row.id, row.user_id);
            let missing = |part: &str| Error::Corrupt(format!("order {id} has no {part} row"));
            Ok(Facts {
                billing: billing_part(billing.remove(&id).ok_or_else(|| missing("billing"))?)?,
                server: server_part(servers.remove(&id).ok_or_else(|| missing("servers"))?),
                hold_node: holds.get(&id).copied(),
                ports: port_counts.get(&id).copied().unwrap_or(0),
                panel_user: accounts.get(&user).copied(),
                order: order_part(row)?,
            })
        })
        .collect()
}

fn order_part(row: orders::Model) -> Result<Order, Error> {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let waiting = optional(&row.waiting_reason)
        .map(|text| word(WaitingReason::parse, &text, "orders.waiting_reason"))
        .transpose()?;
    let error = optional(&row.error_reason)
        .map(|text| word(ErrorReason::parse, &text, "orders.error_reason"))
        .transpose()?;
    Ok(Order {
        id: OrderId(row.id),
        user_id: UserId(row.user_id),
        plan_id: row.plan_id,
        item_type: row.item_type,
        term: row.term,
        region: row.region,
        server_name: row.server_name,
        addons: json(row.addons, "orders.addons")?,
        manual_addons: json(row.manual_done, "orders.manual_done")?,
        spec: json(row.spec, "orders.spec")?,
        price_minor: row.price_minor,
        currency: row.currency,
        referral_code: row.referral_code,
        request_id: row.request_id,
        attempts: row.attempts,
        waiting_reason: waiting,
        error_reason: error,
        error_message: row.error_message,
        status: word(Status::parse, &row.status, "orders.status")?,
        server_state: word(ServerState::parse, &row.server_state, "orders.server_state")?,
        due_us: row.due_us,
        facts_seq: row.facts_seq,
        fence: row.fence,
        version: row.version,
        created_us: micros(row.created_at),
        updated_us: micros(row.updated_at),
    })
}

fn billing_part(row: billing::Model) -> Result<Billing, Error> {
    let wish = (!row.wish.is_empty())
        .then(|| word(EndWish::parse, &row.wish, "billing.wish"))
        .transpose()?;
    Ok(Billing {
        request_expires_us: row.request_expires_us,
        request_sent_us: row.request_sent_us,
        session_id: row.session_id,
        session_url: row.session_url,
        session_expires_us: row.session_expires_us,
        customer_id: row.customer_id,
        subscription_id: row.subscription_id,
        hints: row.hints,
        hints_read: row.hints_read,
        expire_requested: row.expire_requested,
        never_opened: row.never_opened,
        session_status: row.session_status,
        payment_status: row.payment_status,
        payment_failed_us: row.payment_failed_us,
        subscription_status: row.subscription_status,
        current_period_end_us: row.current_period_end_us,
        cancel_at_us: row.cancel_at_us,
        past_due_since_us: row.past_due_since_us,
        suspend_since_us: row.suspend_since_us,
        wish,
        wish_us: row.wish_us,
        ended_at_us: row.ended_at_us,
        confirmed_at_us: row.confirmed_at_us,
        read_us: row.read_us,
    })
}

fn server_part(row: servers::Model) -> Server {
    Server {
        attempt: row.attempt,
        node_failures: row.node_failures,
        node_id: row.node_id,
        has_create_request: row.create_request.is_some(),
        create_sent_us: row.create_sent_us,
        settle_looks: row.settle_looks,
        looked_us: row.settle_us,
        panel_id: row.pterodactyl_server_id,
        identifier: row.identifier,
        uuid: row.uuid,
        owner_id: row.owner_id,
        reinstalls: row.reinstalls,
        install_since_us: row.install_since_us,
        first_running_us: row.first_running_us,
        observed_status: row.observed_status,
        observed_us: row.observed_us,
        panel_write_us: row.panel_write_us,
        suspend_sent_us: row.suspend_sent_us,
        suspended_us: row.suspended_us,
        operator_suspended_us: row.operator_suspended_us,
        terminated_us: row.terminated_us,
        deleted_us: row.deleted_us,
    }
}
