//! Table `servers`.

use sea_orm::entity::prelude::*;

/// What is known of an order's server on the panel.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    pub attempt: i32,
    pub node_id: Option<i32>,
    #[sea_orm(column_type = "JsonBinary")]
    pub create_request: Option<Json>,
    pub create_sent_us: Option<i64>,
    pub create_slot_until_us: Option<i64>,
    pub settle_looks: i32,
    pub settle_us: Option<i64>,
    pub pterodactyl_server_id: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub identifier: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub uuid: Option<String>,
    pub owner_id: Option<i64>,
    pub egg_id: Option<i64>,
    pub reinstalls: i32,
    pub install_since_us: Option<i64>,
    pub first_running_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub observed_status: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub observed_name: Option<String>,
    pub observed_memory_mb: Option<i64>,
    pub observed_disk_mb: Option<i64>,
    pub observed_cpu: Option<i64>,
    pub observed_us: Option<i64>,
    pub panel_write_us: Option<i64>,
    pub deleted_us: Option<i64>,
    pub node_failures: i32,
    pub suspend_sent_us: Option<i64>,
    pub suspended_us: Option<i64>,
    pub operator_suspended_us: Option<i64>,
    pub terminated_us: Option<i64>,
    pub respec_us: Option<i64>,
    pub rename_us: Option<i64>,
    pub reinstall_us: Option<i64>,
    pub reinstall_sent_us: Option<i64>,
    pub reinstall_over: Option<i64>,
    pub suspend_held_us: Option<i64>,
    pub missing_us: Option<i64>,
    pub node_failing_us: Option<i64>,
    pub node_failed_us: Option<i64>,
    pub force_sent_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
