//! Table `ptero_nodes`.

use sea_orm::entity::prelude::*;

/// A machine that servers are placed on, and what is held of it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ptero_nodes")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    pub pterodactyl_node_id: i64,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub region: String,
    #[sea_orm(column_type = "Text")]
    pub fqdn: String,
    pub max_ram_gb: i32,
    pub max_disk_gb: i32,
    pub max_vcores: Option<i32>,
    pub reserved_headroom_gb: i32,
    pub held_ram_gb: i32,
    pub held_disk_gb: i32,
    pub held_vcores: i32,
    pub enabled: bool,
    pub maintenance: bool,
    pub panel_maintenance: bool,
    pub weight: i32,
    pub avoided_until_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub panel_uuid: Option<String>,
    pub panel_changed: bool,
    pub ports_read_us: Option<i64>,
    pub last_seen_at: Option<TimeDateTimeWithTimeZone>,
    pub created_at: TimeDateTimeWithTimeZone,
    pub updated_at: TimeDateTimeWithTimeZone,
    pub failing_since_us: Option<i64>,
    pub failed_order_id: Option<Uuid>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
