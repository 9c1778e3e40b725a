//! Purchases while processes are killed again and again, whichever and whenever.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::{fleet::Fleet, rest, scene};
use crate::support::{db::Engine, effort, pool::pool_cart};

both_engines!(purchases_survive_random_kills);

/// Purchases of a storm, and kills among them.
const ORDERS: usize = 20;
const KILLS: usize = 8;
/// The longest time between two kills.
const LULL_MS: u64 = 500;

/// P-07, and promise 4: any process may be killed at any instant. The choices come from
/// the printed seed, what the machine makes of them does not.
async fn purchases_survive_random_kills(engine: Engine) {
    for run in 0..effort::runs(1, 20) {
        let seed = effort::seed(run);
        eprintln!("seed {seed}");
        storm(engine, StdRng::seed_from_u64(seed)).await;
    }
}

async fn storm(engine: Engine, mut random: StdRng) {
    let mut fleet = Fleet::open(engine, 2, &[]).await;
    for kill in 0..KILLS {
        for _ in ORDERS * kill / KILLS..ORDERS * (kill + 1) / KILLS {
            let order = scene::reserve(&fleet.live, pool_cart(Uuid::new_v4())).await;
            fleet.live.pay(&order);
        }
        let lull = Duration::from_millis(random.random_range(0..LULL_MS));
        tokio::time::sleep(lull).await;
        let victim = random.random_range(0..fleet.processes.len());
        eprintln!("after {lull:?} process {victim} is killed");
        fleet.processes[victim].kill().await;
        fleet.restart(victim).await;
    }
    fleet.wait_until_delivered().await;
    rest::assert_each_delivered_once(&fleet.live, ORDERS).await;
    fleet.close().await;
}
