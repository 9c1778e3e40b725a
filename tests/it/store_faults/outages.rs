//! The database dies for seconds, only reads, or is replaced by another server while the
//! old one lives on or its machine is gone without a word.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::world::Options;
use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use super::bench::{assert_store_away, proxy, through};
use crate::support::{
    db::{Engine, TestDb},
    effort,
    live::{Live, PATIENCE, cart},
    postgres::{self, Cluster},
    sql, till, wait,
};

/// A store that is back is used again within this, as the catalogue says.
const BACK: Duration = Duration::from_secs(10);
/// On top, for a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// A transaction with a server that went silent is given up after this; a call even before.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// The longest until a store that is back is used again.
fn back() -> Duration {
    effort::bar(BACK, BACK + SLACK)
}

/// Purchases on their way: one not paid, one paid, one whose server is being installed.
struct Purchases {
    reserved: (Uuid, proto::Order),
    paid: (Uuid, proto::Order),
    installing: (Uuid, proto::Order),
}

impl Purchases {
    /// A shop whose installs take as long as its options say.
    async fn begin(live: &Live) -> Self {
        let users = [(); 3].map(|()| Uuid::new_v4());
        let installing = live.purchase(cart(users[2])).await;
        live.wait_for_reason(&installing.id, "INSTALLING").await;
        live.hold_webhooks();
        let paid = live.purchase(cart(users[1])).await;
        let reserved = live.reserve(cart(users[0])).await;
        Self {
            reserved: (users[0], reserved),
            paid: (users[1], paid),
            installing: (users[2], installing),
        }
    }

    /// All of them end as one server each.
    async fn complete(&self, live: &Live) {
        live.release_webhooks();
        live.pay(&self.reserved.1);
        for (user, order) in [&self.reserved, &self.paid, &self.installing] {
            live.wait_running(&order.id).await;
            assert_one(live, *user, &order.id).await;
        }
    }
}

async fn assert_one(live: &Live, user: Uuid, order_id: &str) {
    assert_eq!(live.creates(order_id).len(), 1, "creates");
    assert_eq!(live.panel_users(user).len(), 1, "users of the panel");
    let sessions = live.world.stripe.sessions();
    let sessions = sessions
        .iter()
        .filter(|session| session.client_reference_id.as_deref() == Some(order_id));
    assert_eq!(sessions.count(), 1, "sessions");
    let user_id = sql::id(&live.store.db, user);
    let orders = format!("SELECT count(*) FROM orders WHERE user_id = {user_id}");
    assert_eq!(sql::count(&live.store.db, &orders).await, 1, "orders");
}

async fn settings(db: &spawnpoint::db::Db, statements: &[&str]) {
    for statement in statements {
        sql::run(db, statement).await.unwrap();
    }
}

fn slow_installs(options: &mut Options) {
    options.install = Duration::from_secs(4);
    brief_leases(options);
}

/// What a silent server cost a step is made up for within the patience of a test.
fn brief_leases(options: &mut Options) {
    options.set_all(&[
        ("LEASE_SECONDS", "6"),
        ("LEASE_MARGIN_SECONDS", "1"),
        ("CALL_TIMEOUT_SECONDS", "4"),
    ]);
}

/// D-03: PostgreSQL dies and comes back, with purchases under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn purchases_survive_the_death_of_the_database() {
    if postgres::skipped() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let live = Live::open_on(TestDb::on(&cluster).await, slow_installs).await;
    live.wait_until_sellable().await;
    for _ in 0..effort::runs(1, 10) {
        let purchases = Purchases::begin(&live).await;
        cluster.crash().unwrap();
        let refused = live.checkout(cart(Uuid::new_v4())).await;
        assert_store_away(&refused.unwrap_err());
        // Nothing is acknowledged that is not on disk.
        let event = serde_json::json!({
            "id": "evt_during_the_outage", "object": "event", "type": "ping",
            "created": 1, "livemode": false,
        });
        assert_eq!(till::send_webhook(&live, &event).await, 503);
        live.wait_not_serving().await;
        cluster.start_again().unwrap();
        let took = live.wait_serving().await;
        assert!(took < back(), "{took:?}");
        assert_eq!(till::inbox(&live, "evt_during_the_outage").await, None);
        purchases.complete(&live).await;
    }
    live.close().await;
}

/// D-03: PostgreSQL restarts while a transaction is open, and while one commits: neither
/// is half done, and asking again makes one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_within_a_transaction_and_at_commit_leaves_no_half_order() {
    if postgres::skipped() {
        return;
    }
    // The lock is waited for within the transaction, or only by COMMIT.
    let trigger = "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$";
    let cluster = Cluster::start().unwrap();
    let live = Live::open_on(TestDb::on(&cluster).await, brief_leases).await;
    live.wait_until_sellable().await;
    let db = &live.store.db;
    settings(db, &[trigger]).await;
    for when in [
        "AFTER INSERT ON orders",
        "AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED",
    ] {
        let create = format!(
            "CREATE CONSTRAINT TRIGGER waits {when} FOR EACH ROW EXECUTE FUNCTION wait_for_test()"
        );
        settings(db, &[&create]).await;
        let holder = TestDb::on_url(&live.store.url).await;
        // By a session: a transaction of ours would be given up in its time.
        sql::run(&holder.db, "SELECT pg_advisory_lock(4711)")
            .await
            .unwrap();
        let (user, waiting) = (
            Uuid::new_v4(),
            "SELECT count(*) FROM pg_stat_activity
            WHERE wait_event = 'advisory' AND application_name = 'spawnpoint'",
        );
        let cart = cart(user);
        let restarted = async {
            wait::until("the transaction waits", PATIENCE, || async {
                sql::count(db, waiting).await > 0
            })
            .await;
            cluster.crash().unwrap();
            cluster.start_again().unwrap();
        };
        let ((), refused) = tokio::join!(restarted, live.checkout(cart.clone()));
        assert_store_away(&refused.unwrap_err());
        wait::until("the database takes calls", PATIENCE, || async {
            sql::run(db, "DROP TRIGGER waits ON orders").await.is_ok()
        })
        .await;
        let orders = format!("SELECT count(*) FROM orders WHERE user_id = '{user}'");
        assert_eq!(sql::count(db, &orders).await, 0, "rolled back: {when}");
        let order = live.purchase(cart).await;
        live.wait_running(&order.id).await;
        assert_one(&live, user, &order.id).await;
    }
    live.close().await;
}

/// D-03: PostgreSQL takes no writes for a while, as during a fail-over. Reads go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn purchases_survive_a_database_that_only_reads() {
    if postgres::skipped() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let live = Live::open_on(TestDb::on(&cluster).await, slow_installs).await;
    live.wait_until_sellable().await;
    let purchases = Purchases::begin(&live).await;
    let db = &live.store.db;
    settings(
        db,
        &[
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        ],
    )
    .await;
    wait::until("it only reads", PATIENCE, || async {
        match live.checkout(cart(Uuid::new_v4())).await {
            Ok(_) => false,
            Err(status) => {
                assert_store_away(&status);
                true
            }
        }
    })
    .await;
    assert_eq!(
        live.order(&purchases.paid.1.id).await.id,
        purchases.paid.1.id
    );
    live.wait_not_serving().await;
    settings(
        db,
        &[
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        ],
    )
    .await;
    let took = live.wait_serving().await;
    assert!(took < back(), "{took:?}");
    purchases.complete(&live).await;
    live.close().await;
}

/// D-03: after a fail-over the old server lives on as a copy that only reads: the pool
/// leaves it, although its connections work.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_to_a_copy_that_only_reads_are_left() {
    if postgres::skipped() {
        return;
    }
    let live = Live::open(Engine::Postgres).await;
    let db = &live.store.db;
    // Sessions keep what the database said when they began: they are the old server.
    let name = sql::texts(db, "SELECT current_database()::text")
        .await
        .remove(0);
    let only_reads = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    let writes = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let admin = TestDb::on_url(&postgres::shared().url("postgres")).await;
    settings(&admin.db, &[&only_reads]).await;
    settings(db, &[leave]).await;
    live.wait_not_serving().await;
    let refused = live.checkout(cart(Uuid::new_v4())).await;
    assert_store_away(&refused.unwrap_err());
    settings(&admin.db, &[&writes]).await;
    let took = live.wait_serving().await;
    assert!(took < back(), "{took:?}");
    let order = live.buy(Uuid::new_v4()).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    live.close().await;
}

/// D-03: the machine of the database is gone without a word, with statements under way;
/// another one answers at its address. The catalogue's 10 s begin once what was under way
/// has run into its own limit: nothing tells us of a silence before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_went_silent_are_left() {
    if postgres::skipped() {
        return;
    }
    let proxy = proxy().await;
    let live = Live::open_with(Engine::Postgres, |options| {
        options.database_url = through(&proxy, &options.database_url);
        brief_leases(options);
    })
    .await;
    // As many connections as the pool has.
    let carts: Vec<_> = (0..12).map(|_| cart(Uuid::new_v4())).collect();
    let orders = join_all(carts.into_iter().map(|cart| live.reserve(cart))).await;
    let before = proxy.accepted();
    for order in &orders {
        live.pay(order);
    }
    proxy.strand();
    let stranded = tokio::time::Instant::now();
    wait::until("a checkout is taken again", PATIENCE, || async {
        match live.checkout(cart(Uuid::new_v4())).await {
            Ok(_) => true,
            Err(status) => {
                let late = status.code() == Code::DeadlineExceeded;
                assert!(late || status.code() == Code::Unavailable, "{status:?}");
                false
            }
        }
    })
    .await;
    let took = stranded.elapsed();
    let longest = effort::bar(GIVEN_UP + BACK, GIVEN_UP + 2 * BACK);
    assert!(took < longest, "{took:?}");
    assert!(proxy.accepted() > before, "new connections were made");
    for order in &orders {
        live.wait_order(&order.id, "the server runs", |order| {
            order.status() == proto::OrderStatus::Provisioned
                && order.server_state() == proto::ServerState::Running
        })
        .await;
        assert_eq!(live.creates(&order.id).len(), 1);
    }
    let delivered = stranded.elapsed();
    eprintln!("a checkout after {took:?}, all servers after {delivered:?}");
    live.close().await;
}
