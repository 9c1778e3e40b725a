//! Holds a process still inside one of its own transactions: a trigger of the test lets
//! the very statement that stores something run on and on. What was called outside is
//! done by then, and nothing of it is on disk.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{db::TestDb, file_lock::FileLock, live::PATIENCE, sql, wait};

/// Refusals in a row of SQLite's write lock that no short transaction explains.
const REFUSALS: u32 = 25;

/// A place where a process freezes, once it comes there.
pub struct Freeze<'a> {
    store: &'a TestDb,
    table: String,
}

impl<'a> Freeze<'a> {
    /// Freezes whoever does this, as in `UPDATE OF attempt ON servers`, to a row of which
    /// `when` holds.
    pub async fn prepare(store: &'a TestDb, what: &str, when: &str) -> Self {
        let table = what.rsplit(' ').next().unwrap().to_owned();
        let statements = if store.db.is_postgres() {
            vec![
                "CREATE OR REPLACE FUNCTION stand_still() RETURNS trigger AS $$
                 BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$ LANGUAGE plpgsql"
                    .to_owned(),
                format!(
                    "CREATE TRIGGER stand_still BEFORE {what} FOR EACH ROW WHEN ({when})
                     EXECUTE FUNCTION stand_still()"
                ),
            ]
        } else {
            vec![format!(
                "CREATE TRIGGER stand_still BEFORE {what} FOR EACH ROW WHEN {when} BEGIN
                   SELECT count(*) FROM (WITH RECURSIVE turn(n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM turn WHERE n < 100000000000)
                     SELECT n FROM turn);
                 END"
            )]
        };
        for statement in statements {
            sql::run(&store.db, &statement).await.unwrap();
        }
        Self { store, table }
    }

    /// Waits until the process stands still: in so many transactions at once, of which
    /// SQLite has only one.
    pub async fn wait(&self, transactions: i64) {
        if self.store.db.is_postgres() {
            let asleep = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            wait::until("the statement hangs", PATIENCE, || async {
                sql::count(&self.store.db, asleep).await == transactions
            })
            .await;
            return;
        }
        // How long the lock is taken shows from outside.
        let lock = FileLock::of(&self.store.url).await;
        let refused = AtomicU32::new(0);
        wait::until("the statement runs on and on", PATIENCE, || async {
            if lock.taken().await {
                return refused.fetch_add(1, Ordering::Relaxed) >= REFUSALS;
            }
            refused.store(0, Ordering::Relaxed);
            false
        })
        .await;
        lock.close().await;
    }

    /// After the process was killed: the next one does not freeze. What a database does
    /// for a client that is gone ends when it next looks, here at once.
    pub async fn thaw(self) {
        let db = &self.store.db;
        if db.is_postgres() {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            sql::run(db, end).await.unwrap();
            let drop = format!("DROP TRIGGER stand_still ON {}", self.table);
            sql::run(db, &drop).await.unwrap();
        } else {
            sql::run(db, "DROP TRIGGER stand_still").await.unwrap();
        }
    }
}
