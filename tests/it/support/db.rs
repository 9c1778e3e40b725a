//! A database of its own for each test, on both engines.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use spawnpoint::db::{Connection, Db, connect::Options};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::postgres;

/// Databases of PostgreSQL are copies of this one: quicker than migrating each.
const TEMPLATE: &str = "spawnpoint_template";
/// Databases are made and dropped by then, or never.
const PATIENCE: Duration = Duration::from_secs(120);

/// What stores the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A database in the cluster of this process.
    Postgres,
}

/// Runs tests written as `async fn name(engine: Engine)` on both engines, as
/// `on_sqlite::name` and `on_postgres::name`.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name($crate::support::db::Engine::Sqlite).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                if !$crate::support::postgres::skipped() {
                    super::$name($crate::support::db::Engine::Postgres).await;
                }
            })+
        }
    };
}

/// A database that nothing else uses.
pub struct TestDb {
    /// One replica's handle.
    pub db: Db,
    /// Its `DATABASE_URL`.
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDb {
    /// A database with the newest schema and no rows.
    pub async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self::file_of(migrated_file().await).await,
            Engine::Postgres => Self::created(&format!("TEMPLATE {}", template().await)).await,
        }
    }

    /// A database without any table.
    pub async fn empty(engine: Engine) -> Self {
        match engine {
            // Which is what SQLite takes an empty file for.
            Engine::Sqlite => Self::file_of(&[]).await,
            Engine::Postgres => Self::created("TEMPLATE template0").await,
        }
    }

    /// A file of its own, with this in it.
    async fn file_of(contents: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("shop.db");
        std::fs::write(&file, contents).expect("a file can be written");
        let url = format!("sqlite://{}", file.display());
        Self {
            db: open(&url).await,
            url,
            _folder: Some(folder),
        }
    }

    /// A database without any table in a cluster of the test's own, which it may crash.
    pub async fn on(cluster: &postgres::Cluster) -> Self {
        let admin = open(&cluster.url("postgres")).await;
        let made = admin
            .read()
            .execute_unprepared("CREATE DATABASE shop")
            .await;
        made.expect("a fresh cluster has no such database");
        close(&admin).await;
        Self::on_url(&cluster.url("shop")).await
    }

    /// Opens it again after its connections were closed.
    pub async fn reopen(&mut self) {
        self.db = open(&self.url).await;
    }

    /// Puts the database aside as it is now. Nobody else may have it open.
    pub async fn back_up(&mut self) {
        match self.file() {
            Some(file) => {
                let aside = format!("VACUUM INTO '{file}.backup'");
                let put = self.db.read().execute_unprepared(&aside).await;
                put.expect("a file can be copied");
            }
            None => {
                close(&self.db).await;
                let name = self.name();
                administer(&[&format!("CREATE DATABASE {name}_backup TEMPLATE {name}")]).await;
                self.reopen().await;
            }
        }
    }

    /// Puts back what was put aside. Nobody else may have it open.
    pub async fn restore(&mut self) {
        close(&self.db).await;
        match self.file() {
            Some(file) => {
                // What still has the old files open, for a moment, keeps those.
                for part in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{file}{part}"));
                }
                std::fs::rename(format!("{file}.backup"), &file).expect("a file can be moved");
            }
            None => {
                let name = self.name();
                administer(&[
                    &format!("DROP DATABASE {name}"),
                    &format!("CREATE DATABASE {name} TEMPLATE {name}_backup"),
                    &format!("DROP DATABASE {name}_backup"),
                ])
                .await;
            }
        }
        self.reopen().await;
    }

    fn file(&self) -> Option<String> {
        self.url.strip_prefix("sqlite://").map(str::to_owned)
    }

    fn name(&self) -> String {
        let name = self.url.rsplit('/').next().expect("a URL with a path");
        name.split('?').next().unwrap_or(name).to_owned()
    }

    /// A database that is there already.
    pub async fn on_url(url: &str) -> Self {
        Self {
            db: open(url).await,
            url: url.to_owned(),
            _folder: None,
        }
    }

    /// A handle as another replica, or another process, has it: own pools, own clock.
    pub async fn replica(&self) -> Db {
        open(&self.url).await
    }

    async fn created(options: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        administer(&[&format!("CREATE DATABASE {name} {options}")]).await;
        let url = postgres::shared().url(&name);
        Self {
            db: open(&url).await,
            url,
            _folder: None,
        }
    }
}

/// Opens a store as `serve` does.
pub async fn open(url: &str) -> Db {
    let options = Options {
        url: url.to_owned(),
        max_connections: 8,
        acquire_timeout: Duration::from_secs(20),
    };
    Db::open(&options)
        .await
        .unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// A migrated file that others are copies of: quicker than migrating each.
async fn migrated_file() -> &'static [u8] {
    static MADE: OnceCell<Vec<u8>> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("template.db");
        let db = open(&format!("sqlite://{}", file.display())).await;
        db.migrate().await.expect("an empty file can be migrated");
        // The last to close it leaves no log beside it.
        close(&db).await;
        std::fs::read(&file).expect("the migrated file")
    })
    .await
}

/// The migrated database that others are copied from.
async fn template() -> &'static str {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        // An earlier attempt may have panicked half-way.
        let drop = format!("DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)");
        administer(&[
            &drop,
            &format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0"),
        ])
        .await;
        let db = open(&postgres::shared().url(TEMPLATE)).await;
        db.migrate()
            .await
            .expect("an empty database can be migrated");
        close(&db).await;
    })
    .await;
    TEMPLATE
}

/// Closes every connection of a handle and of its clones.
pub async fn close(db: &Db) {
    db.close().await.expect("a pool can be closed");
}

/// Runs statements on the cluster's own database, each outside any transaction.
pub async fn administer(statements: &[&str]) {
    let admin = open(&postgres::shared().url("postgres")).await;
    for statement in statements {
        let began = Instant::now();
        // Cancelled by its time-out, on a machine that writes a lot, it did nothing.
        while let Err(error) = admin.read().execute_unprepared(statement).await {
            let slow = error.to_string().contains("statement timeout");
            assert!(slow && began.elapsed() < PATIENCE, "{statement}: {error}");
        }
    }
    close(&admin).await;
}
