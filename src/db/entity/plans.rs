//! Table `plans`.

use sea_orm::entity::prelude::*;

/// What is sold.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plans")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[sea_orm(column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub item_type: String,
    #[sea_orm(column_type = "Text")]
    pub game: Option<String>,
    pub ram_gb: i32,
    pub vcores: i32,
    pub ssd_gb: i32,
    pub databases: i32,
    pub backups: i32,
    pub allocations: i32,
    pub grace_days: Option<i32>,
    pub retention_days: Option<i32>,
    #[sea_orm(column_type = "Text")]
    pub disputes: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub stripe_price_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub display_name: String,
    #[sea_orm(column_type = "Text")]
    pub description: String,
    pub is_active: bool,
    #[sea_orm(column_type = "Text")]
    pub etag: String,
    pub created_at: TimeDateTimeWithTimeZone,
    pub updated_at: TimeDateTimeWithTimeZone,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
