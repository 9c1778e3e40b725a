//! Creates that land late: the panel gets the request long after we gave it up, when
//! look-ups have already said that there is no such server. One server for an order that
//! goes on, none for one that has ended; and until it is settled, its room and its ports
//! are nobody else's.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandbox::panel::{Fault, FaultAction, Race, RaceLoss};
use spawnpoint::{
    db::servers,
    domain::{OrderId, step::StepKind},
    panel::NewServer,
    probe::{Moment, Probe, Struck},
    rpc::proto,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE, cart},
    provisioning::{EAST, cart_of},
    sql, wait,
};

both_engines!(
    a_create_that_lands_between_the_looks_is_adopted,
    a_create_that_lands_after_the_looks_is_met_by_its_repeat,
    a_create_that_lands_beside_its_repeat_makes_one_server,
    a_create_that_lands_after_its_order_ended_is_deleted,
    an_ended_order_whose_create_never_lands_gives_its_room_back,
);

/// Long enough that nothing is settled before time is moved.
const SETTLE: Duration = Duration::from_secs(360);
/// Between two looks at the panel for an order that goes on.
const AGAIN: Duration = Duration::from_secs(41);
const MINUTE: Duration = Duration::from_secs(60);
const DELETE: &str = "/servers/{server}";

/// By when a create of this test's own is to begin: at any time.
fn in_time() -> Instant {
    Instant::now() + 10 * MINUTE
}

/// Stands before creates: once it is closed they wait until it opens again.
#[derive(Debug)]
struct Gate {
    closed: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    fn open() -> Arc<Self> {
        Arc::new(Self {
            closed: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
        })
    }

    fn close(&self, closed: bool) {
        self.closed.send_replace(closed);
    }

    /// Waits until a create stands before it.
    async fn wait(&self) {
        wait::until("a repeat is on its way", PATIENCE, || async {
            self.waiting.load(Ordering::SeqCst) > 0
        })
        .await;
    }
}

#[async_trait::async_trait]
impl Probe for Gate {
    async fn at(&self, moment: Moment) -> Result<(), Struck> {
        if matches!(moment, Moment::StepBegins(_, StepKind::CreateServer)) {
            let mut closed = self.closed.subscribe();
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let opened = closed.wait_for(|closed| !closed).await;
            opened.expect("the gate outlives the shop");
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

async fn open(engine: Engine, gate: &Arc<Gate>, install: Duration) -> Live {
    let probe = Arc::clone(gate) as Arc<dyn Probe>;
    Live::open_with(engine, |options| {
        options.set("SETTLE_SECONDS", &SETTLE.as_secs().to_string());
        options.install = install;
        options.probe = Some(probe);
    })
    .await
}

/// An order whose create is stuck on its way: the panel has not got it, we have given up.
struct Stuck {
    order: proto::Order,
    request: NewServer,
    ports: Vec<i64>,
}

impl Stuck {
    async fn order(live: &Live, plan: &str) -> Self {
        let panel = &live.world.panel;
        let lost = panel.inject(Fault::on("POST", "/servers", FaultAction::Drop).times(1));
        let order = live.purchase(cart_of(Uuid::new_v4(), plan)).await;
        let order = live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
        assert_eq!(panel.fired(lost), 1);
        let request = servers::create_request(live.store.db.read(), id(&order)).await;
        let stuck = Self {
            ports: ports(live, &order).await,
            request: request.unwrap().expect("a create in doubt is kept"),
            order,
        };
        assert_eq!(stuck.ports[0], stuck.request.allocation);
        stuck.assert_held(live).await;
        stuck
    }

    /// The very request, byte for byte, arrives at the panel after all.
    async fn lands(&self, live: &Live) -> i64 {
        let panel = Arc::clone(&live.world.cores[0].app.panel);
        panel
            .create_server(&self.request, in_time())
            .await
            .unwrap()
            .id
    }

    /// Room and ports are its own still, whatever the look-ups said.
    async fn assert_held(&self, live: &Live) {
        let held = live.hold(&self.order.id).await;
        assert_eq!(held.map(|(node, _)| node), Some(EAST.1));
        assert_eq!(ports(live, &self.order).await, self.ports);
    }

    async fn looks(&self, live: &Live) -> i64 {
        let id = sql::id(&live.store.db, id(&self.order).0);
        let query =
            format!("SELECT CAST(settle_looks AS bigint) FROM servers WHERE order_id = {id}");
        sql::count(&live.store.db, &query).await
    }

    /// Moves time until one more look has said that there is no such server.
    async fn look_in_vain(&self, live: &Live, after: Duration) {
        let before = self.looks(live).await;
        live.skip(after);
        wait::until("one more look", PATIENCE, || async {
            self.looks(live).await == before + 1
        })
        .await;
        self.assert_held(live).await;
    }

    /// Waits until a repeat has left it in doubt again and nobody works on it: only then may
    /// time be moved.
    async fn wait_in_doubt(&self, live: &Live) {
        let id = sql::id(&live.store.db, id(&self.order).0);
        let query = format!(
            "SELECT count(*) FROM orders JOIN servers ON servers.order_id = orders.id
             WHERE orders.id = {id} AND orders.lease_owner IS NULL
             AND servers.create_sent_us IS NOT NULL"
        );
        wait::until("its repeat is in doubt", PATIENCE, || async {
            sql::count(&live.store.db, &query).await == 1
        })
        .await;
    }

    /// Lets the late create land while its repeat, which waits at the gate, is under way as
    /// well: neither is written before both were found good. Tells whether it was the repeat
    /// that made the server.
    async fn meets_its_repeat(
        &self,
        live: &Live,
        gate: &Gate,
        lost_by: RaceLoss,
        late_first: bool,
    ) -> bool {
        let panel = &live.world.panel;
        let race = panel.race(Race::servers(2, lost_by).patience(PATIENCE));
        let send = || {
            let client = Arc::clone(&live.world.cores[0].app.panel);
            let request = self.request.clone();
            tokio::spawn(async move { client.create_server(&request, in_time()).await })
        };
        let late = if late_first {
            let late = send();
            self.wait_arrived(live).await;
            gate.close(false);
            late
        } else {
            gate.close(false);
            self.wait_arrived(live).await;
            send()
        };
        let late = late.await.unwrap();
        wait::until("both were answered", PATIENCE, || async {
            let creates = live.creates(&self.order.id);
            creates.len() >= 2 && creates.iter().all(|call| call.status.is_some())
        })
        .await;
        assert!(panel.raced(race), "they met");
        let creates = live.creates(&self.order.id);
        let statuses: BTreeSet<_> = creates[..2].iter().map(|call| call.status).collect();
        assert_eq!(statuses, [Some(201), Some(500)].into());
        assert_eq!(creates[0].body, creates[1].body, "the same request again");
        let made_by_late = creates[usize::from(!late_first)].status == Some(201);
        assert_eq!(late.is_ok(), made_by_late, "{late:?}");
        !made_by_late
    }

    /// Waits until the first of its creates has come to the panel.
    async fn wait_arrived(&self, live: &Live) {
        wait::until("a create has arrived", PATIENCE, || async {
            !live.creates(&self.order.id).is_empty()
        })
        .await;
    }

    /// The order runs on the one server there is, on the ports that it always had.
    async fn assert_one_server(&self, live: &Live, server: i64) {
        let order = live.wait_running(&self.order.id).await;
        assert_eq!(order.pterodactyl_server_id, server);
        let made = live.made(&order.id);
        assert_eq!((made.id, &made.allocations), (server, &self.ports));
        self.assert_held(live).await;
        assert_eq!(live.tries(&order.id).await, 0);
        let events = live.events(&order.id).await;
        let as_asked = |event: &proto::OrderEvent| !event.to.contains("the panel made it with");
        assert!(events.iter().all(as_asked), "{events:?}");
    }
}

fn id(order: &proto::Order) -> OrderId {
    OrderId(order.id.parse().unwrap())
}

async fn ports(live: &Live, order: &proto::Order) -> Vec<i64> {
    let ports = live.ports_of(EAST.1, &order.id).await;
    ports
        .iter()
        .map(|port| port.pterodactyl_allocation_id)
        .collect()
}

/// The late create: it lands after the first look-up said 404, and the second finds it.
async fn a_create_that_lands_between_the_looks_is_adopted(engine: Engine) {
    let live = open(engine, &Gate::open(), Duration::ZERO).await;
    for plan in ["mc-1gb", "rust-3gb"] {
        let stuck = Stuck::order(&live, plan).await;
        stuck.look_in_vain(&live, SETTLE).await;
        let server = stuck.lands(&live).await;
        live.skip(AGAIN);
        stuck.assert_one_server(&live, server).await;
        assert_eq!(
            live.creates(&stuck.order.id).len(),
            1,
            "{plan}: never repeated"
        );
    }
    assert_eq!(live.world.panel.servers().len(), 2);
    live.close().await;
}

/// The late create: it lands after both look-ups said 404, a moment before the same request
/// is sent again. The panel refuses the repeat, which is no word about the order.
async fn a_create_that_lands_after_the_looks_is_met_by_its_repeat(engine: Engine) {
    let gate = Gate::open();
    let live = open(engine, &gate, Duration::ZERO).await;
    let stuck = Stuck::order(&live, "rust-3gb").await;
    gate.close(true);
    stuck.look_in_vain(&live, SETTLE).await;
    live.skip(AGAIN);
    gate.wait().await;
    stuck.assert_held(&live).await;
    let server = stuck.lands(&live).await;
    gate.close(false);
    stuck.wait_in_doubt(&live).await;
    stuck.assert_held(&live).await;
    live.skip(SETTLE);
    stuck.assert_one_server(&live, server).await;
    let creates = live.creates(&stuck.order.id);
    let statuses: Vec<_> = creates.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(201), Some(422)]);
    assert_eq!(creates[0].body, creates[1].body, "the same request again");
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

/// The late create: it lands at the same time as its repeat, and the panel locks nothing:
/// both are found good before either is written, whichever comes first. One of them loses,
/// at the panel's own check or at its database, and there is one server.
async fn a_create_that_lands_beside_its_repeat_makes_one_server(engine: Engine) {
    let rounds = usize::try_from(effort::runs(4, 50)).unwrap();
    let gate = Gate::open();
    let live = open(engine, &gate, Duration::ZERO).await;
    let ways = [
        (RaceLoss::ModelCheck, true),
        (RaceLoss::ModelCheck, false),
        (RaceLoss::Insert, true),
        (RaceLoss::Insert, false),
    ];
    let mut lost = 0;
    for (round, (lost_by, late_first)) in (1..=rounds).zip(ways.into_iter().cycle()) {
        let stuck = Stuck::order(&live, "mc-1gb").await;
        gate.close(true);
        stuck.look_in_vain(&live, SETTLE).await;
        live.skip(AGAIN);
        gate.wait().await;
        let made = stuck
            .meets_its_repeat(&live, &gate, lost_by, late_first)
            .await;
        if !made {
            lost += 1;
            stuck.wait_in_doubt(&live).await;
            live.skip(SETTLE);
        }
        let server = live.made(&stuck.order.id).id;
        stuck.assert_one_server(&live, server).await;
        // The panel's check says that nothing was made: it is sent again, and refused.
        let again = usize::from(!made && lost_by == RaceLoss::ModelCheck);
        assert_eq!(live.creates(&stuck.order.id).len(), 2 + again, "{round}");
        assert_eq!(live.world.panel.servers().len(), round);
    }
    eprintln!("all of {rounds} repeats met the late one, {lost} lost to it");
    live.close().await;
}

fn cancel(live: &Live, order: &proto::Order) {
    let subscription = live.subscription(order);
    live.world
        .stripe
        .cancel_subscription(&subscription)
        .unwrap();
}

/// An order that ended while its create was stuck.
async fn ended_while_stuck(live: &Live) -> Stuck {
    let stuck = Stuck::order(live, "rust-3gb").await;
    cancel(live, &stuck.order);
    live.wait_order(&stuck.order.id, "it is over", |order| {
        order.status() == proto::OrderStatus::Canceled
    })
    .await;
    stuck.assert_held(live).await;
    stuck
}

async fn wait_free(live: &Live, stuck: &Stuck) {
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&stuck.order.id).await.is_none() && ports(live, &stuck.order).await.is_empty()
    })
    .await;
    let node = live.node(EAST.1).await;
    assert_eq!((node.held_ram_gb, node.free_allocations), (0, 200));
    assert_eq!(live.world.panel.servers(), []);
}

/// The late create, for an order that has ended: it lands after the look of the first
/// minute, or of the tenth, said 404. The next look finds it, and it is deleted.
async fn a_create_that_lands_after_its_order_ended_is_deleted(engine: Engine) {
    let long = Duration::from_secs(1_000_000);
    let live = open(engine, &Gate::open(), long).await;
    let panel = &live.world.panel;
    for looks in [1, 2] {
        let stuck = ended_while_stuck(&live).await;
        // Never before a create of a live order would be settled.
        stuck.look_in_vain(&live, SETTLE).await;
        if looks == 2 {
            stuck.look_in_vain(&live, 10 * MINUTE).await;
        }
        let server = stuck.lands(&live).await;
        assert_eq!(live.made(&stuck.order.id).id, server);
        stuck.assert_held(&live).await;
        live.skip(50 * MINUTE);
        wait_free(&live, &stuck).await;
        assert_eq!(panel.succeeded_route("DELETE", DELETE), looks);
        assert_eq!(live.creates(&stuck.order.id).len(), 1, "never repeated");
        let order = live.order(&stuck.order.id).await;
        assert_eq!(order.server_state(), proto::ServerState::Deleted);
    }
    // What was held for them can be sold again.
    live.purchase(cart(Uuid::new_v4())).await;
    live.close().await;
}

/// The late create that never lands: held through the looks of the first, the tenth and the
/// sixtieth minute, then free.
async fn an_ended_order_whose_create_never_lands_gives_its_room_back(engine: Engine) {
    let live = open(engine, &Gate::open(), Duration::ZERO).await;
    let stuck = ended_while_stuck(&live).await;
    stuck.look_in_vain(&live, SETTLE).await;
    stuck.look_in_vain(&live, 10 * MINUTE).await;
    live.skip(40 * MINUTE);
    live.buy_cart(cart(Uuid::new_v4())).await;
    stuck.assert_held(&live).await;
    assert_eq!(stuck.looks(&live).await, 2, "the third look is not due yet");
    live.skip(10 * MINUTE);
    wait::until("its room is free", PATIENCE, || async {
        live.hold(&stuck.order.id).await.is_none() && ports(&live, &stuck.order).await.is_empty()
    })
    .await;
    assert_eq!(live.creates(&stuck.order.id).len(), 0);
    assert_eq!(live.world.panel.count_route("DELETE", DELETE), 0);
    assert_eq!(live.world.panel.servers().len(), 1, "the other customer's");
    live.close().await;
}
