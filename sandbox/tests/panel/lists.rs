//! Lists: the e-mail filter, pages that shift, pages without an end, very many rows.

use std::collections::BTreeSet;

use reqwest::Method;
use sandbox::panel::PanelConfig;
use serde_json::{Value, json};

use crate::world::World;

async fn ids(world: &World, path: &str) -> Vec<i64> {
    let body = world.get(path).await.1;
    let rows = body["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["attributes"]["id"].as_i64().unwrap())
        .collect()
}

async fn pagination(world: &World, path: &str) -> Value {
    world.get(path).await.1["meta"]["pagination"].clone()
}

#[tokio::test]
async fn an_address_is_found_among_all_that_hold_it_on_several_pages() {
    let world = World::start(PanelConfig::shop()).await;
    for name in ["malice", "alice", "ALICE.x", "bob"] {
        let email = match name {
            "ALICE.x" => "ALICE@EXAMPLE.COM.attacker.example".to_owned(),
            name => format!("{name}@example.com"),
        };
        let spec = json!({ "email": email, "username": name, "first_name": "A", "last_name": "B" });
        world.post_control("users", spec).await;
    }
    let mut found = Vec::new();
    for page in 1..=3 {
        let path = format!("/users?filter[email]=alice@example.com&per_page=1&page={page}");
        let body = world.get(&path).await.1;
        assert_eq!(body["meta"]["pagination"]["total_pages"], 3);
        let links = &body["meta"]["pagination"]["links"];
        let next = links["next"].as_str().unwrap_or_default();
        assert!(!next.contains("filter"), "links drop the filter: {next}");
        found.push(
            body["data"][0]["attributes"]["email"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        found,
        [
            "malice@example.com",
            "alice@example.com",
            "ALICE@EXAMPLE.COM.attacker.example"
        ]
    );
}

#[tokio::test]
async fn rows_are_missed_or_come_twice_when_a_list_shifts() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(30)).await;
    let whole = ids(&world, "/nodes/1/allocations").await;
    for by in [3, -3] {
        let fault = json!({ "method": "GET", "path": "/nodes/1/allocations",
            "action": { "kind": "shifted_list", "by": by } });
        let id = world.fault(fault).await;
        let mut read = Vec::new();
        for page in 1..=3 {
            let path = format!("/nodes/1/allocations?per_page=10&page={page}");
            read.extend(ids(&world, &path).await);
        }
        let known: BTreeSet<i64> = read.iter().copied().collect();
        if by > 0 {
            assert_eq!((read.len(), known.len()), (27, 27));
            assert!(
                !known.contains(&whole[10]),
                "a row between two pages is never seen"
            );
        } else {
            assert_eq!((read.len(), known.len()), (30, 27));
        }
        assert_eq!(world.fired(id).await, 3);
        world.control(Method::DELETE, "faults", json!({})).await;
    }
}

#[tokio::test]
async fn a_list_never_ends_or_leads_back_to_its_first_page() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(30)).await;
    let path = |page: i64| format!("/nodes/1/allocations?per_page=10&page={page}");
    let first = ids(&world, &path(1)).await;
    let endless = world
        .fault(json!({ "path": "/nodes/1/allocations", "action": { "kind": "endless_list" } }))
        .await;
    for page in [1, 2, 500] {
        let pages = pagination(&world, &path(page)).await;
        assert_eq!(pages["current_page"], page);
        assert_eq!(pages["total_pages"], page + 1, "there is always one more");
        assert!(pages["links"]["next"].is_string());
        assert_eq!(ids(&world, &path(page)).await, first);
    }
    assert_eq!(world.fired(endless).await, 6);
    world.control(Method::DELETE, "faults", json!({})).await;
    let stuck = world
        .fault(json!({ "path": "/nodes/1/allocations", "action": { "kind": "stuck_list" } }))
        .await;
    for page in [1, 2, 3] {
        let pages = pagination(&world, &path(page)).await;
        assert_eq!(
            (&pages["current_page"], &pages["total_pages"]),
            (&json!(1), &json!(2))
        );
        let next = pages["links"]["next"].as_str().unwrap().to_owned();
        assert!(
            next.ends_with(&format!("page={page}")),
            "its next page is itself: {next}"
        );
    }
    assert_eq!(world.fired(stuck).await, 3);
}

#[tokio::test]
async fn a_list_is_empty_or_ends_too_early() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(30)).await;
    let fault = json!({ "path": "/nodes/1/allocations", "times": 1,
        "action": { "kind": "empty_list" } });
    let empty = world.fault(fault).await;
    let pages = pagination(&world, "/nodes/1/allocations").await;
    assert_eq!(
        (&pages["total"], &pages["total_pages"]),
        (&json!(0), &json!(1))
    );
    let short = json!({ "path": "/nodes/1/allocations",
        "action": { "kind": "short_list", "rows": 12 } });
    let short = world.fault(short).await;
    let mut read = Vec::new();
    for page in 1..=3 {
        let path = format!("/nodes/1/allocations?per_page=10&page={page}");
        read.push(ids(&world, &path).await.len());
    }
    assert_eq!(read, [10, 2, 0]);
    assert_eq!((world.fired(empty).await, world.fired(short).await), (1, 3));
    let (status, _) = world.get("/nodes/99/allocations").await;
    assert_eq!(status.as_u16(), 404, "what is no list stays as it is");
}

#[tokio::test]
async fn a_panel_is_filled_with_very_many_rows_of_strangers() {
    let world = World::start(PanelConfig::shop().with_ports_per_node(1)).await;
    let filling = json!({ "users": 300, "allocations": 50_000, "servers": 200, "node": 1 });
    world.post_control("fill", filling).await;
    world
        .post_control("fill", json!({ "users": 5, "allocations": 10 }))
        .await;
    let total = async |path: &str| pagination(&world, path).await["total"].as_i64().unwrap();
    assert!(total("/users").await >= 306);
    assert_eq!(total("/servers").await, 200);
    assert_eq!(total("/nodes/1/allocations").await, 50_211);
    let pages = pagination(&world, "/nodes/1/allocations?per_page=100").await;
    assert_eq!(pages["total_pages"], 503);
    let free = total("/nodes/1/allocations?filter[server_id]=0").await;
    assert_eq!(free, 50_011);
    let more = json!({ "ip": "10.9.9.9", "from": 3000, "to": 3009 });
    let added = world.post_control("nodes/1/allocations", more).await;
    assert_eq!(added["ids"].as_array().unwrap().len(), 10);
}
