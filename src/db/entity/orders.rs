//! Table `orders`.

use sea_orm::entity::prelude::*;

/// A purchase: the guide's columns, and the bookkeeping of the worker.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub plan_id: String,
    #[sea_orm(column_type = "Text")]
    pub item_type: String,
    #[sea_orm(column_type = "Text")]
    pub term: String,
    #[sea_orm(column_type = "Text")]
    pub region: String,
    #[sea_orm(column_type = "Text")]
    pub server_name: String,
    #[sea_orm(column_type = "Text")]
    pub stripe_sub_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    pub node_id: Option<i32>,
    pub pterodactyl_server_id: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub pterodactyl_server_identifier: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub addons: Json,
    pub created_at: TimeDateTimeWithTimeZone,
    pub updated_at: TimeDateTimeWithTimeZone,
    pub request_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub referral_code: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub environment: Json,
    #[sea_orm(column_type = "Text")]
    pub cart_sha256: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub spec: Json,
    pub price_minor: i64,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub lenience: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub manual_done: Json,
    #[sea_orm(column_type = "Text")]
    pub server_state: String,
    pub due_us: Option<i64>,
    pub facts_seq: i64,
    #[sea_orm(column_type = "Text")]
    pub lease_owner: Option<String>,
    pub lease_until_us: Option<i64>,
    pub fence: i64,
    pub attempts: i32,
    #[sea_orm(column_type = "Text")]
    pub waiting_reason: String,
    #[sea_orm(column_type = "Text")]
    pub error_reason: String,
    #[sea_orm(column_type = "Text")]
    pub error_message: String,
    pub version: i64,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
