//! The process dies while it writes to SQLite, and so does the end of the file that it was
//! writing. Every row that was acknowledged is there afterwards.

use std::{
    cell::{Cell, RefCell},
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::bench::roomy;
use crate::support::{
    db::{Engine, TestDb, close},
    effort,
    live::{Live, PATIENCE, cart, with_token},
    processes::CoreProcess,
    sql, wait,
};

/// What callers were told is on disk.
#[derive(Default)]
struct Acknowledged {
    events: RefCell<Vec<String>>,
    orders: RefCell<Vec<(Uuid, String)>>,
}

/// Sends events and checkouts one after the other until the process is gone.
async fn write(live: &Live, seen: &Acknowledged, over: &Cell<bool>) {
    let events = async {
        while !over.get() {
            let id = format!("evt_{}", Uuid::new_v4().simple());
            let event = json!({
                "id": id, "object": "event", "type": "ping", "created": 1, "livemode": false,
            });
            let message = proto::RecordStripeEventRequest {
                payload: serde_json::to_vec(&event).unwrap(),
                receive_time: None,
            };
            let request = with_token(message, &live.world.tokens.gateway);
            if live.orders().record_stripe_event(request).await.is_ok() {
                seen.events.borrow_mut().push(id);
            }
        }
    };
    let checkouts = async {
        while !over.get() {
            let user = Uuid::new_v4();
            if let Ok(answer) = live.checkout(cart(user)).await {
                seen.orders
                    .borrow_mut()
                    .push((user, answer.order.unwrap().id));
            }
            // Room is for a few hundred; events are the stream.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(events, checkouts);
}

/// Where the last COMMIT of a write-ahead log ends: what follows was never acknowledged.
fn end_of_commits(wal: &[u8]) -> usize {
    const HEADER: usize = 32;
    const FRAME: usize = 24;
    let word = |at: usize| u32::from_be_bytes(wal[at..at + 4].try_into().unwrap());
    if wal.len() < HEADER {
        return wal.len();
    }
    let (page, salts) = (word(8) as usize, &wal[16..24]);
    let (mut at, mut end) = (HEADER, HEADER);
    while at + FRAME + page <= wal.len() && &wal[at + 8..at + 16] == salts {
        let commits = word(at + 4) > 0;
        at += FRAME + page;
        if commits {
            end = at;
        }
    }
    end
}

/// Tears the end of the log, as a power cut does within a write.
fn tear(wal: &Path, draw: &mut StdRng) {
    let bytes = fs::read(wal).unwrap_or_default();
    let end = end_of_commits(&bytes);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(wal)
        .unwrap();
    if end < bytes.len() {
        let left = draw.random_range(end..bytes.len());
        file.set_len(left as u64).unwrap();
    } else {
        let garbage: Vec<u8> = (0..draw.random_range(1..5_000))
            .map(|_| draw.random())
            .collect();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
        file.write_all(&garbage).unwrap();
    }
}

/// D-07: `serve` is killed while it writes, and the end of its log is torn. Every event
/// and every order that was acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_the_death_of_the_process() {
    let seed = effort::seed(7);
    eprintln!("seed {seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    let (mut kills, wanted) = (0, effort::runs(3, 200));
    while kills < wanted {
        // One shop has room for so many orders.
        let round = (wanted - kills).min(20);
        kill_one_shop(round, &mut draw).await;
        kills += round;
    }
    eprintln!("{kills} kills");
}

async fn kill_one_shop(kills: u32, draw: &mut StdRng) {
    let mut live = Live::open_with(Engine::Sqlite, |options| options.catalog = roomy()).await;
    live.world.stop_cores().await;
    // Nobody else may have the file open: recovery is the next process's own.
    close(&live.store.db).await;
    let file = PathBuf::from(live.store.url.trim_start_matches("sqlite://"));
    let wal = file.with_extension("db-wal");
    let seen = Acknowledged::default();
    for kill in 0..kills {
        let process = CoreProcess::start_all(&live, &[("SWEEP_PENDING_SECONDS", "3600")]).await;
        let (over, before) = (Cell::new(false), seen.events.borrow().len());
        let grace = Duration::from_millis(draw.random_range(20..300));
        let killed = async {
            wait::until("something is acknowledged", PATIENCE, || async {
                seen.events.borrow().len() > before && !seen.orders.borrow().is_empty()
            })
            .await;
            tokio::time::sleep(grace).await;
            process.kill().await;
            over.set(true);
        };
        tokio::join!(write(&live, &seen, &over), killed);
        assert!(seen.events.borrow().len() > before);
        if kill % 2 == 1 {
            tear(&wal, draw);
        }
        let store = TestDb::on_url(&live.store.url).await;
        check(&store, &seen).await;
        close(&store.db).await;
    }
    eprintln!(
        "{} events and {} orders were acknowledged",
        seen.events.borrow().len(),
        seen.orders.borrow().len()
    );
    assert!(!seen.orders.borrow().is_empty());
    // And the shop goes on: the last order is paid and delivered.
    let process = CoreProcess::start_all(&live, &[]).await;
    let order = live.buy(Uuid::new_v4()).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    process.kill().await;
    live.store.reopen().await;
    live.close().await;
}

async fn check(store: &TestDb, seen: &Acknowledged) {
    assert_eq!(
        sql::texts(&store.db, "PRAGMA integrity_check").await,
        ["ok"]
    );
    let stored = sql::texts(&store.db, "SELECT id FROM stripe_events").await;
    for id in seen.events.borrow().iter() {
        assert!(stored.contains(id), "event {id} is lost");
    }
    let orders = seen.orders.borrow().clone();
    for (user, order) in orders {
        let id = sql::id(&store.db, order.parse().unwrap());
        let user = sql::id(&store.db, user);
        let row = format!("SELECT count(*) FROM orders WHERE id = {id} AND user_id = {user}");
        assert_eq!(
            sql::count(&store.db, &row).await,
            1,
            "order {order} is lost"
        );
    }
    let half = "SELECT count(*) FROM orders o
        WHERE NOT EXISTS (SELECT 1 FROM billing b WHERE b.order_id = o.id)
        OR NOT EXISTS (SELECT 1 FROM servers s WHERE s.order_id = o.id)
        OR NOT EXISTS (SELECT 1 FROM holds h WHERE h.order_id = o.id)";
    assert_eq!(sql::count(&store.db, half).await, 0, "half orders");
}
