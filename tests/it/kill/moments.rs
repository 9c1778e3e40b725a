//! SIGKILL at every moment of a purchase, one after the other: at the k-th statement that
//! changes anything, as a proxy before PostgreSQL sees it, or at the k-th write of SQLite's
//! log. Nothing here knows which step that is.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use sandbox::proxy::{Cut, Proxy};

use super::scene::Scene;
use crate::support::{
    db::Engine, effort, live::PATIENCE, pool::pool_cart, postgres, processes::Signal, sql,
};
use uuid::Uuid;

both_engines!(a_purchase_survives_a_kill_at_every_moment);

/// Kills of one scene, after which it has sold enough.
const KILLS_A_SCENE: usize = 30;
/// Of so many kills one may come too late, because a purchase takes a different course
/// each time.
const MISSED: usize = 4;
/// Between two looks at SQLite's log.
const LOOK: Duration = Duration::from_micros(100);

/// What the process's changes go through.
enum Way {
    Proxy(Proxy),
    Log(PathBuf),
}

/// A kill that waits for its moment.
struct Trap {
    seen: Arc<AtomicU32>,
    fired: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Way {
    /// Opens a scene whose process can be killed at any change.
    async fn open(engine: Engine) -> (Self, Scene) {
        // Sweeps that have nothing to do change something all the same.
        let mut quiet = vec![
            ("SWEEP_PORTS_SECONDS", "3600".to_owned()),
            ("SWEEP_PENDING_SECONDS", "3600".to_owned()),
            ("SWEEP_CHARGES_SECONDS", "3600".to_owned()),
            ("SWEEP_PROFILES_SECONDS", "3600".to_owned()),
        ];
        let mut scene = Scene::open_with(engine, |_| {}, &quiet).await;
        scene.core.kill().await;
        let way = match engine {
            Engine::Sqlite => {
                let file = scene.live.store.url.trim_start_matches("sqlite://");
                Self::Log(PathBuf::from(format!("{file}-wal")))
            }
            Engine::Postgres => {
                let port = postgres::shared().port();
                let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await.unwrap();
                let (direct, through) = (format!(":{port}/"), format!(":{}/", proxy.addr().port()));
                let url = scene.live.store.url.replace(&direct, &through);
                quiet.push(("DATABASE_URL", url));
                Self::Proxy(proxy)
            }
        };
        for (name, value) in quiet {
            scene.set(name, value);
        }
        scene.restart().await;
        (way, scene)
    }

    /// Kills the scene's process at its k-th change from now: before it is made, or once it
    /// is made and its answer is lost.
    fn trap(&self, scene: &Scene, k: u32, cut: Cut) -> Trap {
        let (seen, fired) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let trap = Trap {
            seen: Arc::clone(&seen),
            fired: Arc::clone(&fired),
            over: Arc::default(),
        };
        let kill = scene.core.signaller(Signal::Kill);
        let over = Arc::clone(&trap.over);
        let strike = move || {
            let due =
                !over.load(Ordering::Relaxed) && seen.fetch_add(1, Ordering::Relaxed) + 1 == k;
            if due {
                kill();
                fired.store(true, Ordering::Relaxed);
            }
            due
        };
        match self {
            Self::Proxy(proxy) => {
                proxy.cut_at_statement(1, cut, move |sql| changes(sql) && strike());
            }
            Self::Log(path) => {
                let (path, over) = (path.clone(), Arc::clone(&trap.over));
                thread::spawn(move || watch(&path, &over, strike));
            }
        }
        trap
    }

    fn disarm(&self) {
        if let Self::Proxy(proxy) = self {
            proxy.disarm();
        }
    }
}

/// Whether something is different after this statement; the sequencer's runs are as many
/// as it likes.
fn changes(sql: &str) -> bool {
    let writes = ["INSERT", "UPDATE", "DELETE", "COMMIT"];
    writes.iter().any(|word| sql.starts_with(word))
        && !sql.contains("\"sweeps\"")
        && !sql.contains("order_events SET sequence")
}

/// Strikes at each write of the log, until one was the last.
fn watch(path: &PathBuf, over: &AtomicBool, strike: impl Fn() -> bool) {
    let look = || {
        let found = fs::metadata(path).ok()?;
        Some((found.len(), found.modified().ok()?))
    };
    let mut before = look();
    while !over.load(Ordering::Relaxed) {
        let now = look();
        if now != before {
            before = now;
            if strike() {
                return;
            }
        }
        thread::sleep(LOOK);
    }
}

/// Waits until the trap has killed, or until everything is delivered without.
async fn sprung(way: &Way, scene: &Scene, trap: &Trap) -> bool {
    let busy = "SELECT count(*) FROM orders WHERE server_state <> 'running'";
    let fired = || trap.fired.load(Ordering::Relaxed);
    let began = Instant::now();
    while !fired() && sql::count(&scene.live.store.db, busy).await > 0 {
        assert!(began.elapsed() < PATIENCE, "neither killed nor delivered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    trap.over.store(true, Ordering::Relaxed);
    way.disarm();
    if fired() {
        scene.core.killed(PATIENCE).await;
    }
    fired()
}

/// Pays for so many orders at once, with a trap at a change from there.
async fn sell(way: &Way, scene: &Scene, at_once: usize, (moment, cut): (u32, Cut)) -> Trap {
    let mut orders = Vec::new();
    for _ in 0..at_once {
        orders.push(scene.reserve(pool_cart(Uuid::new_v4())).await);
    }
    let trap = way.trap(scene, moment, cut);
    for order in &orders {
        scene.live.pay(order);
    }
    trap
}

/// One purchase after the other, each killed at its moment; every second process that
/// goes on is killed as well.
async fn kill_at_each(
    engine: Engine,
    moments: &[u32],
    at_once: usize,
    random: &mut StdRng,
) -> usize {
    let (way, mut scene) = Way::open(engine).await;
    let (mut sold, mut missed) = (0, 0);
    for (index, moment) in moments.iter().enumerate() {
        let cut = [Cut::BeforeForward, Cut::AfterForward][usize::from(random.random::<bool>())];
        let trap = sell(&way, &scene, at_once, (*moment, cut)).await;
        sold += at_once;
        if sprung(&way, &scene, &trap).await {
            scene.restart().await;
            if index % 2 == 1 {
                let second = random.random_range(1..=*moment + 5);
                let trap = way.trap(&scene, second, cut);
                let killed = sprung(&way, &scene, &trap).await;
                eprintln!("moment {moment} {cut:?}, then {second}: {killed}");
                if killed {
                    scene.restart().await;
                }
            } else {
                eprintln!("moment {moment} {cut:?}");
            }
        } else {
            missed += 1;
        }
        scene.wait_until_delivered().await;
    }
    scene.assert_each_delivered_once(sold).await;
    // A create is repeated only where the first was surely not done.
    let done = scene.live.world.panel.succeeded_route("POST", "/servers");
    assert_eq!(done, sold);
    scene.close().await;
    missed
}

/// How many changes so many purchases make at once until their servers run. The first ones
/// make more than those that follow, which are the ones that are killed.
async fn changes_of(engine: Engine, at_once: usize) -> u32 {
    let (way, scene) = Way::open(engine).await;
    let mut fewest = u32::MAX;
    for _ in 0..3 {
        let trap = sell(&way, &scene, at_once, (u32::MAX, Cut::BeforeForward)).await;
        assert!(!sprung(&way, &scene, &trap).await);
        fewest = fewest.min(trap.seen.load(Ordering::Relaxed));
        scene.wait_until_delivered().await;
    }
    scene.close().await;
    fewest
}

/// P-07: killed at every k-th change, and every second time twice in a row: in the end
/// there is one server for each order. Before each change, and after it with its answer
/// lost.
async fn a_purchase_survives_a_kill_at_every_moment(engine: Engine) {
    let at_once = if effort::long() { 2 } else { 1 };
    let count = changes_of(engine, at_once).await;
    assert!(count > 15, "{count} changes make no purchase");
    let seed = effort::seed(0);
    eprintln!("seed {seed}: {count} moments");
    let mut random = StdRng::seed_from_u64(seed);
    let moments: Vec<u32> = if effort::long() {
        (1..=count).collect()
    } else {
        (0..4)
            .map(|part| random.random_range(1..=count * 4 / 5 / 4) + part * count / 5)
            .collect()
    };
    let mut missed = 0;
    for scene in moments.chunks(KILLS_A_SCENE) {
        missed += kill_at_each(engine, scene, at_once, &mut random).await;
    }
    assert!(
        missed * MISSED <= moments.len(),
        "{missed} kills came too late"
    );
}
