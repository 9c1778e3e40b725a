use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::*;
use crate::{
    app::{Caller, Error},
    domain,
};
use crate::{
    app::{Role, catalog::file},
    db::testing::{self, TestDb},
};

const EXAMPLE: &str = include_str!("../../../docs/catalog.example.toml");

fn operator() -> Caller {
    Caller {
        role: Role::Operator,
        user: None,
        trace_id: "t".to_owned(),
    }
}

async fn shop() -> TestDb {
    let db = testing::open().await;
    file::apply(&db, EXAMPLE).await.unwrap();
    db
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    })
}

fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result.unwrap_err() {
        Error::Refused(domain::Error::Invalid(violations)) => violations
            .into_iter()
            .map(|violation| violation.field)
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match result.unwrap_err() {
        Error::Refused(error) => error.reason(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pages_walk_the_whole_list_once() {
    let db = shop().await;
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = proto::ListPlansRequest {
            item_type: proto::ItemType::Game.into(),
            page_size: 7,
            page_token,
            ..proto::ListPlansRequest::default()
        };
        let page = plans::list(&db, &operator(), message).await.unwrap();
        assert!(page.plans.len() <= 7 && !page.plans.is_empty());
        ids.extend(page.plans.into_iter().map(|plan| plan.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids.len(), 35);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 35);
}

#[tokio::test]
async fn a_token_serves_its_own_list_only() {
    let db = shop().await;
    let message = proto::ListGamesRequest {
        page_size: 2,
        ..Default::default()
    };
    let token = games::list(&db, &operator(), message)
        .await
        .unwrap()
        .next_page_token;
    let other = proto::ListGamesRequest {
        include_inactive: true,
        page_token: token.clone(),
        ..Default::default()
    };
    assert_eq!(
        reason(games::list(&db, &operator(), other).await),
        "PAGE_TOKEN_INVALID"
    );
    let plans = proto::ListPlansRequest {
        page_token: token,
        ..Default::default()
    };
    assert_eq!(
        reason(plans::list(&db, &operator(), plans).await),
        "PAGE_TOKEN_INVALID"
    );
}

#[tokio::test]
async fn a_list_names_every_wrong_field() {
    let db = shop().await;
    let message = proto::ListPlansRequest {
        item_type: 7,
        game: "No Game".to_owned(),
        page_size: -1,
        ..Default::default()
    };
    let wrong = fields(plans::list(&db, &operator(), message).await);
    assert_eq!(wrong, ["item_type", "game", "page_size"]);
}

#[tokio::test]
async fn a_create_names_every_wrong_field() {
    let db = shop().await;
    let plan = proto::Plan {
        id: "Bad Id".to_owned(),
        ram_gb: -1,
        vcores: 1,
        ssd_gb: 1,
        display_name: "x".to_owned(),
        ..Default::default()
    };
    let message = proto::CreatePlanRequest {
        plan: Some(plan),
        request_id: "not-a-uuid".to_owned(),
    };
    let wrong = fields(plans::create(&db, &operator(), message).await);
    assert_eq!(
        wrong,
        ["request_id", "plan.item_type", "plan.id", "plan.ram_gb"]
    );
    let empty = proto::CreatePlanRequest::default();
    assert_eq!(
        fields(plans::create(&db, &operator(), empty).await),
        ["plan"]
    );
    let empty = proto::CreateGameRequest::default();
    assert_eq!(
        fields(games::create(&db, &operator(), empty).await),
        ["game"]
    );
    let empty = proto::UpdateAddonRequest::default();
    let wrong = fields(addons::update(&db, &operator(), empty).await);
    assert_eq!(wrong, ["update_mask", "addon"]);
}

#[tokio::test]
async fn an_update_reads_only_what_its_mask_names() {
    let db = shop().await;
    let sent = proto::Plan {
        id: "mc-2gb".to_owned(),
        display_name: "Renamed".to_owned(),
        // Not named, so not looked at.
        item_type: 99,
        ram_gb: -5,
        prices: vec![proto::PlanPrice::default()],
        ..Default::default()
    };
    let message = |paths: &[&str]| proto::UpdatePlanRequest {
        plan: Some(sent.clone()),
        update_mask: mask(paths),
        ..Default::default()
    };
    let changed = plans::update(&db, &operator(), message(&["display_name"]))
        .await
        .unwrap();
    let plan = changed.plan.unwrap();
    assert_eq!(
        (plan.display_name.as_str(), plan.ram_gb, plan.prices.len()),
        ("Renamed", 2, 4)
    );
    let wrong = fields(plans::update(&db, &operator(), message(&["item_type", "ram_gb"])).await);
    assert_eq!(wrong, ["plan.item_type", "plan.ram_gb"]);
    let wrong = fields(plans::update(&db, &operator(), message(&["nothing"])).await);
    assert_eq!(wrong, ["update_mask.paths[0]"]);
}

#[tokio::test]
async fn a_game_keeps_its_environment_over_the_wire() {
    let db = shop().await;
    let asked = proto::GetGameRequest {
        game_id: "rust".to_owned(),
    };
    let game = games::get(&db, &operator(), asked)
        .await
        .unwrap()
        .game
        .unwrap();
    assert_eq!(
        game.environment.get("MAX_PLAYERS").map(String::as_str),
        Some("100")
    );
    let sent = proto::Game {
        environment: [("LEVEL".to_owned(), "Barren".to_owned())].into(),
        ..game.clone()
    };
    let message = proto::UpdateGameRequest {
        game: Some(sent),
        update_mask: mask(&["environment"]),
        etag: game.etag,
        request_id: String::new(),
    };
    let changed = games::update(&db, &operator(), message)
        .await
        .unwrap()
        .game
        .unwrap();
    assert_eq!(changed.environment.len(), 1);
    assert_eq!(changed.port_variables, game.port_variables);
}

#[tokio::test]
async fn availability_checks_its_fields_at_once() {
    let db = shop().await;
    let message = proto::CheckAvailabilityRequest {
        plan_id: "'; DROP TABLE plans; --".to_owned(),
        addon_ids: ["extra-port", "extra-port", "nul\0"]
            .map(str::to_owned)
            .to_vec(),
        region: "US EAST".to_owned(),
    };
    let wrong = fields(regions::check_availability(&db, &operator(), message).await);
    assert_eq!(wrong, ["plan_id", "addon_ids[1]", "addon_ids[2]", "region"]);
    let message = proto::CheckAvailabilityRequest {
        plan_id: "mc-2gb".to_owned(),
        ..Default::default()
    };
    let answer = regions::check_availability(&db, &operator(), message)
        .await
        .unwrap();
    let regions: Vec<_> = answer
        .availability
        .iter()
        .map(|one| one.region.as_str())
        .collect();
    assert_eq!(regions, ["us-east", "us-west"]);
    assert!(
        answer
            .availability
            .iter()
            .all(|one| !one.available && one.reason == "WARMING_UP")
    );
}

#[tokio::test]
async fn regions_are_those_of_the_nodes() {
    let db = shop().await;
    let first = proto::ListRegionsRequest {
        page_size: 1,
        ..Default::default()
    };
    let first = super::regions::list(&db, &operator(), first).await.unwrap();
    let region = proto::Region {
        id: "us-east".to_owned(),
        nodes: 1,
        enabled: true,
    };
    assert_eq!(first.regions, [region]);
    let rest = proto::ListRegionsRequest {
        page_token: first.next_page_token,
        page_size: 0,
    };
    let rest = super::regions::list(&db, &operator(), rest).await.unwrap();
    assert_eq!(
        (rest.regions[0].id.as_str(), rest.next_page_token.as_str()),
        ("us-west", "")
    );
}
