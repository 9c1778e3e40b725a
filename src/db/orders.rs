//! Queries of `orders`: the row that is locked before anything of an order changes.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::Expr,
};

use uuid::Uuid;

use super::{
    Db, Error, Tx,
    convert::{timestamp, to_json},
    entity::orders,
    order_events,
};
use crate::domain::{
    OrderId, UserId,
    catalog::{ItemType, Spec, Term},
    lenience::Lenience,
    order::{
        ErrorReason, Facts, ServerState, Status, WaitingReason,
        visible::{Change, Visible, changes},
    },
};

pub mod facts;
pub mod leases;
pub mod standing;

/// Who changes an order, and why: for its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// `rpc:<role>`, `worker`, `stripe`, `sweep:<name>`.
    pub actor: String,
    /// Method, event id or step.
    pub cause: String,
    /// Ties it to log lines.
    pub trace_id: String,
}

/// An order whose row is locked until the transaction ends.
#[derive(Debug)]
pub struct Locked {
    /// As read under the lock.
    pub facts: Facts,
    before: Visible,
}

/// Locks an order and reads its facts. Every change of an order begins here.
pub async fn lock(tx: &Tx, id: OrderId) -> Result<Option<Locked>, Error> {
    // A writing transaction of SQLite has everything locked.
    if tx.is_postgres() {
        let locked: Option<Uuid> = orders::Entity::find_by_id(id.0)
            .select_only()
            .column(orders::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .one(&**tx)
            .await?;
        if locked.is_none() {
            return Ok(None);
        }
    }
    let found = facts::find(&**tx, id).await?;
    Ok(found.map(|facts| Locked {
        before: facts.visible_before(),
        facts,
    }))
}

/// Ends a change: reads the parts again, computes status and server state,
/// appends an event per changed field and bumps the version. Every change of an
/// order ends here, in the transaction that locked it.
pub async fn seal(tx: &Tx, locked: Locked, note: &Note, now_us: i64) -> Result<Facts, Error> {
    let id = locked.facts.order.id;
    let facts = facts::find(&**tx, id).await?;
    let mut facts =
        facts.ok_or_else(|| Error::Corrupt(format!("order {id} vanished under its lock")))?;
    let found = changes(&locked.before, &facts.visible());
    if found.is_empty() {
        return Ok(facts);
    }
    facts.order.status = facts.status();
    facts.order.server_state = facts.server_state();
    facts.order.version += 1;
    facts.order.updated_us = now_us;
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        status: Set(facts.order.status.to_string()),
        server_state: Set(facts.order.server_state.to_string()),
        stripe_sub_id: Set(facts.billing.subscription_id.clone()),
        node_id: Set(facts.shown_node()),
        pterodactyl_server_id: Set(facts.server.panel_id),
        pterodactyl_server_identifier: Set(facts.server.identifier.clone()),
        version: Set(facts.order.version),
        updated_at: Set(timestamp(now_us)),
        ..Default::default()
    };
    change.update(&**tx).await?;
    order_events::append(tx, id, &found, note, now_us).await?;
    Ok(facts)
}

/// A new order: bought, not yet paid.
#[derive(Clone)]
pub struct NewOrder {
    /// Its id.
    pub id: OrderId,
    /// Who buys.
    pub user_id: UserId,
    /// What is bought.
    pub plan_id: String,
    /// The plan's type.
    pub item_type: ItemType,
    /// How often it is billed.
    pub term: Term,
    /// Where it runs.
    pub region: String,
    /// Its name.
    pub server_name: String,
    /// What is added.
    pub addons: Vec<String>,
    /// Those that people deliver.
    pub manual_addons: Vec<(String, bool)>,
    /// The caller's `request_id`.
    pub request_id: Uuid,
    /// Who sent the customer.
    pub referral_code: String,
    /// The customer's choice of egg variables; may hold secrets.
    pub environment: BTreeMap<String, String>,
    /// Tells equal carts.
    pub cart_sha256: String,
    /// What the server gets.
    pub spec: Spec,
    /// Sum of the recurring lines.
    pub price_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How lenient the shop is with it.
    pub lenience: Lenience,
    /// When the worker looks at it first.
    pub due_us: i64,
}

/// Stores a new order with its first event.
pub async fn insert(tx: &Tx, new: &NewOrder, note: &Note, now_us: i64) -> Result<(), Error> {
    let row = orders::Model {
        id: new.id.0,
        user_id: new.user_id.0,
        plan_id: new.plan_id.clone(),
        item_type: new.item_type.to_string(),
        term: new.term.to_string(),
        region: new.region.clone(),
        server_name: new.server_name.clone(),
        stripe_sub_id: None,
        status: Status::Pending.to_string(),
        node_id: None,
        pterodactyl_server_id: None,
        pterodactyl_server_identifier: None,
        addons: to_json(&new.addons)?,
        created_at: timestamp(now_us),
        updated_at: timestamp(now_us),
        request_id: new.request_id,
        referral_code: new.referral_code.clone(),
        environment: to_json(&new.environment)?,
        cart_sha256: new.cart_sha256.clone(),
        spec: to_json(&new.spec)?,
        price_minor: new.price_minor,
        currency: new.currency.clone(),
        lenience: Some(to_json(&new.lenience)?),
        manual_done: to_json(&new.manual_addons)?,
        server_state: ServerState::None.to_string(),
        due_us: Some(new.due_us),
        facts_seq: 0,
        lease_owner: None,
        lease_until_us: None,
        fence: 0,
        attempts: 0,
        waiting_reason: String::new(),
        error_reason: String::new(),
        error_message: String::new(),
        version: 1,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    let born = Change {
        what: "status",
        from: String::new(),
        to: Status::Pending.to_string(),
    };
    order_events::append(tx, new.id, &[born], note, now_us).await
}

/// How the work on an order stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it waits for.
    pub waiting: Option<WaitingReason>,
    /// Why it is parked, and in words.
    pub error: Option<(ErrorReason, String)>,
    /// Definite refusals so far.
    pub attempts: i32,
}

/// Writes how the work stands.
pub async fn set_progress(tx: &Tx, id: OrderId, progress: &Progress) -> Result<(), Error> {
    let (reason, message) = match &progress.error {
        Some((reason, message)) => (reason.as_str(), message.clone()),
        None => ("", String::new()),
    };
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        waiting_reason: Set(progress
            .waiting
            .map_or("", WaitingReason::as_str)
            .to_owned()),
        error_reason: Set(reason.to_owned()),
        error_message: Set(message),
        attempts: Set(progress.attempts),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Stores which of the add-ons that people deliver they have.
pub async fn set_manual_addons(
    tx: &Tx,
    id: OrderId,
    addons: &[(String, bool)],
) -> Result<(), Error> {
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        manual_done: Set(to_json(&addons)?),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// What an order is for, and for how much: its plan, as it was paid.
#[derive(Clone, Debug)]
pub struct Bought<'a> {
    /// The plan.
    pub plan_id: &'a str,
    /// Its add-ons.
    pub addons: &'a [String],
    /// Those that people deliver.
    pub manual_addons: &'a [(String, bool)],
    /// What the server gets.
    pub spec: &'a Spec,
    /// Sum of the recurring lines.
    pub price_minor: i64,
    /// How lenient the shop is with it; none: as it was.
    pub lenience: Option<Lenience>,
}

/// Stores another plan, once it is paid.
pub async fn set_bought(tx: &Tx, id: OrderId, bought: &Bought<'_>) -> Result<(), Error> {
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        plan_id: Set(bought.plan_id.to_owned()),
        addons: Set(to_json(&bought.addons)?),
        manual_done: Set(to_json(&bought.manual_addons)?),
        spec: Set(to_json(bought.spec)?),
        price_minor: Set(bought.price_minor),
        lenience: match &bought.lenience {
            Some(lenience) => Set(Some(to_json(lenience)?)),
            None => NotSet,
        },
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Stores another name of the server.
pub async fn set_server_name(tx: &Tx, id: OrderId, name: &str) -> Result<(), Error> {
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        server_name: Set(name.to_owned()),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Shows that the order waits for nothing now.
pub async fn clear_waiting(tx: &Tx, id: OrderId) -> Result<(), Error> {
    orders::Entity::update_many()
        .col_expr(orders::Column::WaitingReason, Expr::value(""))
        .filter(orders::Column::Id.eq(id.0))
        .filter(orders::Column::WaitingReason.ne(""))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the order's server exists: nothing is waited for, and what went wrong on
/// the way there no longer counts.
pub async fn set_done(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = orders::ActiveModel {
        id: Unchanged(id.0),
        waiting_reason: Set(String::new()),
        attempts: Set(0),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Marks paid orders due that have no server, or whose server is gone, and wait for a person.
pub async fn wake_undelivered(db: &Db) -> Result<(), Error> {
    let wake = "UPDATE orders SET due_us = 0, facts_seq = facts_seq + 1
        WHERE (status = 'error' OR due_us IS NULL) AND id IN (SELECT billing.order_id FROM billing
            JOIN servers ON servers.order_id = billing.order_id
            WHERE billing.confirmed_at_us IS NOT NULL AND billing.ended_at_us IS NULL
                AND (servers.first_running_us IS NULL OR servers.missing_us IS NOT NULL
                    OR servers.deleted_us IS NOT NULL))";
    db.write().execute_unprepared(wake).await?;
    Ok(())
}

/// Why those of these are parked that are.
pub async fn parked(
    connection: &impl ConnectionTrait,
    ids: &[OrderId],
) -> Result<HashMap<OrderId, ErrorReason>, Error> {
    let found: Vec<(Uuid, String)> = orders::Entity::find()
        .select_only()
        .columns([orders::Column::Id, orders::Column::ErrorReason])
        .filter(orders::Column::Id.is_in(ids.iter().map(|id| id.0)))
        .filter(orders::Column::ErrorReason.ne(""))
        .into_tuple()
        .all(connection)
        .await?;
    let parked = found
        .into_iter()
        .filter_map(|(id, reason)| Some((OrderId(id), ErrorReason::parse(&reason)?)));
    Ok(parked.collect())
}

/// What a list of orders is narrowed to. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this plan.
    pub plan_id: Option<String>,
    /// Only in this region.
    pub region: Option<String>,
}

/// Orders, newest first, older than `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<OrderId>,
    limit: u64,
) -> Result<Vec<Facts>, Error> {
    let mut query = orders::Entity::find()
        .order_by_desc(orders::Column::Id)
        .limit(limit);
    if let Some(user) = filter.user_id {
        query = query.filter(orders::Column::UserId.eq(user.0));
    }
    if let Some(status) = filter.status {
        query = query.filter(orders::Column::Status.eq(status.as_str()));
    }
    if let Some(plan) = &filter.plan_id {
        query = query.filter(orders::Column::PlanId.eq(plan));
    }
    if let Some(region) = &filter.region {
        query = query.filter(orders::Column::Region.eq(region));
    }
    if let Some(after) = after {
        query = query.filter(orders::Column::Id.lt(after.0));
    }
    facts::all(connection, query).await
}

/// One order with its parts, all of one version.
pub async fn find(connection: &impl ConnectionTrait, id: OrderId) -> Result<Option<Facts>, Error> {
    facts::find(connection, id).await
}

/// The customer's choice of egg variables. Not among the facts: it may hold secrets.
pub async fn environment(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<BTreeMap<String, String>, Error> {
    let row = orders::Entity::find_by_id(id.0).one(connection).await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("order {id} does not exist")))?;
    super::convert::json(row.environment, "orders.environment")
}

/// Orders of a user that still wait for payment, oldest first, with their cart's hash.
pub async fn pending_of(tx: &Tx, user_id: UserId) -> Result<Vec<(OrderId, String)>, Error> {
    let rows = orders::Entity::find()
        .filter(orders::Column::UserId.eq(user_id.0))
        .filter(orders::Column::Status.eq(Status::Pending.as_str()))
        .order_by_asc(orders::Column::Id)
        .all(&**tx)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (OrderId(row.id), row.cart_sha256))
        .collect())
}

/// When the oldest order that waits for payment was made.
pub async fn oldest_pending_us(connection: &impl ConnectionTrait) -> Result<Option<i64>, Error> {
    let row = orders::Entity::find()
        .filter(orders::Column::Status.eq(Status::Pending.as_str()))
        .order_by_asc(orders::Column::Id)
        .one(connection)
        .await?;
    Ok(row.map(|row| super::convert::micros(row.created_at)))
}

/// Orders of a user, for waking them all.
pub async fn ids_of_user(tx: &Tx, user_id: UserId) -> Result<Vec<OrderId>, Error> {
    let rows = orders::Entity::find()
        .filter(orders::Column::UserId.eq(user_id.0))
        .order_by_asc(orders::Column::Id)
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(|row| OrderId(row.id)).collect())
}
