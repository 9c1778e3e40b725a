//! Creates that are made to race, with the outcome that was ordered.

use reqwest::Method;
use sandbox::panel::PanelConfig;
use serde_json::{Value, json};

use crate::world::{World, code, minecraft};

async fn plan(world: &World, table: &str, lost_by: &str) -> u64 {
    let race = json!({ "table": table, "creates": 2, "lost_by": lost_by });
    world.post_control("races", race).await["id"]
        .as_u64()
        .unwrap()
}

async fn fired(world: &World, id: u64) -> u64 {
    let races = world.control(Method::GET, "races", json!({})).await;
    let races = races["races"].as_array().unwrap().clone();
    let race = races.iter().find(|race| race["id"] == id).unwrap();
    race["fired"].as_u64().unwrap()
}

fn user(name: &str, external_id: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "username": name, "first_name": "A",
        "last_name": "B", "external_id": external_id })
}

#[tokio::test]
async fn of_two_good_creates_one_loses_at_the_model_or_at_the_database() {
    let world = World::start(PanelConfig::shop()).await;
    let mut next_id = 1;
    for (lost_by, expected, ids) in [
        ("model_check", "DataValidationException", 1),
        ("insert", "QueryException", 2),
    ] {
        for same in ["port", "external_id"] {
            let id = plan(&world, "servers", lost_by).await;
            let first = 10 * next_id;
            let (order, second) = match same {
                "port" => (format!("other-{first}"), first),
                _ => (format!("order-{first}"), first + 1),
            };
            let bodies = [
                minecraft(&format!("order-{first}"), first),
                minecraft(&order, second),
            ];
            let (a, b) = tokio::join!(world.create(&bodies[0]), world.create(&bodies[1]));
            let (won, lost) = if a.0.as_u16() == 201 { (a, b) } else { (b, a) };
            assert_eq!(
                (won.0.as_u16(), lost.0.as_u16()),
                (201, 500),
                "{lost_by} {same}"
            );
            assert_eq!(code(&lost.1), expected, "{lost_by} {same}");
            assert_eq!(fired(&world, id).await, 1);
            assert!(won.1["attributes"]["id"].as_i64().unwrap() >= next_id);
            next_id += ids;
        }
    }
    let next = world.create(&minecraft("order-last", 99)).await.1;
    assert_eq!(
        next["attributes"]["id"], next_id,
        "an insert that fails uses up an id"
    );
    assert_eq!(
        world.panel.daemon_calls().len(),
        5,
        "losers never came to the node"
    );
}

#[tokio::test]
async fn two_users_of_one_address_race_for_it() {
    let world = World::start(PanelConfig::shop()).await;
    for (lost_by, expected) in [
        ("model_check", "DataValidationException"),
        ("insert", "QueryException"),
    ] {
        let id = plan(&world, "users", lost_by).await;
        let name = lost_by.replace('_', "");
        let mut bodies = [user(&name, "one"), user(&format!("{name}2"), "two")];
        bodies[0]["external_id"] = json!(format!("{name}-1"));
        bodies[1]["external_id"] = json!(format!("{name}-2"));
        bodies[1]["email"] = bodies[0]["email"].clone();
        let (a, b) = tokio::join!(
            world.call(Method::POST, "/users", Some(&bodies[0])),
            world.call(Method::POST, "/users", Some(&bodies[1]))
        );
        let lost = if a.0.as_u16() == 201 { b } else { a };
        assert_eq!((lost.0.as_u16(), code(&lost.1)), (500, expected));
        assert_eq!(fired(&world, id).await, 1);
    }
}

/// Nothing but the validation keeps external ids of users apart.
#[tokio::test]
async fn two_users_of_one_external_id_both_win_at_the_database() {
    let world = World::start(PanelConfig::shop()).await;
    for (lost_by, statuses) in [("insert", [201, 201]), ("model_check", [201, 500])] {
        let id = plan(&world, "users", lost_by).await;
        let name = lost_by.replace('_', "");
        let bodies = [
            user(&format!("{name}1"), lost_by),
            user(&format!("{name}2"), lost_by),
        ];
        let (a, b) = tokio::join!(
            world.call(Method::POST, "/users", Some(&bodies[0])),
            world.call(Method::POST, "/users", Some(&bodies[1]))
        );
        let mut seen = [a.0.as_u16(), b.0.as_u16()];
        seen.sort_unstable();
        assert_eq!(seen, statuses, "{lost_by}");
        assert_eq!(fired(&world, id).await, 1);
    }
    let twins = world.panel.users();
    let twins: Vec<_> = twins
        .iter()
        .filter(|user| user.external_id.as_deref() == Some("insert"))
        .collect();
    assert_eq!(twins.len(), 2);
    let shown = world.get("/users/external/insert").await.1;
    assert_eq!(
        shown["attributes"]["id"], twins[0].id,
        "the look-up shows the first"
    );
}

#[tokio::test]
async fn two_creates_of_one_additional_port_both_win_and_the_last_has_it() {
    let world = World::start(PanelConfig::shop()).await;
    let id = plan(&world, "servers", "insert").await;
    let bodies = [1, 2].map(|port| {
        let mut body = minecraft(&format!("order-{port}"), port);
        body["allocation"]["additional"] = json!([9]);
        body
    });
    let (a, b) = tokio::join!(world.create(&bodies[0]), world.create(&bodies[1]));
    assert_eq!(
        (a.0.as_u16(), b.0.as_u16(), fired(&world, id).await),
        (201, 201, 1)
    );
    let owners = world.panel.servers();
    let owners = owners
        .iter()
        .filter(|row| row.allocations.contains(&9))
        .count();
    assert_eq!(owners, 1);
}

#[tokio::test]
async fn a_stranger_takes_an_additional_port_of_a_new_server() {
    let world = World::start(PanelConfig::shop()).await;
    world.post_control("thefts", json!({ "times": 1 })).await;
    for (order, robbed) in [("order-1", true), ("order-2", false)] {
        let first = if robbed { 1 } else { 11 };
        let mut body = minecraft(order, first);
        body["allocation"]["additional"] = json!([first + 1, first + 2]);
        let path = "/servers?include=allocations";
        let (status, answer) = world.call(Method::POST, path, Some(&body)).await;
        assert_eq!(status.as_u16(), 201, "nobody says that it is gone");
        let ports = answer["attributes"]["relationships"]["allocations"]["data"].as_array();
        assert_eq!(ports.unwrap().len(), if robbed { 2 } else { 3 });
    }
    let thefts = world.control(Method::GET, "thefts", json!({})).await;
    assert_eq!((&thefts["fired"], &thefts["left"]), (&json!(1), &json!(0)));
    let thief = world
        .panel
        .servers()
        .into_iter()
        .find(|row| row.external_id.is_none());
    assert!(thief.unwrap().allocations.contains(&2));
}

#[tokio::test]
async fn a_deploy_steals_the_default_port_of_another_server() {
    let world = World::start(PanelConfig::shop()).await;
    world.create(&minecraft("order-1", 7)).await;
    let mut body = minecraft("order-2", 0);
    body["allocation"] = json!({ "additional": [7] });
    body["deploy"] = json!({ "locations": [1], "dedicated_ip": false, "port_range": [] });
    assert_eq!(world.create(&body).await.0.as_u16(), 201);
    let servers = world.control(Method::GET, "servers", json!({})).await;
    assert_eq!(servers["servers"][0]["allocations"], json!([]));
    // An operator's script does the same, and gives it back.
    world
        .post_control("allocations/7", json!({ "server": 1 }))
        .await;
    assert_eq!(world.panel.server("order-1").unwrap().allocations, [7]);
    let (status, _) = world
        .try_control(Method::POST, "allocations/99999", json!({ "server": 1 }))
        .await;
    assert_eq!(status, 400);
}

/// A caller that does one create after the other cannot be made to race.
#[tokio::test]
async fn who_waits_in_vain_goes_on_and_the_race_has_not_fired() {
    let world = World::start(PanelConfig::shop()).await;
    let race = json!({ "table": "servers", "creates": 2, "lost_by": "insert", "patience_ms": 20 });
    let id = world.post_control("races", race).await["id"]
        .as_u64()
        .unwrap();
    for port in [1, 2] {
        let order = format!("order-{port}");
        assert_eq!(world.create(&minecraft(&order, port)).await.0.as_u16(), 201);
    }
    assert_eq!(fired(&world, id).await, 0);
}
