//! Table `affiliates`.

use sea_orm::entity::prelude::*;

/// A user who sends customers: the guide's columns, and what their credits are counted in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "affiliates")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub code: String,
    pub clicks: i32,
    pub signups: i32,
    pub credits_cents: i64,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
