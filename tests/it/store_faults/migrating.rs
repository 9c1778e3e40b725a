//! A migration is interrupted anywhere, runs twice at once, or meets a schema that is
//! newer than the program.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sandbox::{proxy::Cut, world::SHOP_ORIGIN};

use super::{
    bench::{proxy, through},
    cuts::{SIDES, places},
};
use crate::{
    migrations::schema,
    support::{
        db::{Engine, TestDb, close, open},
        effort,
        live::{Live, PATIENCE},
        postgres,
        processes::{Binary, Program},
        sql,
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

/// D-08: the program is killed while it migrates, later each time.
async fn a_killed_migration_is_made_up_for(engine: Engine) {
    let whole = schema(&TestDb::new(engine).await.db).await;
    let (mut began, mut interrupted) = (Instant::now(), 0);
    // How long a whole one takes here and now.
    let test = TestDb::empty(engine).await;
    assert!(migrate(&test.url).exited(PATIENCE).await.success());
    assert_eq!(schema(&test.db).await, whole);
    let takes = began.elapsed();
    let kills = effort::runs(6, 60);
    for kill in 0..kills {
        let test = TestDb::empty(engine).await;
        began = Instant::now();
        let program = migrate(&test.url);
        let moment = takes * kill / kills;
        while began.elapsed() < moment && program.ended().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // It may have ended by itself: this machine's pace changes.
        let killed = program.ended().is_none();
        drop(program);
        // What a killed session still holds on to, the server gives up at once.
        test.db.migrate().await.unwrap();
        assert_eq!(schema(&test.db).await, whole);
        interrupted += u32::from(killed);
        close(&test.db).await;
    }
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
