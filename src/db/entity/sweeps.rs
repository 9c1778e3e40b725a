//! Table `sweeps`.

use sea_orm::entity::prelude::*;

/// Where a sweep stands and who runs it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sweeps")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub cursor: String,
    #[sea_orm(column_type = "Text")]
    pub lease_owner: Option<String>,
    pub lease_until_us: i64,
    pub last_run_us: Option<i64>,
    pub duration_ms: i64,
    pub finds: i32,
    #[sea_orm(column_type = "Text")]
    pub guard: String,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
