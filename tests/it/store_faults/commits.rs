//! The connection is cut exactly at COMMIT: done, but nobody was told. Whoever asked asks
//! again and finds what was done; nothing happens twice.

use sandbox::proxy::Cut;
use uuid::Uuid;

use super::{
    Bench,
    bench::{ROOM, assert_store_away},
};
use crate::support::{effort, live::cart, postgres, sql, till::hints};

/// Commits that a worker's run has at least: more are tried while the cut is still used.
const COMMITS: u32 = 8;

/// D-02: the answer to COMMIT is lost. A repeated checkout returns the order that it had
/// made, a repeated event changes nothing, and the worker reads anew what it had done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_committed_without_an_answer_is_not_done_twice() {
    if postgres::skipped() {
        return;
    }
    let rounds = effort::runs(2, 50);
    let mut cuts = 0;
    let mut bench = Bench::open().await;
    for round in 0..rounds {
        if usize::try_from(round + 1).unwrap() * 10 % ROOM == 0 {
            let full = std::mem::replace(&mut bench, Bench::open().await);
            full.close().await;
        }
        cuts += checkout_committed_unheard(&bench).await;
        cuts += event_committed_unheard(&bench).await;
        for nth in 1..=COMMITS {
            cuts += step_committed_unheard(&bench, nth).await;
        }
    }
    bench.close().await;
    eprintln!("{cuts} answers to COMMIT were lost");
    assert!(cuts >= rounds * (2 + COMMITS), "{cuts} of {rounds} rounds");
}

async fn checkout_committed_unheard(bench: &Bench) -> u32 {
    let (user, fired) = (Uuid::new_v4(), bench.proxy.fired());
    let cart = cart(user);
    bench.proxy.cut_at_commit(1, Cut::AfterForward);
    let first = bench.live.checkout(cart.clone()).await;
    assert_store_away(&first.expect_err("nobody heard of it"));
    assert_eq!(bench.proxy.fired(), fired + 1);
    let store = &bench.live.store.db;
    let user_id = sql::id(store, user);
    let made = format!("SELECT CAST(id AS text) FROM orders WHERE user_id = {user_id}");
    let made = sql::texts(store, &made).await;
    let order = bench.live.reserve(cart.clone()).await;
    assert_eq!(made, [order.id.as_str()], "the first call made it");
    let again = bench.live.checkout(cart).await.unwrap().order.unwrap();
    assert_eq!(
        (again.id, again.stripe_checkout_session_id),
        (order.id.clone(), order.stripe_checkout_session_id.clone())
    );
    let paid = bench.pay(user, order);
    bench.record(&paid).await.unwrap();
    bench.deliver(&paid.order.id).await;
    bench.assert_bought_once(user, &paid.order.id).await;
    1
}

async fn event_committed_unheard(bench: &Bench) -> u32 {
    let paid = bench.paid().await;
    let fired = bench.proxy.fired();
    bench.proxy.cut_at_commit(1, Cut::AfterForward);
    let first = bench.record(&paid).await;
    assert_store_away(&first.expect_err("nobody heard of it"));
    assert_eq!(bench.proxy.fired(), fired + 1);
    let again = bench.record(&paid).await.unwrap();
    assert!(again.duplicate, "it is on disk");
    assert_eq!(hints(&bench.live, &paid.order.id).await, 1);
    bench.deliver(&paid.order.id).await;
    bench.assert_bought_once(paid.user, &paid.order.id).await;
    1
}

/// The nth COMMIT of the worker from the payment to the running server.
async fn step_committed_unheard(bench: &Bench, nth: u32) -> u32 {
    let paid = bench.paid().await;
    bench.record(&paid).await.unwrap();
    let fired = bench.proxy.fired();
    bench.proxy.cut_at_commit(nth, Cut::AfterForward);
    bench.deliver(&paid.order.id).await;
    bench.proxy.disarm();
    bench.assert_bought_once(paid.user, &paid.order.id).await;
    bench.proxy.fired() - fired
}
