//! A store for every run, copied from one that is migrated and knows its panel.
//!
//! SQLite files lie in memory where the machine offers that: a run is a few hundred
//! small commits, and what a disk does with them is tested elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{
    db::{Engine, administer, close, open},
    postgres, sql,
};

use super::{core::Core, standins::Standins};

/// Files in memory, where there is such a folder.
const MEMORY: &str = "/dev/shm";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The store that all runs of a batch begin with.
pub(super) struct Template {
    engine: Engine,
    folder: TempDir,
    /// Of the file or of the database.
    name: String,
}

/// The store of one run; it goes with the run.
pub(super) struct Store {
    pub url: String,
    file: Option<PathBuf>,
}

impl Template {
    /// Migrates, applies the catalog, and lets the first sweep see nodes, ports and eggs.
    pub fn make(engine: Engine, runtime: &Runtime) -> Self {
        let folder = tempfile::Builder::new();
        let folder = folder
            .tempdir_in(MEMORY)
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let name = format!("model_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let template = Self {
            engine,
            folder,
            name,
        };
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", template.file("filling").display()),
            Engine::Postgres => {
                let create = format!("CREATE DATABASE {} TEMPLATE template0", template.name);
                runtime.block_on(administer(&[&create]));
                postgres::shared().url(&template.name)
            }
        };
        runtime.block_on(template.fill(&url));
        let standins = Standins::start(runtime, 0, false);
        let core = Core::start(&standins.config(&url), None).unwrap();
        core.call(core.worker.sweep()).unwrap().unwrap();
        core.end();
        runtime.block_on(template.finish(&url));
        template
    }

    async fn fill(&self, url: &str) {
        let db = open(url).await;
        db.migrate().await.unwrap();
        let catalog = include_str!("catalog.toml");
        spawnpoint::app::catalog::file::apply(&db, catalog)
            .await
            .unwrap();
        close(&db).await;
    }

    /// Nobody may be connected to a database that others are copied from.
    async fn finish(&self, url: &str) {
        if self.engine == Engine::Postgres {
            let alone = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                self.name
            );
            administer(&[&alone]).await;
            return;
        }
        let db = open(url).await;
        let whole = format!("VACUUM INTO '{}'", self.file("template").display());
        sql::run(&db, &whole).await.unwrap();
        close(&db).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy for one run.
    pub fn copy(&self, runtime: &Runtime) -> Store {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{number}", self.name);
        match self.engine {
            Engine::Sqlite => {
                let file = self.file(&name);
                fs::copy(self.file("template"), &file).unwrap();
                Store {
                    url: format!("sqlite://{}", file.display()),
                    file: Some(file),
                }
            }
            Engine::Postgres => {
                let create = format!("CREATE DATABASE {name} TEMPLATE {}", self.name);
                runtime.block_on(administer(&[&create]));
                Store {
                    url: postgres::shared().url(&name),
                    file: None,
                }
            }
        }
    }
}

impl Store {
    /// Removes it.
    pub fn remove(self, runtime: &Runtime) {
        if let Some(file) = self.file {
            for suffix in ["", "-wal", "-shm"] {
                let mut path = file.clone().into_os_string();
                path.push(suffix);
                // The log and its index go with the last connection, or do not.
                let _ = fs::remove_file(Path::new(&path));
            }
            return;
        }
        let name = self.url.rsplit('/').next().unwrap_or_default();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        runtime.block_on(administer(&[&drop]));
    }
}
