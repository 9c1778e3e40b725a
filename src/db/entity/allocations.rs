//! Table `allocations`.

use sea_orm::entity::prelude::*;

/// Mirror of the panel's ports: our ledger of who has which.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allocations")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    pub pterodactyl_allocation_id: i64,
    pub node_id: i32,
    #[sea_orm(column_type = "Text")]
    pub ip: String,
    #[sea_orm(column_type = "Text")]
    pub alias: String,
    pub port: i32,
    pub order_id: Option<Uuid>,
    pub slot: Option<i32>,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub seen_us: i64,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
