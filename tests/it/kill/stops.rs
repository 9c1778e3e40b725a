//! Processes that stand still for longer than their lease, and go on as if nothing had
//! been; and processes that are told to end in the middle of their work.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use sandbox::{
    panel::{Fault, FaultAction},
    proxy::{Mode, Proxy},
};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{fleet::Fleet, rest, scene, wire::TRICKLE};
use crate::support::{
    db::Engine,
    effort,
    live::PATIENCE,
    pool::pool_cart,
    postgres,
    processes::{CoreProcess, Signal},
    sql, wait,
};

/// The catalogue's bars for a process that is told to end.
const EXIT: Duration = Duration::from_secs(25);
const TAKEOVER: Duration = Duration::from_secs(5);

/// Calls are not given up, nor leases lost, because a machine is busy.
const LEASE: Duration = Duration::from_secs(4);
const PATIENT: [(&str, &str); 4] = [
    ("LEASE_SECONDS", "4"),
    ("LEASE_MARGIN_SECONDS", "0.5"),
    ("CALL_TIMEOUT_SECONDS", "2"),
    // Nothing but the orders' own calls is to go over the wire.
    ("SWEEP_PORTS_SECONDS", "3600"),
];

/// A fleet of PostgreSQL without a worker, and the variables of one behind proxies.
struct Shop {
    fleet: Fleet,
    store: Proxy,
    panel: Proxy,
    through: [(&'static str, String); 2],
}

impl Shop {
    async fn open() -> Self {
        let fleet = Fleet::open(Engine::Postgres, 0, &PATIENT).await;
        let port = postgres::shared().port();
        let store = Proxy::start(([127, 0, 0, 1], port).into()).await.unwrap();
        let panel = Proxy::start(fleet.live.world.panel.addr()).await.unwrap();
        let (direct, by_proxy) = (format!(":{port}/"), format!(":{}/", store.addr().port()));
        let url = fleet.live.store.url.replace(&direct, &by_proxy);
        let through = [
            ("DATABASE_URL", url),
            ("PANEL_URL", format!("http://{}", panel.addr())),
        ];
        Self {
            fleet,
            store,
            panel,
            through,
        }
    }

    /// Buys a server.
    async fn purchase(&self, user: Uuid, name: &str) {
        let live = &self.fleet.live;
        let cart = proto::CreateCheckoutSessionRequest {
            server_name: name.to_owned(),
            ..pool_cart(user)
        };
        let order = scene::reserve(live, cart).await;
        live.pay(&order);
    }

    /// With the first worker stopped, another delivers.
    async fn another_delivers(&mut self, stopped_at: Instant) {
        self.fleet.add_worker(&[]).await;
        self.fleet.wait_until_delivered().await;
        eprintln!("delivered {:?} after the stop", stopped_at.elapsed());
    }

    /// Three leases later the first one goes on, and finds that the order is not its own
    /// any more.
    async fn resume(&self, stopped: usize, stopped_at: Instant, sold: usize) {
        wait::until("three leases are over", PATIENCE, || async {
            stopped_at.elapsed() > 3 * LEASE
        })
        .await;
        let worker = &self.fleet.processes[stopped];
        worker.signal(Signal::Cont);
        lost_its_claim(worker).await;
        self.fleet.wait_until_delivered().await;
        rest::assert_each_delivered_once(&self.fleet.live, sold).await;
    }
}

/// What it wrote after it went on was refused.
async fn lost_its_claim(worker: &CoreProcess) {
    worker
        .logged("the claim was lost", PATIENCE, |line| {
            line.contains("the claim was lost").then_some(())
        })
        .await;
}

/// Stops a process when it has committed that a create is about to be sent, before it
/// learns of that.
fn stop_when_marked(store: &Proxy, worker: &CoreProcess) {
    let (marked, stop) = (AtomicBool::new(false), worker.signaller(Signal::Stop));
    store.cut_at_statement(1, sandbox::proxy::Cut::AfterForward, move |sql| {
        if sql.starts_with("UPDATE \"servers\" SET \"create_sent_us\"") {
            marked.store(true, Ordering::Relaxed);
        } else if sql == "COMMIT" && marked.swap(false, Ordering::Relaxed) {
            stop();
        }
        // Nothing is cut: the answer waits for the process.
        false
    });
}

/// P-25 (a): stopped before the POST. By its own clock its lease is over when it goes on,
/// so it sends nothing; the other one had to find out that nothing was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_before_the_create_it_is_never_sent() {
    if postgres::skipped() {
        return;
    }
    let mut shop = Shop::open().await;
    let worker = shop.fleet.add_worker(&shop.through).await;
    stop_when_marked(&shop.store, &shop.fleet.processes[worker]);
    shop.purchase(Uuid::new_v4(), "Only").await;
    let stopped = &shop.fleet.processes[worker];
    wait::until("it stands still", PATIENCE, || async { stopped.stopped() }).await;
    let at = Instant::now();
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 0);
    shop.another_delivers(at).await;
    shop.resume(worker, at, 1).await;
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 1);
    shop.fleet.close().await;
}

/// P-25 (b): stopped while the panel works on its POST. The other one finds the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_during_the_create_the_server_is_adopted() {
    if postgres::skipped() {
        return;
    }
    let mut shop = Shop::open().await;
    let worker = shop.fleet.add_worker(&shop.through).await;
    let milliseconds = 600;
    let slow = Fault::on("POST", "/servers", FaultAction::Delay { milliseconds }).after_work();
    let panel = &shop.fleet.live.world.panel;
    let slow = panel.inject(slow.times(1));
    shop.purchase(Uuid::new_v4(), "Only").await;
    let panel = &shop.fleet.live.world.panel;
    wait::until("the create is under way", PATIENCE, || async {
        panel.fired(slow) == 1
    })
    .await;
    shop.fleet.processes[worker].stop().await;
    let at = Instant::now();
    shop.another_delivers(at).await;
    shop.resume(worker, at, 1).await;
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 1);
    shop.fleet.close().await;
}

/// P-25 (b), and a create that lands late: stopped with its POST on the way, which comes
/// to the panel when another one's was done long ago. The panel refuses the second of one
/// external id.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_with_the_create_on_its_way_it_lands_in_vain() {
    if postgres::skipped() {
        return;
    }
    let mut shop = Shop::open().await;
    let worker = shop.fleet.add_worker(&shop.through).await;
    let user = Uuid::new_v4();
    shop.purchase(user, "First").await;
    shop.fleet.wait_until_delivered().await;
    // With an account and an egg that are known, the create is the only call.
    shop.panel.set(TRICKLE);
    let sent = shop.panel.client_bytes();
    shop.purchase(user, "Second").await;
    wait::until("the POST is on its way", PATIENCE, || async {
        shop.panel.client_bytes() > sent
    })
    .await;
    shop.fleet.processes[worker].stop().await;
    let at = Instant::now();
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 1);
    shop.another_delivers(at).await;
    shop.panel.set(Mode::Pass);
    let live = &shop.fleet.live;
    wait::until("the late one is refused", PATIENCE, || async {
        let calls = live.calls("POST", "/servers");
        calls.iter().filter(|call| call.status == Some(422)).count() == 1
    })
    .await;
    shop.resume(worker, at, 2).await;
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 3);
    shop.fleet.close().await;
}

/// P-27: told to end in the middle of a step, a worker finishes it, gives the order back,
/// and another one goes on at once, long before the lease would end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_to_end_it_hands_over() {
    if postgres::skipped() {
        return;
    }
    let lease = [
        ("LEASE_SECONDS", "60"),
        ("LEASE_MARGIN_SECONDS", "10"),
        ("CALL_TIMEOUT_SECONDS", "40"),
    ];
    let mut fleet = Fleet::open(Engine::Postgres, 1, &lease).await;
    let milliseconds = 1_500;
    let slow = Fault::on("POST", "/users", FaultAction::Delay { milliseconds });
    let slow = fleet.live.world.panel.inject(slow);
    let order = scene::reserve(&fleet.live, pool_cart(Uuid::new_v4())).await;
    fleet.live.pay(&order);
    wait::until("the account is being made", PATIENCE, || async {
        fleet.live.world.panel.fired(slow) == 1
    })
    .await;
    let fence = sql::count(&fleet.live.store.db, "SELECT fence FROM orders").await;
    fleet.processes[1].signal(Signal::Term);
    let told = Instant::now();
    fleet.add_worker(&[]).await;
    let status = fleet.processes[1].exited(EXIT).await;
    eprintln!("ended {:?} after it was told", told.elapsed());
    assert_eq!(status.code(), Some(0), "{}", fleet.processes[1].log());
    let ended = Instant::now();
    // Claimed by the first one, and by the one that goes on.
    wait::until("another one goes on", PATIENCE, || async {
        sql::count(&fleet.live.store.db, "SELECT fence FROM orders").await > fence
    })
    .await;
    eprintln!("taken over {:?} after its end", ended.elapsed());
    assert!(ended.elapsed() < TAKEOVER);
    fleet.live.wait_running(&order.id).await;
    eprintln!("delivered {:?} after its end", ended.elapsed());
    fleet.wait_until_delivered().await;
    rest::assert_each_delivered_once(&fleet.live, 1).await;
    // The step that was under way was finished, not thrown away.
    assert_eq!(fleet.live.calls("POST", "/users").len(), 1);
    let events = fleet.live.events(&order.id).await;
    let workers: std::collections::BTreeSet<_> = events
        .iter()
        .filter(|event| event.actor == "worker")
        .map(|event| event.trace_id[..8].to_owned())
        .collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    fleet.close().await;
}

/// P-27: a call that never ends does not keep a process from ending. Its lease is not
/// given back then: nobody may act on the order before the call is surely over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_to_end_during_a_hanging_call_it_ends_all_the_same() {
    if postgres::skipped() || !effort::long() {
        return;
    }
    let lease = [
        ("LEASE_SECONDS", "42"),
        ("LEASE_MARGIN_SECONDS", "1"),
        ("CALL_TIMEOUT_SECONDS", "40"),
    ];
    let mut fleet = Fleet::open(Engine::Postgres, 1, &lease).await;
    let milliseconds = 120_000;
    let hang = Fault::on("POST", "/servers", FaultAction::Hang { milliseconds }).after_work();
    let hang = fleet.live.world.panel.inject(hang.times(1));
    let order = scene::reserve(&fleet.live, pool_cart(Uuid::new_v4())).await;
    fleet.live.pay(&order);
    wait::until("the create hangs", PATIENCE, || async {
        fleet.live.world.panel.fired(hang) == 1
    })
    .await;
    fleet.processes[1].signal(Signal::Term);
    fleet.add_worker(&[]).await;
    let status = fleet.processes[1].exited(EXIT).await;
    assert_eq!(status.code(), Some(0), "{}", fleet.processes[1].log());
    fleet.wait_until_delivered().await;
    rest::assert_each_delivered_once(&fleet.live, 1).await;
    assert_eq!(fleet.live.calls("POST", "/servers").len(), 1);
    fleet.close().await;
}
