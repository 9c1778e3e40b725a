//! The catalog through the API: reads by role, writes by operators, each refusal with its
//! reason, and a checkout that keeps what it sold.

use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    sound::Sound,
    wire::{Api, call},
};

both_engines!(
    plans_are_written_once_and_refused_with_a_reason,
    addons_and_games_are_refused_with_a_reason,
    a_repeated_write_is_answered_and_another_one_refused,
    inactive_rows_are_shown_to_those_who_run_the_shop,
    pages_give_every_row_once,
    regions_and_availability_tell_what_can_be_sold,
    an_order_keeps_what_it_was_sold,
);

fn assert_refused<T>(answer: Result<T, Status>, code: Code, wanted: &str) -> Status {
    let Err(status) = answer else { panic!("{wanted} was expected") };
    assert_eq!((status.code(), reason(&status).as_str()), (code, wanted), "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "spawnpoint");
    status
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn price(id: &str, term: proto::Term, amount_minor: i64) -> proto::PlanPrice {
    proto::PlanPrice {
        term: term.into(),
        stripe_price_id: id.to_owned(),
        amount: Some(proto::Money { amount_minor, currency: "usd".to_owned() }),
    }
}

fn plan(id: &str) -> proto::Plan {
    proto::Plan {
        id: id.to_owned(),
        item_type: proto::ItemType::Game.into(),
        game: "minecraft".to_owned(),
        display_name: format!("Plan {id}"),
        ram_gb: 2,
        vcores: 1,
        ssd_gb: 10,
        prices: vec![price(&format!("price_{id}"), proto::Term::Monthly, 500)],
        is_active: true,
        ..Default::default()
    }
}

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

async fn create(live: &Live, plan: proto::Plan, id: &str) -> Result<proto::Plan, Status> {
    let request = proto::CreatePlanRequest { plan: Some(plan), request_id: id.to_owned() };
    let answer = live.catalog().create_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}

async fn update(
    live: &Live,
    plan: proto::Plan,
    paths: &[&str],
    etag: &str,
) -> Result<proto::Plan, Status> {
    let request = proto::UpdatePlanRequest {
        plan: Some(plan),
        update_mask: mask(paths),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let answer = live.catalog().update_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}

async fn get(live: &Live, id: &str) -> Result<proto::Plan, Status> {
    let request = proto::GetPlanRequest { plan_id: id.to_owned() };
    let answer = live.catalog().get_plan(live.operator(request)).await?;
    Ok(answer.into_inner().plan.unwrap())
}

async fn plans_are_written_once_and_refused_with_a_reason(engine: Engine) {
    let live = Live::open(engine).await;
    let status = assert_refused(get(&live, "new").await, Code::NotFound, "PLAN_NOT_FOUND");
    assert_eq!(status.get_details_error_info().unwrap().metadata["plan_id"], "new");
    let made = create(&live, plan("new"), "").await.unwrap();
    assert_eq!(get(&live, "new").await.unwrap(), made);
    assert_eq!(made.stripe_price_id, "price_new");

    let again = create(&live, proto::Plan { prices: Vec::new(), is_active: false, ..plan("new") }, "");
    assert_refused(again.await, Code::AlreadyExists, "RESOURCE_EXISTS");
    let lost = proto::Plan { game: "chess".to_owned(), ..plan("lost") };
    assert_refused(create(&live, lost.clone(), "").await, Code::NotFound, "GAME_NOT_FOUND");
    let moved = proto::Plan { id: "new".to_owned(), ..lost };
    assert_refused(update(&live, moved, &["game"], "").await, Code::NotFound, "GAME_NOT_FOUND");
    for taken in ["price_new", "price_test_mc_2gb_yearly"] {
        let mut greedy = plan("greedy");
        greedy.prices = vec![price(taken, proto::Term::Monthly, 1)];
        let refused = create(&live, greedy, "").await;
        let status = assert_refused(refused, Code::FailedPrecondition, "PRICE_IN_USE");
        assert!(status.get_details_precondition_failure().is_some());
        assert_eq!(status.get_details_error_info().unwrap().metadata["stripe_price_id"], taken);
    }
    let mut greedy = plan("new");
    greedy.prices.push(price("price_test_mc_1gb_yearly", proto::Term::Yearly, 1));
    let refused = update(&live, greedy, &["prices"], "").await;
    assert_refused(refused, Code::FailedPrecondition, "PRICE_IN_USE");
    let absent = update(&live, plan("absent"), &["ram_gb"], "").await;
    assert_refused(absent, Code::NotFound, "PLAN_NOT_FOUND");
    assert_refused(get(&live, "greedy").await, Code::NotFound, "PLAN_NOT_FOUND");
    assert_eq!(get(&live, "new").await.unwrap(), made, "refusals change nothing");

    let bigger = proto::Plan { ram_gb: 4, display_name: "not masked".to_owned(), ..plan("new") };
    let changed = update(&live, bigger.clone(), &["ram_gb"], &made.etag).await.unwrap();
    assert_eq!((changed.ram_gb, &changed.display_name), (4, &made.display_name));
    assert_ne!(changed.etag, made.etag);
    let stale = update(&live, bigger, &["ram_gb"], &made.etag).await;
    assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
    live.close().await;
}

async fn addons_and_games_are_refused_with_a_reason(engine: Engine) {
    let live = Live::open(engine).await;
    let mut catalog = live.catalog();
    let idle = proto::Addon { ram_gb: 0, ..addon("idle") };
    let request = |addon| proto::CreateAddonRequest { addon: Some(addon), ..Default::default() };
    let refused = catalog.create_addon(live.operator(request(idle.clone()))).await;
    assert_refused(refused, Code::FailedPrecondition, "ADDON_WITHOUT_EFFECT");
    let byhand = proto::Addon { manual: true, ..idle };
    catalog.create_addon(live.operator(request(byhand.clone()))).await.unwrap();
    let refused = catalog.create_addon(live.operator(request(byhand.clone()))).await;
    assert_refused(refused, Code::AlreadyExists, "RESOURCE_EXISTS");
    let change = |addon, paths: &[&str], etag: &str| proto::UpdateAddonRequest {
        addon: Some(addon),
        update_mask: mask(paths),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let idle_again = proto::Addon { manual: false, ..byhand.clone() };
    let refused = catalog.update_addon(live.operator(change(idle_again, &["manual"], ""))).await;
    assert_refused(refused, Code::FailedPrecondition, "ADDON_WITHOUT_EFFECT");
    let refused = catalog.update_addon(live.operator(change(byhand, &["manual"], "old"))).await;
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    let refused = catalog.update_addon(live.operator(change(addon("no"), &["ram_gb"], ""))).await;
    assert_refused(refused, Code::NotFound, "ADDON_NOT_FOUND");
    let absent = proto::GetAddonRequest { addon_id: "no".to_owned() };
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
    let request = proto::CreateGameRequest { game: Some(game.clone()), ..Default::default() };
    let refused = catalog.create_game(live.operator(request)).await;
    assert_refused(refused, Code::AlreadyExists, "RESOURCE_EXISTS");
    let change = |game, etag: &str| proto::UpdateGameRequest {
        game: Some(game),
        update_mask: mask(&["display_name"]),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let refused = catalog.update_game(live.operator(change(game.clone(), "old"))).await;
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    let chess = proto::Game { id: "chess".to_owned(), ..game };
    let refused = catalog.update_game(live.operator(change(chess, ""))).await;
    assert_refused(refused, Code::NotFound, "GAME_NOT_FOUND");
    let absent = proto::GetGameRequest { game_id: "chess".to_owned() };
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
    let other = proto::Plan { description: "changed".to_owned(), ..plan("once") };
    let changed = update(&live, other.clone(), &["description"], "").await.unwrap();
    assert_eq!(create(&live, plan("once"), &id).await.unwrap(), changed);
    let reused = create(&live, plan("twice"), &id).await;
    let status = assert_refused(reused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(status.get_details_error_info().unwrap().metadata["request_id"], id);
    assert_refused(get(&live, "twice").await, Code::NotFound, "PLAN_NOT_FOUND");
    // The same id for another method is another request; and a refused call used none.
    let request = |plan: proto::Plan| proto::UpdatePlanRequest {
        plan: Some(plan),
        update_mask: mask(&["description", "ram_gb"]),
        etag: String::new(),
        request_id: id.clone(),
    };
    let wrong = proto::Plan { ram_gb: -1, ..other.clone() };
    let refused = live.catalog().update_plan(live.operator(request(wrong))).await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    let first = live.catalog().update_plan(live.operator(request(other.clone()))).await.unwrap();
    let again = live.catalog().update_plan(live.operator(request(other))).await.unwrap();
    assert_eq!(first.into_inner(), again.into_inner(), "one write, one etag");
    live.close().await;
}

async fn inactive_rows_are_shown_to_those_who_run_the_shop(engine: Engine) {
    let live = Live::open(engine).await;
    let hidden = proto::Plan { is_active: false, prices: Vec::new(), ..plan("hidden") };
    create(&live, hidden, "").await.unwrap();
    let user = Uuid::new_v4();
    for include_inactive in [false, true] {
        let list = || proto::ListPlansRequest { include_inactive, ..Default::default() };
        let requests = [
            (live.operator(list()), include_inactive),
            (live.viewer(list()), include_inactive),
            (live.storefront(list(), user), false),
        ];
        for (request, shown) in requests {
            let listed = live.catalog().list_plans(request).await.unwrap().into_inner();
            let found = listed.plans.iter().any(|plan| plan.id == "hidden");
            assert_eq!(found, shown);
            assert!(listed.plans.iter().all(|plan| plan.is_active || shown));
        }
    }
    let filter = proto::ListPlansRequest {
        game: "rust".to_owned(),
        item_type: proto::ItemType::Game.into(),
        ..Default::default()
    };
    let listed = live.catalog().list_plans(live.viewer(filter)).await.unwrap().into_inner();
    assert!(!listed.plans.is_empty() && listed.plans.iter().all(|plan| plan.game == "rust"));
    live.close().await;
}

async fn pages_give_every_row_once(engine: Engine) {
    let live = Live::open(engine).await;
    let mut sound = Sound::stock(&live).await;
    let (api, channel, token) = (Api::read(), live.channel(), &live.world.tokens.operator);
    let mut lists = 0;
    for method in &api.methods {
        let Some(size) = api.field(method, "page_size") else { continue };
        let page_token = api.field(method, "page_token").unwrap();
        let base = sound.request(&method.label);
        let ask = async |size_wanted: i32, from: &[u8]| {
            let mut bytes = base.clone();
            prost::encoding::int32::encode(size, &size_wanted, &mut bytes);
            bytes.extend(crate::support::wire::delimited(page_token, from));
            let request = crate::support::live::with_token(bytes, token);
            let answer = call(&channel, &method.path, request).await.unwrap();
            // Every List answers rows in field 1 and the token in field 2.
            let (rows, next) = parts(&answer);
            let rows: Vec<_> = rows.iter().map(|row| identity(&method.label, row)).collect();
            (rows, next)
        };
        let (all, end) = ask(500, b"").await;
        assert!(end.is_empty(), "{}", method.label);
        let (mut rows, mut from) = (Vec::new(), Vec::new());
        for _ in 0..all.len() {
            let (page, next) = ask(1, &from).await;
            assert_eq!(page.len(), 1, "{}", method.label);
            rows.extend(page);
            from = next;
        }
        assert!(from.is_empty(), "{}: more pages than rows", method.label);
        assert!(rows == all, "{}: {} rows", method.label, all.len());
        let mut once = rows.clone();
        once.sort_unstable();
        once.dedup();
        assert!(once.len() == rows.len() && !rows.is_empty(), "{}: twice", method.label);
        lists += 1;
    }
    assert!(lists >= 7, "{lists}");
    live.close().await;
}

/// What of a row stays while the worker goes on: its id. Events have none, and their
/// place in the feed is given later.
fn identity(label: &str, row: &[u8]) -> Vec<u8> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut rest = row;
    let (number, wire_type) = decode_key(&mut rest).unwrap();
    if number == 1 {
        skip_field(wire_type, number, &mut rest, DecodeContext::default()).unwrap();
    } else {
        rest = row;
    }
    let events = label == "OrderService/ListOrderEvents";
    if events { rest.to_vec() } else { row[..row.len() - rest.len()].to_vec() }
}

/// Rows of field 1, and field 2.
fn parts(mut answer: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    use prost::encoding::{decode_key, decode_varint};
    let (mut rows, mut token) = (Vec::new(), Vec::new());
    while !answer.is_empty() {
        let (number, _) = decode_key(&mut answer).unwrap();
        let length = usize::try_from(decode_varint(&mut answer).unwrap()).unwrap();
        let (content, rest) = answer.split_at(length);
        match number {
            1 => rows.push(content.to_vec()),
            _ => token = content.to_vec(),
        }
        answer = rest;
    }
    (rows, token)
}

async fn regions_and_availability_tell_what_can_be_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let mut catalog = live.catalog();
    let request = live.storefront(proto::ListRegionsRequest::default(), user);
    let listed = catalog.list_regions(request).await.unwrap().into_inner();
    let ids: Vec<&str> = listed.regions.iter().map(|region| region.id.as_str()).collect();
    assert_eq!(ids, ["us-east", "us-west"]);
    assert!(listed.regions.iter().all(|region| region.enabled && region.nodes == 1));

    let ask = |plan_id: &str, addon_ids: &[&str], region: &str| proto::CheckAvailabilityRequest {
        plan_id: plan_id.to_owned(),
        addon_ids: addon_ids.iter().map(|id| (*id).to_owned()).collect(),
        region: region.to_owned(),
    };
    let all = catalog.check_availability(live.storefront(ask("mc-2gb", &[], ""), user)).await;
    let all = all.unwrap().into_inner().availability;
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|region| region.available && region.remaining > 0));
    let one = ask("mc-2gb", &["extra-port"], "us-west");
    let one = catalog.check_availability(live.storefront(one, user)).await.unwrap().into_inner();
    assert_eq!(one.availability.len(), 1);
    let refusals = [
        (ask("nothing", &[], ""), "PLAN_NOT_FOUND"),
        (ask("mc-2gb", &["nothing"], ""), "ADDON_NOT_FOUND"),
        (ask("mc-2gb", &[], "moon"), "REGION_NOT_FOUND"),
    ];
    for (request, wanted) in refusals {
        let refused = catalog.check_availability(live.viewer(request)).await;
        assert_refused(refused, Code::NotFound, wanted);
    }
    // A sale is seen at once.
    let before = all.iter().find(|region| region.region == "us-east").unwrap().remaining;
    live.checkout(cart(user)).await.unwrap();
    let after = catalog.check_availability(live.viewer(ask("mc-2gb", &[], "us-east"))).await;
    assert_eq!(after.unwrap().into_inner().availability[0].remaining, before - 1);
    live.close().await;
}

async fn an_order_keeps_what_it_was_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.checkout(cart(Uuid::new_v4())).await.unwrap().order.unwrap();
    let sold = get(&live, "mc-2gb").await.unwrap();
    // Dearer, bigger, another game, and no longer for sale, before the customer pays.
    let changed = proto::Plan {
        ram_gb: 16,
        ssd_gb: 200,
        vcores: 8,
        game: "rust".to_owned(),
        is_active: false,
        prices: vec![price("price_dearer", proto::Term::Monthly, 99_900)],
        ..sold.clone()
    };
    let paths = ["ram_gb", "ssd_gb", "vcores", "game", "is_active", "prices"];
    update(&live, changed, &paths, "").await.unwrap();
    live.pay(&order);
    let done = live.wait_running(&order.id).await;
    assert_eq!(done.price, order.price);
    assert_eq!(done.price.unwrap().amount_minor, 699);
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!((server.memory, server.disk, server.egg), (2 * 1024, 20 * 1024, 39));
    let refused = live.checkout(cart(Uuid::new_v4())).await;
    assert_refused(refused, Code::FailedPrecondition, "PLAN_INACTIVE");
    live.close().await;
}
