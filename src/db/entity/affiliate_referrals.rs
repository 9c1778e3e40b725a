//! Table `affiliate_referrals`.

use sea_orm::entity::prelude::*;

/// An order whose customer an affiliate sent.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "affiliate_referrals")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub referred_us: i64,
    pub percent: i32,
    pub months: i32,
    pub heard_us: i64,
    pub looked_us: Option<i64>,
    pub next_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
