//! Far more events than a shop ever sees: all are taken, none is lost, and what they ask
//! for is done soon after.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    bodies::{self, Ids, New, Old},
    sending::{Reply, Sender},
};
use crate::support::{
    db::Engine,
    effort::{long, percentile, runs},
    live::Live,
    processes::{CoreProcess, GatewayProcess},
    provisioning::cart_of,
    sql, till, wait,
};

both_engines!(a_burst_of_events_is_taken_and_worked_off);

/// The catalogue's figures: so many events a second, for so long, 99 of 100 acknowledged
/// within so much time.
const PER_SECOND: u32 = 500;
const LASTS: Duration = Duration::from_secs(60);
const ACKNOWLEDGED: Duration = Duration::from_millis(500);
/// Until nothing is left to do.
const LAG: Duration = Duration::from_secs(120);

/// Deliveries one after the other, as a measure of the machine.
const ALONE: u32 = 20;
/// Deliveries under way where the next one follows an answer.
const AT_ONCE: usize = 16;
/// At least so many in a row, however slow the machine.
const AT_LEAST: u32 = 50;
/// A machine is asked for so much of what it can take, no more: the rest is for what else
/// it does in a minute.
const SHARE: f64 = 0.7;
/// What may be missing of a rate for want of a machine that keeps time.
const PUNCTUAL: f64 = 0.9;
/// Deliveries under way at most, whatever their time: as many as there are sockets for.
const SOCKETS: usize = 400;
/// Between two looks whose time has come.
const TURN: Duration = Duration::from_millis(10);
const ORDERS: u32 = 20;

/// Sends events, each with an id of its own, and keeps what came back.
struct Burst {
    gateway: Sender,
    ids: Vec<Ids>,
    sent: u32,
    replies: Vec<Reply>,
}

impl Burst {
    /// The next event, ready to go. Its time counts from `due`, also if it goes later.
    fn event(&mut self, due: Instant) -> impl Future<Output = Reply> + Send + 'static + use<> {
        let number = self.sent;
        self.sent += 1;
        let rendering = if number.is_multiple_of(2) { Old } else { New };
        let order = &self.ids[(number % ORDERS) as usize];
        let event = bodies::renewal(&format!("evt_burst_{number}"), rendering, order);
        let gateway = self.gateway.clone();
        async move {
            let reply = gateway.event(&event).await;
            let took = due.elapsed();
            Reply { took, ..reply }
        }
    }

    /// One after the other; the median of their times.
    async fn alone(&mut self) -> Duration {
        let mut times = Vec::new();
        for _ in 0..ALONE {
            let reply = self.event(Instant::now()).await;
            times.push(reply.took);
            self.replies.push(reply);
        }
        percentile(&mut times, 50)
    }

    /// As fast as answers come back; events a second.
    async fn flat_out(&mut self, lasts: Duration) -> f64 {
        let began = Instant::now();
        let mut sending = JoinSet::new();
        let mut count = 0_u32;
        while count < AT_LEAST || began.elapsed() < lasts {
            if sending.len() >= AT_ONCE
                && let Some(reply) = sending.join_next().await
            {
                self.replies.push(reply.unwrap());
            }
            sending.spawn(self.event(Instant::now()));
            count += 1;
        }
        self.replies.extend(sending.join_all().await);
        f64::from(count) / began.elapsed().as_secs_f64()
    }

    /// So many a second, each at its own time, whether those before were answered or not.
    /// Tells how many a second there were, and how long each took since its time had come.
    async fn paced(&mut self, per_second: u32) -> (f64, Vec<Duration>) {
        let first = self.replies.len();
        let began = Instant::now();
        let mut sending = JoinSet::new();
        let mut turns = tokio::time::interval(TURN);
        let mut count = 0_u32;
        while began.elapsed() < LASTS {
            turns.tick().await;
            while let Some(reply) = sending.try_join_next() {
                self.replies.push(reply.unwrap());
            }
            loop {
                let due = began + Duration::from_secs(u64::from(count)) / per_second;
                if due > Instant::now() {
                    break;
                }
                if sending.len() >= SOCKETS
                    && let Some(reply) = sending.join_next().await
                {
                    self.replies.push(reply.unwrap());
                }
                sending.spawn(self.event(due));
                count += 1;
            }
        }
        let offered = f64::from(count) / began.elapsed().as_secs_f64();
        self.replies.extend(sending.join_all().await);
        let replies = self.replies.iter().skip(first);
        (offered, replies.map(|reply| reply.took).collect())
    }
}

/// The long mode's minute: the catalogue's rate, or as much of it as this machine can take,
/// which is then said aloud. The bar of an acknowledgement is the catalogue's in any case.
async fn a_minute(burst: &mut Burst, engine: Engine, most: f64) {
    let rate = PER_SECOND.min((most * SHARE) as u32).max(1);
    if rate < PER_SECOND {
        eprintln!(
            "*** W-17 on {engine:?}: {PER_SECOND} EVENTS A SECOND ARE NOT PROVEN: this machine \
             takes {most:.0} at most, and is offered {rate} ***"
        );
    }
    let (offered, mut times) = burst.paced(rate).await;
    let (median, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    eprintln!(
        "W-17 on {engine:?}: {} events at {offered:.0}/s for {LASTS:?}, acknowledged in \
         {median:?} (median), {p99:?} (p99)",
        times.len()
    );
    assert!(
        offered >= PUNCTUAL * f64::from(rate),
        "{offered:.0}/s were sent, not {rate}"
    );
    assert!(p99 < ACKNOWLEDGED, "{p99:?} of {ACKNOWLEDGED:?}");
}

/// W-17: a burst of events through real processes: every one is answered 200 and on disk,
/// each was noted once, and within 120 s of the last nothing is left to be looked at. The
/// long mode asks for the catalogue's 500 a second for 60 s, each sent at its own time, and
/// for a p99 below 500 ms; where 0.7 of what the machine takes flat out is less (a debug
/// build and PostgreSQL on two cores), it asks for that rate under the same p99, and says
/// so. The suite sends as fast as answers come, and demands no rate.
async fn a_burst_of_events_is_taken_and_worked_off(engine: Engine) {
    let variables = [("SWEEP_PENDING_SECONDS", till::NEVER)];
    let mut live = Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set_all(&variables);
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..ORDERS {
        let order = live.reserve(cart_of(Uuid::new_v4(), "mc-1gb")).await;
        ids.push(Ids {
            session: order.stripe_checkout_session_id.clone(),
            subscription: format!("sub_{}", order.id),
            customer: "cus_burst".to_owned(),
            invoice: "in_burst".to_owned(),
            order: order.id,
        });
    }
    live.world.stop_cores().await;
    let core = CoreProcess::start_all(&live, &variables).await;
    let process = GatewayProcess::start(&live, &[]).await;
    let mut burst = Burst {
        gateway: Sender::to(process.addr),
        ids,
        sent: 0,
        replies: Vec::new(),
    };

    let alone = burst.alone().await;
    let flat_out = Duration::from_secs(u64::from(runs(3, 10)));
    let most = burst.flat_out(flat_out).await;
    eprintln!("W-17 on {engine:?}: one alone takes {alone:?}, flat out {most:.0}/s");
    if long() {
        a_minute(&mut burst, engine, most).await;
    }
    let ended = Instant::now();
    let replies = &burst.replies;
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!(
        refused.is_empty(),
        "{} refused: {:?}\n{}",
        refused.len(),
        refused[0],
        process.log()
    );
    let sent = i64::from(burst.sent);
    assert_eq!(i64::try_from(replies.len()).unwrap(), sent);
    let applied = "SELECT count(*) FROM stripe_events WHERE state = 'applied'";
    assert_eq!(
        sql::count(&live.store.db, applied).await,
        sent,
        "all are on disk"
    );
    let hints = "SELECT CAST(sum(hints) AS bigint) FROM billing";
    assert_eq!(
        sql::count(&live.store.db, hints).await,
        sent,
        "each was noted once"
    );
    let open = "SELECT count(*) FROM billing WHERE hints_read < hints";
    wait::until("nothing is left to be looked at", LAG, || async {
        sql::count(&live.store.db, open).await == 0
    })
    .await;
    eprintln!(
        "W-17 on {engine:?}: {sent} events, worked off {:?} after the last",
        ended.elapsed()
    );
    assert_eq!((core.ended(), process.ended()), (None, None));
    assert_eq!(
        live.world.panel.count_route("POST", "/servers"),
        0,
        "nobody paid"
    );
    let logs = [core.log(), process.log()].concat();
    live.close_served_by_processes(&logs).await;
}
