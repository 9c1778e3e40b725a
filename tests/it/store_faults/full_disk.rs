//! The disk of the database is full: clear refusals, reads go on, nothing that was
//! acknowledged is lost, and with space again everything goes on.

use std::cell::RefCell;

use serde_json::{Value, json};
use spawnpoint::{
    db::{Connection, Error},
    rpc::proto,
};
use uuid::Uuid;

use super::bench::assert_store_away;
use crate::support::{
    db::TestDb,
    disk::{SmallDisk, unshared},
    live::{Live, PATIENCE, cart, with_token},
    postgres::{self, Cluster},
    sql, till, wait,
};

/// Enough for a few more events, whatever the engine keeps in reserve.
const LEFT: u64 = 128 * 1024;
/// Of an event, so that a disk is soon full.
const PAYLOAD: usize = 64 * 1024;

fn event(id: &str) -> Value {
    json!({
        "id": id, "object": "event", "type": "ping", "created": 1, "livemode": false,
        "data": { "object": { "filler": "x".repeat(PAYLOAD) } },
    })
}

/// Sends webhooks until one is refused; tells those that were acknowledged.
async fn send_until_refused(live: &Live) -> Vec<String> {
    let acknowledged = RefCell::new(Vec::new());
    wait::until("the disk is full", PATIENCE, || async {
        let id = format!("evt_{}", Uuid::new_v4().simple());
        match till::send_webhook(live, &event(&id)).await {
            200 => acknowledged.borrow_mut().push(id),
            503 => return true,
            status => panic!("{status}"),
        }
        false
    })
    .await;
    // And the control plane says why.
    wait::until("the disk is full", PATIENCE, || async {
        let id = format!("evt_{}", Uuid::new_v4().simple());
        let message = proto::RecordStripeEventRequest {
            payload: serde_json::to_vec(&event(&id)).unwrap(),
            receive_time: None,
        };
        let request = with_token(message, &live.world.tokens.gateway);
        let answer = live.orders().record_stripe_event(request).await;
        match answer {
            Ok(_) => acknowledged.borrow_mut().push(id),
            Err(status) => {
                assert_store_away(&status);
                return true;
            }
        }
        false
    })
    .await;
    acknowledged.into_inner()
}

/// Sells and delivers on a disk that is full in between.
async fn survive(live: &Live, disk: &SmallDisk) {
    let user = Uuid::new_v4();
    let order = live.reserve(cart(user)).await;
    let paid = live.reserve(cart(Uuid::new_v4())).await;
    live.hold_webhooks();
    live.pay(&paid);
    disk.fill(LEFT);
    let acknowledged = send_until_refused(live).await;
    // What needs no space is still answered.
    assert_eq!(live.order(&order.id).await.id, order.id);
    let request = live.operator(proto::ListPlansRequest::default());
    let plans = live.catalog().list_plans(request).await.unwrap();
    assert!(!plans.into_inner().plans.is_empty());
    // Some of Stripe's own may still fit; what does not is not acknowledged.
    live.release_webhooks();
    disk.free();
    redeliver(live).await;
    live.wait_running(&paid.id).await;
    live.pay(&order);
    live.wait_running(&order.id).await;
    for order in [&order, &paid] {
        assert_eq!(live.creates(&order.id).len(), 1);
    }
    for id in &acknowledged {
        let row = format!("SELECT count(*) FROM stripe_events WHERE id = '{id}'");
        assert_eq!(
            sql::count(&live.store.db, &row).await,
            1,
            "{id} was acknowledged"
        );
    }
    eprintln!(
        "{} events were acknowledged before the disk was full",
        acknowledged.len()
    );
}

/// Lets Stripe repeat what was refused until everything is taken.
async fn redeliver(live: &Live) {
    let stripe = &live.world.stripe;
    wait::until("every event is taken", PATIENCE, || async {
        assert!(stripe.deliveries_idle(PATIENCE).await);
        let events = stripe.events();
        let missing: Vec<_> = events.iter().filter(|event| !event.delivered).collect();
        for event in &missing {
            stripe.deliver(&event.id).unwrap();
        }
        missing.is_empty()
    })
    .await;
}

/// D-06: SQLite's disk is full, and has space again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_under_sqlite_loses_nothing() {
    let Some(disk) = SmallDisk::mount(24, "root") else {
        return unshared("store_faults::full_disk::a_full_disk_under_sqlite_loses_nothing");
    };
    let url = format!("sqlite://{}", disk.data().join("shop.db").display());
    let live = Live::open_on(TestDb::on_url(&url).await, |_| {}).await;
    live.wait_until_sellable().await;
    survive(&live, &disk).await;
    let check = sql::texts(&live.store.db, "PRAGMA integrity_check").await;
    assert_eq!(check, ["ok"]);
    live.close().await;
}

/// D-06: a COMMIT that fails for want of space must not leave its connection within a
/// transaction: what came afterwards was acknowledged and seen by nobody else, and would
/// have been gone with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_on_a_full_disk_is_seen_by_readers() {
    let Some(disk) = SmallDisk::mount(24, "root") else {
        return unshared(
            "store_faults::full_disk::what_is_acknowledged_on_a_full_disk_is_seen_by_readers",
        );
    };
    let url = format!("sqlite://{}", disk.data().join("shop.db").display());
    let store = TestDb::on_url(&url).await;
    let table = "CREATE TABLE kept (id integer PRIMARY KEY, filler blob)";
    sql::run(&store.db, table).await.unwrap();
    let insert = async |bytes: usize| {
        let row = &format!("INSERT INTO kept (filler) VALUES (zeroblob({bytes}))");
        let stored = store.db.tx(|tx| async move {
            tx.execute_unprepared(row).await.map_err(Error::from)?;
            Ok::<_, Error>(())
        });
        stored.await.is_ok()
    };
    let (mut acknowledged, mut refused) = (0, 0);
    let rows = "SELECT count(*) FROM kept";
    disk.fill(LEFT);
    for round in 0..60 {
        // Small ones fit in between.
        let bytes = if round % 3 == 2 { 300 } else { PAYLOAD };
        if insert(bytes).await {
            acknowledged += 1;
        } else {
            refused += 1;
        }
        assert_eq!(
            sql::count(&store.db, rows).await,
            acknowledged,
            "round {round}"
        );
    }
    assert!(acknowledged > 1 && refused > 1, "{acknowledged}, {refused}");
    disk.free();
    assert!(insert(PAYLOAD).await);
    let other = TestDb::on_url(&url).await;
    assert_eq!(sql::count(&other.db, rows).await, acknowledged + 1);
}

/// D-06: PostgreSQL has no space for its tables (53100), and has space again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_under_postgres_loses_nothing() {
    if postgres::skipped() {
        return;
    }
    let owner = sandbox::postgres::owner().unwrap();
    let Some(disk) = SmallDisk::mount(64, &owner) else {
        // A namespace of its own would make us root, as whom PostgreSQL does not run.
        return full_disk_by_trigger().await;
    };
    let cluster = Cluster::start().unwrap();
    let admin = TestDb::on_url(&cluster.url("postgres")).await;
    let small = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.data().display()
    );
    for statement in [small.as_str(), "CREATE DATABASE shop TABLESPACE small"] {
        sql::run(&admin.db, statement).await.unwrap();
    }
    let live = Live::open_on(TestDb::on_url(&cluster.url("shop")).await, |_| {}).await;
    live.wait_until_sellable().await;
    survive(&live, &disk).await;
    live.close().await;
}

/// The same error, raised by the test, where no disk can be filled.
async fn full_disk_by_trigger() {
    let warning = b"\n*** NO DISK CAN BE FILLED HERE: 53100 IS RAISED BY A TRIGGER ***\n\n";
    let _ = std::io::Write::write_all(&mut std::io::stderr(), warning);
    let live = Live::open(crate::support::db::Engine::Postgres).await;
    let db = &live.store.db;
    for statement in [
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON stripe_events EXECUTE FUNCTION full_disk()",
        "CREATE TRIGGER full_disk BEFORE INSERT ON orders EXECUTE FUNCTION full_disk()",
    ] {
        sql::run(db, statement).await.unwrap();
    }
    assert!(send_until_refused(&live).await.is_empty());
    let cart = cart(Uuid::new_v4());
    assert_store_away(&live.checkout(cart.clone()).await.unwrap_err());
    for table in ["stripe_events", "orders"] {
        sql::run(db, &format!("DROP TRIGGER full_disk ON {table}"))
            .await
            .unwrap();
    }
    let order = live.buy_cart(cart).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    live.close().await;
}
