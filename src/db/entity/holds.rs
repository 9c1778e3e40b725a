//! Table `holds`.

use sea_orm::entity::prelude::*;

/// Room kept for an order on a node.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "holds")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    pub node_id: i32,
    pub ram_gb: i32,
    pub disk_gb: i32,
    pub vcores: i32,
    #[sea_orm(column_type = "Text")]
    pub why: String,
    pub created_us: i64,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
