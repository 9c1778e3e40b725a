//! Raw statements, for what no query of ours does: broken rows, and the schema itself.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use spawnpoint::db::Db;

/// Runs a statement as it stands.
pub async fn run(db: &Db, sql: &str) -> Result<u64, DbErr> {
    Ok(db.read().execute_unprepared(sql).await?.rows_affected())
}

/// The first column of each row, as text; NULL is `-`.
pub async fn texts(db: &Db, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.read().get_database_backend(), sql);
    let rows = db.read().query_all_raw(statement).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter()
        .map(|row| {
            row.try_get_by_index::<Option<String>>(0)
                .expect("a text column")
        })
        .map(|text| text.unwrap_or_else(|| "-".to_owned()))
        .collect()
}

/// The only value of a query that counts.
pub async fn count(db: &Db, sql: &str) -> i64 {
    let statement = Statement::from_string(db.read().get_database_backend(), sql);
    let row = db.read().query_one_raw(statement).await;
    let row = row
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .expect("a row");
    row.try_get_by_index(0).expect("a number")
}

/// An id as a literal of the engine: PostgreSQL has a type for it, SQLite stores its bytes.
pub fn id(db: &Db, id: uuid::Uuid) -> String {
    if db.is_postgres() {
        format!("'{id}'")
    } else {
        format!("x'{}'", id.simple())
    }
}
