//! Claims: who works on an order, and when it is looked at next.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use spawnpoint::{
    db::{
        Db, Error,
        orders::{
            self,
            leases::{self, Claim},
        },
    },
    domain::{OrderId, order::Facts},
};
use tokio::sync::Barrier;

use crate::support::{
    db::{Engine, TestDb},
    shop::Shop,
    sql,
};

both_engines!(
    eight_workers_claim_200_orders_once_each,
    the_longest_due_come_first_and_others_wait,
    a_lease_that_ran_out_is_claimed_with_a_higher_fence,
    only_the_holder_renews_and_releases,
    a_fact_during_the_work_makes_the_order_due_now,
    a_fact_never_delays_an_order,
    an_abandoned_order_goes_on_at_once,
    bookkeeping_is_no_visible_change,
    clearing_frees_every_lease,
);

const NOW: i64 = 1_000_000_000;
const LEASE: i64 = 60_000_000;

async fn claim(db: &Db, owner: &str, now_us: i64, limit: u64) -> Vec<Claim> {
    let claimed = leases::claim(db, owner, now_us, now_us + LEASE, limit).await;
    claimed.expect("orders can be claimed")
}

async fn release(db: &Db, claim: Claim, facts_seq: i64, next_us: Option<i64>) -> Result<(), Error> {
    db.tx(|tx| async move { leases::release(&tx, claim, facts_seq, next_us, NOW + 5).await })
        .await
}

async fn add_fact(db: &Db, id: OrderId, due_us: i64) {
    let added = db.tx(|tx| async move { leases::add_fact(&tx, id, due_us).await });
    added.await.expect("a fact can be added");
}

async fn facts(db: &Db, id: OrderId) -> Facts {
    orders::find(db.read(), id)
        .await
        .expect("facts can be read")
        .expect("the order exists")
}

async fn eight_workers_claim_200_orders_once_each(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let due: BTreeSet<OrderId> = shop.orders(200, NOW).await.into_iter().collect();
    let barrier = Arc::new(Barrier::new(8));
    let mut workers = Vec::new();
    for worker in 0..8 {
        let (db, barrier) = (test.replica().await, Arc::clone(&barrier));
        workers.push(tokio::spawn(async move {
            barrier.wait().await;
            let (mut mine, mut empty) = (Vec::new(), 0);
            // What another holds locked is skipped, so one empty answer is not the end.
            while empty < 3 && mine.len() <= 200 {
                let claims = claim(&db, &format!("worker-{worker}"), NOW, 7).await;
                assert!(claims.len() <= 7, "{} claims", claims.len());
                empty = if claims.is_empty() { empty + 1 } else { 0 };
                mine.extend(claims);
            }
            mine
        }));
    }
    let claims: Vec<Claim> = join_all(workers)
        .await
        .into_iter()
        .flat_map(|mine| mine.expect("no panic"))
        .collect();
    assert_eq!(claims.len(), 200, "an order was claimed twice or never");
    assert_eq!(
        claims.iter().map(|claim| claim.id).collect::<BTreeSet<_>>(),
        due
    );
    assert!(claims.iter().all(|claim| claim.fence == 1));
    let owners = "SELECT count(*) FROM orders WHERE lease_owner LIKE 'worker-%' AND fence = 1";
    assert_eq!(sql::count(&test.db, owners).await, 200);
}

async fn the_longest_due_come_first_and_others_wait(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let mut ids = Vec::new();
    for due_us in [NOW, NOW - 2, NOW - 1, NOW + 1] {
        ids.extend(shop.orders(1, due_us).await);
    }
    let first: Vec<OrderId> = claim(&test.db, "w", NOW, 2)
        .await
        .into_iter()
        .map(|claim| claim.id)
        .collect();
    assert_eq!(first, [ids[1], ids[2]]);
    let then: Vec<OrderId> = claim(&test.db, "w", NOW, 9)
        .await
        .into_iter()
        .map(|claim| claim.id)
        .collect();
    assert_eq!(then, [ids[0]], "what is not yet due waits");
}

async fn a_lease_that_ran_out_is_claimed_with_a_higher_fence(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    for round in 0..3 {
        let now_us = NOW + round * LEASE;
        assert_eq!(
            claim(&test.db, "w", now_us, 9).await,
            [Claim {
                id,
                fence: round + 1
            }]
        );
        assert_eq!(
            claim(&test.db, "w", now_us + LEASE - 1, 9).await,
            [],
            "it still holds"
        );
    }
}

async fn only_the_holder_renews_and_releases(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    let old = claim(&test.db, "old", NOW, 1).await[0];
    assert!(leases::renew(&test.db, old, NOW + 2 * LEASE).await.unwrap());
    assert_eq!(
        claim(&test.db, "new", NOW + LEASE, 1).await,
        [],
        "it was renewed"
    );
    let new = claim(&test.db, "new", NOW + 2 * LEASE, 1).await[0];

    assert!(!leases::renew(&test.db, old, i64::MAX).await.unwrap());
    let refused = release(&test.db, old, 0, None).await;
    assert!(matches!(refused, Err(Error::ClaimLost)), "{refused:?}");
    leases::abandon(&test.db, old, 1).await.unwrap();
    let stored = facts(&test.db, id).await;
    assert_eq!(
        (stored.order.fence, stored.order.due_us),
        (new.fence, Some(NOW))
    );
    assert!(leases::holds(old, stored.order.fence).is_err());
    assert!(leases::holds(new, stored.order.fence).is_ok());

    assert!(leases::renew(&test.db, new, NOW + 3 * LEASE).await.unwrap());
    release(&test.db, new, 0, Some(NOW + 9)).await.unwrap();
    assert_eq!(facts(&test.db, id).await.order.due_us, Some(NOW + 9));
    assert!(
        !leases::renew(&test.db, new, i64::MAX).await.unwrap(),
        "what is released is over"
    );
}

async fn a_fact_during_the_work_makes_the_order_due_now(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    for next_us in [Some(NOW + LEASE), None] {
        let now_us = NOW + 1_000;
        let work = claim(&test.db, "w", now_us, 1).await[0];
        let read = facts(&test.db, id).await.order.facts_seq;
        add_fact(&test.db, id, now_us).await;
        release(&test.db, work, read, next_us).await.unwrap();
        let due_us = facts(&test.db, id).await.order.due_us;
        assert_eq!(due_us, Some(NOW + 5), "the wake-up was lost");
    }
    // Without one, the worker's own word stands, also "not until a fact comes".
    let work = claim(&test.db, "w", NOW + 2_000, 1).await[0];
    let read = facts(&test.db, id).await.order.facts_seq;
    release(&test.db, work, read, None).await.unwrap();
    assert_eq!(facts(&test.db, id).await.order.due_us, None);
    assert_eq!(claim(&test.db, "w", i64::MAX - LEASE, 1).await, []);
    add_fact(&test.db, id, NOW).await;
    assert_eq!(claim(&test.db, "w", NOW, 1).await.len(), 1);
}

async fn a_fact_never_delays_an_order(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    for (due_us, expected) in [(NOW + 5, NOW), (NOW - 5, NOW - 5), (NOW, NOW - 5)] {
        add_fact(&test.db, id, due_us).await;
        assert_eq!(facts(&test.db, id).await.order.due_us, Some(expected));
    }
    assert_eq!(facts(&test.db, id).await.order.facts_seq, 3);
}

async fn an_abandoned_order_goes_on_at_once(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    let work = claim(&test.db, "w", NOW, 1).await[0];
    leases::abandon(&test.db, work, NOW + 3).await.unwrap();
    assert_eq!(claim(&test.db, "x", NOW + 2, 1).await, []);
    assert_eq!(
        claim(&test.db, "x", NOW + 3, 1).await,
        [Claim {
            id,
            fence: work.fence + 1
        }]
    );
}

async fn bookkeeping_is_no_visible_change(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.orders(1, NOW).await[0];
    let before = facts(&test.db, id).await;
    let work = claim(&test.db, "w", NOW, 1).await[0];
    leases::renew(&test.db, work, NOW + 2 * LEASE)
        .await
        .unwrap();
    add_fact(&test.db, id, NOW).await;
    release(&test.db, work, 0, Some(NOW + 1)).await.unwrap();
    let after = facts(&test.db, id).await;
    assert_eq!(after.order.version, before.order.version);
    assert_eq!(after.order.updated_us, before.order.updated_us);
    assert_eq!(
        sql::count(&test.db, "SELECT count(*) FROM order_events").await,
        1
    );
}

async fn clearing_frees_every_lease(engine: Engine) {
    let test = TestDb::new(engine).await;
    Shop::open(&test.db).await.orders(3, NOW).await;
    assert_eq!(claim(&test.db, "gone", NOW, 3).await.len(), 3);
    leases::clear_all(&test.db).await.unwrap();
    let claims = claim(&test.db, "new", NOW, 3).await;
    assert_eq!(claims.len(), 3);
    assert!(
        claims.iter().all(|claim| claim.fence == 2),
        "old writes stay refused"
    );
}
