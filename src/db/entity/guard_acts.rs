//! Table `guard_acts`.

use sea_orm::entity::prelude::*;

/// What a sweep had done to a server within the last hour; without one, what an operator let go
/// on, which counts for none.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "guard_acts")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub act: String,
    #[sea_orm(column_type = "Text")]
    pub sweep: Option<String>,
    pub done_us: i64,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
