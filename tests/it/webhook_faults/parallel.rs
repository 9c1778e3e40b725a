//! One event, many deliveries at the same moment, many replicas.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::sending::{Reply, Sender, assert_processed_once, pay_silently, rendered};
use crate::support::{
    db::Engine,
    effort::{bar, percentile, runs},
    live::Live,
    postgres,
    processes::{CoreProcess, GatewayProcess},
    provisioning::cart_of,
    till,
};

const REPLICAS: usize = 4;
const DELIVERIES: usize = 100;
/// The catalogue's p99.
const FIGURE: Duration = Duration::from_millis(300);
/// Where the machine does not reach it: so many times what as many deliveries take one
/// after the other.
const TIMES: u32 = 2;
/// And on a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(8);
/// The gateway's patience: slowness is judged by the bars, and is no refusal here.
const PATIENT_MS: &str = "10000";

/// Delivers an event as often again, one delivery after the other; the median of the times.
async fn one_by_one(senders: &[Sender], body: &[u8]) -> Duration {
    let mut times = Vec::new();
    for at in 0..DELIVERIES {
        let reply = senders[at % REPLICAS].signed(body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        times.push(reply.took);
    }
    percentile(&mut times, 50)
}

/// W-03: one event arrives a hundred times at once on four replicas, each with its
/// gateway, all real processes: every delivery is answered 200, there is one row, and it
/// has one effect. The catalogue's p99 of 300 ms is one of a release build; nine processes
/// of a debug build share two cores here. So the long mode demands 300 ms, or that a
/// hundred at once take at most twice as long as a hundred one after the other, measured in
/// the same run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_event_a_hundred_times_at_once_on_four_replicas() {
    if postgres::skipped() {
        return;
    }
    let variables = [("SWEEP_PENDING_SECONDS", till::NEVER)];
    let mut live = Live::open_with(Engine::Postgres, |options| {
        options.webhooks = false;
        options.set_all(&variables);
    })
    .await;
    live.world.stop_cores().await;
    let mut cores = vec![CoreProcess::start_all(&live, &variables).await];
    while cores.len() < REPLICAS {
        cores.push(CoreProcess::start_replica(&live, &variables).await);
    }
    let mut gateways = Vec::new();
    for core in &cores {
        let url = format!("http://{}", core.grpc);
        let further = [
            ("SPAWNPOINT_URL", url.as_str()),
            ("GATEWAY_DEADLINE_MS", PATIENT_MS),
        ];
        gateways.push(GatewayProcess::start(&live, &further).await);
    }
    let senders: Vec<Sender> = gateways.iter().map(|one| Sender::to(one.addr)).collect();

    let (mut times, mut last) = (Vec::new(), Vec::new());
    let events = runs(2, 20);
    for _ in 0..events {
        let order = live.reserve(cart_of(Uuid::new_v4(), "mc-1gb")).await;
        let paid = pay_silently(&live, &order);
        let body = serde_json::to_vec(&rendered(&live, &paid.id)).unwrap();
        let all = (0..DELIVERIES).map(|at| senders[at % REPLICAS].signed(&body));
        let replies: Vec<Reply> = join_all(all).await;
        let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert_processed_once(&live, &order, &paid.id).await;
        times.extend(replies.iter().map(|reply| reply.took));
        last = body;
    }
    let plain = one_by_one(&senders, &last).await;
    assert_eq!(till::rows(&live, "stripe_events").await, i64::from(events));
    let (median, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let in_a_row = plain * u32::try_from(DELIVERIES).unwrap();
    let longest = bar(FIGURE.max(TIMES * in_a_row), BUSY);
    eprintln!(
        "W-03: {events} x {DELIVERIES} deliveries at once: median {median:?}, p99 {p99:?} of \
         {longest:?}; one alone {plain:?}"
    );
    assert!(p99 < longest, "{p99:?} of {longest:?}");
    let logs: Vec<String> = cores.iter().map(|core| core.log()).collect();
    let edges: Vec<String> = gateways.iter().map(|gateway| gateway.log()).collect();
    let logs = [logs.concat(), edges.concat()].concat();
    live.close_served_by_processes(&logs).await;
}
