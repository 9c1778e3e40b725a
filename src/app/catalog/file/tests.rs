use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::*;
use crate::{
    db::{
        entity::ptero_nodes,
        testing::{self, TestDb},
    },
    domain::{
        catalog::{ItemType, Term},
        placement::Need,
    },
};

mod lenience;

const EXAMPLE: &str = include_str!("../../../../docs/catalog.example.toml");

const SMALL: &str = r#"
currency = "usd"
[games.rust]
display_name = "Rust"
ptero_nest_id = 19
ptero_egg_id = 50
ports = 2
port_variables = ["QUERY_PORT"]
environment.LEVEL = "say \"hi\"\n'there' = # ü"
[plans.rust-3gb]
game = "rust"
display_name = "Rust 3GB"
ram_gb = 3
vcores = 2
ssd_gb = 20
prices.monthly = { stripe_price_id = "price_a", amount = 899 }
prices.yearly = { stripe_price_id = "price_b", amount = 8630 }
[plans.rust-6gb]
game = "rust"
display_name = "Rust 6GB"
ram_gb = 6
grace_days = 0
retention_days = 30
disputes = "ignore"
vcores = 3
ssd_gb = 40
prices.monthly = { stripe_price_id = "price_c", amount = 1699 }
[addons.more-disk]
display_name = "More disk"
ssd_gb = 50
prices.monthly = { stripe_price_id = "price_d", amount = 250 }
[nodes.7]
name = "Seven"
region = "eu"
max_ram_gb = 64
max_disk_gb = 1000
"#;

async fn state(db: &TestDb) -> Catalog {
    db.tx(|tx| async move { stored(&tx).await }).await.unwrap()
}

async fn faults(db: &TestDb, text: &str) -> Vec<String> {
    match apply(db, text).await {
        Err(ApplyError::Faults(faults)) => faults.into_iter().map(|fault| fault.key).collect(),
        other => panic!("{other:?}"),
    }
}

fn all(counts: Counts) -> (u32, u32, u32) {
    (counts.created, counts.updated, counts.unchanged)
}

#[tokio::test]
async fn the_example_is_what_the_shop_sells() {
    let db = testing::open().await;
    let applied = apply(&db, EXAMPLE).await.unwrap();
    assert_eq!((applied.games.created, applied.nodes.created), (11, 2));
    let shop = state(&db).await;
    let eggs: BTreeSet<_> = shop
        .games
        .iter()
        .map(|g| (g.id.as_str(), g.ptero_nest_id, g.ptero_egg_id))
        .collect();
    let expected = [
        ("minecraft", 16, 39),
        ("rust", 19, 50),
        ("palworld", 20, 15),
        ("among-us", 20, 34),
        ("terraria", 20, 16),
        ("ark", 20, 14),
        ("factorio", 20, 21),
        ("mindustry", 20, 29),
        ("rimworld", 20, 26),
        ("vintage-story", 20, 32),
        ("teeworlds", 20, 33),
    ];
    assert_eq!(eggs, BTreeSet::from(expected));
    // id: RAM, cores, disk, cents a month.
    let plans = "mc-1gb 1 1 10 399, mc-2gb 2 1 20 699, mc-4gb 4 2 40 1399, mc-8gb 8 4 80 2799, \
        mc-16gb 16 8 160 0, rust-3gb 3 2 20 899, rust-6gb 6 3 40 1699, rust-8gb 8 4 60 2499, \
        rust-12gb 12 6 80 3699, palworld-4gb 4 2 25 1199, palworld-8gb 8 4 50 2399, \
        palworld-16gb 16 8 100 4799, ark-4gb 4 2 30 999, ark-8gb 8 4 60 1499, \
        ark-16gb 16 8 120 2499, terraria-1gb 1 1 10 299, terraria-2gb 2 1 20 499, \
        terraria-4gb 4 2 40 799, factorio-2gb 2 1 15 499, factorio-4gb 4 2 30 699, \
        factorio-8gb 8 4 60 1299, mindustry-2gb 2 1 15 399, mindustry-4gb 4 2 30 599, \
        mindustry-8gb 8 4 60 999, rimworld-2gb 2 1 15 599, rimworld-4gb 4 2 30 799, \
        rimworld-8gb 8 4 60 1299, vintage-story-2gb 2 1 15 599, vintage-story-4gb 4 2 30 799, \
        vintage-story-8gb 8 4 60 1299, teeworlds-1gb 1 1 10 249, teeworlds-2gb 2 1 20 399, \
        teeworlds-4gb 4 2 40 699, among-us-1gb 1 1 10 199, among-us-2gb 2 1 20 299, \
        among-us-4gb 4 2 40 499, vps-basic 4 2 40 0, vps-standard 8 4 80 0, \
        vps-premium 16 8 160 0";
    let sold: BTreeSet<String> = shop
        .plans
        .iter()
        .map(|p| {
            let cents = p
                .price(Term::Monthly)
                .map_or(0, |price| price.amount.amount_minor);
            format!("{} {} {} {} {cents}", p.id, p.ram_gb, p.vcores, p.ssd_gb)
        })
        .collect();
    assert_eq!(sold, plans.split(", ").map(str::to_owned).collect());
    for plan in &shop.plans {
        assert_eq!(plan.is_active, !plan.prices.is_empty(), "{}", plan.id);
        assert_eq!(
            plan.item_type == ItemType::Vps,
            plan.game.is_none(),
            "{}",
            plan.id
        );
        assert_eq!(
            plan.stripe_price_id.is_some(),
            plan.is_active,
            "{}",
            plan.id
        );
    }
    let addon = |id: &str| shop.addons.iter().find(|addon| addon.id == id).unwrap();
    let cents = [
        "automatic-backups",
        "discord-integration",
        "advanced-analytics",
        "additional-ssd",
    ]
    .map(|id| addon(id).price(Term::Monthly).unwrap().amount.amount_minor);
    assert_eq!(cents, [299, 149, 399, 250]);
    assert_eq!(addon("additional-ssd").ssd_gb, 50);
    assert!(!addon("ddos-protection").is_active && addon("vps-backup").manual);
    let nodes: Vec<_> = shop
        .nodes
        .iter()
        .map(|n| {
            (
                n.pterodactyl_node_id,
                n.name.as_str(),
                n.region.as_str(),
                n.max_ram_gb,
            )
        })
        .collect();
    assert_eq!(
        nodes,
        [
            (1, "US-East-1", "us-east", 64),
            (2, "US-West-1", "us-west", 64)
        ]
    );
}

/// Multiplied by its months, less its discount, half-up to the cent; in exact
/// tenths of a percent of a cent rather than in floating point.
#[tokio::test]
async fn every_amount_of_the_example_follows_the_formula() {
    let db = testing::open().await;
    apply(&db, EXAMPLE).await.unwrap();
    let shop = state(&db).await;
    let prices_of_rows: Vec<_> = shop
        .plans
        .iter()
        .map(|plan| (&plan.id, &plan.prices))
        .chain(shop.addons.iter().map(|addon| (&addon.id, &addon.prices)))
        .filter(|(_, prices)| !prices.is_empty())
        .collect();
    assert_eq!(prices_of_rows.len(), 35 + 7);
    for (id, prices) in prices_of_rows {
        let monthly = prices[0].amount.amount_minor;
        assert_eq!(prices.len(), 4, "{id}");
        for (price, (term, kept_percent)) in prices.iter().zip([
            (Term::Monthly, 100),
            (Term::Quarterly, 95),
            (Term::Semiannual, 90),
            (Term::Yearly, 80),
        ]) {
            let hundredths = monthly * i64::from(term.months()) * kept_percent;
            let half_up = hundredths.div_euclid(100) + i64::from(hundredths % 100 >= 50);
            assert_eq!(
                (price.term, price.amount.amount_minor),
                (term, half_up),
                "{id}"
            );
            assert_eq!(price.amount.currency, "usd");
            let name = id.replace('-', "_");
            assert_eq!(price.stripe_price_id, format!("price_test_{name}_{term}"));
        }
    }
    let plan = |id: &str| shop.plans.iter().find(|plan| plan.id == id).unwrap();
    let amounts: Vec<_> = plan("mc-2gb")
        .prices
        .iter()
        .map(|price| price.amount.amount_minor)
        .collect();
    assert_eq!(amounts, [699, 1992, 3775, 6710]);
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    let db = testing::open().await;
    apply(&db, EXAMPLE).await.unwrap();
    let before = state(&db).await;
    db.shift_clock(5_000_000);
    let again = apply(&db, EXAMPLE).await.unwrap();
    assert_eq!(all(again.games), (0, 0, 11));
    assert_eq!(all(again.plans), (0, 0, 39));
    assert_eq!(all(again.addons), (0, 0, 13));
    assert_eq!(all(again.nodes), (0, 0, 2));
    assert_eq!(state(&db).await, before);
}

#[tokio::test]
async fn what_is_exported_applies_as_nothing_new_and_makes_the_same_shop() {
    for text in [EXAMPLE, SMALL] {
        let db = testing::open().await;
        apply(&db, text).await.unwrap();
        let exported = export(&db).await.unwrap();
        let again = apply(&db, &exported).await.unwrap();
        for counts in [again.games, again.plans, again.addons, again.nodes] {
            assert_eq!((counts.created, counts.updated), (0, 0), "{exported}");
            assert!(counts.unchanged > 0);
        }
        let mut from_text = read::catalog(text);
        let mut from_export = read::catalog(&exported);
        for (catalog, faults) in [&mut from_text, &mut from_export] {
            assert!(faults.is_empty(), "{faults:?}");
            catalog.games.sort_by(|a, b| a.id.cmp(&b.id));
        }
        assert_eq!(from_text.0, from_export.0);
        assert_eq!(export(&db).await.unwrap(), exported);
    }
}

#[tokio::test]
async fn two_currencies_survive_an_export() {
    let db = testing::open().await;
    let text = SMALL.replace("[plans.rust-6gb]", "[plans.rust-6gb]\ncurrency = \"eur\"");
    apply(&db, &text).await.unwrap();
    let before = state(&db).await;
    let other = testing::open().await;
    apply(&other, &export(&db).await.unwrap()).await.unwrap();
    let prices =
        |shop: &Catalog| -> Vec<Price> { shop.priced().map(|(_, price)| price.clone()).collect() };
    assert_eq!(prices(&state(&other).await), prices(&before));
}

#[tokio::test]
async fn only_what_changed_gets_a_new_etag() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let before = state(&db).await;
    let applied = apply(&db, &SMALL.replace("amount = 1699", "amount = 1799"))
        .await
        .unwrap();
    assert_eq!(all(applied.plans), (0, 1, 1));
    assert_eq!(
        (all(applied.games), all(applied.addons)),
        ((0, 0, 1), (0, 0, 1))
    );
    let after = state(&db).await;
    assert_eq!(after.plans[0], before.plans[0]);
    assert_ne!(after.plans[1].etag, before.plans[1].etag);
    assert_eq!(after.plans[1].created_us, before.plans[1].created_us);
    assert_eq!(after.plans[1].prices[0].amount.amount_minor, 1799);
    // Going back is another write: an etag never comes back.
    apply(&db, SMALL).await.unwrap();
    assert_ne!(state(&db).await.plans[1].etag, before.plans[1].etag);
}

#[tokio::test]
async fn what_the_file_does_not_name_is_left_alone() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let before = state(&db).await;
    apply(
        &db,
        "[games.ark]\ndisplay_name = \"Ark\"\nptero_nest_id = 1\nptero_egg_id = 2\n",
    )
    .await
    .unwrap();
    let after = state(&db).await;
    assert_eq!(
        (&after.plans, &after.addons),
        (&before.plans, &before.addons)
    );
    assert_eq!(after.games.len(), 2);
    // A plan may name a game that only the shop knows.
    let plan = "[plans.x]\ngame = \"rust\"\ndisplay_name = \"X\"\nram_gb = 1\nvcores = 1\n\
        ssd_gb = 1\nis_active = false\n";
    assert_eq!(all(apply(&db, plan).await.unwrap().plans), (1, 0, 0));
}

#[tokio::test]
async fn a_price_id_moves_between_rows_of_the_file() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let swapped = SMALL
        .replace("price_a", "price_x")
        .replace("price_c", "price_a")
        .replace("price_x", "price_c");
    let applied = apply(&db, &swapped).await.unwrap();
    assert_eq!(all(applied.plans), (0, 2, 0));
    let shop = state(&db).await;
    assert_eq!(shop.plans[0].stripe_price_id.as_deref(), Some("price_c"));
    assert_eq!(shop.plans[1].stripe_price_id.as_deref(), Some("price_a"));
    assert!(shop.plans.iter().all(|plan| plan.is_active));
    // And from a plan to an add-on.
    let moved = swapped
        .replace("price_d", "price_b")
        .replacen("price_b", "price_e", 1);
    apply(&db, &moved).await.unwrap();
    assert_eq!(
        state(&db).await.addons[0].stripe_price_id.as_deref(),
        Some("price_b")
    );
}

#[tokio::test]
async fn every_fault_is_reported_and_nothing_is_changed() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let before = state(&db).await;
    let text = r#"
colour = "red"
currency = "usd"
[games.doom]
ptero_nest_id = "one"
ptero_egg_id = 3
ports = 99
is_active = "yes"
[games.rust]
display_name = "Changed"
ptero_nest_id = 19
ptero_egg_id = 50
[plans.mc-2gb]
game = "quake"
display_name = "Minecraft"
ram_gb = 0
vcores = 9999999999
memory = 4
prices.monthly = { stripe_price_id = "price_new", amount = 699 }
prices.quarterly = { stripe_price_id = "price_new2", amount = -1 }
prices.weekly = { stripe_price_id = "price_w", amount = 1 }
prices.yearly = { amount = 6.5, id = "x" }
[plans.other]
game = "doom"
display_name = "Other"
ram_gb = 1
vcores = 1
ssd_gb = 1
prices.monthly = { stripe_price_id = "price_new", amount = 1 }
[addons.nothing]
display_name = "Nothing"
is_active = false
[addons.taken]
display_name = "Taken"
manual = true
prices.monthly = { stripe_price_id = "price_a", amount = 1 }
[nodes.one]
name = "One"
region = "Far Away"
max_ram_gb = 4
max_disk_gb = 4
reserved_headroom_gb = 4
"#;
    let keys: BTreeSet<String> = faults(&db, text).await.into_iter().collect();
    let expected = [
        "colour",
        "games.doom.display_name",
        "games.doom.ptero_nest_id",
        "games.doom.ports",
        "games.doom.is_active",
        "plans.mc-2gb.game",
        "plans.mc-2gb.ram_gb",
        "plans.mc-2gb.vcores",
        "plans.mc-2gb.ssd_gb",
        "plans.mc-2gb.memory",
        "plans.mc-2gb.prices.quarterly.amount",
        "plans.mc-2gb.prices.weekly",
        "plans.mc-2gb.prices.yearly.stripe_price_id",
        "plans.mc-2gb.prices.yearly.amount",
        "plans.mc-2gb.prices.yearly.id",
        "plans.other.prices.monthly.stripe_price_id",
        "addons.nothing",
        "addons.taken.prices.monthly.stripe_price_id",
        "nodes.one",
        "nodes.one.region",
        "nodes.one.reserved_headroom_gb",
    ];
    assert_eq!(keys, expected.map(str::to_owned).into());
    assert_eq!(state(&db).await, before);
}

#[tokio::test]
async fn no_fault_is_told_twice() {
    let db = testing::open().await;
    let text = "[plans.x]\nram_gb = \"two\"\nprices.monthly = { amount = 5 }\n";
    let mut keys = faults(&db, text).await;
    keys.sort();
    let distinct: BTreeSet<_> = keys.iter().cloned().collect();
    assert_eq!(keys.len(), distinct.len(), "{keys:?}");
    assert!(distinct.contains("plans.x.currency") && distinct.contains("plans.x.game"));
}

#[tokio::test]
async fn a_file_that_is_no_toml_names_the_line() {
    let db = testing::open().await;
    assert_eq!(
        faults(&db, "currency = \"usd\"\n\n[plans.x\n").await,
        ["line 3"]
    );
    assert_eq!(faults(&db, "plans = 3\n").await, ["plans"]);
    assert_eq!(
        faults(&db, "[plans]\nx = 3\n").await.first().unwrap(),
        "plans.x"
    );
}

#[tokio::test]
async fn one_node_has_one_name_in_the_file() {
    let db = testing::open().await;
    let node = "name = \"N\"\nregion = \"eu\"\nmax_ram_gb = 8\nmax_disk_gb = 8\n";
    let twice = format!("[nodes.7]\n{node}[nodes.07]\n{node}");
    assert_eq!(faults(&db, &twice).await, ["nodes.07"]);
}

#[tokio::test]
async fn the_ledger_of_a_node_survives_the_file() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let id = nodes::find_by_panel_id(db.read(), 7)
        .await
        .unwrap()
        .unwrap()
        .id;
    let need = Need {
        ram_gb: 4,
        disk_gb: 40,
        vcores: 2,
        ports: 1,
    };
    db.tx(|tx| async move {
        assert!(nodes::hold(&tx, id, need).await?);
        ptero_nodes::Entity::update_many()
            .col_expr(ptero_nodes::Column::PortsReadUs, Expr::value(5_i64))
            .col_expr(ptero_nodes::Column::PanelUuid, Expr::value("uuid"))
            .col_expr(ptero_nodes::Column::PanelMaintenance, Expr::value(true))
            .filter(ptero_nodes::Column::Id.eq(id))
            .exec(&*tx)
            .await?;
        Ok::<_, db::Error>(())
    })
    .await
    .unwrap();
    let row = || async {
        ptero_nodes::Entity::find_by_id(id)
            .one(db.read())
            .await
            .unwrap()
            .unwrap()
    };
    let before = row().await;
    let applied = apply(&db, &SMALL.replace("max_ram_gb = 64", "max_ram_gb = 128"))
        .await
        .unwrap();
    assert_eq!(all(applied.nodes), (0, 1, 0));
    let after = row().await;
    assert_eq!(after.max_ram_gb, 128);
    let expected = ptero_nodes::Model {
        max_ram_gb: 128,
        updated_at: after.updated_at,
        ..before
    };
    assert_eq!(after, expected);
}
