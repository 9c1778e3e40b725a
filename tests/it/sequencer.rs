//! The feed of order events: numbers without gap or late comer, whoever gives them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use spawnpoint::{
    db::{Db, Error, order_events},
    domain::OrderId,
};
use tokio::sync::oneshot;

use crate::support::{
    db::{Engine, TestDb},
    shop::{Shop, note},
    sql,
};

both_engines!(
    writers_and_sequencers_at_once_leave_no_gap,
    a_batch_is_no_bigger_than_asked_for,
    events_of_one_order_keep_their_order,
);

const WRITERS: usize = 8;
const EVENTS_EACH: usize = 25;

async fn remark(db: &Db, id: OrderId, text: &str) {
    let note = &note();
    loop {
        let written = db
            .tx(|tx| async move {
                let now_us = db.now_in(&tx).await?;
                order_events::remark(&tx, id, text, note, now_us).await
            })
            .await;
        match written {
            Err(Error::Unavailable(_)) => {}
            other => return other.expect("a remark can be stored"),
        }
    }
}

/// As the sweep does: a store that is too busy is asked again.
async fn sequence(db: &Db, limit: u64) -> u64 {
    loop {
        match order_events::sequence(db, limit).await {
            Err(Error::Unavailable(_)) => {}
            other => return other.expect("events can be numbered"),
        }
    }
}

async fn numbers(db: &Db) -> Vec<i64> {
    let query = "SELECT CAST(sequence AS text) FROM order_events WHERE sequence IS NOT NULL
        ORDER BY order_events.sequence";
    sql::texts(db, query)
        .await
        .iter()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// Reads the feed over and over as a follower does; what it has passed must never
/// gain a number.
async fn follow(db: Db, done: Arc<AtomicBool>) -> usize {
    let (mut seen, mut looks) = (Vec::new(), 0);
    loop {
        let last = done.load(Ordering::Acquire);
        let now = numbers(&db).await;
        assert!(
            now.len() >= seen.len() && now[..seen.len()] == seen[..],
            "a late comer in {now:?}"
        );
        let complete: Vec<i64> = (1..).take(now.len()).collect();
        assert_eq!(now, complete, "a gap was visible");
        (seen, looks) = (now, looks + 1);
        if last {
            return looks;
        }
    }
}

async fn writers_and_sequencers_at_once_leave_no_gap(engine: Engine) {
    let test = TestDb::new(engine).await;
    let orders = Shop::open(&test.db).await.orders(WRITERS, i64::MAX).await;
    let done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn(follow(test.replica().await, Arc::clone(&done)));
    let mut sequencers = Vec::new();
    for _ in 0..3 {
        let (db, done) = (test.replica().await, Arc::clone(&done));
        sequencers.push(tokio::spawn(async move {
            let mut given = 0;
            while !done.load(Ordering::Acquire) {
                given += sequence(&db, 7).await;
            }
            given
        }));
    }
    let mut writers = Vec::new();
    for (writer, id) in orders.into_iter().enumerate() {
        let db = test.replica().await;
        writers.push(tokio::spawn(async move {
            for event in 0..EVENTS_EACH {
                remark(&db, id, &format!("{writer}:{event}")).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    while sequence(&test.db, 1_000).await > 0 {}
    done.store(true, Ordering::Release);
    let given: Vec<u64> = join_all(sequencers)
        .await
        .into_iter()
        .map(|given| given.expect("no panic"))
        .collect();
    assert!(follower.await.unwrap() >= 1);

    // Each order was born with one event.
    let total = WRITERS * (EVENTS_EACH + 1);
    let all = numbers(&test.db).await;
    assert_eq!(
        all,
        (1..).take(total).collect::<Vec<i64>>(),
        "given: {given:?}"
    );
    let missing = "SELECT count(*) FROM order_events WHERE sequence IS NULL";
    assert_eq!(sql::count(&test.db, missing).await, 0);
}

async fn a_batch_is_no_bigger_than_asked_for(engine: Engine) {
    let test = TestDb::new(engine).await;
    Shop::open(&test.db).await.orders(5, i64::MAX).await;
    for (limit, given) in [(2, 2), (2, 2), (2, 1), (2, 0)] {
        assert_eq!(sequence(&test.db, limit).await, given);
    }
    assert_eq!(numbers(&test.db).await, [1, 2, 3, 4, 5]);
}

async fn events_of_one_order_keep_their_order(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.order().await;
    for text in ["first", "second", "third"] {
        remark(&test.db, id, text).await;
    }
    sequence(&test.db, 2).await;
    remark(&test.db, id, "fourth").await;
    sequence(&test.db, 9).await;
    let events = order_events::list(test.db.read(), id, None, 9)
        .await
        .unwrap();
    let told: Vec<&str> = events.iter().map(|event| event.to.as_str()).collect();
    assert_eq!(told, ["pending", "first", "second", "third", "fourth"]);
    let places: BTreeSet<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(
        places.into_iter().collect::<Vec<_>>(),
        [1, 2, 3, 4, 5].map(Some)
    );
    assert!(events.is_sorted_by_key(|event| event.sequence));
}

/// A transaction that commits late gets a later number than one that began after
/// it: the order of the feed is the order in which events became visible.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_is_that_of_commits() {
    if crate::support::postgres::skipped() {
        return;
    }
    let test = TestDb::new(Engine::Postgres).await;
    let orders = Shop::open(&test.db).await.orders(2, i64::MAX).await;
    sequence(&test.db, 9).await;
    let (db, slow) = (test.replica().await, orders[0]);
    let (written, was_written) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let gates = std::sync::Mutex::new(Some((written, may_go_on)));
    let holding = tokio::spawn(async move {
        let (gates, note) = (&gates, &note());
        db.tx(|tx| async move {
            order_events::remark(&tx, slow, "slow", note, 1).await?;
            let (written, may_go_on) = gates.lock().unwrap().take().expect("run once");
            written.send(()).expect("the test listens");
            may_go_on.await.expect("the test answers");
            Ok::<_, Error>(())
        })
        .await
    });
    was_written.await.unwrap();
    remark(&test.db, orders[1], "quick").await;
    assert_eq!(
        sequence(&test.db, 9).await,
        1,
        "what is not committed has no place yet"
    );
    go_on.send(()).unwrap();
    holding.await.unwrap().unwrap();
    assert_eq!(sequence(&test.db, 9).await, 1);
    let feed =
        "SELECT to_value FROM order_events WHERE sequence > 2 ORDER BY order_events.sequence";
    assert_eq!(sql::texts(&test.db, feed).await, ["quick", "slow"]);
}
