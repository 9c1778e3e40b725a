//! Processes that stand still for longer than their lease, and go on as if nothing had
//! been; and processes that are told to end in the middle of their work.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use sandbox::{
    faults::FOR_EVER,
    panel::{Fault, FaultAction, FaultId},
    proxy::{Mode, Proxy},
};
use spawnpoint::rpc::proto;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{fleet::Fleet, rest, scene, wire::TRICKLE};
use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE},
    pool::pool_cart,
    postgres,
    processes::{CoreProcess, Signal},
    sql, wait,
};

/// The catalogue's bars for a process that is told to end, and for the one that goes on.
const EXIT: Duration = Duration::from_secs(25);
const TAKEOVER: Duration = Duration::from_secs(5).saturating_mul(scene::BUSY);
/// Far longer than these bars: nobody goes on because it has ended.
const LONG_LEASE: [(&str, &str); 3] = [
    ("LEASE_SECONDS", "60"),
    ("LEASE_MARGIN_SECONDS", "10"),
    ("CALL_TIMEOUT_SECONDS", "40"),
];
/// Longer than any test: an install ends when the panel's clock is moved.
const LONG_INSTALL: Duration = Duration::from_secs(600);

/// Calls are not given up, nor leases lost, because a machine is busy.
const LEASE: Duration = Duration::from_secs(5);
const PATIENT: [(&str, &str); 5] = [
    ("LEASE_SECONDS", "5"),
    ("LEASE_MARGIN_SECONDS", "0.5"),
    ("CALL_TIMEOUT_SECONDS", "3"),
    // Nothing but the orders' own calls is to go over the wire.
    ("SWEEP_CHARGES_SECONDS", "3600"),
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
        wait_three_leases(stopped_at).await;
        let worker = &self.fleet.processes[stopped];
        worker.signal(Signal::Cont);
        lost_its_claim(worker).await;
        self.fleet.wait_until_delivered().await;
        rest::assert_each_delivered_once(&self.fleet.live, sold).await;
    }
}

async fn wait_three_leases(since: Instant) {
    wait::until("three leases are over", PATIENCE, || async {
        since.elapsed() > 3 * LEASE
    })
    .await;
}

/// Makes the panel do the next create at once and answer it when it is released: until its
/// own patience ends, a process that is stopped or told to end is in the middle of a step.
fn hold_the_answer(live: &Live) -> FaultId {
    let milliseconds = FOR_EVER;
    let held = Fault::on("POST", "/servers", FaultAction::Delay { milliseconds });
    live.world.panel.inject(held.after_work().times(1))
}

/// Waits until the panel has made the server that it does not answer for.
async fn wait_until_made(live: &Live) {
    let panel = &live.world.panel;
    wait::until("the server is made", PATIENCE, || async {
        panel.succeeded_route("POST", "/servers") == 1
    })
    .await;
}

/// The only order is claimed, its create is sent, and of the answer nothing is stored.
async fn assert_in_mid_create(live: &Live) {
    let query = "SELECT count(*) FROM orders JOIN servers ON servers.order_id = orders.id
        WHERE orders.lease_owner IS NOT NULL AND servers.create_sent_us IS NOT NULL
        AND servers.pterodactyl_server_id IS NULL";
    assert_eq!(sql::count(&live.store.db, query).await, 1);
}

/// The server of an order was stored once, whoever learned of it.
async fn assert_stored_once(live: &Live, order: &proto::Order) {
    let events = live.events(&order.id).await;
    let stored = events
        .iter()
        .filter(|event| event.what == "pterodactyl_server_id");
    assert_eq!(stored.count(), 1, "{events:?}");
}

/// What it wrote after it went on was refused, or it wrote nothing: an answer of the store
/// that came while it stood still may be given up for late before it is read.
async fn lost_its_claim(worker: &CoreProcess) {
    worker
        .logged(
            "the claim was lost, or the step given up",
            PATIENCE,
            |line| {
                let ends = ["the claim was lost", "the server does not answer"];
                ends.iter().any(|end| line.contains(end)).then_some(())
            },
        )
        .await;
}

/// Stops a process when it has committed that a create is about to be sent, before it
/// learns of that.
fn stop_when_marked(store: &Proxy, worker: &CoreProcess) {
    let (marked, stop) = (AtomicBool::new(false), worker.stopper());
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

/// P-25 (b): stopped while the panel works on its POST, whose answer comes meanwhile. The
/// other one finds the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_during_the_create_the_server_is_adopted() {
    if postgres::skipped() {
        return;
    }
    let mut shop = Shop::open().await;
    let worker = shop.fleet.add_worker(&shop.through).await;
    let held = hold_the_answer(&shop.fleet.live);
    shop.purchase(Uuid::new_v4(), "Only").await;
    wait_until_made(&shop.fleet.live).await;
    shop.fleet.processes[worker].stop().await;
    let at = Instant::now();
    assert_in_mid_create(&shop.fleet.live).await;
    assert_eq!(shop.fleet.live.world.panel.fired(held), 1);
    shop.fleet.live.world.panel.release(held);
    shop.another_delivers(at).await;
    shop.resume(worker, at, 1).await;
    assert_eq!(shop.fleet.live.calls("POST", "/servers").len(), 1);
    shop.fleet.close().await;
}

/// P-25, of the one process that there is on SQLite: stopped while the panel works on its
/// POST, whose answer comes meanwhile. When it goes on it may claim the order a second time
/// before it reads that answer: then what the first claim writes is refused, and else it is
/// what the panel says. Either way there is one server, made by one POST and stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopped_during_the_create_the_only_process_makes_one_server() {
    let fleet = Fleet::open(Engine::Sqlite, 0, &PATIENT).await;
    let live = &fleet.live;
    let held = hold_the_answer(live);
    let order = scene::reserve(live, pool_cart(Uuid::new_v4())).await;
    live.pay(&order);
    wait_until_made(live).await;
    let process = &fleet.processes[0];
    process.stop().await;
    let at = Instant::now();
    assert_in_mid_create(live).await;
    assert_eq!(live.world.panel.fired(held), 1);
    live.world.panel.release(held);
    wait_three_leases(at).await;
    assert!(process.stopped(), "it stood still all the while");
    assert_in_mid_create(live).await;
    process.signal(Signal::Cont);
    fleet.wait_until_delivered().await;
    rest::assert_each_delivered_once(live, 1).await;
    assert_eq!(live.calls("POST", "/servers").len(), 1);
    assert_stored_once(live, &order).await;
    fleet.close().await;
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

/// Buys a server whose create is done and not answered, and whose install goes on until the
/// panel's clock is moved: whoever is told to end, something is left for the next one.
async fn purchase_in_mid_create(live: &Live) -> (proto::Order, FaultId) {
    live.world.panel.set_install_delay(LONG_INSTALL);
    let held = hold_the_answer(live);
    let order = scene::reserve(live, pool_cart(Uuid::new_v4())).await;
    live.pay(&order);
    wait_until_made(live).await;
    (order, held)
}

/// Waits until so many processes listen to each other. A worker does until it is told to
/// end: from then on it begins no further step.
async fn wait_until_listening(live: &Live, count: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    wait::until("so many processes listen", PATIENCE, || async {
        sql::count(&live.store.db, query).await == count
    })
    .await;
}

/// P-27: told to end in the middle of a step, a worker finishes it, gives the order back,
/// and another one goes on at once, long before the lease would end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_to_end_it_hands_over() {
    if postgres::skipped() {
        return;
    }
    let mut fleet = Fleet::open(Engine::Postgres, 1, &LONG_LEASE).await;
    let (order, held) = purchase_in_mid_create(&fleet.live).await;
    fleet.add_worker(&[]).await;
    // The two workers, and the process that serves calls.
    wait_until_listening(&fleet.live, 3).await;
    assert_in_mid_create(&fleet.live).await;
    let fence = sql::count(&fleet.live.store.db, "SELECT fence FROM orders").await;
    fleet.processes[1].signal(Signal::Term);
    let told = Instant::now();
    wait_until_listening(&fleet.live, 2).await;
    assert_in_mid_create(&fleet.live).await;
    assert_eq!(fleet.live.world.panel.fired(held), 1);
    fleet.live.world.panel.release(held);
    let status = fleet.processes[1].exited(EXIT).await;
    let (took, ended) = (told.elapsed(), Instant::now());
    assert_eq!(status.code(), Some(0), "{}", fleet.processes[1].log());
    assert!(took < EXIT, "{took:?}");
    // Claimed by the first one, and by the one that goes on.
    wait::until("another one goes on", PATIENCE, || async {
        sql::count(&fleet.live.store.db, "SELECT fence FROM orders").await > fence
    })
    .await;
    let taken_over = ended.elapsed();
    eprintln!("ended {took:?} after it was told, taken over {taken_over:?} after that");
    assert!(taken_over < TAKEOVER, "{taken_over:?}");
    fleet.live.wait_for_reason(&order.id, "INSTALLING").await;
    fleet.live.world.panel.advance(LONG_INSTALL);
    fleet.wait_until_delivered().await;
    rest::assert_each_delivered_once(&fleet.live, 1).await;
    // The step that was under way was finished, not thrown away.
    assert_eq!(fleet.live.calls("POST", "/servers").len(), 1);
    assert_stored_once(&fleet.live, &order).await;
    let events = fleet.live.events(&order.id).await;
    let workers: std::collections::BTreeSet<_> = events
        .iter()
        .filter(|event| event.actor == "worker")
        .map(|event| event.trace_id[..8].to_owned())
        .collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    fleet.close().await;
}

/// P-27, of the one process that there is on SQLite: told to end in the middle of a create,
/// it takes no more calls, finishes the step and gives the order back; the next process goes
/// on at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_to_end_the_only_process_leaves_an_order_to_go_on_with() {
    let mut fleet = Fleet::open(Engine::Sqlite, 0, &LONG_LEASE).await;
    let (order, held) = purchase_in_mid_create(&fleet.live).await;
    let process = &fleet.processes[0];
    assert_in_mid_create(&fleet.live).await;
    process.signal(Signal::Term);
    let told = Instant::now();
    wait::until("it takes no more calls", PATIENCE, || async {
        TcpStream::connect(process.grpc).await.is_err()
    })
    .await;
    assert!(process.ended().is_none(), "it waits for its step");
    assert_in_mid_create(&fleet.live).await;
    assert_eq!(fleet.live.world.panel.fired(held), 1);
    fleet.live.world.panel.release(held);
    let status = process.exited(EXIT).await;
    let took = told.elapsed();
    assert_eq!(status.code(), Some(0), "{}", process.log());
    assert!(took < EXIT, "{took:?}");
    let handed_over = "SELECT count(*) FROM orders JOIN servers ON servers.order_id = orders.id
        WHERE orders.lease_owner IS NULL AND orders.server_state = 'installing'
        AND servers.pterodactyl_server_id IS NOT NULL";
    assert_eq!(sql::count(&fleet.live.store.db, handed_over).await, 1);
    fleet.restart(0).await;
    let serves = Instant::now();
    fleet.live.world.panel.advance(LONG_INSTALL);
    fleet.wait_until_delivered().await;
    let delivered = serves.elapsed();
    eprintln!("ended {took:?} after it was told; the next one delivered within {delivered:?}");
    assert!(delivered < TAKEOVER, "{delivered:?}");
    rest::assert_each_delivered_once(&fleet.live, 1).await;
    assert_eq!(fleet.live.calls("POST", "/servers").len(), 1);
    assert_stored_once(&fleet.live, &order).await;
    fleet.close().await;
}

/// P-27: a call that never ends does not keep a process from ending. Its lease is not
/// given back then: nobody may act on the order before the call is surely over. Only in the
/// long mode: it waits for the 15 s that a step is given, and for the rest of a lease.
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
    let milliseconds = FOR_EVER;
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
