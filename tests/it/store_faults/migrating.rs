//! A migration is interrupted anywhere, runs twice at once, or meets a schema that is
//! newer than the program.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use sandbox::{proxy::Cut, world::SHOP_ORIGIN};
use tokio::{process::Command, time::timeout};

use super::{
    bench::{proxy, through},
    cuts::{SIDES, places},
};
use crate::{
    migrations::schema,
    support::{
        db::{Engine, TestDb, close, open},
        effort,
        file_lock::FileLock,
        live::{Live, PATIENCE},
        postgres,
        processes::{Binary, Program},
        sql, wait,
    },
};

both_engines!(
    a_killed_migration_is_made_up_for,
    two_processes_migrate_at_once,
    a_newer_schema_is_refused_in_clear_words,
);

fn migrate(url: &str) -> Program {
    Program::spawn(
        Binary::Core,
        &["migrate"],
        &[("DATABASE_URL", url.to_owned())],
    )
}

/// Nothing of the schema, or all of it.
async fn assert_whole_or_nothing(test: &TestDb, whole: &[String]) -> bool {
    let found: BTreeSet<_> = schema(&test.db).await.into_iter().collect();
    let whole: BTreeSet<_> = whole.iter().cloned().collect();
    let done = found == whole;
    assert!(done || found.is_empty(), "half a schema: {found:#?}");
    done
}

/// D-08: the connection is cut at each statement of a migration. It is rolled back, and
/// the next one does all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_survives_a_cut_at_every_statement() {
    if postgres::skipped() {
        return;
    }
    let whole = schema(&TestDb::new(Engine::Postgres).await.db).await;
    let proxy = proxy().await;
    let test = TestDb::empty(Engine::Postgres).await;
    let replica = open(&through(&proxy, &test.url)).await;
    proxy.take_statements();
    replica.migrate().await.unwrap();
    close(&replica).await;
    let statements = proxy.take_statements();
    for (at, place) in places(statements.len()).into_iter().enumerate() {
        let cut = SIDES[at % SIDES.len()];
        let test = TestDb::empty(Engine::Postgres).await;
        let replica = open(&through(&proxy, &test.url)).await;
        let fired = proxy.fired();
        proxy.cut_at_statement(u32::try_from(place).unwrap(), cut, |_| true);
        replica.migrate().await.unwrap_err();
        close(&replica).await;
        assert_eq!(
            proxy.fired(),
            fired + 1,
            "{place}: {}",
            statements[place - 1]
        );
        let done = assert_whole_or_nothing(&test, &whole).await;
        let committed = place == statements.len() && cut == Cut::AfterForward;
        assert_eq!(
            done,
            committed,
            "{cut:?} {place}: {}",
            statements[place - 1]
        );
        test.db.migrate().await.unwrap();
        assert_eq!(schema(&test.db).await, whole);
        close(&test.db).await;
    }
}

/// The log before the file of SQLite: a header, then frames, each a page with its own header.
const LOG_HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;
/// What the shell counts a file's size in.
const BLOCK: u64 = 512;

/// The file that the store is in.
fn file_of(test: &TestDb) -> PathBuf {
    PathBuf::from(test.url.trim_start_matches("sqlite://"))
}

/// Where what is committed is written first.
fn log_of(file: &Path) -> PathBuf {
    file.with_extension("db-wal")
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Migrates in a process that may write no file beyond so many blocks. The system kills it
/// within the write that would.
async fn migrate_within(url: &str, blocks: u64) -> Output {
    let script = r#"ulimit -c 0 && ulimit -f "$1" && exec "$0" migrate"#;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(script).arg(Binary::Core.path());
    shell.arg(blocks.to_string());
    shell.env_clear().env("DATABASE_URL", url);
    let output = shell.stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(PATIENCE, output).await.expect("it ends").unwrap()
}

/// What a machine finds that starts again: the file and its log, and nothing that was in
/// memory, such as how far the log is valid.
async fn found_after_death(test: &TestDb, folder: &Path) -> TestDb {
    let (file, copy) = (file_of(test), folder.join("shop.db"));
    fs::copy(&file, &copy).unwrap();
    fs::copy(log_of(&file), log_of(&copy)).unwrap();
    TestDb::on_url(&format!("sqlite://{}", copy.display())).await
}

/// D-08, on a file: the program is killed within each write of a migration. That is every
/// state in which it can leave a file, after whichever statement it ends: all statements
/// are one transaction, which is in the log as a whole or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_of_a_file_survives_a_kill_at_every_write() {
    let whole = schema(&TestDb::new(Engine::Sqlite).await.db).await;
    let test = TestDb::empty(Engine::Sqlite).await;
    let log = log_of(&file_of(&test));
    // Looked at once, an empty file has its log, and nobody has to make one.
    assert_eq!(schema(&test.db).await, Vec::<String>::new());
    assert_eq!(length(&log), 0, "what was written before the migration");
    assert!(migrate(&test.url).exited(PATIENCE).await.success());
    assert_eq!(schema(&test.db).await, whole);
    let written = length(&log) - LOG_HEADER;
    assert!(written.is_multiple_of(FRAME), "{written} bytes of frames");
    close(&test.db).await;
    let frames = written / FRAME;
    for place in places(usize::try_from(frames).unwrap()) {
        let test = TestDb::empty(Engine::Sqlite).await;
        assert_eq!(schema(&test.db).await, Vec::<String>::new());
        // It tears this frame; the last one is the commit.
        let torn = LOG_HEADER + FRAME * u64::try_from(place).unwrap() - 1;
        let output = migrate_within(&test.url, torn / BLOCK).await;
        assert!(!output.status.success(), "{place}: {output:?}");
        let left = length(&log_of(&file_of(&test)));
        assert_eq!(
            left,
            torn / BLOCK * BLOCK,
            "{place} of {frames}: {output:?}"
        );
        let folder = tempfile::tempdir().unwrap();
        let after = found_after_death(&test, folder.path()).await;
        close(&test.db).await;
        let done = assert_whole_or_nothing(&after, &whole).await;
        assert!(!done, "{place} of {frames}: done without its commit");
        after.db.migrate().await.unwrap();
        assert_eq!(schema(&after.db).await, whole);
        close(&after.db).await;
    }
}

/// Between two looks at a program that migrates.
const LOOK: Duration = Duration::from_millis(1);

/// The lock that a migration holds from its beginning to its end, seen from outside.
enum Lock<'a> {
    Postgres(&'a TestDb),
    File(FileLock),
}

impl<'a> Lock<'a> {
    async fn of(test: &'a TestDb) -> Self {
        if test.db.is_postgres() {
            return Self::Postgres(test);
        }
        Self::File(FileLock::of(&test.url).await)
    }

    async fn held(&self) -> bool {
        match self {
            Self::Postgres(test) => {
                let held = "SELECT count(*) FROM pg_locks
                    WHERE locktype = 'advisory' AND granted AND database =
                        (SELECT oid FROM pg_database WHERE datname = current_database())";
                sql::count(&test.db, held).await > 0
            }
            Self::File(lock) => lock.taken().await,
        }
    }

    /// Waits until the program migrates, and tells since when; it may have ended before
    /// that was seen.
    async fn begun(&self, program: &Program) -> Option<Instant> {
        let began = Instant::now();
        loop {
            if self.held().await {
                return Some(Instant::now());
            }
            if program.ended().is_some() {
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "{}", program.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nobody migrates: a server takes its time to see that a client is gone.
    async fn free(self) {
        wait::until("the migration is given up", PATIENCE, || async {
            !self.held().await
        })
        .await;
        if let Self::File(lock) = self {
            lock.close().await;
        }
    }
}

/// D-08: the program is killed while it migrates, later each time. It did all or nothing,
/// and the next one does the rest.
async fn a_killed_migration_is_made_up_for(engine: Engine) {
    let whole = schema(&TestDb::new(engine).await.db).await;
    // How long a whole one takes here and now.
    let test = TestDb::empty(engine).await;
    let lock = Lock::of(&test).await;
    let program = migrate(&test.url);
    let begun = lock.begun(&program).await;
    let status = program.exited(PATIENCE).await;
    assert!(status.success(), "{}", program.log());
    let takes = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
    lock.free().await;
    assert_eq!(schema(&test.db).await, whole);
    close(&test.db).await;
    let (kills, mut interrupted) = (effort::runs(6, 60), 0);
    for kill in 0..kills {
        let test = TestDb::empty(engine).await;
        let lock = Lock::of(&test).await;
        let program = migrate(&test.url);
        let begun = lock.begun(&program).await;
        let moment = takes * kill / kills;
        while begun.is_some_and(|begun| begun.elapsed() < moment) && program.ended().is_none() {
            tokio::time::sleep(LOOK).await;
        }
        // It may have ended by itself: this machine's pace changes.
        let killed = program.ended().is_none();
        drop(program);
        lock.free().await;
        let done = assert_whole_or_nothing(&test, &whole).await;
        // It had begun, and what it did is not there: the kill fell in between.
        interrupted += u32::from(begun.is_some() && killed && !done);
        test.db.migrate().await.unwrap();
        assert_eq!(schema(&test.db).await, whole);
        close(&test.db).await;
    }
    eprintln!("{engine:?}: {interrupted} of {kills} kills interrupted a migration");
    assert!(interrupted > 0, "no migration was interrupted");
}

/// D-08: two processes migrate at once; each step is taken once, and both succeed.
async fn two_processes_migrate_at_once(engine: Engine) {
    let test = TestDb::empty(engine).await;
    let programs = [migrate(&test.url), migrate(&test.url)];
    for program in &programs {
        let status = program.exited(PATIENCE).await;
        assert!(status.success(), "{}", program.log());
    }
    let twice = "SELECT count(*) - count(DISTINCT version) FROM seaql_migrations";
    assert_eq!(sql::count(&test.db, twice).await, 0);
    let whole = schema(&TestDb::new(engine).await.db).await;
    assert_eq!(schema(&test.db).await, whole);
}

/// D-08: a program that does not know a step of the schema refuses to touch it, and says
/// what to do.
async fn a_newer_schema_is_refused_in_clear_words(engine: Engine) {
    let mut live = Live::open(engine).await;
    live.world.stop_cores().await;
    let step = "m29990101_000001_from_the_future";
    let newer = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{step}', 1)");
    sql::run(&live.store.db, &newer).await.unwrap();
    let before = schema(&live.store.db).await;
    let world = &live.world;
    let environment = [
        ("DATABASE_URL", live.store.url.clone()),
        ("STRIPE_SECRET_KEY", world.stripe.secret_key()),
        ("STRIPE_API_BASE", world.stripe.url()),
        ("PTERO_APP_KEY", world.panel.key().to_owned()),
        ("PANEL_URL", world.panel.url()),
        ("CHECKOUT_ALLOWED_ORIGINS", SHOP_ORIGIN.to_owned()),
    ];
    let programs = [
        migrate(&live.store.url),
        Program::spawn(Binary::Core, &["serve"], &environment),
    ];
    for program in programs {
        let status = program.exited(PATIENCE).await;
        assert!(!status.success(), "{}", program.log());
        let log = program.log();
        assert!(log.contains("schema is newer than this program"), "{log}");
        assert!(log.contains(step), "{log}");
    }
    assert_eq!(schema(&live.store.db).await, before);
    live.close().await;
}
