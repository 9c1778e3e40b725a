//! Table `external_accounts`.

use sea_orm::entity::prelude::*;

/// The panel account of a user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "external_accounts")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub pterodactyl_user_id: i64,
    #[sea_orm(column_type = "Text")]
    pub panel_username: String,
    #[sea_orm(column_type = "Text")]
    pub origin: String,
    pub last_synced_at: TimeDateTimeWithTimeZone,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
