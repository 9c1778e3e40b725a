//! Table `games`.

use sea_orm::entity::prelude::*;

/// How a game is installed on the panel.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "games")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[sea_orm(column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub display_name: String,
    pub ptero_nest_id: i64,
    pub ptero_egg_id: i64,
    pub ports: i32,
    #[sea_orm(column_type = "JsonBinary")]
    pub port_variables: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub environment: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub secret_variables: Json,
    pub min_ram_gb: i32,
    pub min_ssd_gb: i32,
    pub swap_mb: i32,
    pub oom_disabled: bool,
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
