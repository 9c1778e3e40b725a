//! Far more events than a shop ever sees: all are taken, none is lost, and what they ask
//! for is done soon after.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};
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

const PER_SECOND: u32 = 500;
/// Events of one turn, and its time.
const TURN: (u32, Duration) = (10, Duration::from_millis(20));
/// A machine that cannot keep up gets them later, not more of them at once.
const AT_ONCE: usize = 16;
const ORDERS: u32 = 20;
/// The suite waits no longer for a machine that cannot keep up, as long as it managed
/// this many; the long mode sends every one.
const BOX: Duration = Duration::from_secs(5);
const AT_LEAST: usize = 50;
/// Until nothing is left to do.
const LAG: Duration = Duration::from_secs(120);

async fn send_all(gateway: &Sender, ids: &[Ids], count: u32) -> Vec<Reply> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut sending = JoinSet::new();
    let mut turns = tokio::time::interval(TURN.1);
    let began = Instant::now();
    for number in 0..count {
        if !long() && began.elapsed() > BOX && number as usize >= AT_LEAST {
            break;
        }
        if number % TURN.0 == 0 {
            turns.tick().await;
        }
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let rendering = if number % 2 == 0 { Old } else { New };
        let order = &ids[(number % ORDERS) as usize];
        let event = bodies::renewal(&format!("evt_burst_{number}"), rendering, order);
        let gateway = gateway.clone();
        sending.spawn(async move {
            let reply = gateway.event(&event).await;
            drop(slot);
            reply
        });
    }
    sending.join_all().await
}

/// W-17: 500 events a second through real processes: every one is answered 200 and on
/// disk, and when it is over nothing is left to be looked at.
async fn a_burst_of_events_is_taken_and_worked_off(engine: Engine) {
    let variables = [("SWEEP_PENDING_SECONDS", till::NEVER)];
    let mut live = Live::open_with(engine, |options| {
        options.webhooks = false;
        let ours = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        options.variables.extend(ours);
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
    let gateway = Sender::to(process.addr);

    let seconds = runs(3, 60);
    let began = Instant::now();
    let replies = send_all(&gateway, &ids, seconds * PER_SECOND).await;
    let took = began.elapsed();
    let ended = Instant::now();
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!(
        refused.is_empty(),
        "{} refused: {:?}\n{}",
        refused.len(),
        refused[0],
        process.log()
    );
    let sent = i64::try_from(replies.len()).unwrap();
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
    let lag = ended.elapsed();

    let mut times: Vec<Duration> = replies.iter().map(|reply| reply.took).collect();
    let (median, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let rate = replies.len() as f64 / took.as_secs_f64();
    eprintln!(
        "W-17 on {engine:?}: {} events at {rate:.0}/s, acknowledged in {median:?} (median), \
         {p99:?} (p99), worked off {lag:?} after the last",
        replies.len()
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
