//! Runs SQL with the engine's own type names filled in.

use sea_orm_migration::{
    SchemaManager,
    prelude::DbErr,
    sea_orm::{ConnectionTrait, DbBackend},
};

/// Placeholders: the name in the SQL, PostgreSQL's type, SQLite's nearest.
const TYPES: [(&str, &str, &str); 7] = [
    ("{uuid}", "uuid", "blob"),
    ("{json}", "jsonb", "text"),
    ("{time}", "timestamptz", "text"),
    ("{bytes}", "bytea", "blob"),
    (
        "{serial}",
        "serial primary key",
        "integer primary key autoincrement",
    ),
    (
        "{bigserial}",
        "bigserial primary key",
        "integer primary key autoincrement",
    ),
    ("{bool}", "boolean", "boolean"),
];

/// Runs statements one after the other on the manager's connection.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    for statement in statements {
        let mut sql = (*statement).to_owned();
        for (name, on_postgres, on_sqlite) in TYPES {
            sql = sql.replace(name, if postgres { on_postgres } else { on_sqlite });
        }
        connection.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Declares a step from its two lists of statements.
macro_rules! step {
    ($up:expr, $down:expr) => {
        /// One step of the schema.
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Step;

        #[async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for Step {
            async fn up(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::prelude::DbErr> {
                $crate::ddl::run(manager, &$up).await
            }

            async fn down(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::prelude::DbErr> {
                $crate::ddl::run(manager, &$down).await
            }
        }
    };
}
pub(crate) use step;
