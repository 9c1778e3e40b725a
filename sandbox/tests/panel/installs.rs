//! Install states that are lost, wrong or misleading.

use std::time::Duration;

use reqwest::Method;
use sandbox::panel::PanelConfig;
use serde_json::{Value, json};

use crate::world::{World, minecraft};

async fn status(world: &World, id: i64) -> (Value, Value) {
    let body = world.get(&format!("/servers/{id}")).await.1;
    let row = &body["attributes"];
    (row["status"].clone(), row["container"]["installed"].clone())
}

async fn installs(world: &World) -> Value {
    world.control(Method::GET, "install", json!({})).await["installs"].clone()
}

async fn start() -> World {
    let world = World::start(PanelConfig::shop()).await;
    world
        .post_control("install", json!({ "default_delay_ms": 60_000 }))
        .await;
    world
}

async fn pass(world: &World, by: Duration) {
    let clock = json!({ "advance_seconds": by.as_secs() });
    world.post_control("clock", clock).await;
}

#[tokio::test]
async fn an_install_ends_fails_or_is_lost() {
    let world = start().await;
    let switches = json!({ "fail_external_ids": ["order-2"], "lose_external_ids": ["order-3"] });
    world.post_control("install", switches).await;
    for port in 1..=3 {
        world
            .create(&minecraft(&format!("order-{port}"), port))
            .await;
    }
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(status(&world, 1).await, (Value::Null, json!(1)));
    assert_eq!(status(&world, 2).await, (json!("install_failed"), json!(0)));
    pass(&world, Duration::from_secs(86_400)).await;
    assert_eq!(
        status(&world, 3).await,
        (json!("installing"), json!(0)),
        "for ever"
    );
    assert_eq!(
        installs(&world).await,
        json!({ "finished": 1, "failed": 1, "lost": 1, "cleared": 0 })
    );
    // A reinstall is the way out of both.
    world
        .post_control(
            "install",
            json!({ "fail_external_ids": [], "lose_external_ids": [] }),
        )
        .await;
    for id in [2, 3] {
        let path = format!("/servers/{id}/reinstall");
        assert_eq!(world.call(Method::POST, &path, None).await.0.as_u16(), 204);
        pass(&world, Duration::from_secs(61)).await;
        assert_eq!(status(&world, id).await.0, Value::Null);
    }
}

/// The first install of each fails, and the next ends well: nobody has to allow it in time.
#[tokio::test]
async fn so_many_installs_fail_as_were_wanted() {
    let world = start().await;
    let switches = json!({ "fail_external_ids": ["order-1"], "fail_times": 1 });
    world.post_control("install", switches).await;
    world.create(&minecraft("order-1", 1)).await;
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(status(&world, 1).await.0, json!("install_failed"));
    let again = world.call(Method::POST, "/servers/1/reinstall", None).await;
    assert_eq!(again.0.as_u16(), 204);
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(status(&world, 1).await, (Value::Null, json!(1)));
    assert_eq!(world.panel.install_counts().failed, 1);
}

#[tokio::test]
async fn a_failed_reinstall_counts_as_installed() {
    let world = start().await;
    world.create(&minecraft("order-1", 1)).await;
    pass(&world, Duration::from_secs(61)).await;
    world
        .post_control("install", json!({ "fail_external_ids": ["order-1"] }))
        .await;
    world.call(Method::POST, "/servers/1/reinstall", None).await;
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(
        status(&world, 1).await,
        (json!("reinstall_failed"), json!(1))
    );
}

/// A daemon that restarts forgets its installs, and the panel takes that for success.
#[tokio::test]
async fn a_restarted_daemon_clears_installing_without_any_install() {
    let world = start().await;
    for (order, port) in [("order-1", 1), ("order-2", 2), ("order-3", 3)] {
        world.create(&minecraft(order, port)).await;
    }
    world
        .post_control("servers/2", json!({ "status": "restoring_backup" }))
        .await;
    world.call(Method::POST, "/servers/3/suspend", None).await;
    let restarted = world.post_control("nodes/1/restart", json!({})).await;
    assert_eq!(restarted["installs"]["cleared"], 2);
    assert_eq!(status(&world, 1).await, (Value::Null, json!(1)));
    assert_eq!(status(&world, 2).await.0, Value::Null);
    assert_eq!(status(&world, 3).await, (json!("suspended"), json!(1)));
    assert_eq!(installs(&world).await["finished"], 0);
}

#[tokio::test]
async fn suspending_an_install_hides_how_it_ended() {
    let world = start().await;
    world
        .post_control("install", json!({ "fail_external_ids": ["order-1"] }))
        .await;
    world.create(&minecraft("order-1", 1)).await;
    world.call(Method::POST, "/servers/1/suspend", None).await;
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(status(&world, 1).await, (json!("suspended"), json!(1)));
    world.call(Method::POST, "/servers/1/unsuspend", None).await;
    assert_eq!(
        status(&world, 1).await,
        (Value::Null, json!(1)),
        "though it has failed"
    );
    assert_eq!(installs(&world).await["failed"], 1);
}

#[tokio::test]
async fn a_failed_suspension_forgets_the_install() {
    let world = start().await;
    world.create(&minecraft("order-1", 1)).await;
    world
        .post_control("nodes/1/daemon", json!({ "mode": "down", "times": 1 }))
        .await;
    let suspended = world.call(Method::POST, "/servers/1/suspend", None).await;
    assert_eq!(suspended.0.as_u16(), 504);
    assert_eq!(status(&world, 1).await, (Value::Null, json!(1)));
    assert_eq!(world.panel.daemon_fired(1), 1);
}

/// Whoever is next loses the word on an install; a daemon's restart is the way out.
#[tokio::test]
async fn the_next_installs_are_lost_whosever_they_are() {
    let world = start().await;
    world.panel.lose_installs(1);
    for port in 1..=2 {
        world
            .create(&minecraft(&format!("order-{port}"), port))
            .await;
    }
    pass(&world, Duration::from_secs(61)).await;
    assert_eq!(status(&world, 1).await, (json!("installing"), json!(0)));
    assert_eq!(status(&world, 2).await, (Value::Null, json!(1)));
    world.panel.restart_daemon(1);
    assert_eq!(status(&world, 1).await, (Value::Null, json!(1)));
    let counts = world.panel.install_counts();
    assert_eq!((counts.lost, counts.cleared, counts.finished), (1, 1, 1));
}
