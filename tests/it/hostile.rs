//! Every string that any request can carry, with values that break careless code: an
//! answer is a refusal with a reason or treats them as data, and a refusal changes nothing.

use prost::Message;
use spawnpoint::{
    db::Db,
    rpc::{proto, status::code_of},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, reason, with_token},
    sound::Sound,
    sql, till,
    wire::{Answer, Api, Method, call},
};

both_engines!(
    no_string_of_any_request_breaks_anything,
    no_text_of_an_event_breaks_anything,
);

/// More than enough for what is asked of every string.
const LEAST_CALLS: usize = 1_000;

fn values() -> Vec<(&'static str, Vec<u8>)> {
    let text = |name, value: &str| (name, value.as_bytes().to_vec());
    vec![
        text("empty", ""),
        text("10 kB", &"a".repeat(10_000)),
        text("NUL", "a\0b"),
        text("control characters", "\u{1}\u{7}\u{1b}[31m\u{7f}"),
        text("line breaks", "one\r\ntwo\nthree"),
        text("emoji", "\u{1f600}\u{1f469}\u{200d}\u{1f467}"),
        text("right to left", "\u{202e}gpj.exe"),
        text("SQL", "' OR '1'='1'; DROP TABLE orders; --"),
        text("LIKE", "%_%"),
        text("path", "../../../etc/passwd"),
        text("templates", "${jndi:ldap://x}{{7*7}}$(id)`id`"),
        text("format strings", "%s%n%d{}{0}"),
        text("JSON", r#"{"$ne":null,"a":["b"]}"#),
        text("HTML", "<script>alert(1)</script>"),
        text(
            "an id in upper case",
            "0192F0C1-2F3A-7C4D-9E5F-0123456789AB",
        ),
        text(
            "a very long id",
            &"0192f0c1-2f3a-7c4d-9e5f-0123456789ab".repeat(40),
        ),
        text("no-break spaces", "\u{a0}\u{a0}\u{a0}"),
        text("outer spaces", "  mc-2gb  "),
        text("percent", "%00%0a"),
        text("byte order mark", "\u{feff}mc-2gb"),
        text("minus", "-1"),
        ("no UTF-8", b"mc-2gb\xff\xfe\xc3\x28".to_vec()),
        ("half a surrogate pair", b"mc-2gb\xed\xa0\x80".to_vec()),
    ]
}

/// What calls write: how many rows there are of what only grows, and when the catalog
/// was last changed.
async fn written(db: &Db) -> Vec<String> {
    let rows = [
        "orders",
        "billing",
        "profiles",
        "servers",
        "request_keys",
        "stripe_events",
        "ptero_nodes",
        "plan_prices",
        "addon_prices",
        "api_tokens",
    ];
    let rows = rows.map(|table| format!("SELECT '{table} ' || count(*) AS t FROM {table}"));
    let changes = ["plans", "addons", "games"].map(|table| {
        format!("SELECT '{table} ' || count(*) || ' ' || max(updated_at) AS t FROM {table}")
    });
    let all: Vec<String> = rows.into_iter().chain(changes).collect();
    sql::texts(db, &all.join(" UNION ALL ")).await
}

/// Refused in a way that a caller can act on, or taken as data.
fn assert_harmless(answer: &Answer, value: &[u8], what: &str) {
    let Err(status) = answer else {
        assert!(str::from_utf8(value).is_ok(), "{what}: taken as text");
        return;
    };
    let expected = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
    );
    assert!(expected, "{what}: {status:?}");
    assert_has_reason(status, what);
    if str::from_utf8(value).is_err() {
        assert_eq!(reason(status), "MESSAGE_MALFORMED", "{what}: {status:?}");
    }
}

fn assert_has_reason(status: &Status, what: &str) {
    let info = status
        .get_details_error_info()
        .unwrap_or_else(|| panic!("{what}: {status:?}"));
    assert_eq!(info.domain, "spawnpoint", "{what}");
    assert_eq!(
        code_of(&info.reason),
        Some(status.code()),
        "{what}: {}",
        info.reason
    );
    if info.reason == "FIELD_INVALID" {
        let fields = status.get_details_bad_request().unwrap().field_violations;
        assert!(!fields.is_empty(), "{what}");
    }
}

async fn no_string_of_any_request_breaks_anything(engine: Engine) {
    // Webhooks would write in between; payments are found without them.
    let live = Live::open_with(engine, |options| options.webhooks = false).await;
    let (api, mut sound) = (Api::read(), Sound::stock(&live).await);
    let (mut calls, mut taken) = (0, 0);
    let mut state;
    for method in &api.methods {
        let whole = ask(&live, method, sound.request(&method.label)).await;
        assert!(
            whole.is_ok(),
            "{} of a sound request: {whole:?}",
            method.label
        );
        state = written(&live.store.db).await;
        for slot in api.strings(method, &Sound::element) {
            for (name, value) in values() {
                let what = format!("{} {} = {name}", method.label, slot.path);
                let mut bytes = sound.request(&method.label);
                bytes.extend(slot.with(&value));
                let answer = ask(&live, method, bytes).await;
                assert_harmless(&answer, &value, &what);
                let before = std::mem::replace(&mut state, written(&live.store.db).await);
                assert!(
                    answer.is_ok() || state == before,
                    "{what}: {before:?} {state:?}"
                );
                calls += 1;
                taken += usize::from(answer.is_ok());
            }
        }
    }
    eprintln!("{calls} calls, {taken} of them taken as data");
    assert!(calls > LEAST_CALLS, "{calls}");
    // And the shop still sells.
    live.buy(Uuid::new_v4()).await;
    live.close().await;
}

async fn ask(live: &Live, method: &Method, bytes: Vec<u8>) -> Answer {
    let request = with_token(bytes, &live.world.tokens.operator);
    call(&live.channel(), &method.path, request).await
}

/// Payloads are bytes to the API, and texts inside: signed by Stripe, and yet of any kind.
async fn no_text_of_an_event_breaks_anything(engine: Engine) {
    let live = Live::open(engine).await;
    let api = Api::read();
    let method = api.method("OrderService/RecordStripeEvent");
    let order = live
        .checkout(crate::support::live::cart(Uuid::new_v4()))
        .await;
    let order = order.unwrap().order.unwrap();
    // What Stripe tells of the checkout itself must not come in between.
    till::delivered(&live).await;
    let pointers = [
        "/id",
        "/object",
        "/api_version",
        "/type",
        "/data/object/id",
        "/data/object/client_reference_id",
        "/data/object/metadata/order_id",
        "/data/object/subscription",
        "/data/object/payment_status",
        "/data/object/status",
    ];
    let mut calls = 0;
    for pointer in pointers {
        for (name, value) in values() {
            let Ok(text) = String::from_utf8(value.clone()) else {
                continue;
            };
            let mut event = event(calls, &order);
            *event.pointer_mut(pointer).unwrap() = text.into();
            let payload = serde_json::to_vec(&event).unwrap();
            let message = proto::RecordStripeEventRequest {
                payload,
                receive_time: None,
            };
            let before = written(&live.store.db).await;
            let answer = ask(&live, method, message.encode_to_vec()).await;
            let what = format!("{pointer} = {name}");
            assert_harmless(&answer, &value, &what);
            if answer.is_err() {
                assert_eq!(written(&live.store.db).await, before, "{what}");
            }
            calls += 1;
        }
    }
    assert!(calls >= 200, "{calls}");
    for payload in [
        &b""[..],
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        &b"[".repeat(100_000),
    ] {
        let message = proto::RecordStripeEventRequest {
            payload: payload.to_vec(),
            receive_time: None,
        };
        let status = ask(&live, method, message.encode_to_vec())
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "EVENT_MALFORMED");
    }
    // Times at both ends of what can be said.
    for (seconds, nanos) in [(i64::MAX, i32::MAX), (i64::MIN, i32::MIN), (-1, -1)] {
        let payload = serde_json::to_vec(&event(calls, &order)).unwrap();
        let receive_time = Some(prost_types::Timestamp { seconds, nanos });
        let message = proto::RecordStripeEventRequest {
            payload,
            receive_time,
        };
        let answer = ask(&live, method, message.encode_to_vec()).await;
        assert_harmless(&answer, b"", &format!("receive_time {seconds}"));
        calls += 1;
    }
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Pending
    );
    live.close().await;
}

fn event(number: usize, order: &proto::Order) -> serde_json::Value {
    serde_json::json!({
        "id": format!("evt_hostile{number}"),
        "object": "event",
        "api_version": "2024-06-20",
        "created": 1_700_000_000,
        "livemode": false,
        "type": "checkout.session.completed",
        "data": {"object": {
            "id": order.stripe_checkout_session_id,
            "object": "checkout.session",
            "client_reference_id": order.id,
            "metadata": {"order_id": order.id},
            "payment_status": "unpaid",
            "status": "open",
            "subscription": null,
        }},
    })
}
