//! A store of its own for each test: a temporary SQLite file with the schema.

use std::{ops::Deref, time::Duration};

use tempfile::TempDir;

use super::{Db, connect::Options};

/// A store that goes with its folder when dropped.
pub(crate) struct TestDb {
    db: Db,
    _folder: TempDir,
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

/// Makes an empty store.
pub(crate) async fn open() -> TestDb {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let options = Options {
        url,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(10),
    };
    let db = Db::open(&options).await.unwrap();
    db.migrate().await.unwrap();
    TestDb {
        db,
        _folder: folder,
    }
}
