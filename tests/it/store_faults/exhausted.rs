//! Every connection of the pool waits for a lock that somebody else keeps.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use spawnpoint::db::Connection;
use tonic_health::pb::health_check_response::ServingStatus;
use uuid::Uuid;

use super::bench::assert_store_away;
use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE, cart},
    postgres, sql, wait,
};

/// More callers than the pool has connections.
const CALLERS: usize = 40;
/// A call ends before the cap that would tell nothing but DEADLINE_EXCEEDED.
const CAP: Duration = Duration::from_secs(10);
/// With so many connections that wait the pool is used up: it has ten, and one may be on
/// its way back.
const USED_UP: i64 = 9;
/// The catalogue's figure for health while the pool is used up.
const HEALTH: Duration = Duration::from_millis(100);
/// And on a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(1);

/// D-04: slow statements use up the pool. Callers are told to come back, health answers
/// meanwhile (in the long mode within 100 ms, as long as the pool is used up), and when the
/// lock is given back everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pool_that_is_used_up_refuses_in_time_and_recovers() {
    if postgres::skipped() {
        return;
    }
    let live = Live::open(Engine::Postgres).await;
    for _ in 0..effort::runs(1, 10) {
        exhaust(&live).await;
    }
    live.close().await;
}

async fn exhaust(live: &Live) {
    let db = &live.store.db;
    let (begun, keep) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let holder = db.tx(|tx| {
        let (begun, keep) = (&begun, &keep);
        async move {
            // Longer than anything that waits for it.
            for sql in [
                "SET LOCAL idle_in_transaction_session_timeout = 0",
                "LOCK TABLE request_keys IN ACCESS EXCLUSIVE MODE",
            ] {
                tx.execute_unprepared(sql).await.unwrap();
            }
            begun.notify_one();
            keep.notified().await;
            Ok::<_, spawnpoint::db::Error>(())
        }
    });
    let carts: Vec<_> = (0..CALLERS).map(|_| cart(Uuid::new_v4())).collect();
    let calls = async {
        begun.notified().await;
        let calls = carts.iter().map(|cart| async {
            let began = Instant::now();
            let answer = live.checkout(cart.clone()).await;
            (answer, began.elapsed())
        });
        let watch = async {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                AND datname = current_database()";
            let (mut most, mut looks, mut slowest) = (0, 0, Duration::ZERO);
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(2) {
                let now = sql::count(db, waiting).await;
                most = most.max(now);
                let (_, took) = live.health().await;
                // Before, the machine is busy with so many calls that begin at once.
                if now >= USED_UP {
                    looks += 1;
                    slowest = slowest.max(took);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (most, looks, slowest)
        };
        let both = tokio::join!(join_all(calls), watch);
        keep.notify_one();
        both
    };
    let (held, (answers, (most, looks, slowest))) = tokio::join!(holder, calls);
    held.unwrap();
    eprintln!("{most} connections waited, health took up to {slowest:?} in {looks} looks");
    assert!(
        most >= USED_UP && looks > 0,
        "{most} connections waited: the pool was not used up"
    );
    assert!(
        slowest < effort::bar(HEALTH, BUSY),
        "health took {slowest:?}"
    );
    for (answer, took) in answers {
        assert_store_away(&answer.expect_err("the table was locked"));
        assert!(took < CAP, "{took:?}");
    }
    wait::until("health says SERVING", PATIENCE, || async {
        live.health().await.0 == ServingStatus::Serving
    })
    .await;
    let first = carts.into_iter().next().unwrap();
    let order = live.purchase(first).await;
    live.wait_running(&order.id).await;
    assert_eq!(live.creates(&order.id).len(), 1);
}
