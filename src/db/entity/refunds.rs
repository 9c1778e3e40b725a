//! Table `refunds`.

use sea_orm::entity::prelude::*;

/// A payment that goes back to its customer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub order_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub session_id: String,
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    pub decided_us: i64,
    pub done_us: Option<i64>,
    pub attempts: i32,
    #[sea_orm(column_type = "Text")]
    pub last_error: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub refund_ids: Json,
    pub amount_minor: i64,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
