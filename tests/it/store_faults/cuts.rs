//! The connection to the database is cut at every statement of every flow that sells or
//! delivers. Whatever was under way is rolled back or done; the flow is simply taken again,
//! and ends as if nothing had happened.

use sandbox::proxy::Cut;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{
    Bench,
    bench::{ROOM, assert_store_away, counts},
};
use crate::support::{
    effort,
    live::{PATIENCE, cart},
    postgres, sql,
    till::hints,
    wait,
};

/// Cuts per flow in the suite; all of them in the long mode.
const SAMPLE: usize = 9;
/// Orders by which a flow is looked at before anything is cut, at most.
const LOOKS: usize = 5;

/// Where to cut a flow of `count` statements: everywhere, or well spread with both ends.
pub fn places(count: usize) -> Vec<usize> {
    assert!(count > 1, "a flow of {count} statements is none");
    if effort::long() || count <= SAMPLE {
        return (1..=count).collect();
    }
    (0..SAMPLE)
        .map(|at| 1 + at * (count - 1) / (SAMPLE - 1))
        .collect()
}

/// Cuts a connection at the k-th statement of a flow, on both sides of it.
struct Cutter {
    bench: Bench,
    cuts: usize,
}

impl Cutter {
    async fn new() -> Self {
        Self {
            bench: Bench::open().await,
            cuts: 0,
        }
    }

    /// A shop that still has room, with a cut waiting in it.
    async fn arm(&mut self, place: usize, cut: Cut) -> &Bench {
        self.bench.warm().await;
        let nth = u32::try_from(place).unwrap();
        self.bench.proxy.cut_at_statement(nth, cut, counts);
        self.cuts += 1;
        &self.bench
    }

    async fn renew(&mut self) {
        if self.cuts > 0 && self.cuts.is_multiple_of(ROOM - LOOKS) {
            // On the heap: within a flow's own state two shops are more than a thread's stack.
            let fresh = Box::pin(Bench::open()).await;
            let full = std::mem::replace(&mut self.bench, fresh);
            Box::pin(full.close()).await;
        }
    }
}

/// Both sides of a statement: it never came, or it was done and nobody heard of it.
pub const SIDES: [Cut; 2] = [Cut::BeforeForward, Cut::AfterForward];

/// D-01: the connection is cut at each statement of a checkout.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_checkout_survives_a_cut_at_every_statement() {
    if postgres::skipped() {
        return;
    }
    let mut cutter = Cutter::new().await;
    // The first one reads prices at Stripe besides.
    cutter.bench.live.reserve(cart(Uuid::new_v4())).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        cutter.bench.warm().await;
        cutter.bench.live.reserve(cart(Uuid::new_v4())).await;
        runs.push(cutter.bench.statements());
    }
    let statements = same(runs);
    for (place, cut) in each(&statements) {
        cutter.renew().await;
        let bench = cutter.arm(place, cut).await;
        let (user, fired) = (Uuid::new_v4(), bench.proxy.fired());
        let cart = cart(user);
        let first = bench.live.checkout(cart.clone()).await;
        let at = &statements[place - 1];
        assert_eq!(bench.proxy.fired(), fired + 1, "{cut:?} {place}: {at}");
        if let Err(status) = &first {
            assert_store_away(status);
        }
        let order = bench.live.reserve(cart).await;
        if let Ok(proto::CreateCheckoutSessionResponse {
            order: Some(first), ..
        }) = first
        {
            assert_eq!(first.id, order.id, "{cut:?} {place}: {at}");
        }
        finish(bench, user, &order).await;
    }
    cutter.bench.close().await;
}

/// D-01: the connection is cut at each statement of RecordStripeEvent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_survives_a_cut_at_every_statement() {
    if postgres::skipped() {
        return;
    }
    let mut cutter = Cutter::new().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let paid = cutter.bench.paid().await;
        cutter.bench.warm().await;
        cutter.bench.record(&paid).await.unwrap();
        runs.push(cutter.bench.statements());
    }
    let statements = same(runs);
    for (place, cut) in each(&statements) {
        cutter.renew().await;
        let paid = cutter.bench.paid().await;
        let bench = cutter.arm(place, cut).await;
        let fired = bench.proxy.fired();
        let first = bench.record(&paid).await;
        let at = &statements[place - 1];
        assert_eq!(bench.proxy.fired(), fired + 1, "{cut:?} {place}: {at}");
        let seen = bench.statements();
        let Err(away) = &first else {
            panic!("its only transaction was cut: {cut:?} {place}: {at}: {first:?}\n{seen:#?}");
        };
        assert_store_away(away);
        bench.record(&paid).await.unwrap();
        let store = &bench.live.store.db;
        let rows = format!(
            "SELECT count(*) FROM stripe_events WHERE id = '{}'",
            paid.event_id
        );
        assert_eq!(sql::count(store, &rows).await, 1);
        assert_eq!(
            hints(&bench.live, &paid.order.id).await,
            1,
            "{cut:?} {place}: {at}"
        );
        bench.deliver(&paid.order.id).await;
        bench.assert_bought_once(paid.user, &paid.order.id).await;
    }
    cutter.bench.close().await;
}

/// D-01: the connection is cut at each statement of a run of the worker from the payment
/// to the create.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_of_the_worker_survives_a_cut_at_every_statement() {
    if postgres::skipped() {
        return;
    }
    let mut cutter = Cutter::new().await;
    let paid = cutter.bench.paid().await;
    cutter.bench.record(&paid).await.unwrap();
    cutter.bench.warm().await;
    cutter.bench.drive().await;
    let statements = cutter.bench.statements();
    assert_eq!(
        cutter.bench.live.creates(&paid.order.id).len(),
        1,
        "{statements:#?}"
    );
    for (place, cut) in each(&statements) {
        cutter.renew().await;
        let paid = cutter.bench.paid().await;
        cutter.bench.record(&paid).await.unwrap();
        let bench = cutter.arm(place, cut).await;
        let fired = bench.proxy.fired();
        bench.drive().await;
        let at = &statements[place - 1];
        assert_eq!(bench.proxy.fired(), fired + 1, "{cut:?} {place}: {at}");
        bench.deliver(&paid.order.id).await;
        bench.assert_bought_once(paid.user, &paid.order.id).await;
    }
    cutter.bench.close().await;
}

/// D-01: the connection is cut at each statement of the sweeps that find an install ended,
/// and of the steps that follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_install_watch_survives_a_cut_at_every_statement() {
    if postgres::skipped() {
        return;
    }
    let mut cutter = Cutter::new().await;
    let order_id = installed(&cutter.bench).await.order.id;
    cutter.bench.warm().await;
    cutter.bench.sweep().await;
    cutter.bench.drive().await;
    let statements = cutter.bench.statements();
    cutter.bench.deliver(&order_id).await;
    for (place, cut) in each(&statements) {
        cutter.renew().await;
        let paid = installed(&cutter.bench).await;
        let bench = cutter.arm(place, cut).await;
        let fired = bench.proxy.fired();
        bench.sweep().await;
        bench.drive().await;
        let at = &statements[place - 1];
        assert_eq!(bench.proxy.fired(), fired + 1, "{cut:?} {place}: {at}");
        bench.deliver(&paid.order.id).await;
        bench.assert_bought_once(paid.user, &paid.order.id).await;
    }
    cutter.bench.close().await;
}

/// The flow's statements, which must be the same each time.
fn same(runs: Vec<Vec<String>>) -> Vec<String> {
    let mut runs = runs.into_iter();
    let first = runs.next().expect("a run");
    for other in runs {
        assert_eq!(first, other);
    }
    first
}

/// Every place, with the sides taken in turns; in the long mode with both.
fn each(statements: &[String]) -> Vec<(usize, Cut)> {
    let places = places(statements.len()).into_iter();
    if effort::long() {
        places
            .flat_map(|place| SIDES.map(|side| (place, side)))
            .collect()
    } else {
        places.zip(SIDES.into_iter().cycle()).collect()
    }
}

/// An order whose server is made and installed, of which the store knows nothing yet.
async fn installed(bench: &Bench) -> super::bench::Paid {
    let paid = bench.paid().await;
    bench.record(&paid).await.unwrap();
    let id = &paid.order.id;
    wait::until_ok("the panel has installed it", PATIENCE, || async {
        let made = bench.live.world.panel.server(id);
        if made.is_some_and(|server| server.status.is_none()) {
            return Ok(());
        }
        // What was cut before may cost the worker a try of its own.
        bench.drive().await;
        Err(bench.live.order(id).await)
    })
    .await;
    paid
}

/// Pays the order and lets it be delivered.
async fn finish(bench: &Bench, user: Uuid, order: &proto::Order) {
    let paid = bench.pay(user, order.clone());
    bench.record(&paid).await.unwrap();
    bench.deliver(&order.id).await;
    bench.assert_bought_once(user, &order.id).await;
}
