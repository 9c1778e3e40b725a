//! Forged and replayed webhooks, through the real gateway to the store: who is not Stripe
//! leaves no trace, and who sends again changes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use gateway::{Clock, Config, Running};
use sandbox::{stripe::sign, world::WEBHOOK_SECRET};
use spawnpoint::rpc::proto::OrderStatus;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::sending::{Sender, pay_silently, rendered};
use crate::support::{
    db::Engine,
    live::{Live, cart},
    till,
};

both_engines!(
    a_forged_webhook_leaves_no_trace,
    a_replay_is_refused_when_old_and_without_effect_when_new,
);

/// A shop that hears of nothing but what a test sends.
async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

/// Signature headers that Stripe would not send for this body, each as one request.
fn forgeries(body: &[u8]) -> Vec<(&'static str, Vec<String>)> {
    let now = till::now();
    let good = sign(WEBHOOK_SECRET, now, body);
    let digest = good.split_once("v1=").unwrap().1.to_owned();
    let at = |second: i64| vec![sign(WEBHOOK_SECRET, second, body)];
    let by = |secret: &str| vec![sign(secret, now, body)];
    let of = |text: &str| vec![text.to_owned()];
    let zeros = "0".repeat(64);
    vec![
        ("no header", vec![]),
        ("empty", of("")),
        ("two headers", vec![good.clone(), good.clone()]),
        (
            "right, then forged",
            vec![good.clone(), format!("t={now},v1={zeros}")],
        ),
        ("no list", of("garbage")),
        ("the digest alone", of(&digest)),
        ("no t", vec![format!("v1={digest}")]),
        ("t empty", vec![format!("t=,v1={digest}")]),
        ("t negative", vec![format!("t=-{now},v1={digest}")]),
        ("t no number", vec![format!("t=now,v1={digest}")]),
        (
            "t beyond 64 bits",
            vec![format!("t=99999999999999999999,v1={digest}")],
        ),
        ("t twice", vec![format!("t={now},t={now},v1={digest}")]),
        ("t in milliseconds", at(now * 1_000)),
        (
            "t later than it signs",
            vec![good.replace(&now.to_string(), &(now + 1).to_string())],
        ),
        (
            "t earlier than it signs",
            vec![good.replace(&now.to_string(), &(now - 1).to_string())],
        ),
        ("ten minutes old", at(now - 600)),
        ("a day old", at(now - 86_400)),
        ("ten minutes ahead", at(now + 600)),
        ("a day ahead", at(now + 86_400)),
        ("another secret", by("whsec_guessed")),
        ("an empty secret", by("")),
        (
            "the secret and a line break",
            by(&format!("{WEBHOOK_SECRET}\n")),
        ),
        (
            "the secret without its prefix",
            by(WEBHOOK_SECRET.trim_start_matches("whsec_")),
        ),
        ("no v1", vec![format!("t={now}")]),
        ("v1 empty", vec![format!("t={now},v1=")]),
        (
            "v1 too short",
            vec![format!("t={now},v1={}", &digest[..63])],
        ),
        ("v1 too long", vec![format!("t={now},v1={digest}0")]),
        (
            "v1 in upper case",
            vec![format!("t={now},v1={}", digest.to_uppercase())],
        ),
        ("v1 no hex", vec![format!("t={now},v1={}", "z".repeat(64))]),
        ("v1 all zeros", vec![format!("t={now},v1={zeros}")]),
        (
            "v1 off by one digit",
            vec![format!("t={now},v1={}{}", &digest[1..], &digest[..1])],
        ),
        ("v0 only", vec![good.replace("v1=", "v0=")]),
        (
            "many wrong ones",
            vec![format!("t={now}{}", format!(",v1={zeros}").repeat(40))],
        ),
    ]
}

/// W-08: over thirty forgeries of the event of a real payment: each is answered 400, not a
/// row is written, and the same gateway then takes the genuine one.
async fn a_forged_webhook_leaves_no_trace(engine: Engine) {
    let live = open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let paid = pay_silently(&live, &order);
    let waits = |order: &spawnpoint::rpc::proto::Order| order.waiting_reason == "AWAITING_PAYMENT";
    let before = live.wait_order(&order.id, "it waits", waits).await;
    let made = till::made(&live).await;
    let body = serde_json::to_vec(&rendered(&live, &paid.id)).unwrap();
    let gateway = Sender::to(live.world.gateway);

    let forgeries = forgeries(&body);
    assert!(forgeries.len() >= 30, "{}", forgeries.len());
    for (what, values) in &forgeries {
        let headers: Vec<_> = values
            .iter()
            .map(|value| ("Stripe-Signature", value.as_str()))
            .collect();
        assert_eq!(gateway.send(&body, &headers).await.status, 400, "{what}");
    }
    let good = sign(WEBHOOK_SECRET, till::now(), &body);
    let headers = [("Stripe-Signature", good.as_str())];
    for (what, changed) in [
        ("a byte more", [&body, &b"\n"[..]].concat()),
        ("a byte in front", [b" ", &body[..]].concat()),
        ("a byte less", body[..body.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        ("another one", b"{}".to_vec()),
    ] {
        assert_eq!(gateway.send(&changed, &headers).await.status, 400, "{what}");
    }
    assert_eq!(till::rows(&live, "stripe_events").await, 0);
    assert_eq!(till::hints(&live, &order.id).await, 0);
    assert_eq!(till::made(&live).await, made);
    let now = live.order(&order.id).await;
    assert_eq!(
        (now.status(), now.version),
        (OrderStatus::Pending, before.version)
    );

    assert_eq!(gateway.signed(&body).await.status, 200);
    live.wait_running(&order.id).await;
    assert_eq!(till::rows(&live, "stripe_events").await, 1);
    live.close().await;
}

/// A gateway of its own before the shop's core, whose clock the test sets.
async fn with_clock(live: &Live, seconds: &Arc<AtomicU64>) -> (Running, DropGuard) {
    let variables = [
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
        ("SPAWNPOINT_TOKEN", live.world.tokens.gateway.clone()),
        ("SPAWNPOINT_URL", format!("http://{}", live.world.grpc_addr)),
        ("GATEWAY_ADDR", "127.0.0.1:0".to_owned()),
        ("GATEWAY_METRICS_ADDR", "off".to_owned()),
    ];
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    };
    let mut config = Config::load(lookup, None).unwrap();
    let seconds = Arc::clone(seconds);
    config.clock =
        Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst)));
    let shutdown = CancellationToken::new();
    let running = gateway::start(config, shutdown.clone()).await.unwrap();
    (running, shutdown.drop_guard())
}

/// W-09: somebody has recorded a genuine request. Sent again within two minutes it is
/// acknowledged and changes nothing; after ten it is refused.
/// W-10: so is a genuine one at a gateway whose clock is ten minutes off, in either
/// direction, and taken where it is two minutes off.
async fn a_replay_is_refused_when_old_and_without_effect_when_new(engine: Engine) {
    let live = open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    let paid = pay_silently(&live, &order);
    let body = serde_json::to_vec(&rendered(&live, &paid.id)).unwrap();
    let sent_at = till::now();
    let seconds = Arc::new(AtomicU64::new(u64::try_from(sent_at).unwrap()));
    let (gateway, _running) = with_clock(&live, &seconds).await;
    let gateway = Sender::to(gateway.addr);
    let recorded = sign(WEBHOOK_SECRET, sent_at, &body);
    let headers = [("Stripe-Signature", recorded.as_str())];

    assert_eq!(gateway.send(&body, &headers).await.status, 200);
    live.wait_running(&order.id).await;
    let (made, version) = (till::made(&live).await, live.order(&order.id).await.version);
    for (later, status) in [(1, 200), (120, 200), (300, 200), (301, 400), (600, 400)] {
        let now = sent_at.checked_add_unsigned(later).unwrap();
        seconds.store(u64::try_from(now).unwrap(), Ordering::SeqCst);
        let reply = gateway.send(&body, &headers).await;
        assert_eq!(reply.status, status, "{later} s later");
    }
    for (off, status) in [(-120, 200), (120, 200), (-600, 400), (600, 400)] {
        let now = till::now();
        let clock = u64::try_from(now + off).unwrap();
        seconds.store(clock, Ordering::SeqCst);
        let fresh = sign(WEBHOOK_SECRET, now, &body);
        let reply = gateway.send(&body, &[("Stripe-Signature", &fresh)]).await;
        assert_eq!(reply.status, status, "the clock is off by {off} s");
    }
    assert_eq!(till::rows(&live, "stripe_events").await, 1);
    assert_eq!(till::hints(&live, &order.id).await, 1);
    assert_eq!(till::made(&live).await, made);
    assert_eq!(live.order(&order.id).await.version, version);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    live.close().await;
}
