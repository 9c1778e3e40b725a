//! Reads of the catalog through the API: by role, page by page, and an order that keeps
//! what it was sold.

use prost::encoding::{DecodeContext, decode_key, decode_varint, skip_field};
use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, with_token},
    shelf::{assert_refused, create, get, plan, price, update},
    sound::Sound,
    wire::{Api, call, delimited},
};

both_engines!(
    inactive_rows_are_shown_to_those_who_run_the_shop,
    pages_give_every_row_once,
    regions_and_availability_tell_what_can_be_sold,
    an_order_keeps_what_it_was_sold,
);

async fn inactive_rows_are_shown_to_those_who_run_the_shop(engine: Engine) {
    let live = Live::open(engine).await;
    let hidden = proto::Plan {
        is_active: false,
        prices: Vec::new(),
        ..plan("hidden")
    };
    create(&live, hidden, "").await.unwrap();
    let user = Uuid::new_v4();
    for include_inactive in [false, true] {
        let list = || proto::ListPlansRequest {
            include_inactive,
            ..Default::default()
        };
        let requests = [
            (live.operator(list()), include_inactive),
            (live.viewer(list()), include_inactive),
            (live.storefront(list(), user), false),
        ];
        for (request, shown) in requests {
            let listed = live
                .catalog()
                .list_plans(request)
                .await
                .unwrap()
                .into_inner();
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
    let listed = live
        .catalog()
        .list_plans(live.viewer(filter))
        .await
        .unwrap()
        .into_inner();
    assert!(!listed.plans.is_empty() && listed.plans.iter().all(|plan| plan.game == "rust"));
    live.close().await;
}

async fn pages_give_every_row_once(engine: Engine) {
    let live = Live::open(engine).await;
    let mut sound = Sound::stock(&live).await;
    let (api, channel, token) = (Api::read(), live.channel(), &live.world.tokens.operator);
    let mut lists = 0;
    for method in &api.methods {
        let Some(size) = api.field(method, "page_size") else {
            continue;
        };
        let page_token = api.field(method, "page_token").unwrap();
        let base = sound.request(&method.label);
        let ask = async |size_wanted: i32, from: &[u8]| {
            let mut bytes = base.clone();
            prost::encoding::int32::encode(size, &size_wanted, &mut bytes);
            bytes.extend(delimited(page_token, from));
            let request = with_token(bytes, token);
            let answer = call(&channel, &method.path, request).await.unwrap();
            // Every List answers rows in field 1 and the token in field 2.
            let (rows, next) = parts(&answer);
            let rows: Vec<_> = rows
                .iter()
                .map(|row| identity(&method.label, row))
                .collect();
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
        assert!(
            once.len() == rows.len() && !rows.is_empty(),
            "{}: twice",
            method.label
        );
        lists += 1;
    }
    assert!(lists >= 7, "{lists}");
    live.close().await;
}

/// What of a row stays while the worker goes on: its id. Events have none, and their
/// place in the feed is given later.
fn identity(label: &str, row: &[u8]) -> Vec<u8> {
    let mut rest = row;
    let (number, wire_type) = decode_key(&mut rest).unwrap();
    if number == 1 {
        skip_field(wire_type, number, &mut rest, DecodeContext::default()).unwrap();
    } else {
        rest = row;
    }
    let events = label == "OrderService/ListOrderEvents";
    if events {
        rest.to_vec()
    } else {
        row[..row.len() - rest.len()].to_vec()
    }
}

/// Rows of field 1, and field 2.
fn parts(mut answer: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
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
    let ids: Vec<&str> = listed
        .regions
        .iter()
        .map(|region| region.id.as_str())
        .collect();
    assert_eq!(ids, ["us-east", "us-west"]);
    assert!(
        listed
            .regions
            .iter()
            .all(|region| region.enabled && region.nodes == 1)
    );

    let ask = |plan_id: &str, addon_ids: &[&str], region: &str| proto::CheckAvailabilityRequest {
        plan_id: plan_id.to_owned(),
        addon_ids: addon_ids.iter().map(|id| (*id).to_owned()).collect(),
        region: region.to_owned(),
    };
    let all = catalog
        .check_availability(live.storefront(ask("mc-2gb", &[], ""), user))
        .await;
    let all = all.unwrap().into_inner().availability;
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|region| region.available && region.remaining > 0)
    );
    let one = ask("mc-2gb", &["extra-port"], "us-west");
    let one = catalog
        .check_availability(live.storefront(one, user))
        .await
        .unwrap()
        .into_inner();
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
    let before = all
        .iter()
        .find(|region| region.region == "us-east")
        .unwrap()
        .remaining;
    live.checkout(cart(user)).await.unwrap();
    let after = catalog
        .check_availability(live.viewer(ask("mc-2gb", &[], "us-east")))
        .await;
    assert_eq!(
        after.unwrap().into_inner().availability[0].remaining,
        before - 1
    );
    live.close().await;
}

async fn an_order_keeps_what_it_was_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live
        .checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
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
    assert_eq!(
        (server.memory, server.disk, server.egg),
        (2 * 1024, 20 * 1024, 39)
    );
    let refused = live.checkout(cart(Uuid::new_v4())).await;
    assert_refused(refused, Code::FailedPrecondition, "PLAN_INACTIVE");
    live.close().await;
}
