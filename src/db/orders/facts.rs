//! Reads orders with all their parts, and turns the rows into facts.
//!
//! One statement reads one snapshot, so whoever reads without a lock sees all parts of one
//! version. Under a lock the row is locked by a statement of its own first: PostgreSQL reads a
//! row again that it had to wait for, but not what that row was joined with.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DerivePartialModel, EntityTrait, QueryFilter, QuerySelect,
    Select,
    sea_query::{Expr, JoinType},
};

use crate::{
    db::{
        Error,
        convert::{json, micros, word},
        entity::{billing, external_accounts, holds, order_changes, orders, servers},
    },
    domain::{
        OrderId, UserId,
        order::{
            Billing, Changing, EndWish, ErrorReason, Facts, Order, Server, ServerState, Status,
            WaitingReason,
        },
    },
};

/// How many ports an order holds or has.
const PORTS: &str = "(SELECT count(*) FROM allocations WHERE allocations.order_id = orders.id)";
/// Since when the youngest dispute is known of which Stripe could not be read. Only few orders have
/// any, and only those look.
const DISPUTE_UNREAD: &str = "(CASE WHEN billing.disputes_open > 0 THEN \
     (SELECT max(disputes.noted_us) FROM disputes WHERE disputes.order_id = billing.order_id \
     AND disputes.read_us IS NULL) END)";
/// Its request may hold secrets, and is long.
const HAS_CREATE_REQUEST: &str = "(servers.create_request IS NOT NULL)";

/// An order with all its parts.
#[derive(DerivePartialModel)]
struct Row {
    #[sea_orm(nested)]
    order: orders::Model,
    #[sea_orm(nested)]
    billing: BillingRow,
    #[sea_orm(nested)]
    server: ServerRow,
    #[sea_orm(from_expr = "holds::Column::NodeId")]
    hold_node: Option<i32>,
    #[sea_orm(from_expr = "Expr::cust(PORTS)")]
    ports: i64,
    #[sea_orm(from_expr = "external_accounts::Column::PterodactylUserId")]
    panel_user: Option<i64>,
    #[sea_orm(from_expr = "order_changes::Column::PlanId")]
    change_plan_id: Option<String>,
    #[sea_orm(from_expr = "order_changes::Column::LookUs")]
    change_look_us: Option<i64>,
    #[sea_orm(from_expr = "order_changes::Column::PaidUs")]
    change_paid_us: Option<i64>,
}

/// Of `billing` all but the session request.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "billing::Entity")]
struct BillingRow {
    request_expires_us: i64,
    request_sent_us: Option<i64>,
    session_id: Option<String>,
    session_url: Option<String>,
    session_expires_us: Option<i64>,
    customer_id: Option<String>,
    subscription_id: Option<String>,
    hints: i64,
    hints_read: i64,
    payment_failed_us: Option<i64>,
    expire_requested: bool,
    never_opened: bool,
    session_status: Option<String>,
    payment_status: Option<String>,
    subscription_status: Option<String>,
    current_period_end_us: Option<i64>,
    cancel_at_us: Option<i64>,
    past_due_since_us: Option<i64>,
    suspend_since_us: Option<i64>,
    ended_at_us: Option<i64>,
    confirmed_at_us: Option<i64>,
    read_us: Option<i64>,
    wish: String,
    wish_us: Option<i64>,
    refunds_due: i32,
    refund_next_us: Option<i64>,
    ends_undelivered_us: Option<i64>,
    disputes_open: i32,
    #[sea_orm(from_expr = "Expr::cust(DISPUTE_UNREAD)")]
    dispute_unread_us: Option<i64>,
    disputed_since_us: Option<i64>,
}

/// Of `servers` what planning looks at.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "servers::Entity")]
struct ServerRow {
    attempt: i32,
    node_id: Option<i32>,
    #[sea_orm(from_expr = "Expr::cust(HAS_CREATE_REQUEST)")]
    has_create_request: bool,
    create_sent_us: Option<i64>,
    settle_looks: i32,
    settle_us: Option<i64>,
    pterodactyl_server_id: Option<i64>,
    identifier: Option<String>,
    uuid: Option<String>,
    owner_id: Option<i64>,
    reinstalls: i32,
    install_since_us: Option<i64>,
    first_running_us: Option<i64>,
    observed_status: Option<String>,
    observed_us: Option<i64>,
    panel_write_us: Option<i64>,
    deleted_us: Option<i64>,
    node_failures: i32,
    suspend_sent_us: Option<i64>,
    suspended_us: Option<i64>,
    suspend_held_us: Option<i64>,
    missing_us: Option<i64>,
    node_failing_us: Option<i64>,
    node_failed_us: Option<i64>,
    force_sent_us: Option<i64>,
    operator_suspended_us: Option<i64>,
    terminated_us: Option<i64>,
    respec_us: Option<i64>,
    rename_us: Option<i64>,
    reinstall_us: Option<i64>,
    reinstall_sent_us: Option<i64>,
    reinstall_over: Option<i64>,
}

/// Reads one order.
pub(super) async fn find(
    connection: &impl ConnectionTrait,
    id: OrderId,
) -> Result<Option<Facts>, Error> {
    let one = orders::Entity::find().filter(orders::Column::Id.eq(id.0));
    Ok(all(connection, one).await?.pop())
}

/// Reads the orders that are selected, in their order.
pub(super) async fn all(
    connection: &impl ConnectionTrait,
    select: Select<orders::Entity>,
) -> Result<Vec<Facts>, Error> {
    let rows = select
        .join(
            JoinType::InnerJoin,
            orders::Entity::belongs_to(billing::Entity)
                .from(orders::Column::Id)
                .to(billing::Column::OrderId)
                .into(),
        )
        .join(
            JoinType::InnerJoin,
            orders::Entity::belongs_to(servers::Entity)
                .from(orders::Column::Id)
                .to(servers::Column::OrderId)
                .into(),
        )
        .join(
            JoinType::LeftJoin,
            orders::Entity::belongs_to(holds::Entity)
                .from(orders::Column::Id)
                .to(holds::Column::OrderId)
                .into(),
        )
        .join(
            JoinType::LeftJoin,
            orders::Entity::belongs_to(external_accounts::Entity)
                .from(orders::Column::UserId)
                .to(external_accounts::Column::UserId)
                .into(),
        )
        .join(
            JoinType::LeftJoin,
            orders::Entity::belongs_to(order_changes::Entity)
                .from(orders::Column::Id)
                .to(order_changes::Column::OrderId)
                .into(),
        )
        .into_partial_model::<Row>()
        .all(connection)
        .await?;
    rows.into_iter().map(facts).collect()
}

fn facts(row: Row) -> Result<Facts, Error> {
    let (look_us, paid_us) = (row.change_look_us, row.change_paid_us);
    Ok(Facts {
        change: row.change_plan_id.map(|plan_id| Changing {
            plan_id,
            look_us,
            paid_us,
        }),
        order: order_part(row.order)?,
        billing: billing_part(row.billing)?,
        server: server_part(row.server),
        hold_node: row.hold_node,
        ports: i32::try_from(row.ports).unwrap_or(i32::MAX),
        panel_user: row.panel_user,
    })
}

fn order_part(row: orders::Model) -> Result<Order, Error> {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let waiting = optional(&row.waiting_reason)
        .map(|text| word(WaitingReason::parse, &text, "orders.waiting_reason"))
        .transpose()?;
    let error = optional(&row.error_reason)
        .map(|text| word(ErrorReason::parse, &text, "orders.error_reason"))
        .transpose()?;
    let lenience = row.lenience.map(|sold| json(sold, "orders.lenience"));
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
        lenience: lenience.transpose()?,
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

fn billing_part(row: BillingRow) -> Result<Billing, Error> {
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
        refunds_due: row.refunds_due,
        refund_next_us: row.refund_next_us,
        ends_undelivered_us: row.ends_undelivered_us,
        disputes_open: row.disputes_open,
        dispute_unread_us: row.dispute_unread_us,
        disputed_since_us: row.disputed_since_us,
        ended_at_us: row.ended_at_us,
        confirmed_at_us: row.confirmed_at_us,
        read_us: row.read_us,
    })
}

fn server_part(row: ServerRow) -> Server {
    Server {
        attempt: row.attempt,
        node_failures: row.node_failures,
        node_id: row.node_id,
        has_create_request: row.has_create_request,
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
        suspend_held_us: row.suspend_held_us,
        missing_us: row.missing_us,
        node_failing_us: row.node_failing_us,
        node_failed_us: row.node_failed_us,
        force_sent_us: row.force_sent_us,
        operator_suspended_us: row.operator_suspended_us,
        terminated_us: row.terminated_us,
        respec_us: row.respec_us,
        rename_us: row.rename_us,
        reinstall_us: row.reinstall_us,
        reinstall_sent_us: row.reinstall_sent_us,
        reinstall_over: row.reinstall_over,
        deleted_us: row.deleted_us,
    }
}
