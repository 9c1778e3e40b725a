//! The wire between gateway and core goes dead, or loses the one answer that mattered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use sandbox::proxy::{Cut, Mode, Proxy};
use serde_json::Value;
use spawnpoint::rpc::proto::Order;
use uuid::Uuid;

use super::{
    sending::{Sender, assert_processed_once, pay_silently, rendered, stored},
    wire,
};
use crate::support::{
    db::Engine,
    effort::{bar, long, runs},
    live::{Live, PATIENCE},
    processes::GatewayProcess,
    provisioning::cart_of,
    till, wait,
};

both_engines!(
    a_partition_is_told_in_time_and_heals_by_itself,
    an_answer_lost_after_the_commit_has_one_effect,
);

/// The longest that Stripe is kept waiting: the catalogue's figure.
const IN_TIME: Duration = Duration::from_secs(8);
/// From the end of an outage to the first success: the catalogue's figure, too.
const HEALED: Duration = Duration::from_secs(5);
/// A machine that starves is given as many times what it takes for a plain delivery; not in
/// the long mode.
const STARVED: u32 = 20;

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

/// Paid orders and the events that tell of them.
async fn paid(live: &Live, count: u32) -> Vec<(Order, Value)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let order = live.reserve(cart_of(Uuid::new_v4(), "mc-1gb")).await;
        let event = pay_silently(live, &order);
        all.push((order, rendered(live, &event.id)));
    }
    all
}

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap()
}

/// How long the wire is cut, and how long the gateway then waits for an answer.
fn outage() -> (Duration, Vec<(&'static str, &'static str)>) {
    if long() {
        (Duration::from_secs(60), Vec::new())
    } else {
        (
            Duration::from_secs(2),
            vec![("GATEWAY_DEADLINE_MS", "1500")],
        )
    }
}

async fn start_gateway(live: &Live, core: SocketAddr) -> GatewayProcess {
    let url = format!("http://{core}");
    let (_, mut variables) = outage();
    variables.push(("SPAWNPOINT_URL", &url));
    GatewayProcess::start(live, &variables).await
}

/// Delivers over and over while the wire is cut: each time 503 in time, with a hint when
/// to come again.
async fn refused_throughout(gateway: &Sender, events: &[(Order, Value)], slack: Duration) {
    let (outage, _) = outage();
    let began = Instant::now();
    let mut refused = 0;
    for (_, event) in events.iter().cycle() {
        let reply = gateway.event(event).await;
        assert_eq!((reply.status, reply.retry_after), (503, true), "{reply:?}");
        assert!(reply.took < bar(IN_TIME, IN_TIME + slack), "{reply:?}");
        refused += 1;
        if began.elapsed() >= outage && refused >= 2 {
            return;
        }
    }
}

/// Delivers until one is taken; what a machine this busy may add to the suite's bars.
async fn in_use(gateway: &Sender, event: &Value) -> Duration {
    wait::until("the wire is in use", PATIENCE, || async {
        gateway.event(event).await.status == 200
    })
    .await;
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        slowest = slowest.max(gateway.event(event).await.took);
    }
    STARVED * slowest
}

/// The same process takes everything again, the first one soon.
async fn recovered(gateway: &Sender, events: &[(Order, Value)], healed: Instant, slack: Duration) {
    for (at, (_, event)) in events.iter().enumerate() {
        wait::until("it is taken", PATIENCE, || async {
            gateway.event(event).await.status == 200
        })
        .await;
        if at == 0 {
            let took = healed.elapsed();
            eprintln!("W-14: the first success {took:?} after the end");
            let longest = bar(HEALED, HEALED + slack);
            assert!(took <= longest, "{took:?} of {longest:?}");
        }
    }
}

/// W-14: the wire to the core holds everything back and closes nothing. Stripe is told so
/// in time, nothing is acknowledged, and with the wire the gateway is back by itself; what
/// was held back then arrives late and does no harm.
async fn a_partition_is_told_in_time_and_heals_by_itself(engine: Engine) {
    let live = open(engine).await;
    let events = paid(&live, 2).await;
    let proxy = Proxy::start(live.world.grpc_addr).await.unwrap();
    let process = start_gateway(&live, proxy.addr()).await;
    let gateway = Sender::to(process.addr);
    let first = paid(&live, 1).await;
    let slack = in_use(&gateway, &first[0].1).await;

    proxy.set(Mode::Blackhole);
    refused_throughout(&gateway, &events, slack).await;
    for (_, event) in &events {
        assert!(!stored(&live, id(event)).await, "nothing went through");
    }
    proxy.set(Mode::Pass);
    recovered(&gateway, &events, Instant::now(), slack).await;

    assert_eq!(process.ended(), None, "no restart");
    for (order, event) in events.iter().chain(&first) {
        assert_processed_once(&live, order, id(event)).await;
    }
    assert_eq!(till::rows(&live, "stripe_events").await, 3);
    live.close().await;
}

/// W-14: as before, but what was sent is gone and every connection of the outage stays
/// dead, also those made in its last moment: only new ones can carry anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_died_in_a_partition_are_replaced() {
    let live = open(Engine::Sqlite).await;
    let events = paid(&live, 2).await;
    let proxy = wire::Proxy::start(live.world.grpc_addr).await;
    let process = start_gateway(&live, proxy.addr).await;
    let gateway = Sender::to(process.addr);
    let first = paid(&live, 1).await;
    let slack = in_use(&gateway, &first[0].1).await;

    proxy.set(wire::Wire::Dead);
    refused_throughout(&gateway, &events, slack).await;
    proxy.set(wire::Wire::Whole);
    recovered(&gateway, &events, Instant::now(), slack).await;

    assert_eq!(process.ended(), None, "no restart");
    for (order, event) in events.iter().chain(&first) {
        assert_processed_once(&live, order, id(event)).await;
    }
    live.close().await;
}

/// Delivers an event as Stripe does, until it is taken: a gateway that has not yet noticed that its
/// connection broke may send one more on it, and never more than one.
async fn delivered_again(gateway: &Sender, event: &Value) {
    let first = gateway.event(event).await.status;
    if first != 200 {
        assert_eq!(first, 503);
        assert_eq!(gateway.event(event).await.status, 200);
    }
}

/// W-15: the core has committed and answers, and the wire breaks under the answer. Stripe
/// gets 503 and delivers again; that changes nothing, and there is one effect.
async fn an_answer_lost_after_the_commit_has_one_effect(engine: Engine) {
    let live = open(engine).await;
    let proxy = Proxy::start(live.world.grpc_addr).await.unwrap();
    let url = format!("http://{}", proxy.addr());
    let process = GatewayProcess::start(&live, &[("SPAWNPOINT_URL", &url)]).await;
    let gateway = Sender::to(process.addr);
    let events = paid(&live, runs(3, 30)).await;
    for (at, (order, event)) in (1..).zip(&events) {
        proxy.cut_when_client_sends(id(event), 1, Cut::AfterForward);
        let reply = gateway.event(event).await;
        assert_eq!((reply.status, reply.retry_after), (503, true), "{reply:?}");
        assert_eq!(proxy.fired(), at, "the answer was cut off");
        assert!(stored(&live, id(event)).await, "it was committed before");
        let made = till::rows(&live, "stripe_events").await;

        for _ in 0..2 {
            delivered_again(&gateway, event).await;
        }
        assert_eq!(till::rows(&live, "stripe_events").await, made);
        assert_processed_once(&live, order, id(event)).await;
    }
    assert_eq!(process.ended(), None, "no restart");
    live.close().await;
}
