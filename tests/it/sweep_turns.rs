//! Turns of a sweep: whoever asks, and however many at once, one has it until it ends or its lease
//! does.

use futures_util::future::join_all;
use spawnpoint::db::{
    Db,
    sweeps::{self, Run, Turn},
};

use crate::support::db::{Engine, TestDb};

both_engines!(one_of_many_has_the_turn);

const PERIOD_US: i64 = 60_000_000;
const LEASE_US: i64 = 30_000_000;
const OWNERS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
/// Each of them is a race of all.
const ROUNDS: usize = 20;

/// Whoever of these gets the turn, all asking at the same time.
async fn takers(replicas: &[Db], but: &[&str], now_us: i64) -> Vec<&'static str> {
    let asking = OWNERS.iter().zip(replicas.iter().cycle());
    let asking = asking.filter(|(owner, _)| !but.contains(owner));
    let asked = asking.map(|(owner, db)| async move {
        let turn = sweeps::take(db, "sweep", owner, PERIOD_US, LEASE_US, now_us).await;
        matches!(turn.unwrap(), Turn::Taken(_)).then_some(*owner)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Each replica with connections of its own (SQLite has one). The second in a row stopped without a
/// word, and what it stores after another took over is not believed.
async fn one_of_many_has_the_turn(engine: Engine) {
    let test = TestDb::new(engine).await;
    let mut replicas = vec![test.db.clone()];
    if engine == Engine::Postgres {
        for _ in 0..2 {
            replicas.push(test.replica().await);
        }
    }
    let mut now_us = 1_000_000_000_000;
    for _ in 0..ROUNDS {
        let first = takers(&replicas, &[], now_us).await;
        assert_eq!(first.len(), 1, "{first:?}");
        let early = takers(&replicas, &first, now_us + LEASE_US - 1).await;
        assert!(early.is_empty(), "{early:?}");
        // It takes long, and says so.
        let db = &replicas[replicas.len() - 1];
        let until_us = now_us + 2 * LEASE_US;
        sweeps::renew(db, "sweep", first[0], until_us)
            .await
            .unwrap();
        let early = takers(&replicas, &first, until_us - 1).await;
        assert!(early.is_empty(), "{early:?}");
        now_us = until_us;
        let next = takers(&replicas, &first, now_us).await;
        assert_eq!(next.len(), 1, "{next:?}");
        let run = Run {
            began_us: now_us,
            duration_ms: 1,
            finds: 0,
            cursors: (String::new(), String::new()),
        };
        let db = &replicas[0];
        sweeps::finish(db, "sweep", first[0], &run).await.unwrap();
        let none = takers(&replicas, &next, now_us).await;
        assert!(none.is_empty(), "{none:?}");
        sweeps::finish(db, "sweep", next[0], &run).await.unwrap();
        let early = takers(&replicas, &[], now_us + PERIOD_US - 1).await;
        assert!(early.is_empty(), "{early:?}");
        now_us += PERIOD_US;
    }
}
