mod availability;

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::Expr,
};

use super::*;
use crate::{
    db::{
        Db, eggs,
        entity::{allocations, ptero_nodes},
        testing::{self, TestDb},
    },
    domain::{
        catalog::{AddonField, Game, GameField, Money, Plan, PlanField, PlanFilter, Term},
        egg::{Egg, Variable},
    },
};

const EXAMPLE: &str = include_str!("../../../docs/catalog.example.toml");

fn caller(role: Role) -> Caller {
    Caller {
        role,
        user: None,
        trace_id: "t".to_owned(),
    }
}

fn operator() -> Caller {
    caller(Role::Operator)
}

async fn shop() -> TestDb {
    let db = testing::open().await;
    file::apply(&db, EXAMPLE).await.unwrap();
    db
}

fn price(term: Term, id: &str) -> Price {
    let amount = Money {
        amount_minor: 100,
        currency: "usd".to_owned(),
    };
    Price {
        term,
        stripe_price_id: id.to_owned(),
        amount,
    }
}

async fn new_plan(db: &Db) -> Plan {
    let mut plan = get_plan(db, &operator(), "mc-2gb").await.unwrap();
    plan.id = "mc-3gb".to_owned();
    plan.prices = vec![
        price(Term::Yearly, "price_y"),
        price(Term::Monthly, "price_m"),
    ];
    plan.stripe_price_id = Some("price_m".to_owned());
    plan
}

fn change<T, F>(value: T, fields: Vec<F>) -> Update<T, F> {
    Update {
        value,
        fields,
        etag: None,
        unreadable: Vec::new(),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match result.unwrap_err() {
        Error::Refused(error) => error.reason(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plan_is_made_read_and_changed() {
    let db = shop().await;
    let plan = new_plan(&db).await;
    let made = create_plan(&db, &operator(), plan.clone(), None)
        .await
        .unwrap();
    assert_eq!(made.prices[0].term, Term::Monthly);
    assert_eq!((made.created_us, made.etag.len()), (made.updated_us, 24));
    assert_eq!(get_plan(&db, &operator(), "mc-3gb").await.unwrap(), made);
    assert_eq!(
        reason(create_plan(&db, &operator(), plan, None).await),
        "RESOURCE_EXISTS"
    );

    db.shift_clock(1_000_000);
    let wish = Plan {
        display_name: "New".to_owned(),
        ram_gb: -1,
        ..made.clone()
    };
    let update = Update {
        etag: Some(made.etag.clone()),
        ..change(wish.clone(), vec![PlanField::DisplayName])
    };
    let changed = update_plan(&db, &operator(), update.clone(), None)
        .await
        .unwrap();
    assert_eq!(
        (changed.display_name.as_str(), changed.ram_gb),
        ("New", made.ram_gb)
    );
    assert!(changed.etag != made.etag && changed.updated_us > made.updated_us);
    assert_eq!(changed.created_us, made.created_us);
    // The same etag again has lost the race.
    assert_eq!(
        reason(update_plan(&db, &operator(), update, None).await),
        "ETAG_MISMATCH"
    );
    let bad = change(wish, vec![PlanField::RamGb]);
    assert_eq!(
        reason(update_plan(&db, &operator(), bad, None).await),
        "FIELD_INVALID"
    );
    let absent = change(
        Plan {
            id: "no".to_owned(),
            ..changed
        },
        vec![PlanField::RamGb],
    );
    assert_eq!(
        reason(update_plan(&db, &operator(), absent, None).await),
        "PLAN_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_repeated_request_makes_nothing_new() {
    let db = shop().await;
    let plan = new_plan(&db).await;
    let id = Some(uuid::Uuid::from_u128(7));
    let made = create_plan(&db, &operator(), plan.clone(), id)
        .await
        .unwrap();
    let again = create_plan(&db, &operator(), plan.clone(), id)
        .await
        .unwrap();
    assert_eq!(again, made);
    let other = Plan { ram_gb: 9, ..plan };
    assert_eq!(
        reason(create_plan(&db, &operator(), other, id).await),
        "REQUEST_ID_REUSED"
    );

    let id = Some(uuid::Uuid::from_u128(8));
    let wish = Plan {
        ram_gb: 9,
        ssd_gb: 99,
        ..made.clone()
    };
    let there = change(wish.clone(), vec![PlanField::RamGb, PlanField::SsdGb]);
    let back = change(wish, vec![PlanField::SsdGb, PlanField::RamGb]);
    let first = update_plan(&db, &operator(), there, id).await.unwrap();
    // The order of the mask does not make it another call.
    let second = update_plan(&db, &operator(), back, id).await.unwrap();
    assert_eq!((first.ram_gb, &second.etag), (9, &first.etag));
}

#[tokio::test]
async fn a_call_that_could_not_be_read_is_refused_with_all_it_breaks() {
    let db = shop().await;
    let plan = create_plan(&db, &operator(), new_plan(&db).await, None)
        .await
        .unwrap();
    let id = Some(uuid::Uuid::from_u128(9));
    let wish = Plan {
        ram_gb: 0,
        ..plan.clone()
    };
    let broken = Violation {
        field: "plan.item_type".to_owned(),
        problem: "x".to_owned(),
    };
    let update = Update {
        unreadable: vec![broken],
        ..change(wish, vec![PlanField::RamGb, PlanField::ItemType])
    };
    let Err(Error::Refused(domain::Error::Invalid(violations))) =
        update_plan(&db, &operator(), update, id).await
    else {
        panic!("was not refused");
    };
    let fields: Vec<_> = violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(fields, ["plan.item_type", "plan.ram_gb"]);
    assert_eq!(get_plan(&db, &operator(), "mc-3gb").await.unwrap(), plan);
}

#[tokio::test]
async fn a_price_id_has_one_owner_in_the_whole_shop() {
    let db = shop().await;
    let taken = [
        "price_test_mc_1gb_monthly",
        "price_test_additional_ssd_yearly",
    ];
    for id in taken {
        let mut plan = new_plan(&db).await;
        plan.prices[0].stripe_price_id = id.to_owned();
        assert_eq!(
            reason(create_plan(&db, &operator(), plan, None).await),
            "PRICE_IN_USE"
        );
    }
    let mut addon = get_addon(&db, &operator(), "extra-port").await.unwrap();
    addon.prices[1].stripe_price_id = "price_test_mc_1gb_monthly".to_owned();
    let update = change(addon.clone(), vec![AddonField::Prices]);
    assert_eq!(
        reason(update_addon(&db, &operator(), update, None).await),
        "PRICE_IN_USE"
    );
    // Its own ids are its to keep, also for another term.
    let mut plan = get_plan(&db, &operator(), "mc-1gb").await.unwrap();
    plan.prices.swap(0, 1);
    let (a, b) = (plan.prices[0].term, plan.prices[1].term);
    (plan.prices[0].term, plan.prices[1].term) = (b, a);
    let update = change(plan, vec![PlanField::Prices]);
    let changed = update_plan(&db, &operator(), update, None).await.unwrap();
    assert_eq!(
        changed.stripe_price_id.as_deref(),
        Some("price_test_mc_1gb_quarterly")
    );
}

#[tokio::test]
async fn an_unknown_game_and_an_addon_without_effect_are_refused() {
    let db = shop().await;
    let plan = Plan {
        game: Some("quake".to_owned()),
        ..new_plan(&db).await
    };
    assert_eq!(
        reason(create_plan(&db, &operator(), plan, None).await),
        "GAME_NOT_FOUND"
    );
    let mut addon = get_addon(&db, &operator(), "additional-ssd").await.unwrap();
    addon.ssd_gb = 0;
    let update = change(addon.clone(), vec![AddonField::SsdGb]);
    assert_eq!(
        reason(update_addon(&db, &operator(), update, None).await),
        "ADDON_WITHOUT_EFFECT"
    );
    addon.id = "nothing".to_owned();
    addon.prices.clear();
    (addon.stripe_price_id, addon.is_active) = (None, false);
    let made = create_addon(&db, &operator(), addon.clone(), None).await;
    assert_eq!(reason(made), "ADDON_WITHOUT_EFFECT");
    addon.manual = true;
    assert!(
        create_addon(&db, &operator(), addon, None)
            .await
            .unwrap()
            .manual
    );
}

#[tokio::test]
async fn games_are_made_and_changed_with_their_maps() {
    let db = shop().await;
    let mut game: Game = get_game(&db, &operator(), "rust").await.unwrap();
    game.id = "rust-modded".to_owned();
    game.environment = BTreeMap::from([("FRAMEWORK".to_owned(), "oxide".to_owned())]);
    let made = create_game(&db, &operator(), game.clone(), None)
        .await
        .unwrap();
    assert!(made.same_as(&game));
    assert_eq!(
        reason(create_game(&db, &operator(), game, None).await),
        "RESOURCE_EXISTS"
    );
    let wish = Game {
        ports: 1,
        ..made.clone()
    };
    let update = change(wish, vec![GameField::Ports]);
    // Its two port variables would be one port short each.
    assert_eq!(
        reason(update_game(&db, &operator(), update, None).await),
        "FIELD_INVALID"
    );
    assert_eq!(
        get_game(&db, &operator(), "rust-modded").await.unwrap(),
        made
    );
    assert_eq!(
        reason(get_game(&db, &operator(), "quake").await),
        "GAME_NOT_FOUND"
    );
}

#[tokio::test]
async fn customers_see_active_rows_and_change_nothing() {
    let db = shop().await;
    let all = PlanFilter {
        include_inactive: true,
        ..PlanFilter::default()
    };
    for (role, rows) in [
        (Role::Operator, 39),
        (Role::Viewer, 39),
        (Role::Storefront, 35),
        (Role::Customer, 35),
    ] {
        let listed = list_plans(&db, &caller(role), all.clone(), None, 100)
            .await
            .unwrap();
        assert_eq!(listed.rows.len(), rows, "{role}");
    }
    for role in [
        Role::Storefront,
        Role::Viewer,
        Role::Customer,
        Role::Gateway,
    ] {
        let made = create_plan(&db, &caller(role), new_plan(&db).await, None).await;
        assert_eq!(reason(made), "ROLE_FORBIDDEN", "{role}");
    }
    assert!(
        get_plan(&db, &caller(Role::Storefront), "mc-16gb")
            .await
            .is_ok()
    );
    let rust = PlanFilter {
        game: Some("rust".to_owned()),
        ..PlanFilter::default()
    };
    let first = list_plans(&db, &operator(), rust.clone(), None, 3)
        .await
        .unwrap();
    assert_eq!((first.rows.len(), first.more), (3, true));
    let rest = list_plans(&db, &operator(), rust, Some(&first.rows[2].id), 3)
        .await
        .unwrap();
    assert_eq!((rest.rows.len(), rest.more), (1, false));
}
