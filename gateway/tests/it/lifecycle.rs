//! Health, readiness, start and shutdown.

use std::time::Duration;

use gateway::{Config, Error};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::http::{read_to_close, request};
use crate::support::*;

#[tokio::test]
async fn alive_without_a_core_and_ready_only_with_one() {
    let addr = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = &Gateway::start(addr, |_| {}).await;
    assert_eq!(get(gateway.addr, "/healthz").await.status, 200);
    let reply = get(gateway.addr, "/readyz").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (503, "core not ready\n")
    );

    let core = FakeCore::start_at(addr).await;
    eventually("ready", || async {
        get(gateway.addr, "/readyz").await.status == 200
    })
    .await;
    core.stop().await;
    eventually("unready", || async {
        get(gateway.addr, "/readyz").await.status == 503
    })
    .await;
    assert_eq!(get(gateway.addr, "/healthz").await.status, 200);
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_finish() {
    let core = FakeCore::start().await;
    let mut gateway = Gateway::start(core.addr, |_| {}).await;
    let whole = request(
        "POST",
        "/stripe-webhook",
        &[("Stripe-Signature", &signed(EVENT))],
        EVENT,
    );
    let (first, rest) = whole.split_at(whole.len() - 5);
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    stream.write_all(first).await.unwrap();
    let series = "gateway_connections";
    eventually("connected", || async {
        gateway.metric(series).await == 1.0
    })
    .await;
    // Another answered request proves that the gateway has read what was sent before.
    assert_eq!(get(gateway.addr, "/healthz").await.status, 200);

    gateway.shutdown.cancel();
    let addr = gateway.addr;
    eventually("no longer listening", || async {
        TcpStream::connect(addr).await.is_err()
    })
    .await;
    stream.write_all(rest).await.unwrap();
    assert_eq!(Reply::parse(&read_to_close(&mut stream).await).status, 200);
    gateway.running.take().unwrap().wait().await.unwrap();
    assert_eq!(core.calls().len(), 1);
}

#[tokio::test]
async fn shutdown_ends_even_if_a_request_does_not() {
    let core = FakeCore::start().await;
    core.behave(Behaviour::Hang);
    let mut gateway = Gateway::start(core.addr, |config| {
        config.limits.shutdown_grace = Duration::from_millis(100);
        config.upstream.deadline = Duration::from_secs(60);
    })
    .await;
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    let bytes = request(
        "POST",
        "/stripe-webhook",
        &[("Stripe-Signature", &signed(EVENT))],
        EVENT,
    );
    stream.write_all(&bytes).await.unwrap();
    eventually("in flight", || async { core.calls().len() == 1 }).await;
    gateway.shutdown.cancel();
    let ended = gateway.running.take().unwrap().wait();
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("ends")
        .unwrap();
    assert_ne!(Reply::parse(&read_to_close(&mut stream).await).status, 200);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let lookup = |key: &str| match key {
        "STRIPE_WEBHOOK_SECRET" => Some(SECRET.to_owned()),
        "SPAWNPOINT_TOKEN" => Some(TOKEN.to_owned()),
        "GATEWAY_ADDR" => Some(addr.to_string()),
        "GATEWAY_METRICS_ADDR" => Some("off".to_owned()),
        _ => None,
    };
    let config = Config::load(lookup, None).unwrap();
    let error = gateway::start(config, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Listen {
            key: "GATEWAY_ADDR",
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        format!("GATEWAY_ADDR {addr} cannot be listened on")
    );
}
