//! The feed of all orders' changes: whoever reads it misses nothing and reads nothing twice,
//! however often they are cut off, whoever writes meanwhile.

use std::collections::BTreeMap;

use futures_util::{StreamExt, future::join_all};
use spawnpoint::{boot::Mode, rpc::proto};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(
    every_change_is_read_once_and_in_order,
    a_reader_that_was_cut_off_goes_on_where_it_was,
    a_slow_reader_misses_nothing,
    nothing_is_read_ahead_for_a_slow_reader,
    a_place_that_is_none_is_refused,
);

type Feed = Streaming<proto::WatchOrderEventsResponse>;

async fn watch(live: &Live, after_sequence: i64) -> Result<Feed, Status> {
    let message = proto::WatchOrderEventsRequest { after_sequence };
    let mut client = live.orders();
    let answer = client.watch_order_events(live.viewer(message)).await?;
    Ok(answer.into_inner())
}

async fn next(feed: &mut Feed) -> proto::OrderEvent {
    let told = tokio::time::timeout(PATIENCE, feed.next()).await;
    let told = told.expect("the feed goes on").expect("it has no end");
    told.unwrap().event.unwrap()
}

/// Reads as many as there are.
async fn read(feed: &mut Feed, count: usize) -> Vec<proto::OrderEvent> {
    let mut read = Vec::new();
    while read.len() < count {
        read.push(next(feed).await);
    }
    read
}

/// How many changes there are, once all of them have their place.
async fn all(live: &Live) -> usize {
    let db = &live.store.db;
    let open = "SELECT count(*) FROM order_events WHERE sequence IS NULL";
    wait::until("every change has its place", PATIENCE, || async {
        sql::count(db, open).await == 0
    })
    .await;
    usize::try_from(till::rows(live, "order_events").await).unwrap()
}

/// Numbered from 1 without a gap, and each order's changes as its own list has them.
async fn assert_whole(live: &Live, read: &[proto::OrderEvent]) {
    let numbers: Vec<i64> = read.iter().map(|event| event.sequence).collect();
    let wanted: Vec<i64> = (1..=i64::try_from(read.len()).unwrap()).collect();
    assert_eq!(numbers, wanted);
    let mut of_order: BTreeMap<&str, Vec<&proto::OrderEvent>> = BTreeMap::new();
    for event in read {
        of_order.entry(&event.order_id).or_default().push(event);
    }
    for (id, told) in of_order {
        let listed = till::changes(live, id).await;
        let listed: Vec<_> = listed.iter().take(told.len()).collect();
        assert_eq!(told, listed, "{id}");
    }
}

async fn buy(live: &Live, count: usize) {
    let orders = (0..count).map(|_| async {
        let order = live.reserve(cart(Uuid::new_v4())).await;
        live.pay(&order);
        live.wait_running(&order.id).await;
    });
    join_all(orders).await;
}

/// Four writers on two replicas (one on SQLite), and a reader from the start.
async fn every_change_is_read_once_and_in_order(engine: Engine) {
    let mut live = Live::open(engine).await;
    if engine == Engine::Postgres {
        live.world.start_core(Mode::All).await.unwrap();
    }
    let mut feed = watch(&live, 0).await.unwrap();
    buy(&live, 4).await;
    let count = all(&live).await;
    assert!(count > 40, "{count}");
    let told = read(&mut feed, count).await;
    assert_whole(&live, &told).await;
    // And what comes later comes by itself.
    buy(&live, 1).await;
    let later = next(&mut feed).await;
    assert_eq!(later.sequence, i64::try_from(count).unwrap() + 1);
    live.close().await;
}

async fn a_reader_that_was_cut_off_goes_on_where_it_was(engine: Engine) {
    let live = Live::open(engine).await;
    buy(&live, 2).await;
    let count = all(&live).await;
    let mut told = Vec::new();
    while told.len() < count {
        let after = told
            .last()
            .map_or(0, |event: &proto::OrderEvent| event.sequence);
        let mut feed = watch(&live, after).await.unwrap();
        let most = 7.min(count - told.len());
        told.extend(read(&mut feed, most).await);
    }
    assert_whole(&live, &told).await;
    live.close().await;
}

/// It reads one, and the others while it rests; then the rest.
async fn a_slow_reader_misses_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    buy(&live, 1).await;
    let mut feed = watch(&live, 0).await.unwrap();
    let mut told = read(&mut feed, 1).await;
    buy(&live, 3).await;
    let count = all(&live).await;
    told.extend(read(&mut feed, count - 1).await);
    assert_whole(&live, &told).await;
    live.close().await;
}

/// Far more than the buffers of a connection hold lies ahead of a reader that rests, for as long
/// as another one takes for all of it: what changes in the store then, the first gets changed.
async fn nothing_is_read_ahead_for_a_slow_reader(engine: Engine) {
    const MANY: usize = 12_000;
    let live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    // A writer of ours takes the order's row before it tells of it; the statement below does not.
    live.wait_for_reason(&order.id, "AWAITING_PAYMENT").await;
    live.wait_until_unleased().await;
    let db = &live.store.db;
    let id = sql::id(db, order.id.parse().unwrap());
    let text = "x".repeat(2_000);
    let fill = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
         INSERT INTO order_events
             (order_id, what, from_value, to_value, actor, cause, trace_id, created_us)
         SELECT {id}, 'note', '', '{text}', 'test', '', '', 1790000000000000 FROM n"
    );
    assert_eq!(sql::run(db, &fill).await.unwrap(), MANY as u64);
    let count = all(&live).await;
    let mut slow = watch(&live, 0).await.unwrap();
    read(&mut slow, 1).await;
    let mut fast = watch(&live, 0).await.unwrap();
    read(&mut fast, count).await;

    let half = count / 2;
    let change = format!(
        "UPDATE order_events SET to_value = 'y' WHERE sequence > {half} AND actor = 'test'"
    );
    let changed = sql::run(db, &change).await.unwrap();
    assert!(changed >= MANY as u64 / 2, "{changed}");
    let rest = read(&mut slow, count - 1).await;
    let seen = rest.iter().filter(|event| event.to == "y");
    assert_eq!(seen.count() as u64, changed);
    live.close().await;
}

async fn a_place_that_is_none_is_refused(engine: Engine) {
    let live = Live::open(engine).await;
    buy(&live, 1).await;
    let count = i64::try_from(all(&live).await).unwrap();
    for (after, code, wanted) in [
        (count + 1, Code::FailedPrecondition, "SEQUENCE_EXPIRED"),
        (i64::MAX, Code::FailedPrecondition, "SEQUENCE_EXPIRED"),
        (-1, Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        let status = watch(&live, after).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, wanted));
    }
    // At its very end it waits.
    watch(&live, count).await.unwrap();
    live.close().await;
}
