//! Table `profiles`.

use sea_orm::entity::prelude::*;

/// A customer as checkout knows them; `user_id` is the identity provider's.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "profiles")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub email: String,
    pub email_verified: bool,
    #[sea_orm(column_type = "Text")]
    pub first_name: String,
    #[sea_orm(column_type = "Text")]
    pub last_name: String,
    #[sea_orm(column_type = "Text")]
    pub stripe_customer_id: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub stripe_customer_request: Option<Json>,
    #[sea_orm(column_type = "Text")]
    pub stripe_customer_key: String,
    pub stripe_customer_key_us: Option<i64>,
    pub created_at: TimeDateTimeWithTimeZone,
    pub updated_at: TimeDateTimeWithTimeZone,
    pub stripe_follow_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub stripe_problem: String,
    pub panel_follow_us: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub panel_problem: String,
    pub panel_leaving_id: Option<i64>,
    pub deleted_us: Option<i64>,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
