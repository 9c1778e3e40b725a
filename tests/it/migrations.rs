//! Steps of the schema: there and back, and many replicas at once.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use spawnpoint::db::Db;
use tokio::sync::Barrier;

use crate::support::{
    db::{Engine, TestDb, close},
    sql,
};

both_engines!(
    up_down_up_leaves_the_same_schema,
    migrating_again_changes_nothing,
    six_replicas_migrate_an_empty_database_at_once,
    a_migration_that_dies_half_way_leaves_nothing_in_the_way,
);

/// Everything that a step makes, one line per column, constraint and index.
pub async fn schema(db: &Db) -> Vec<String> {
    if !db.is_postgres() {
        let made = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master
            WHERE tbl_name <> 'seaql_migrations' ORDER BY 1";
        return sql::texts(db, made).await;
    }
    let columns = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable,
            column_default, character_maximum_length)
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'seaql_migrations' ORDER BY 1";
    let constraints = "SELECT conrelid::regclass || ' ' || conname || ' '
            || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            AND conrelid IS DISTINCT FROM to_regclass('seaql_migrations') ORDER BY 1";
    let indexes = "SELECT indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'seaql_migrations' ORDER BY 1";
    let others = "SELECT relkind::text || ' ' || relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'seaql_migrations%'
        ORDER BY 1";
    let mut lines = Vec::new();
    for query in [columns, constraints, indexes, others] {
        lines.extend(sql::texts(db, query).await);
    }
    lines
}

async fn up_down_up_leaves_the_same_schema(engine: Engine) {
    let test = TestDb::empty(engine).await;
    test.db.migrate().await.unwrap();
    let first = schema(&test.db).await;
    assert!(first.len() > 40, "a schema is expected, not {first:?}");
    test.db.migrate_down().await.unwrap();
    let left: Vec<String> = schema(&test.db)
        .await
        .into_iter()
        // SQLite's own record of numbers given; it cannot be dropped.
        .filter(|line| !line.contains("sqlite_sequence"))
        .collect();
    assert_eq!(
        left,
        Vec::<String>::new(),
        "the way back leaves things behind"
    );
    test.db.migrate().await.unwrap();
    assert_eq!(schema(&test.db).await, first);
}

async fn migrating_again_changes_nothing(engine: Engine) {
    let test = TestDb::new(engine).await;
    let (before, steps) = (
        schema(&test.db).await,
        "SELECT count(*) FROM seaql_migrations",
    );
    let applied = sql::count(&test.db, steps).await;
    assert!(applied >= 6, "{applied} steps");
    test.db.migrate().await.unwrap();
    assert_eq!(schema(&test.db).await, before);
    assert_eq!(sql::count(&test.db, steps).await, applied);
}

/// D-08: of replicas that migrate at once, exactly one takes each step.
async fn six_replicas_migrate_an_empty_database_at_once(engine: Engine) {
    let test = TestDb::empty(engine).await;
    let mut replicas = Vec::new();
    for _ in 0..6 {
        replicas.push(test.replica().await);
    }
    let barrier = Arc::new(Barrier::new(replicas.len()));
    let migrations = replicas.into_iter().map(|replica| {
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            barrier.wait().await;
            replica.migrate().await
        })
    });
    let results = join_all(migrations.collect::<Vec<_>>()).await;
    let results: Vec<_> = results
        .into_iter()
        .map(|result| result.expect("no panic"))
        .collect();
    for result in &results {
        assert!(result.is_ok(), "{results:#?}");
    }
    let twice = "SELECT count(*) - count(DISTINCT version) FROM seaql_migrations";
    assert_eq!(sql::count(&test.db, twice).await, 0);
    assert_eq!(
        schema(&test.db).await,
        schema(&TestDb::new(engine).await.db).await
    );
}

async fn a_migration_that_dies_half_way_leaves_nothing_in_the_way(engine: Engine) {
    let test = TestDb::empty(engine).await;
    // As many attempts as it takes to be cut off at many places, the last one whole.
    for attempt in 0..12 {
        let replica = test.replica().await;
        let cut_off = tokio::time::timeout(Duration::from_millis(attempt * 4), replica.migrate());
        let _ = cut_off.await;
        close(&replica).await;
    }
    test.db.migrate().await.unwrap();
    assert_eq!(
        schema(&test.db).await,
        schema(&TestDb::new(engine).await.db).await
    );
}
