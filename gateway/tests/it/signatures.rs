//! Who gets through to the core: over HTTP, case by case.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use gateway::Clock;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::{read_to_close, request};
use crate::support::*;

/// Header values that must never reach the core, for the usual event.
fn forged_headers() -> Vec<(&'static str, Vec<String>)> {
    let right = sign(SECRET, &NOW.to_string(), EVENT);
    let at = |seconds: u64| {
        format!(
            "t={seconds},v1={}",
            sign(SECRET, &seconds.to_string(), EVENT)
        )
    };
    let one = |text: String| vec![text];
    let zeros = "0".repeat(64);
    vec![
        ("no header", vec![]),
        ("empty", one(String::new())),
        ("two right headers", vec![signed(EVENT), signed(EVENT)]),
        (
            "right, then a forged one",
            vec![signed(EVENT), format!("t={NOW},v1={zeros}")],
        ),
        ("no list", one("garbage".to_owned())),
        ("digest only", one(right.clone())),
        ("trailing comma", one(format!("{},", signed(EVENT)))),
        ("t absent", one(format!("v1={right}"))),
        ("t empty", one(format!("t=,v1={}", sign(SECRET, "", EVENT)))),
        (
            "t negative",
            one(format!(
                "t=-{NOW},v1={}",
                sign(SECRET, &format!("-{NOW}"), EVENT)
            )),
        ),
        (
            "t with a plus",
            one(format!(
                "t=+{NOW},v1={}",
                sign(SECRET, &format!("+{NOW}"), EVENT)
            )),
        ),
        (
            "t no number",
            one(format!("t=now,v1={}", sign(SECRET, "now", EVENT))),
        ),
        (
            "t a fraction",
            one(format!(
                "t={NOW}.5,v1={}",
                sign(SECRET, &format!("{NOW}.5"), EVENT)
            )),
        ),
        ("t in milliseconds", one(at(NOW * 1000))),
        (
            "t beyond 64 bits",
            one(format!("t=99999999999999999999,v1={right}")),
        ),
        ("t twice", one(format!("t={NOW},t={NOW},v1={right}"))),
        (
            "t twice, second forged",
            one(format!("t={NOW},v1={right},t=1")),
        ),
        ("no v1", one(format!("t={NOW}"))),
        ("v1 empty", one(format!("t={NOW},v1="))),
        ("v1 of 63", one(format!("t={NOW},v1={}", &right[..63]))),
        ("v1 of 65", one(format!("t={NOW},v1={right}0"))),
        (
            "v1 in upper case",
            one(format!("t={NOW},v1={}", right.to_uppercase())),
        ),
        ("v1 no hex", one(format!("t={NOW},v1={}", "z".repeat(64)))),
        (
            "v1 in base64",
            one(format!("t={NOW},v1=+/{}==", &right[..60])),
        ),
        ("v0 only", one(format!("t={NOW},v0={right}"))),
        ("V1", one(format!("t={NOW},V1={right}"))),
        ("zeros", one(format!("t={NOW},v1={zeros}"))),
        (
            "another time's digest",
            one(format!("t={},v1={right}", NOW + 1)),
        ),
        (
            "another secret",
            one(format!(
                "t={NOW},v1={}",
                sign("whsec_x", &NOW.to_string(), EVENT)
            )),
        ),
        (
            "secret and line break",
            one(format!(
                "t={NOW},v1={}",
                sign(&format!("{SECRET}\n"), &NOW.to_string(), EVENT)
            )),
        ),
        (
            "secret without prefix",
            one(format!(
                "t={NOW},v1={}",
                sign(&SECRET["whsec_".len()..], &NOW.to_string(), EVENT)
            )),
        ),
        ("301 s old", one(at(NOW - 301))),
        ("10 min old", one(at(NOW - 600))),
        ("301 s ahead", one(at(NOW + 301))),
        ("10 min ahead", one(at(NOW + 600))),
        (
            "a header of 5000 bytes",
            one(format!("{},x={}", signed(EVENT), "y".repeat(5000))),
        ),
    ]
}

/// W-08: every way to forge, stale or cut a signature ends in one and the same 400.
#[tokio::test]
async fn forged_requests_get_the_same_400_and_never_reach_the_core() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let cases = forged_headers();
    assert!(cases.len() >= 30, "{}", cases.len());
    for (name, values) in &cases {
        let headers: Vec<_> = values
            .iter()
            .map(|v| ("Stripe-Signature", v.as_str()))
            .collect();
        let reply = post(gateway.addr, &headers, EVENT).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (400, "signature not accepted\n"),
            "{name}"
        );
    }
    for changed in [
        [EVENT, b"\n"].concat(),
        [b" ", EVENT].concat(),
        EVENT[1..].to_vec(),
        Vec::new(),
        b"{}".to_vec(),
    ] {
        let reply = gateway.webhook(&changed, &signed(EVENT)).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (400, "signature not accepted\n")
        );
    }
    assert_eq!(core.calls().len(), 0);
    // The very gateway that refused all of them takes the right one.
    assert_eq!(gateway.deliver().await.status, 200);
    assert_eq!(core.calls().len(), 1);
    let series = "gateway_webhooks_total{status=\"400\"}";
    assert_eq!(gateway.metric(series).await, (cases.len() + 5) as f64);
    // Rightly signed at a wrong time: five of the cases, and nothing else alarms.
    assert_eq!(
        gateway
            .metric("gateway_alarms_total{cause=\"clock_or_replay\"}")
            .await,
        5.0
    );
    assert_eq!(
        gateway
            .metric("gateway_rejections_total{reason=\"timestamp_missing\"}")
            .await,
        1.0
    );
}

/// Finding 2: the signature was checked by a call that never worked there, and every event refused.
#[tokio::test]
async fn right_signatures_are_handed_on_byte_for_byte() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let odd: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for body in [
        EVENT,
        b"",
        b"{ \"spaced\" :\t1 }\r\n",
        b"\xff\xfe\x00 not JSON",
        odd.as_slice(),
    ] {
        let reply = gateway.webhook(body, &signed(body)).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "stored\n"));
        let call = core.calls().pop().unwrap();
        assert_eq!(call.message.payload, body);
        let received = call.message.receive_time.unwrap();
        assert_eq!((received.seconds, received.nanos), (NOW as i64, 0));
        assert_eq!(call.authorization, format!("Bearer {TOKEN}"));
        assert!(!call.grpc_timeout.is_empty());
    }
    assert_eq!(core.calls().len(), 5);
}

/// W-12: what a sender claims of its body is not believed, and nothing is unpacked.
#[tokio::test]
async fn content_type_and_encoding_do_not_matter() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let gzip = b"\x1f\x8b\x08\x00 stands for a bomb";
    let signature = signed(gzip);
    for kind in ["application/json", "text/html", "nonsense"] {
        let headers = [
            ("Stripe-Signature", signature.as_str()),
            ("Content-Type", kind),
            ("Content-Encoding", "gzip"),
        ];
        assert_eq!(post(gateway.addr, &headers, gzip).await.status, 200);
        assert_eq!(core.calls().pop().unwrap().message.payload, gzip.as_slice());
    }
}

/// W-10: two minutes off is fine; ten are refused, and the alarm is there at once.
#[tokio::test]
async fn the_edges_of_the_window_and_a_skewed_clock() {
    let core = FakeCore::start().await;
    for (skew, status) in [
        (-600, 400),
        (-301, 400),
        (-300, 200),
        (-120, 200),
        (120, 200),
        (300, 200),
        (301, 400),
        (600, 400),
    ] {
        let clock = UNIX_EPOCH + Duration::from_secs(NOW.checked_add_signed(skew).unwrap());
        let set = Clock::from_fn(move || clock);
        let gateway = Gateway::start(core.addr, |config| config.clock = set).await;
        assert_eq!(
            gateway.deliver().await.status,
            status,
            "clock off by {skew}"
        );
        let alarms = gateway
            .metric("gateway_alarms_total{cause=\"clock_or_replay\"}")
            .await;
        assert_eq!(
            alarms,
            if status == 400 { 1.0 } else { 0.0 },
            "clock off by {skew}"
        );
    }
    assert_eq!(core.calls().len(), 4);
}

/// W-09: the gateway keeps no memory of what it has seen; the store does.
#[tokio::test]
async fn a_replay_within_the_window_is_the_cores_to_know() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    assert_eq!(gateway.deliver().await.status, 200);
    core.behave(Behaviour::StoreAgain);
    assert_eq!(gateway.deliver().await.status, 200);
    assert_eq!(core.calls().len(), 2);
}

#[tokio::test]
async fn a_body_that_takes_its_time_is_judged_by_the_arrival_of_its_head() {
    let core = FakeCore::start().await;
    let (reads, seconds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(NOW)));
    let clock = {
        let (reads, seconds) = (reads.clone(), seconds.clone());
        Clock::from_fn(move || {
            reads.fetch_add(1, Ordering::SeqCst);
            UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst))
        })
    };
    let gateway = Gateway::start(core.addr, |config| config.clock = clock).await;
    let whole = request(
        "POST",
        "/stripe-webhook",
        &[("Stripe-Signature", &signed(EVENT))],
        EVENT,
    );
    let (head, body) = whole.split_at(whole.len() - EVENT.len());
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    stream.write_all(head).await.unwrap();
    eventually("the head was seen", || async {
        reads.load(Ordering::SeqCst) == 1
    })
    .await;
    seconds.store(NOW + 1000, Ordering::SeqCst);
    stream.write_all(body).await.unwrap();
    assert_eq!(Reply::parse(&read_to_close(&mut stream).await).status, 200);
    assert_eq!(
        core.calls()[0].message.receive_time.unwrap().seconds,
        NOW as i64
    );
    // From now on the same signature is too old.
    assert_eq!(gateway.deliver().await.status, 400);
}
