//! Writes of the catalog through the API: by operators, each refusal with its reason, a
//! repeat without effect.

use spawnpoint::rpc::proto;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::Live,
    shelf::{assert_refused, create, get, mask, plan, price, update},
};

both_engines!(
    plans_are_written_once_and_refused_with_a_reason,
    addons_and_games_are_refused_with_a_reason,
    a_repeated_write_is_answered_and_another_one_refused,
);

fn addon(id: &str) -> proto::Addon {
    proto::Addon {
        id: id.to_owned(),
        item_type: proto::ItemType::Game.into(),
        display_name: format!("Add-on {id}"),
        ram_gb: 1,
        prices: vec![price(&format!("price_{id}"), proto::Term::Monthly, 100)],
        is_active: true,
        ..Default::default()
    }
}

async fn plans_are_written_once_and_refused_with_a_reason(engine: Engine) {
    let live = Live::open(engine).await;
    let status = assert_refused(get(&live, "new").await, Code::NotFound, "PLAN_NOT_FOUND");
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["plan_id"],
        "new"
    );
    let made = create(&live, plan("new"), "").await.unwrap();
    assert_eq!(get(&live, "new").await.unwrap(), made);
    assert_eq!(made.stripe_price_id, "price_new");

    let again = create(
        &live,
        proto::Plan {
            prices: Vec::new(),
            is_active: false,
            ..plan("new")
        },
        "",
    );
    assert_refused(again.await, Code::AlreadyExists, "RESOURCE_EXISTS");
    let lost = proto::Plan {
        game: "chess".to_owned(),
        ..plan("lost")
    };
    assert_refused(
        create(&live, lost.clone(), "").await,
        Code::NotFound,
        "GAME_NOT_FOUND",
    );
    let moved = proto::Plan {
        id: "new".to_owned(),
        ..lost
    };
    assert_refused(
        update(&live, moved, &["game"], "").await,
        Code::NotFound,
        "GAME_NOT_FOUND",
    );
    for taken in ["price_new", "price_test_mc_2gb_yearly"] {
        let mut greedy = plan("greedy");
        greedy.prices = vec![price(taken, proto::Term::Monthly, 1)];
        let refused = create(&live, greedy, "").await;
        let status = assert_refused(refused, Code::FailedPrecondition, "PRICE_IN_USE");
        assert!(status.get_details_precondition_failure().is_some());
        assert_eq!(
            status.get_details_error_info().unwrap().metadata["stripe_price_id"],
            taken
        );
    }
    let mut greedy = plan("new");
    greedy
        .prices
        .push(price("price_test_mc_1gb_yearly", proto::Term::Yearly, 1));
    let refused = update(&live, greedy, &["prices"], "").await;
    assert_refused(refused, Code::FailedPrecondition, "PRICE_IN_USE");
    let absent = update(&live, plan("absent"), &["ram_gb"], "").await;
    assert_refused(absent, Code::NotFound, "PLAN_NOT_FOUND");
    assert_refused(get(&live, "greedy").await, Code::NotFound, "PLAN_NOT_FOUND");
    assert_eq!(
        get(&live, "new").await.unwrap(),
        made,
        "refusals change nothing"
    );

    let bigger = proto::Plan {
        ram_gb: 4,
        display_name: "not masked".to_owned(),
        ..plan("new")
    };
    let changed = update(&live, bigger.clone(), &["ram_gb"], &made.etag)
        .await
        .unwrap();
    assert_eq!(
        (changed.ram_gb, &changed.display_name),
        (4, &made.display_name)
    );
    assert_ne!(changed.etag, made.etag);
    let stale = update(&live, bigger, &["ram_gb"], &made.etag).await;
    assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
    live.close().await;
}

async fn addons_and_games_are_refused_with_a_reason(engine: Engine) {
    let live = Live::open(engine).await;
    let mut catalog = live.catalog();
    let idle = proto::Addon {
        ram_gb: 0,
        ..addon("idle")
    };
    let request = |addon| proto::CreateAddonRequest {
        addon: Some(addon),
        ..Default::default()
    };
    let refused = catalog
        .create_addon(live.operator(request(idle.clone())))
        .await;
    assert_refused(refused, Code::FailedPrecondition, "ADDON_WITHOUT_EFFECT");
    let byhand = proto::Addon {
        manual: true,
        ..idle
    };
    catalog
        .create_addon(live.operator(request(byhand.clone())))
        .await
        .unwrap();
    let refused = catalog
        .create_addon(live.operator(request(byhand.clone())))
        .await;
    assert_refused(refused, Code::AlreadyExists, "RESOURCE_EXISTS");
    let change = |addon, paths: &[&str], etag: &str| proto::UpdateAddonRequest {
        addon: Some(addon),
        update_mask: mask(paths),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let idle_again = proto::Addon {
        manual: false,
        ..byhand.clone()
    };
    let refused = catalog
        .update_addon(live.operator(change(idle_again, &["manual"], "")))
        .await;
    assert_refused(refused, Code::FailedPrecondition, "ADDON_WITHOUT_EFFECT");
    let refused = catalog
        .update_addon(live.operator(change(byhand, &["manual"], "old")))
        .await;
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    let refused = catalog
        .update_addon(live.operator(change(addon("no"), &["ram_gb"], "")))
        .await;
    assert_refused(refused, Code::NotFound, "ADDON_NOT_FOUND");
    let absent = proto::GetAddonRequest {
        addon_id: "no".to_owned(),
    };
    let refused = catalog.get_addon(live.operator(absent)).await;
    assert_refused(refused, Code::NotFound, "ADDON_NOT_FOUND");
    let mut greedy = addon("greedy");
    greedy.prices = vec![price("price_test_mc_2gb_monthly", proto::Term::Monthly, 1)];
    let refused = catalog.create_addon(live.operator(request(greedy))).await;
    assert_refused(refused, Code::FailedPrecondition, "PRICE_IN_USE");

    let game = proto::Game {
        id: "minecraft".to_owned(),
        display_name: "Again".to_owned(),
        ptero_nest_id: 1,
        ptero_egg_id: 1,
        ports: 1,
        ..Default::default()
    };
    let request = proto::CreateGameRequest {
        game: Some(game.clone()),
        ..Default::default()
    };
    let refused = catalog.create_game(live.operator(request)).await;
    assert_refused(refused, Code::AlreadyExists, "RESOURCE_EXISTS");
    let change = |game, etag: &str| proto::UpdateGameRequest {
        game: Some(game),
        update_mask: mask(&["display_name"]),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let refused = catalog
        .update_game(live.operator(change(game.clone(), "old")))
        .await;
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    let chess = proto::Game {
        id: "chess".to_owned(),
        ..game
    };
    let refused = catalog.update_game(live.operator(change(chess, ""))).await;
    assert_refused(refused, Code::NotFound, "GAME_NOT_FOUND");
    let absent = proto::GetGameRequest {
        game_id: "chess".to_owned(),
    };
    let refused = catalog.get_game(live.operator(absent)).await;
    assert_refused(refused, Code::NotFound, "GAME_NOT_FOUND");
    live.close().await;
}

async fn a_repeated_write_is_answered_and_another_one_refused(engine: Engine) {
    let live = Live::open(engine).await;
    let id = Uuid::new_v4().to_string();
    let made = create(&live, plan("once"), &id).await.unwrap();
    assert_eq!(create(&live, plan("once"), &id).await.unwrap(), made);
    // What was made has changed since: the repeat tells how it is now.
    let other = proto::Plan {
        description: "changed".to_owned(),
        ..plan("once")
    };
    let changed = update(&live, other.clone(), &["description"], "")
        .await
        .unwrap();
    assert_eq!(create(&live, plan("once"), &id).await.unwrap(), changed);
    let reused = create(&live, plan("twice"), &id).await;
    let status = assert_refused(reused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["request_id"],
        id
    );
    assert_refused(get(&live, "twice").await, Code::NotFound, "PLAN_NOT_FOUND");
    // The same id for another method is another request; and a refused call used none.
    let request = |plan: proto::Plan| proto::UpdatePlanRequest {
        plan: Some(plan),
        update_mask: mask(&["description", "ram_gb"]),
        etag: String::new(),
        request_id: id.clone(),
    };
    let wrong = proto::Plan {
        ram_gb: -1,
        ..other.clone()
    };
    let refused = live
        .catalog()
        .update_plan(live.operator(request(wrong)))
        .await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    let first = live
        .catalog()
        .update_plan(live.operator(request(other.clone())))
        .await
        .unwrap();
    let again = live
        .catalog()
        .update_plan(live.operator(request(other)))
        .await
        .unwrap();
    assert_eq!(
        first.into_inner(),
        again.into_inner(),
        "one write, one etag"
    );
    live.close().await;
}
