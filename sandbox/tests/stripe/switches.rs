//! The faults told over HTTP: every action, before and after the work, and what a key remembers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Reply, Shop, cart, cart_with};

const SESSIONS: &str = "/v1/checkout/sessions";

fn fault(action: Value, when: &str) -> Value {
    json!({ "method": "POST", "path": SESSIONS, "when": when, "times": 1, "action": action })
}

/// Sends the cart; what came is told apart by status and body, or nothing came.
async fn checkout(shop: &Shop, key: &str) -> Option<(u16, Vec<u8>)> {
    let request = shop.request(Method::POST, SESSIONS).form(&cart());
    let response = request.header("Idempotency-Key", key).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.bytes().await.ok()?.to_vec()))
}

async fn keyed(shop: &Shop, key: &str) -> Reply {
    shop.post_keyed(SESSIONS, &cart(), key).await
}

#[tokio::test]
async fn whatever_happens_after_the_work_the_key_finds_its_session() {
    let shop = Shop::open().await;
    let actions = [
        json!({ "kind": "status", "status": 503, "body": "busy", "content_type": "text/plain" }),
        json!({ "kind": "rate_limited", "retry_after": 3 }),
        json!({ "kind": "lock_timeout" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "html_page", "status": 502 }),
        json!({ "kind": "redirect", "location": "https://example.com" }),
        json!({ "kind": "hang", "milliseconds": 20 }),
        json!({ "kind": "drop" }),
        json!({ "kind": "truncate" }),
    ];
    for (number, action) in actions.iter().enumerate() {
        let key = format!("key-{number}");
        let id = shop.fault(fault(action.clone(), "after_work")).await;
        let seen = checkout(&shop, &key).await;
        if let Some((status, body)) = seen {
            let whole = serde_json::from_slice::<Value>(&body);
            assert!(status != 200 || whole.is_err(), "{action} {status}");
        }
        assert_eq!(shop.stripe.sessions().len(), number + 1, "{action}");
        assert_eq!(shop.fired(id).await, 1);
        let again = keyed(&shop, &key).await;
        assert_eq!(
            (again.status, again.header("idempotent-replayed")),
            (200, Some("true"))
        );
        assert_eq!(again.id(), shop.stripe.sessions()[number].id);
    }
    assert_eq!(shop.stripe.sessions().len(), actions.len());
}

#[tokio::test]
async fn whatever_happens_before_the_work_leaves_the_key_free() {
    let shop = Shop::open().await;
    let actions = [
        (json!({ "kind": "status", "status": 503 }), Some(503), ""),
        (
            json!({ "kind": "rate_limited", "retry_after": 3 }),
            Some(429),
            "rate_limit",
        ),
        (json!({ "kind": "rate_limited" }), Some(429), "rate_limit"),
        (
            json!({ "kind": "lock_timeout", "retry_after": 1 }),
            Some(429),
            "lock_timeout",
        ),
        (
            json!({ "kind": "conflict" }),
            Some(409),
            "idempotency_key_in_use",
        ),
        (json!({ "kind": "internal_error" }), Some(500), "api_error"),
        (
            json!({ "kind": "html_page", "status": 504 }),
            Some(504),
            "<html>",
        ),
        (json!({ "kind": "hang", "milliseconds": 20 }), None, ""),
        (json!({ "kind": "drop" }), None, ""),
    ];
    let mut made = 0;
    for (number, (action, status, word)) in actions.iter().enumerate() {
        for when in ["before_work", "before_commit"] {
            if action["kind"] == "internal_error" && when == "before_commit" {
                // Kept under the key: a test of its own.
                continue;
            }
            let key = format!("key-{number}-{when}");
            let id = shop.fault(fault(action.clone(), when)).await;
            let seen = checkout(&shop, &key).await;
            assert_eq!(
                seen.as_ref().map(|(status, _)| *status),
                *status,
                "{action} {when}"
            );
            let body = seen.map(|(_, body)| body).unwrap_or_default();
            assert!(
                String::from_utf8_lossy(&body).contains(word),
                "{action} {when}"
            );
            assert_eq!(shop.stripe.sessions().len(), made, "{action} {when}");
            assert_eq!(shop.fired(id).await, 1, "{action} {when}");
            let again = keyed(&shop, &key).await;
            assert_eq!(
                (again.status, again.header("idempotent-replayed")),
                (200, None)
            );
            made += 1;
        }
    }
    let limited = shop.fault(fault(
        json!({ "kind": "rate_limited", "retry_after": 3 }),
        "before_work",
    ));
    limited.await;
    assert_eq!(
        keyed(&shop, "key-limited").await.header("retry-after"),
        Some("3")
    );
    shop.fault(fault(json!({ "kind": "rate_limited" }), "before_work"))
        .await;
    assert_eq!(
        keyed(&shop, "key-limited").await.header("retry-after"),
        None
    );
}

#[tokio::test]
async fn a_500_after_execution_began_is_what_its_key_remembers() {
    let shop = Shop::open().await;
    let mut made = 0;
    for when in ["before_commit", "after_commit", "after_work"] {
        made += usize::from(when != "before_commit");
        let id = shop
            .fault(fault(json!({ "kind": "internal_error" }), when))
            .await;
        let first = keyed(&shop, when).await;
        let second = keyed(&shop, when).await;
        assert_eq!(
            (first.status, first.header("idempotent-replayed")),
            (500, None),
            "{when}"
        );
        assert_eq!(
            (second.status, second.header("idempotent-replayed")),
            (500, Some("true"))
        );
        assert_eq!(second.body, first.body);
        assert_eq!(shop.stripe.sessions().len(), made, "{when}");
        assert_eq!(shop.fired(id).await, 1, "{when}");
    }
    let changed = cart_with(&[("client_reference_id", "order-2")]);
    let other = shop.post_keyed(SESSIONS, &changed, "after_work").await;
    assert_eq!(
        (other.status, other.error("type")),
        (400, "idempotency_error")
    );
}

#[tokio::test]
async fn a_key_is_in_use_while_its_first_call_waits() {
    let shop = Shop::open().await;
    let delay = json!({ "kind": "delay", "milliseconds": 60_000 });
    let id = shop.fault(fault(delay, "before_commit")).await;
    let second = async {
        shop.until(id, "fired", 1).await;
        let reply = keyed(&shop, "key-1").await;
        shop.control(&format!("faults/{id}/release"), json!({}))
            .await;
        reply
    };
    let (first, second) = tokio::join!(keyed(&shop, "key-1"), second);
    assert_eq!((first.status, second.status), (200, 409));
    assert_eq!(second.error("code"), "idempotency_key_in_use");
    let third = keyed(&shop, "key-1").await;
    assert_eq!(
        (third.id(), third.header("idempotent-replayed")),
        (first.id(), Some("true"))
    );
}

#[tokio::test]
async fn a_session_is_made_late_by_the_clock_or_on_release() {
    let shop = Shop::open().await;
    for (milliseconds, made) in [(json!(60_000), 1), (Value::Null, 2)] {
        let late = json!({ "late": { "milliseconds": milliseconds } });
        let fault = json!({ "method": "POST", "path": SESSIONS, "when": late, "times": 1,
            "action": { "kind": "drop" } });
        let id = shop.fault(fault).await;
        let key = format!("key-{made}");
        assert!(checkout(&shop, &key).await.is_none());
        assert_eq!(shop.stripe.sessions().len(), made - 1);
        if milliseconds.is_null() {
            shop.control(&format!("faults/{id}/release"), json!({}))
                .await;
        } else {
            shop.control("clock", json!({ "advance_seconds": 60 }))
                .await;
        }
        shop.until(id, "landed", 1).await;
        assert_eq!(shop.stripe.sessions().len(), made);
        let again = keyed(&shop, &key).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
}

#[tokio::test]
async fn an_answer_drips_until_its_fault_is_over() {
    let shop = Shop::open().await;
    let id = shop.session().await;
    let path = format!("{SESSIONS}/{id}");
    for from in ["head", "body"] {
        let drip = json!({ "kind": "drip", "from": from, "bytes": 1, "milliseconds": 60_000 });
        let drip = shop
            .fault(json!({ "path": path, "times": 1, "action": drip }))
            .await;
        let cleared = async {
            shop.until(drip, "fired", 1).await;
            assert_eq!(shop.get(&path).await.id(), id, "only one call is struck");
            let url = format!("{}/_sandbox/faults", shop.stripe.url());
            shop.http.delete(url).send().await.unwrap();
        };
        let request = tokio::time::timeout(PATIENCE, shop.get(&path));
        let (reply, ()) = tokio::join!(request, cleared);
        assert_eq!(reply.unwrap().id(), id);
    }
}

#[tokio::test]
async fn a_list_is_empty_short_or_endless() {
    let shop = Shop::open().await;
    for _ in 0..4 {
        shop.post("/v1/customers", &[]).await;
    }
    let list = async |action: Value| {
        let fault =
            json!({ "method": "GET", "path": "/v1/customers", "times": 1, "action": action });
        let id = shop.fault(fault).await;
        let reply = shop.get("/v1/customers?limit=3").await;
        assert_eq!(shop.fired(id).await, 1);
        (reply.ids().len(), reply.body["has_more"].clone())
    };
    assert_eq!(
        list(json!({ "kind": "empty_list" })).await,
        (0, json!(false))
    );
    assert_eq!(
        list(json!({ "kind": "short_list", "rows": 1 })).await,
        (1, json!(false))
    );
    assert_eq!(
        list(json!({ "kind": "shifted_list", "by": 1 })).await,
        (2, json!(true))
    );
    let fault = json!({ "path": "/v1/customers", "action": { "kind": "endless_list" } });
    let id = shop.fault(fault).await;
    let mut after = String::new();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let page = shop.get(&format!("/v1/customers?limit=2{after}")).await;
        assert_eq!(page.body["has_more"], true);
        after = format!("&starting_after={}", page.ids()[1]);
        seen.push(page.ids());
    }
    assert!(
        seen.windows(2).all(|pair| pair[0] == pair[1]),
        "always the first rows"
    );
    assert_eq!(shop.fired(id).await, 5);
}

#[tokio::test]
async fn one_endpoint_one_turn_one_text() {
    let shop = Shop::open().await;
    let session = shop.session().await;
    let whole = json!({ "method": "GET", "path": "/v1/checkout/sessions/{id}", "whole": true,
        "nth": 2, "action": { "kind": "conflict" } });
    let whole = shop.fault(whole).await;
    let text = json!({ "path": "/v1/customers", "containing": "b%40example.com",
        "action": { "kind": "lock_timeout" } });
    let text = shop.fault(text).await;
    let path = format!("{SESSIONS}/{session}");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(shop.get(&path).await.status);
        shop.get(&format!("{path}/line_items")).await;
    }
    assert_eq!((seen, shop.fired(whole).await), (vec![200, 409, 200], 1));
    for (email, status) in [("a@example.com", 200), ("b@example.com", 429)] {
        let reply = shop.post("/v1/customers", &[("email", email)]).await;
        assert_eq!(reply.status, status);
    }
    assert_eq!(shop.fired(text).await, 1);
    let odd = shop
        .control(
            "faults",
            json!({ "path": "/", "action": { "kind": "odd" } }),
        )
        .await;
    assert_eq!(odd.status, 400);
}
