//! Table `disputes`.

use sea_orm::entity::prelude::*;

/// What a bank disputes of an order's payments.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "disputes")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub dispute_id: String,
    pub order_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub invoice_id: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    pub amount_minor: i64,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    pub noted_us: i64,
    pub read_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
