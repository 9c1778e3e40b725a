//! Table `eggs`.

use sea_orm::entity::prelude::*;

/// Cache of the panel's eggs; `found` is false where the panel says that there is none.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "eggs")]
#[allow(
    missing_docs,
    reason = "columns are documented with the schema in the design"
)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ptero_egg_id: i64,
    pub ptero_nest_id: i64,
    pub found: bool,
    #[sea_orm(column_type = "Text")]
    pub docker_image: String,
    #[sea_orm(column_type = "Text")]
    pub startup: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub variables: Json,
    pub read_us: i64,
}

/// None are used: queries name their joins.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
