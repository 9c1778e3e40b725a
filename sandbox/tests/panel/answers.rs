//! What a fault does to an answer, told over HTTP: every action, before and after the work.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use sandbox::panel::PanelConfig;

use crate::world::{PATIENCE, World, code, minecraft};

async fn create(world: &World, body: &Value) -> Result<Response, reqwest::Error> {
    let url = format!("{}/api/application/servers", world.panel.url());
    let request = world.client.post(url).bearer_auth(world.panel.key());
    let request = request.header("Accept", "application/json");
    request.json(body).send().await
}

fn fault(action: &Value, when: &str) -> Value {
    json!({ "method": "POST", "path": "/servers", "when": when, "times": 1, "action": action })
}

/// Every way to answer in the place of the panel: the status that is seen, and a word of the answer.
fn answers() -> Vec<(Value, u16, &'static str)> {
    vec![
        (
            json!({ "kind": "status", "status": 503, "body": "{}", "headers": [["X-Note", "n"]] }),
            503,
            "{}",
        ),
        (
            json!({ "kind": "rate_limited", "retry_after": 7 }),
            429,
            "ThrottleRequestsException",
        ),
        (
            json!({ "kind": "rate_limited" }),
            429,
            "ThrottleRequestsException",
        ),
        (json!({ "kind": "lock_timeout" }), 500, "QueryException"),
        (json!({ "kind": "conflict" }), 409, "ConflictHttpException"),
        (json!({ "kind": "internal_error" }), 500, "unexpected error"),
        (json!({ "kind": "garbage" }), 200, "attributes"),
        (json!({ "kind": "html_page", "status": 502 }), 502, "<html>"),
        (json!({ "kind": "html_page", "status": 200 }), 200, "<html>"),
        (
            json!({ "kind": "redirect", "location": "/auth/login" }),
            302,
            "",
        ),
    ]
}

#[tokio::test]
async fn an_answer_is_replaced_before_or_after_the_work() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(40)).await;
    let mut port = 0;
    for (when, made) in [
        ("before_work", false),
        ("before_commit", false),
        ("after_work", true),
    ] {
        for (action, status, word) in answers() {
            port += 1;
            let order = format!("order-{port}");
            let id = world.fault(fault(&action, when)).await;
            let answer = create(&world, &minecraft(&order, port)).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{action} {when}");
            let retry = answer.headers().get("retry-after").cloned();
            let wanted = action["retry_after"]
                .as_u64()
                .map(|seconds| seconds.to_string());
            assert_eq!(retry.map(|text| text.to_str().unwrap().to_owned()), wanted);
            let body = answer.bytes().await.unwrap();
            assert!(
                String::from_utf8_lossy(&body).contains(word),
                "{action} {when} {body:?}"
            );
            assert_eq!(
                world.panel.server(&order).is_some(),
                made,
                "{action} {when}"
            );
            assert_eq!(world.fired(id).await, 1);
        }
    }
    assert_eq!(world.panel.succeeded("POST", "/servers"), answers().len());
}

#[tokio::test]
async fn a_connection_is_closed_before_or_after_the_work() {
    let world = World::start(PanelConfig::shop()).await;
    let hang = json!({ "kind": "hang", "milliseconds": 30 });
    let mut port = 0;
    for action in [json!({ "kind": "drop" }), hang] {
        for (when, made) in [
            ("before_work", false),
            ("before_commit", false),
            ("after_work", true),
        ] {
            port += 1;
            let order = format!("order-{port}");
            let id = world.fault(fault(&action, when)).await;
            let began = Instant::now();
            assert!(
                create(&world, &minecraft(&order, port)).await.is_err(),
                "{action} {when}"
            );
            if action["kind"] == "hang" {
                assert!(began.elapsed() >= Duration::from_millis(30));
            }
            assert_eq!(
                world.panel.server(&order).is_some(),
                made,
                "{action} {when}"
            );
            assert_eq!(world.fired(id).await, 1);
        }
    }
}

#[tokio::test]
async fn a_hang_ends_when_it_is_released_removed_or_cleared() {
    let world = World::start(PanelConfig::shop()).await;
    for end in ["release", "remove", "clear"] {
        let hang = json!({ "kind": "hang" });
        let id = world
            .fault(json!({ "method": "GET", "path": "/locations", "action": hang }))
            .await;
        let hung = world.try_call(Method::GET, "/locations", None);
        let ended = async {
            world.until(id, "fired", 1).await;
            match end {
                "release" => {
                    world
                        .post_control(&format!("faults/{id}/release"), json!({}))
                        .await
                }
                "remove" => {
                    let path = format!("faults/{id}");
                    world.control(Method::DELETE, &path, json!({})).await
                }
                _ => world.control(Method::DELETE, "faults", json!({})).await,
            }
        };
        let (hung, _) = tokio::join!(hung, ended);
        assert!(hung.is_err(), "{end}");
        // A release ends the waits of now; the fault goes on.
        let path = format!("faults/{id}");
        let report = world.control(Method::GET, &path, json!({})).await;
        assert_eq!(report["active"], end == "release");
        world.control(Method::DELETE, "faults", json!({})).await;
    }
    assert_eq!(world.get("/locations").await.0.as_u16(), 200);
}

#[tokio::test]
async fn a_delay_lies_before_or_after_the_work() {
    let world = World::start(PanelConfig::shop()).await;
    let delay = json!({ "kind": "delay", "milliseconds": 60_000 });
    for (port, when, made) in [(1, "before_work", false), (2, "after_work", true)] {
        let order = format!("order-{port}");
        let id = world.fault(fault(&delay, when)).await;
        let body = minecraft(&order, port);
        let create = world.create(&body);
        let meanwhile = async {
            world.until(id, "fired", 1).await;
            let deadline = Instant::now() + PATIENCE;
            while world.panel.server(&order).is_some() != made {
                assert!(Instant::now() < deadline, "{when}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world
                .post_control(&format!("faults/{id}/release"), json!({}))
                .await;
        };
        let ((status, _), ()) = tokio::join!(create, meanwhile);
        assert_eq!(
            status.as_u16(),
            201,
            "{when}: the real answer comes in the end"
        );
    }
}

#[tokio::test]
async fn half_of_an_answer_is_no_answer() {
    let world = World::start(PanelConfig::shop()).await;
    let id = world
        .fault(fault(&json!({ "kind": "truncate" }), "before_work"))
        .await;
    let answer = create(&world, &minecraft("order-1", 7)).await.unwrap();
    let promised = answer.content_length().unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    assert!(
        answer.bytes().await.is_err(),
        "{promised} bytes were promised"
    );
    assert!(world.panel.server("order-1").is_some());
    assert_eq!(world.fired(id).await, 1);
}

/// Asks for one location without a client that would wait for the whole answer.
async fn ask(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.panel.addr()).await.unwrap();
    let request = format!(
        "GET /api/application/locations/1 HTTP/1.1\r\nHost: panel\r\nAccept: application/json\r\n\
         Authorization: Bearer {}\r\n\r\n",
        world.panel.key()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = stream.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    text
}

fn whole(text: &str) -> bool {
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let body: Value = serde_json::from_str(body).unwrap();
    body["attributes"]["id"] == 1
}

#[tokio::test]
async fn an_answer_drips_at_its_pace() {
    let world = World::start(PanelConfig::shop()).await;
    for from in ["head", "body"] {
        let drip = json!({ "kind": "drip", "from": from, "bytes": 20, "milliseconds": 10 });
        let fault = json!({ "path": "/locations/1", "times": 1, "action": drip });
        let id = world.fault(fault).await;
        let began = Instant::now();
        let text = rest(&mut ask(&world).await).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let dripped = body.len() + if from == "head" { head.len() } else { 0 };
        let pauses = u32::try_from(dripped / 20 - 1).unwrap();
        assert!(
            began.elapsed() >= Duration::from_millis(10) * pauses,
            "{from}"
        );
        assert!(whole(&text));
        assert_eq!(world.fired(id).await, 1);
    }
}

#[tokio::test]
async fn a_drip_begins_with_the_head_or_with_the_body_and_ends_with_its_fault() {
    let world = World::start(PanelConfig::shop()).await;
    for from in ["head", "body"] {
        let drip = json!({ "kind": "drip", "from": from, "bytes": 1, "milliseconds": 3_600_000 });
        world
            .fault(json!({ "path": "/locations/1", "action": drip }))
            .await;
        let mut stream = ask(&world).await;
        let mut text = String::new();
        // The second drop would come in an hour.
        while text.is_empty() || (from == "body" && !text.contains("\r\n\r\n{")) {
            let mut buffer = [0; 4096];
            let reading = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
            let read = reading.await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        match from {
            "head" => assert_eq!(text, "H"),
            _ => assert!(text.ends_with("\r\n\r\n{"), "{text}"),
        }
        world.control(Method::DELETE, "faults", json!({})).await;
        text.push_str(&rest(&mut stream).await);
        assert!(whole(&text));
    }
}

#[tokio::test]
async fn a_fault_finds_its_endpoint_its_turn_and_its_text() {
    let world = World::start(PanelConfig::shop()).await;
    world.create(&minecraft("order-1", 1)).await;
    let suspends = world
        .fault(json!({
            "method": "POST", "path": "/servers/{server}/suspend", "whole": true,
            "nth": 2, "action": { "kind": "conflict" },
        }))
        .await;
    let order_3 = world
        .fault(json!({
            "method": "POST", "path": "/servers", "containing": "order-3",
            "action": { "kind": "internal_error" },
        }))
        .await;
    let suspend = async || world.call(Method::POST, "/servers/1/suspend", None).await.0;
    let unsuspend = async || {
        world
            .call(Method::POST, "/servers/1/unsuspend", None)
            .await
            .0
    };
    assert_eq!(suspend().await.as_u16(), 204);
    assert_eq!(unsuspend().await.as_u16(), 204, "another endpoint");
    assert_eq!(suspend().await.as_u16(), 409);
    assert_eq!(suspend().await.as_u16(), 204);
    assert_eq!(world.create(&minecraft("order-2", 2)).await.0.as_u16(), 201);
    assert_eq!(world.create(&minecraft("order-3", 3)).await.0.as_u16(), 500);
    assert_eq!(
        (world.fired(suspends).await, world.fired(order_3).await),
        (1, 1)
    );
    assert_eq!(world.count(suspends, "seen").await, 3);
    let (status, error) = world
        .try_control(
            Method::POST,
            "faults",
            json!({ "path": "/", "action": { "kind": "odd" } }),
        )
        .await;
    assert_eq!(status, 400, "{error}");
    let (status, _) = world.try_control(Method::GET, "faults/99", json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_storm_of_limits_lasts_until_it_is_cleared() {
    let world = World::start(PanelConfig::shop()).await;
    let storm = world
        .fault(json!({ "path": "/", "action": { "kind": "rate_limited" } }))
        .await;
    for _ in 0..5 {
        let (status, body) = world.get("/locations").await;
        assert_eq!(
            (status.as_u16(), code(&body)),
            (429, "ThrottleRequestsException")
        );
    }
    world.control(Method::DELETE, "faults", json!({})).await;
    assert_eq!(world.get("/locations").await.0.as_u16(), 200);
    assert_eq!(world.fired(storm).await, 5);
    let charged = world
        .panel
        .calls()
        .iter()
        .filter(|call| call.charged)
        .count();
    assert_eq!(charged, 1, "a refused request is not charged");
    // The panel's own limit, set over HTTP, tells when it ends.
    world.post_control("rate", json!({ "limit": 1 })).await;
    assert_eq!(world.get("/locations").await.0.as_u16(), 429);
    world.post_control("rate", json!({ "reset": true })).await;
    assert_eq!(world.get("/locations").await.0.as_u16(), 200);
}
