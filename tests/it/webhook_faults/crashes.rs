//! Real processes are killed while an event is on its way: after its commit and before
//! Stripe has its 200, or before the commit. Nothing is lost, nothing happens twice.

mod shop;

use shop::{Blockade, Shop, Victim};

use super::{
    sending::{assert_processed_once, attempts, pay_silently, redelivered, rendered, stored},
    wire::Wire,
};
use crate::support::{
    db::Engine,
    effort::runs,
    live::{Live, PATIENCE},
    sql, wait,
};

both_engines!(
    a_kill_after_the_commit_costs_nothing_but_a_second_delivery,
    a_kill_before_the_commit_loses_nothing,
);

/// As many fit into one shop.
const ROUNDS_PER_SHOP: u32 = 20;

/// Stripe has seen no success so far: at least one attempt, and none of them taken.
async fn assert_refused(live: &Live, event_id: &str) {
    wait::until("the attempt has failed", PATIENCE, || async {
        !attempts(live, event_id).is_empty()
    })
    .await;
    let tries = attempts(live, event_id);
    assert!(
        tries.iter().all(|status| matches!(status, 0 | 503)),
        "{tries:?}"
    );
}

/// Victims in turn, through as many shops as it takes.
async fn rounds(engine: Engine, usual: u32, most: u32, round: impl AsyncFn(&mut Shop, Victim)) {
    let victims = [Victim::Core, Victim::Gateway].into_iter().cycle();
    let mut shop: Option<Shop> = None;
    for (at, victim) in (0..runs(usual, most)).zip(victims) {
        if at % ROUNDS_PER_SHOP == 0
            && let Some(full) = shop.take()
        {
            full.close().await;
        }
        if shop.is_none() {
            shop = Some(Shop::open(engine).await);
        }
        round(shop.as_mut().unwrap(), victim).await;
    }
    shop.unwrap().close().await;
}

/// W-01: the core, or the gateway, is killed when the event is on disk and Stripe has no
/// 200 yet. Stripe delivers again; that is a duplicate, and the event was obeyed once.
async fn a_kill_after_the_commit_costs_nothing_but_a_second_delivery(engine: Engine) {
    rounds(engine, 4, 400, async |shop, victim| {
        let order = shop.reserve().await;
        let paid = pay_silently(&shop.live, &order);
        // The answer of whoever is killed is on its way and does not arrive.
        shop.in_front_of(victim).set(Wire::AnswersLost);
        shop.live.world.stripe.deliver(&paid.id).unwrap();
        wait::until("the event is on disk", PATIENCE, || {
            stored(&shop.live, &paid.id)
        })
        .await;
        assert!(!attempts(&shop.live, &paid.id).contains(&200), "{victim:?}");
        shop.kill(victim).await;
        assert_refused(&shop.live, &paid.id).await;

        shop.in_front_of(victim).set(Wire::Whole);
        shop.start_again(victim).await;
        let tries = redelivered(&shop.live, &paid.id).await;
        assert_eq!(tries.last(), Some(&200), "{victim:?}: {tries:?}");
        assert_processed_once(&shop.live, &order, &paid.id).await;
    })
    .await;
}

/// Waits until the event's transaction is under way behind the blockade: on PostgreSQL its
/// row is inserted and not committed; on SQLite, which shows nothing, the call has arrived.
async fn in_the_middle(shop: &Shop, body: u64, called: u64) {
    let inserted = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
        JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() \
        AND c.relname = 'stripe_events' AND l.mode = 'RowExclusiveLock' AND l.granted";
    let db = &shop.live.store.db;
    wait::until("the call is under way", PATIENCE, || async {
        if db.is_postgres() {
            sql::count(db, inserted).await > 0
        } else {
            shop.back.called() >= called + body
        }
    })
    .await;
}

/// W-02: the core, or the gateway, is killed before the event's transaction can commit.
/// Stripe was told nothing good, delivers again, and nothing is lost.
async fn a_kill_before_the_commit_loses_nothing(engine: Engine) {
    rounds(engine, 4, 400, async |shop, victim| {
        let order = shop.reserve().await;
        let paid = pay_silently(&shop.live, &order);
        let body = serde_json::to_vec(&rendered(&shop.live, &paid.id))
            .unwrap()
            .len();
        let called = shop.back.called();
        let blockade = Blockade::begin(&shop.live, &order).await;
        shop.live.world.stripe.deliver(&paid.id).unwrap();
        in_the_middle(shop, body as u64, called).await;
        assert!(!attempts(&shop.live, &paid.id).contains(&200), "{victim:?}");
        shop.kill(victim).await;
        assert_refused(&shop.live, &paid.id).await;
        assert!(!stored(&shop.live, &paid.id).await);
        blockade.end().await;
        if victim == Victim::Core {
            assert!(
                !stored(&shop.live, &paid.id).await,
                "it died with its process"
            );
        }

        shop.start_again(victim).await;
        let tries = redelivered(&shop.live, &paid.id).await;
        assert_eq!(tries.last(), Some(&200), "{victim:?}: {tries:?}");
        assert_processed_once(&shop.live, &order, &paid.id).await;
    })
    .await;
}
