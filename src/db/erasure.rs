//! What is erased of a person, table by table: one place, so that what stays can be told.
//!
//! Erased is what tells who somebody is or what they typed. What stays says what was sold, when
//! and for how much, and how the shop carried it out; by the ids it can be found at Stripe.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, Statement,
    prelude::Json,
    sea_query::Expr,
};

use super::{
    Error, Tx, accounts,
    billing::{self, Form},
    convert::{timestamp, to_json},
    entity,
};
use crate::domain::{
    OrderId, UserId,
    profile::{Account, Origin},
};

/// In the place of a text that somebody typed.
const ERASED: &str = "erased";
/// In the place of a cart's hash: carts have few choices, and could be guessed.
const NO_CART: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What of a session's request tells what was sold, besides its lines.
const SOLD: [&str; 4] = ["mode", "customer", "client_reference_id", "expires_at"];
/// A statement has only so many parameters.
const ROWS_AT_ONCE: usize = 500;

/// Erases a profile and what others were still to follow of it, and lets its panel account go:
/// one that we made is to be deleted, all others are their users' own.
pub async fn profile(tx: &Tx, user_id: UserId, now_us: i64) -> Result<(), Error> {
    use entity::profiles::{Column, Entity};
    let account = accounts::find(&**tx, user_id).await?;
    let made = |account: &Account| account.origin == Origin::Created;
    let leaving = account.filter(made).map(|account| account.panel_id);
    entity::external_accounts::Entity::delete_by_id(user_id.0)
        .exec(&**tx)
        .await?;
    super::affiliates::forget_code(tx, user_id).await?;
    let mut update = Entity::update_many();
    if let Some(leaving) = leaving {
        update = update.col_expr(Column::PanelLeavingId, Expr::value(leaving));
    }
    update
        .col_expr(Column::Email, Expr::value(""))
        .col_expr(Column::EmailVerified, Expr::value(false))
        .col_expr(Column::FirstName, Expr::value(""))
        .col_expr(Column::LastName, Expr::value(""))
        .col_expr(Column::StripeCustomerRequest, Expr::value(None::<Json>))
        .col_expr(Column::StripeFollowUs, Expr::value(None::<i64>))
        .col_expr(Column::StripeProblem, Expr::value(""))
        .col_expr(Column::PanelFollowUs, Expr::value(None::<i64>))
        .col_expr(Column::PanelProblem, Expr::value(""))
        .col_expr(Column::DeletedUs, Expr::value(now_us))
        .col_expr(Column::UpdatedAt, Expr::value(timestamp(now_us)))
        .filter(Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Erases an order that is over, but for its record: see [`record`].
pub async fn order(tx: &Tx, id: OrderId, server_name: &str) -> Result<(), Error> {
    let renames = renames(tx, id).await?;
    let mut order = entity::orders::ActiveModel {
        id: Unchanged(id.0),
        environment: Set(to_json(&serde_json::Map::new())?),
        cart_sha256: Set(NO_CART.to_owned()),
        ..Default::default()
    };
    // It may have been erased before.
    if server_name != name_after(renames) {
        order.server_name = Set(name_after(renames + 1));
    }
    order.update(&**tx).await?;
    let mut request: Form = billing::request(&**tx, id).await?;
    request.retain(|(key, _)| key.starts_with("line_items[") || SOLD.contains(&key.as_str()));
    let billing = entity::billing::ActiveModel {
        order_id: Unchanged(id.0),
        request: Set(to_json(&request)?),
        session_url: Set(None),
        ..Default::default()
    };
    billing.update(&**tx).await?;
    let server = entity::servers::ActiveModel {
        order_id: Unchanged(id.0),
        create_request: Set(None),
        observed_name: Set(None),
        ..Default::default()
    };
    server.update(&**tx).await?;
    entity::stripe_events::Entity::update_many()
        .col_expr(
            entity::stripe_events::Column::Payload,
            Expr::value(Vec::<u8>::new()),
        )
        .filter(entity::stripe_events::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Erases names and remarks of an order's record, once the change of its name is on it. Each
/// change still begins where the one before ended.
pub async fn record(tx: &Tx, id: OrderId) -> Result<(), Error> {
    use entity::order_events::{Column, Entity};
    let sql = "UPDATE order_events SET from_value = 'erased ' || named.place,
            to_value = 'erased ' || (named.place + 1) FROM (
                SELECT id, row_number() OVER (ORDER BY id) AS place FROM order_events
                WHERE order_id = $1 AND what = 'server_name') AS named
        WHERE order_events.id = named.id";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [id.0.into()]);
    tx.execute_raw(statement).await?;
    // What people wrote; remarks of the worker and of sweeps are our own words.
    Entity::update_many()
        .col_expr(Column::ToValue, Expr::value(ERASED))
        .filter(Column::OrderId.eq(id.0))
        .filter(Column::What.eq("note"))
        .filter(Column::Actor.starts_with("rpc:"))
        .exec(&**tx)
        .await?;
    Ok(())
}

async fn renames(tx: &Tx, id: OrderId) -> Result<u64, Error> {
    use entity::order_events::{Column, Entity};
    let renames = Entity::find()
        .filter(Column::OrderId.eq(id.0))
        .filter(Column::What.eq("server_name"))
        .count(&**tx)
        .await?;
    Ok(renames)
}

/// What an erased server is called after so many changes of its name.
fn name_after(renames: u64) -> String {
    format!("{ERASED} {}", renames + 1)
}

/// An event of Stripe that is about no order of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// When it was received.
    pub received_us: i64,
    /// `evt_...`.
    pub id: String,
    /// Whether its payload has one of the texts in it that were looked for.
    pub names: bool,
}

/// Events that are about no order of ours, received behind `after` (time and id), the oldest
/// first, and whether their payload has one of these texts in it.
pub async fn unplaced_events(
    connection: &impl ConnectionTrait,
    texts: &[String],
    after: &(i64, String),
    limit: u64,
) -> Result<Vec<Unplaced>, Error> {
    let backend = connection.get_database_backend();
    let has = |place: usize| match backend {
        DbBackend::Postgres => format!("position(${place} in payload) > 0"),
        _ => format!("instr(payload, ${place}) > 0"),
    };
    let named: Vec<String> = (4..4 + texts.len()).map(has).collect();
    let sql = format!(
        "SELECT received_us, id, ({}) AS named FROM stripe_events
            WHERE order_id IS NULL AND length(payload) > 0
                AND (received_us > $1 OR (received_us = $1 AND id > $2))
            ORDER BY received_us, id LIMIT $3",
        named.join(" OR ")
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = vec![after.0.into(), after.1.as_str().into(), limit.into()];
    values.extend(texts.iter().map(|text| text.as_bytes().to_vec().into()));
    let statement = Statement::from_sql_and_values(backend, sql, values);
    let rows = connection.query_all_raw(statement).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(Unplaced {
            received_us: row.try_get_by_index(0)?,
            id: row.try_get_by_index(1)?,
            names: row.try_get_by_index(2)?,
        });
    }
    Ok(found)
}

/// Forgets what these events said.
pub async fn payloads(tx: &Tx, ids: &[String]) -> Result<(), Error> {
    for ids in ids.chunks(ROWS_AT_ONCE) {
        entity::stripe_events::Entity::update_many()
            .col_expr(
                entity::stripe_events::Column::Payload,
                Expr::value(Vec::<u8>::new()),
            )
            .filter(entity::stripe_events::Column::Id.is_in(ids.iter().map(String::as_str)))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}
