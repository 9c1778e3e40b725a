//! Table `billing`.

use sea_orm::entity::prelude::*;

/// What is known of an order's session and subscription at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "billing")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    #[sea_orm(column_type = "JsonBinary")]
    pub request: Json,
    pub request_expires_us: i64,
    pub request_sent_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub session_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub session_url: Option<String>,
    pub session_expires_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub customer_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub subscription_id: Option<String>,
    pub hints: i64,
    pub hints_read: i64,
    pub paid_hint_us: Option<i64>,
    pub payment_failed_us: Option<i64>,
    pub expire_requested: bool,
    pub never_opened: bool,
    #[sea_orm(column_type = "Text")]
    pub session_status: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub payment_status: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub subscription_status: Option<String>,
    pub current_period_end_us: Option<i64>,
    pub cancel_at_us: Option<i64>,
    pub past_due_since_us: Option<i64>,
    pub suspend_since_us: Option<i64>,
    pub ended_at_us: Option<i64>,
    pub confirmed_at_us: Option<i64>,
    pub read_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub wish: String,
    pub wish_us: Option<i64>,
    pub refunds_due: i32,
    pub refund_next_us: Option<i64>,
    #[sea_orm(column_type = "JsonBinary")]
    pub prices: Option<Json>,
    pub ends_undelivered_us: Option<i64>,
    pub disputes_open: i32,
    pub disputed_since_us: Option<i64>,
    pub collection_paused_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
