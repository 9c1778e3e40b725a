//! The create of a server, struck at every point of its way, and creates that land late.

use std::time::{Duration, Instant};

use reqwest::Method;
use sandbox::panel::PanelConfig;
use serde_json::{Value, json};

use crate::world::{PATIENCE, World, code, minecraft};

const ORDER: &str = "order-1";
const PORT: i64 = 7;

fn struck(when: Value, action: Value) -> Value {
    json!({ "method": "POST", "path": "/servers", "when": when, "times": 1, "action": action })
}

async fn lookup(world: &World) -> (u16, Value) {
    let (status, body) = world.get(&format!("/servers/external/{ORDER}")).await;
    (status.as_u16(), body["attributes"]["status"].clone())
}

async fn until_looked_up(world: &World, wanted: u16) {
    let deadline = Instant::now() + PATIENCE;
    while lookup(world).await.0 != wanted {
        assert!(Instant::now() < deadline, "the look-up never was {wanted}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn before_the_commit_nothing_is_left_but_a_used_id() {
    let world = World::start(PanelConfig::shop()).await;
    let id = world
        .fault(struck(
            json!("before_commit"),
            json!({ "kind": "internal_error" }),
        ))
        .await;
    assert_eq!(world.create(&minecraft(ORDER, PORT)).await.0.as_u16(), 500);
    assert_eq!(lookup(&world).await.0, 404);
    assert!(world.panel.free_allocations(1).contains(&PORT));
    assert_eq!(
        (world.fired(id).await, world.panel.daemon_calls().len()),
        (1, 0)
    );
    let (status, body) = world.create(&minecraft(ORDER, PORT)).await;
    assert_eq!(
        (status.as_u16(), &body["attributes"]["id"]),
        (201, &json!(2))
    );
}

#[tokio::test]
async fn a_refused_create_never_comes_to_the_commit() {
    let world = World::start(PanelConfig::shop()).await;
    let id = world
        .fault(struck(json!("before_commit"), json!({ "kind": "drop" })))
        .await;
    let (status, _) = world.create(&json!({})).await;
    assert_eq!((status.as_u16(), world.fired(id).await), (422, 0));
}

/// Between the commit and the node: the row is there, and nobody will ever install it.
#[tokio::test]
async fn after_the_commit_the_row_is_stuck_and_the_node_knows_nothing() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(9)).await;
    let kinds = [
        json!({ "kind": "drop" }),
        json!({ "kind": "internal_error" }),
    ];
    for (action, port) in kinds.into_iter().zip(1..) {
        let order = format!("order-{port}");
        let id = world.fault(struck(json!("after_commit"), action)).await;
        let body = minecraft(&order, port);
        let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
        assert!(answer.is_err() || answer.is_ok_and(|(status, _)| status.as_u16() == 500));
        assert_eq!(world.fired(id).await, 1);
        let clock = json!({ "advance_seconds": 86_400 });
        world.post_control("clock", clock).await;
        let row = world.panel.server(&order).unwrap();
        assert_eq!(row.status.as_deref(), Some("installing"));
        assert_eq!(row.allocations, [port]);
    }
    assert_eq!(world.panel.daemon_calls().len(), 0);
}

#[tokio::test]
async fn a_node_that_refuses_leaves_no_row_and_its_status_is_passed_on() {
    let world = World::start(PanelConfig::shop()).await;
    for status in [401, 403, 404, 409, 422, 429, 500, 502] {
        let mode = json!({ "mode": format!("{status} {{\"error\":\"no\"}}"), "times": 1 });
        world.post_control("nodes/1/daemon", mode).await;
        let (answered, body) = world.create(&minecraft(ORDER, PORT)).await;
        assert_eq!(
            (answered.as_u16(), code(&body)),
            (status, "DaemonConnectionException")
        );
        assert_eq!(lookup(&world).await.0, 404);
        let daemon = world
            .control(Method::GET, "nodes/1/daemon", json!({}))
            .await;
        assert_eq!(daemon["fired"], 1, "the clean-up was answered well");
    }
    let asked = world.panel.daemon_calls();
    let deletes = asked.iter().filter(|call| call.method == "DELETE").count();
    assert_eq!((asked.len(), deletes), (16, 8));
}

#[tokio::test]
async fn a_slow_node_shows_the_row_until_the_clean_up() {
    let config = PanelConfig::shop();
    let patience = Duration::from_millis(400);
    let world = World::start(config.with_daemon_timeouts(patience, patience)).await;
    world
        .post_control("nodes/1/daemon", json!({ "mode": "hang 60 POST" }))
        .await;
    let body = minecraft(ORDER, PORT);
    let seen = async {
        until_looked_up(&world, 200).await;
        lookup(&world).await
    };
    let ((status, answer), seen) = tokio::join!(world.create(&body), seen);
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (504, "DaemonConnectionException")
    );
    assert_eq!(seen, (200, json!("installing")));
    assert_eq!(lookup(&world).await.0, 404, "and then it is gone");
    assert!(world.panel.free_allocations(1).contains(&PORT));
}

#[tokio::test]
async fn a_worker_that_is_killed_after_the_node_was_asked_leaves_the_row() {
    let world = World::start(PanelConfig::shop()).await;
    world
        .post_control("nodes/1/daemon", json!({ "mode": "kill", "times": 1 }))
        .await;
    let body = minecraft(ORDER, PORT);
    let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
    assert!(answer.is_err());
    assert_eq!(world.panel.daemon_fired(1), 1);
    assert_eq!(lookup(&world).await, (200, json!("installing")));
    let asked = world.control(Method::GET, "daemon-calls", json!({})).await;
    assert_eq!(asked["daemon_calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_answer_is_lost_after_the_201() {
    let world = World::start(PanelConfig::shop()).await;
    let id = world
        .fault(struck(json!("after_work"), json!({ "kind": "drop" })))
        .await;
    let body = minecraft(ORDER, PORT);
    let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
    assert!(answer.is_err());
    assert_eq!(
        (
            world.fired(id).await,
            world.panel.succeeded("POST", "/servers")
        ),
        (1, 1)
    );
    assert_eq!(lookup(&world).await, (200, json!("installing")));
}

/// The client is gone at once; the panel goes on with what it was asked.
#[tokio::test]
async fn the_panel_goes_on_without_its_client() {
    let world = World::start(PanelConfig::shop()).await;
    let at_once = json!({ "late": { "milliseconds": 0 } });
    for (action, port) in [
        json!({ "kind": "drop" }),
        json!({ "kind": "html_page", "status": 504 }),
    ]
    .into_iter()
    .zip(1..)
    {
        let order = format!("order-{port}");
        let id = world.fault(struck(at_once.clone(), action)).await;
        let body = minecraft(&order, port);
        let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
        assert!(answer.is_err() || answer.is_ok_and(|(status, _)| status.as_u16() == 504));
        world.until(id, "landed", 1).await;
        assert!(world.panel.server(&order).is_some());
    }
    assert_eq!(world.panel.succeeded("POST", "/servers"), 2);
}

#[tokio::test]
async fn a_create_lands_when_the_stand_ins_clock_says_so() {
    let world = World::start(PanelConfig::shop()).await;
    let late = json!({ "late": { "milliseconds": 3_600_000 } });
    let id = world.fault(struck(late, json!({ "kind": "drop" }))).await;
    let body = minecraft(ORDER, PORT);
    let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
    assert!(answer.is_err(), "the connection is closed at once");
    world
        .post_control("clock", json!({ "advance_seconds": 1800 }))
        .await;
    for _ in 0..3 {
        assert_eq!(lookup(&world).await.0, 404);
    }
    assert_eq!(world.count(id, "waiting").await, 1);
    // What the panel has taken is not undone by the end of the fault.
    world.control(Method::DELETE, "faults", json!({})).await;
    assert_eq!(lookup(&world).await.0, 404);
    world
        .post_control("clock", json!({ "advance_seconds": 1800 }))
        .await;
    until_looked_up(&world, 200).await;
    world.until(id, "landed", 1).await;
    assert_eq!(
        (world.fired(id).await, world.count(id, "waiting").await),
        (1, 0)
    );
    assert_eq!(world.panel.daemon_calls().len(), 1);
}

#[tokio::test]
async fn a_create_lands_when_it_is_released_and_finds_what_was_done_meanwhile() {
    let world = World::start(PanelConfig::shop()).await;
    let late = json!({ "late": { "milliseconds": null } });
    let hang = json!({ "kind": "hang", "milliseconds": 20 });
    let id = world.fault(struck(late, hang)).await;
    let body = minecraft(ORDER, PORT);
    let answer = world.try_call(Method::POST, "/servers", Some(&body)).await;
    assert!(answer.is_err(), "the client gives up first");
    assert_eq!(lookup(&world).await.0, 404);
    // A second create with the same external id gets there first.
    assert_eq!(
        world.create(&minecraft(ORDER, PORT + 1)).await.0.as_u16(),
        201
    );
    world
        .post_control(&format!("faults/{id}/release"), json!({}))
        .await;
    world.until(id, "landed", 1).await;
    assert_eq!(
        world.panel.servers().len(),
        1,
        "the late one is refused: the id is taken"
    );
    let statuses: Vec<_> = world.panel.calls().iter().map(|call| call.status).collect();
    assert!(statuses.contains(&Some(422)), "{statuses:?}");
}

#[tokio::test]
async fn a_user_can_land_late_too() {
    let world = World::start(PanelConfig::shop()).await;
    let late = json!({ "late": { "milliseconds": null } });
    let fault = json!({ "method": "POST", "path": "/users", "when": late, "times": 1,
        "action": { "kind": "drop" } });
    let id = world.fault(fault).await;
    let body = json!({ "email": "a@example.com", "username": "aaa", "first_name": "A",
        "last_name": "A", "external_id": "u-1" });
    assert!(
        world
            .try_call(Method::POST, "/users", Some(&body))
            .await
            .is_err()
    );
    assert_eq!(world.get("/users/external/u-1").await.0.as_u16(), 404);
    world
        .post_control(&format!("faults/{id}/release"), json!({}))
        .await;
    world.until(id, "landed", 1).await;
    assert_eq!(world.get("/users/external/u-1").await.0.as_u16(), 200);
}

/// Suspend, delete and reinstall have the same points: written and not told, told and not written.
#[tokio::test]
async fn other_writes_are_struck_between_the_row_and_the_node() {
    let world = World::start(PanelConfig::shop()).await;
    world.create(&minecraft(ORDER, PORT)).await;
    let asked = || world.panel.daemon_calls().len();
    let lost = async |method: Method, path: &str, when: &str| {
        let fault = json!({ "method": method.as_str(), "path": path, "when": when, "times": 1,
            "action": { "kind": "drop" } });
        let id = world.fault(fault).await;
        assert!(world.try_call(method, path, None).await.is_err());
        assert_eq!(world.fired(id).await, 1, "{path} {when}");
    };
    lost(Method::POST, "/servers/1/suspend", "before_commit").await;
    assert_eq!((lookup(&world).await.1, asked()), (json!("installing"), 1));
    lost(Method::POST, "/servers/1/suspend", "after_commit").await;
    assert_eq!((lookup(&world).await.1, asked()), (json!("suspended"), 1));
    lost(Method::POST, "/servers/1/reinstall", "before_commit").await;
    assert_eq!((lookup(&world).await.1, asked()), (json!("suspended"), 2));
    lost(Method::DELETE, "/servers/1", "before_commit").await;
    assert_eq!(
        (lookup(&world).await.0, asked()),
        (200, 3),
        "gone from the node, not here"
    );
    lost(Method::DELETE, "/servers/1", "after_commit").await;
    assert_eq!((lookup(&world).await.0, asked()), (404, 4));
}

/// The second of three creates meets a node that is down; its clean-up is the next call.
#[tokio::test]
async fn a_node_fails_in_the_call_that_is_wanted() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(9)).await;
    let mode = json!({ "mode": "500 {}", "nth": 2 });
    world.post_control("nodes/1/daemon", mode).await;
    let mut answers = Vec::new();
    for port in 1..=3 {
        let (status, _) = world
            .create(&minecraft(&format!("order-{port}"), port))
            .await;
        answers.push(status.as_u16());
    }
    assert_eq!(answers, [201, 500, 201]);
    assert_eq!(world.panel.daemon_fired(1), 1);
    assert_eq!(world.panel.servers().len(), 2);
}

/// The daemon asks the panel back before it answers. The only worker is in the create, so the
/// create fails by its time-out, and the row goes.
#[tokio::test]
async fn a_create_needs_a_second_worker() {
    let patience = Duration::from_millis(300);
    let config = PanelConfig::shop().with_daemon_timeouts(patience, patience);
    let world = World::start(config).await;
    world.post_control("workers", json!({ "count": 1 })).await;
    let (status, answer) = world.create(&minecraft(ORDER, PORT)).await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (504, "DaemonConnectionException")
    );
    assert_eq!(lookup(&world).await.0, 404);
    let starved = world.control(Method::GET, "workers", json!({})).await;
    assert_eq!(starved, json!({ "starved": 1 }));
    world.post_control("workers", json!({ "count": 2 })).await;
    let (status, _) = world.create(&minecraft(ORDER, PORT)).await;
    assert_eq!((status.as_u16(), world.panel.starved()), (201, 1));
}
