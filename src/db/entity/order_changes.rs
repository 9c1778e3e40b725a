//! Table `order_changes`.

use sea_orm::entity::prelude::*;

/// A change of an order's plan on its way.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_changes")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub plan_id: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub addons: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub manual_addons: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub spec: Json,
    pub price_minor: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub prices: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub lenience: Option<Json>,
    pub asked_us: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub request: Option<Json>,
    pub sent_us: Option<i64>,
    pub answered: bool,
    pub look_us: Option<i64>,
    pub paid_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
