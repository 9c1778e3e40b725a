//! A core that is away, stuck, cut off or back again: nothing is acknowledged
//! that is not stored, and nobody has to restart the gateway.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway::Config;
use tokio::net::TcpListener;

use crate::support::proxy::{Proxy, Wire};
use crate::support::*;

const DEADLINE: Duration = Duration::from_millis(400);
/// The deadline, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_secs(4);

fn impatient(config: &mut Config) {
    config.upstream.deadline = DEADLINE;
    config.upstream.connect_timeout = Duration::from_millis(200);
    config.upstream.keep_alive_interval = Duration::from_millis(100);
    config.upstream.keep_alive_timeout = Duration::from_millis(200);
}

async fn unused_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn is_refused_in_time(gateway: &Gateway) {
    let began = Instant::now();
    let reply = gateway.deliver().await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.body, "not stored, deliver again\n");
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_core_that_is_away_means_503_and_recovery_needs_no_restart() {
    let addr = unused_addr().await;
    let gateway = &Gateway::start(addr, impatient).await;
    is_refused_in_time(gateway).await;
    assert_eq!(
        gateway
            .metric("gateway_upstream_calls_total{code=\"UNAVAILABLE\"}")
            .await,
        1.0
    );

    let core = FakeCore::start_at(addr).await;
    eventually("stored", || async { gateway.deliver().await.status == 200 }).await;
    core.stop().await;
    is_refused_in_time(gateway).await;
    let _core = FakeCore::start_at(addr).await;
    let back = Instant::now();
    eventually("stored again", || async {
        gateway.deliver().await.status == 200
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(5));
    raised_no_alarm(gateway).await;
}

/// An outage that ends by itself wakes nobody.
async fn raised_no_alarm(gateway: &Gateway) {
    let metrics = get(gateway.metrics_addr, "/metrics").await.body;
    let mut alarms = metrics
        .lines()
        .filter(|line| line.starts_with("gateway_alarms_total"));
    assert!(alarms.clone().count() > 0);
    assert!(alarms.all(|line| line.ends_with(" 0")), "{metrics}");
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_call_means_503_and_no_alarm() {
    let core = FakeCore::start().await;
    core.behave(Behaviour::Hang);
    let proxy = Proxy::start(core.addr).await;
    let gateway = &Gateway::start(proxy.addr, |config| {
        config.upstream.deadline = Duration::from_secs(60);
    })
    .await;
    for (index, wire) in [Wire::Closed, Wire::Reset].into_iter().enumerate() {
        core.behave(Behaviour::Hang);
        let before = core.calls().len();
        let breaking = async {
            eventually("in flight", || async { core.calls().len() > before }).await;
            proxy.set(wire);
        };
        let ((), ()) = tokio::join!(is_refused_in_time(gateway), breaking);
        let series = "gateway_upstream_calls_total{code=\"UNAVAILABLE\"}";
        assert!(
            gateway.metric(series).await >= (index + 1) as f64,
            "{wire:?}"
        );
        raised_no_alarm(gateway).await;
        core.behave(Behaviour::Store);
        proxy.set(Wire::Whole);
        eventually("stored", || async { gateway.deliver().await.status == 200 }).await;
    }
}

/// W-14: a core that takes the call and never answers.
#[tokio::test]
async fn a_core_that_hangs_means_503_at_the_deadline() {
    let core = FakeCore::start().await;
    core.behave(Behaviour::Hang);
    let gateway = &Gateway::start(core.addr, impatient).await;
    let began = Instant::now();
    is_refused_in_time(gateway).await;
    assert!(began.elapsed() >= DEADLINE, "{:?}", began.elapsed());
    // The core was told how long anybody would listen.
    let told = core.calls()[0].grpc_timeout.clone();
    let micros: u128 = told
        .strip_suffix('u')
        .unwrap_or_default()
        .parse()
        .unwrap_or(0);
    assert_eq!(micros, DEADLINE.as_micros(), "{told}");
    let series = "gateway_upstream_calls_total{code=\"DEADLINE_EXCEEDED\"}";
    assert_eq!(gateway.metric(series).await, 1.0);
    core.behave(Behaviour::Store);
    eventually("stored", || async { gateway.deliver().await.status == 200 }).await;
}

#[tokio::test]
async fn a_listener_that_never_speaks_means_503_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(silent.local_addr().unwrap(), impatient).await;
    is_refused_in_time(&gateway).await;
    assert_eq!(get(gateway.addr, "/readyz").await.status, 503);
}

/// W-14: a half-open connection to the core, in short time.
#[tokio::test]
async fn a_dead_wire_is_noticed_and_replaced() {
    let core = FakeCore::start().await;
    let proxy = Proxy::start(core.addr).await;
    let gateway = &Gateway::start(proxy.addr, impatient).await;
    eventually("stored", || async { gateway.deliver().await.status == 200 }).await;
    let before = core.calls().len();

    proxy.set(Wire::Dead);
    is_refused_in_time(gateway).await;
    is_refused_in_time(gateway).await;
    assert_eq!(core.calls().len(), before);

    // Connections of before stay dead; only a new one can carry the next call.
    proxy.set(Wire::Whole);
    let healed = Instant::now();
    eventually("stored again", || async {
        gateway.deliver().await.status == 200
    })
    .await;
    assert!(
        healed.elapsed() < Duration::from_secs(5),
        "{:?}",
        healed.elapsed()
    );
}

/// W-15: the core has stored it and said so, and nobody heard.
#[tokio::test]
async fn an_answer_lost_after_the_commit_is_never_an_acknowledgement() {
    let core = FakeCore::start().await;
    let proxy = Proxy::start(core.addr).await;
    let gateway = &Gateway::start(proxy.addr, impatient).await;
    eventually("stored", || async { gateway.deliver().await.status == 200 }).await;
    let before = core.calls().len();

    proxy.set(Wire::AnswersLost);
    is_refused_in_time(gateway).await;
    let stored = core.calls().len();
    assert_eq!(stored, before + 1, "the core had stored it");

    proxy.set(Wire::Whole);
    core.behave(Behaviour::StoreAgain);
    eventually("the next delivery is a duplicate", || async {
        gateway.deliver().await.status == 200
    })
    .await;
    let calls = core.calls();
    assert_eq!(
        calls[before].message.payload,
        calls.last().unwrap().message.payload
    );
}
