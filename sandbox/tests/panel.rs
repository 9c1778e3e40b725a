//! The panel stand-in by itself: races, failing daemons, stolen ports, the clock and faults.

#[cfg(test)]
#[path = "panel/answers.rs"]
mod answers;
#[cfg(test)]
#[path = "panel/installs.rs"]
mod installs;
#[cfg(test)]
#[path = "panel/lists.rs"]
mod lists;
#[cfg(test)]
#[path = "panel/pipeline.rs"]
mod pipeline;
#[cfg(test)]
#[path = "panel/races.rs"]
mod races;
#[cfg(test)]
#[path = "panel/world.rs"]
mod world;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sandbox::panel::{DaemonMode, Fault, FaultAction, PanelClock, PanelConfig};
use serde_json::{Value, json};

use world::{PATIENCE, World, code, minecraft};

#[tokio::test]
async fn of_many_creates_for_one_port_one_wins_and_losers_leave_nothing() {
    let config = PanelConfig::shop().with_race_window(Duration::from_millis(200));
    let world = World::start(config).await;
    let mut codes = Vec::new();
    for round in 1..=4 {
        let bodies: Vec<Value> = (0..4)
            .map(|one| minecraft(&format!("race-{round}-{one}"), round))
            .collect();
        let (a, b, c, d) = tokio::join!(
            world.create(&bodies[0]),
            world.create(&bodies[1]),
            world.create(&bodies[2]),
            world.create(&bodies[3])
        );
        let answers = [a, b, c, d];
        let won = answers
            .iter()
            .filter(|(status, _)| *status == StatusCode::CREATED)
            .count();
        assert_eq!(won, 1, "{answers:?}");
        codes.extend(answers.iter().map(|(_, body)| code(body).to_owned()));
    }
    codes.retain(|code| !code.is_empty());
    assert_eq!(codes.len(), 12);
    // Who is late fails validation; who passed it together with the winner fails at the model's check
    // or at the database.
    let late = ["DataValidationException", "QueryException"];
    assert!(
        codes
            .iter()
            .all(|code| code == "ValidationException" || late.contains(&code.as_str())),
        "{codes:?}"
    );
    assert!(
        codes.iter().any(|code| late.contains(&code.as_str())),
        "{codes:?}"
    );
    assert_eq!(world.panel.servers().len(), 4);
    assert_eq!(world.panel.succeeded("POST", "/servers"), 4);
    assert_eq!(world.panel.count("POST", "/servers"), 16);
    assert_eq!(world.panel.daemon_calls().len(), 4);
}

#[tokio::test]
async fn a_failing_daemon_leaves_no_row_and_a_free_port() {
    let world = World::start(PanelConfig::shop()).await;
    let modes = [
        (DaemonMode::Down, 504),
        (DaemonMode::Drop, 504),
        (
            DaemonMode::Status {
                status: 401,
                body: "{\"error\":\"token\"}".to_owned(),
            },
            401,
        ),
        (
            DaemonMode::Status {
                status: 429,
                body: String::new(),
            },
            429,
        ),
        (
            DaemonMode::Status {
                status: 502,
                body: String::new(),
            },
            502,
        ),
    ];
    for (mode, expected) in modes {
        world.panel.set_daemon(1, mode.clone());
        let (status, body) = world.create(&minecraft("order-1", 7)).await;
        assert_eq!(status.as_u16(), expected, "{mode:?}");
        assert_eq!(code(&body), "DaemonConnectionException");
        assert_eq!(world.panel.servers(), []);
        assert!(world.panel.free_allocations(1).contains(&7));
    }
    world.panel.set_daemon(1, DaemonMode::Ok);
    let (status, body) = world.create(&minecraft("order-1", 7)).await;
    assert_eq!(status, StatusCode::CREATED);
    // Every failed insert has used up an id.
    assert_eq!(body["attributes"]["id"], 6);
}

#[tokio::test]
async fn a_killed_worker_leaves_the_row_installing_for_ever() {
    let world = World::start(PanelConfig::shop()).await;
    world.panel.set_daemon(1, DaemonMode::KillWorker);
    let body = minecraft("order-1", 7);
    assert!(
        world
            .try_call(Method::POST, "/servers", Some(&body))
            .await
            .is_err()
    );
    world.panel.advance(Duration::from_secs(86_400));
    let row = world.panel.server("order-1").unwrap();
    assert_eq!(row.status.as_deref(), Some("installing"));
    assert_eq!(world.panel.calls().last().unwrap().status, None);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_create() {
    let world = World::start(PanelConfig::shop()).await;
    world.panel.set_daemon(1, "slow 0.2".parse().unwrap());
    let body = minecraft("order-1", 7);
    {
        let create = world.create(&body);
        tokio::pin!(create);
        let deadline = Instant::now() + PATIENCE;
        while world.panel.server("order-1").is_none() {
            assert!(Instant::now() < deadline);
            tokio::select! {
                answer = &mut create => panic!("{answer:?} came too early"),
                () = tokio::time::sleep(Duration::from_millis(2)) => {}
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while world.panel.succeeded("POST", "/servers") == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(world.panel.server("order-1").is_some());
}

#[tokio::test]
async fn additional_ports_are_stolen_with_deploy() {
    let world = World::start(PanelConfig::shop()).await;
    assert_eq!(
        world.create(&minecraft("order-1", 7)).await.0,
        StatusCode::CREATED
    );
    let mut thief = minecraft("order-2", 0);
    thief["allocation"] = json!({ "additional": [7] });
    thief["deploy"] = json!({ "locations": [1], "dedicated_ip": false, "port_range": [] });
    assert_eq!(world.create(&thief).await.0, StatusCode::CREATED);
    let robbed = world.panel.server("order-1").unwrap();
    let thief = world.panel.server("order-2").unwrap();
    assert_eq!((robbed.allocation, robbed.allocations), (7, vec![]));
    assert!(thief.allocations.contains(&7) && thief.allocation != 7);
}

#[tokio::test]
async fn the_limit_is_a_fixed_window_that_the_clock_ends() {
    let start = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let clock = PanelClock::starting_at(start);
    let world = World::start(PanelConfig::shop().with_clock(clock).with_rate_limit(3)).await;
    for _ in 0..3 {
        assert_eq!(world.get("/locations").await.0, StatusCode::OK);
    }
    world.panel.advance(Duration::from_secs(30));
    let (status, body) = world.get("/locations").await;
    assert_eq!(
        (status.as_u16(), code(&body)),
        (429, "ThrottleRequestsException")
    );
    // A route that does not exist is answered all the same, and free.
    assert_eq!(world.get("/nothing").await.0, StatusCode::NOT_FOUND);
    // Refusals do not prolong the window.
    world.panel.advance(Duration::from_secs(30));
    assert_eq!(world.get("/locations").await.0, StatusCode::OK);
    let charged = world
        .panel
        .calls()
        .iter()
        .filter(|call| call.charged)
        .count();
    assert_eq!(charged, 4);
}

#[tokio::test]
async fn installs_end_by_the_clock_and_fail_when_told() {
    let hour = Duration::from_secs(3600);
    let world = World::start(PanelConfig::shop().with_install_delay(hour)).await;
    world.panel.fail_install("order-2");
    world.create(&minecraft("order-1", 1)).await;
    world.create(&minecraft("order-2", 2)).await;
    world.create(&minecraft("order-3", 3)).await;
    let suspended = world.call(Method::POST, "/servers/3/suspend", None).await;
    assert_eq!(suspended.0, StatusCode::NO_CONTENT);
    assert_eq!(
        world.get("/servers/1").await.1["attributes"]["status"],
        "installing"
    );
    world.panel.advance(hour);
    let status = |id: i64| {
        let servers = world.panel.servers();
        servers
            .iter()
            .find(|row| row.id == id)
            .unwrap()
            .status
            .clone()
    };
    assert_eq!(status(1), None);
    assert_eq!(status(2).as_deref(), Some("install_failed"));
    assert_eq!(status(3).as_deref(), Some("suspended"));
    world.panel.set_install_delay(Duration::from_millis(20));
    world.call(Method::POST, "/servers/1/reinstall", None).await;
    let deadline = Instant::now() + PATIENCE;
    while status(1).is_some() {
        assert!(Instant::now() < deadline, "real time ends an install too");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn faults_strike_before_or_after_the_work_and_are_counted() {
    let world = World::start(PanelConfig::shop()).await;
    let page = FaultAction::HtmlPage { status: 502 };
    let lost = world.panel.inject(
        Fault::on("POST", "/servers", FaultAction::Drop)
            .nth(1)
            .after_work(),
    );
    let proxy = world
        .panel
        .inject(Fault::on("POST", "/api/application/servers", page).nth(2));
    let cut = world
        .panel
        .inject(Fault::on("GET", "/servers", FaultAction::Truncate).times(1));
    let body = minecraft("order-1", 7);
    assert!(
        world
            .try_call(Method::POST, "/servers", Some(&body))
            .await
            .is_err()
    );
    assert!(world.panel.server("order-1").is_some(), "the work was done");
    let (status, answer) = world.create(&minecraft("order-2", 8)).await;
    assert_eq!(status.as_u16(), 502);
    assert!(answer.as_str().unwrap().contains("<html>"));
    assert!(world.panel.server("order-2").is_none(), "no work was done");
    assert!(
        world
            .try_call(Method::GET, "/servers/1", None)
            .await
            .is_err(),
        "cut in half"
    );
    assert_eq!(world.get("/servers/1").await.0, StatusCode::OK);
    let fired = [lost, proxy, cut].map(|fault| world.panel.fired(fault));
    assert_eq!(fired, [1, 1, 1]);
    assert_eq!(world.panel.succeeded("POST", "/servers"), 1);
    assert_eq!(world.panel.calls()[1].fault.as_deref(), Some("html_page"));
}

#[tokio::test]
async fn the_control_api_does_what_the_handle_does() {
    let world = World::start(PanelConfig::shop()).await;
    let control = async |method, path, body| world.try_control(method, path, body).await;
    let fault = json!({
        "method": "GET", "path": "/locations", "times": 1,
        "action": { "kind": "status", "status": 503, "body": "{}" },
    });
    assert_eq!(
        control(Method::POST, "faults", fault).await,
        (200, json!({ "id": 1 }))
    );
    assert_eq!(world.get("/locations").await.0.as_u16(), 503);
    let (_, faults) = control(Method::GET, "faults", json!({})).await;
    assert_eq!(faults["faults"][0]["fired"], 1);
    let (status, _) = control(Method::POST, "nodes/1/daemon", json!({ "mode": "down" })).await;
    assert_eq!(status, 200);
    assert_eq!(world.create(&minecraft("order-1", 7)).await.0.as_u16(), 504);
    assert_eq!(
        control(Method::POST, "nodes/9/daemon", json!({ "mode": "ok" }))
            .await
            .0,
        400
    );
    assert_eq!(
        control(Method::POST, "nodes/1/daemon", json!({ "mode": "odd" }))
            .await
            .0,
        400
    );
    let (_, clock) = control(Method::POST, "clock", json!({ "set_unix": 1_900_000_000 })).await;
    assert!((1_900_000_000..1_900_000_060).contains(&clock["unix"].as_i64().unwrap()));
    let (_, calls) = control(Method::GET, "calls", json!({})).await;
    assert_eq!(
        calls["calls"].as_array().unwrap().len(),
        2,
        "control is no call"
    );
    assert_eq!(calls["calls"][1]["external_id"], "order-1");
    assert_eq!(calls["calls"][1]["template"], "/api/application/servers");
}

#[tokio::test]
async fn every_game_of_the_shop_can_be_created_from_its_defaults() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(20)).await;
    let (_, nests) = world.get("/nests").await;
    let mut port = 0;
    for nest in nests["data"].as_array().unwrap() {
        let id = &nest["attributes"]["id"];
        let (_, eggs) = world
            .get(&format!("/nests/{id}/eggs?include=variables"))
            .await;
        for egg in eggs["data"].as_array().unwrap() {
            let egg = &egg["attributes"];
            let variables = egg["relationships"]["variables"]["data"]
                .as_array()
                .unwrap();
            let environment = variables.iter().map(|variable| {
                let variable = &variable["attributes"];
                let name = variable["env_variable"].as_str().unwrap().to_owned();
                (name, variable["default_value"].clone())
            });
            port += 1;
            let mut body = minecraft(&format!("order-{port}"), port);
            body["egg"] = egg["id"].clone();
            body["docker_image"] = egg["docker_image"].clone();
            body["startup"] = egg["startup"].clone();
            body["environment"] = Value::Object(environment.collect());
            let (status, answer) = world.create(&body).await;
            assert_eq!(status, StatusCode::CREATED, "{} {answer}", egg["name"]);
        }
    }
    assert_eq!(port, 11);
    assert_eq!(world.panel.free_allocations(1).len(), 9);
}
