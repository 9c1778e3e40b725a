use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{dispute::DisputePolicy, error::Violations};

fn price(term: Term, id: &str, amount_minor: i64) -> Price {
    Price {
        term,
        stripe_price_id: id.to_owned(),
        amount: Money {
            amount_minor,
            currency: "usd".to_owned(),
        },
    }
}

/// A plan that breaks no rule.
pub(crate) fn plan() -> Plan {
    Plan {
        id: "mc-2gb".to_owned(),
        item_type: ItemType::Game,
        game: Some("minecraft".to_owned()),
        display_name: "Minecraft 2GB".to_owned(),
        description: "Two\nlines".to_owned(),
        ram_gb: 2,
        vcores: 1,
        ssd_gb: 20,
        databases: 1,
        backups: 5,
        allocations: 0,
        grace_days: None,
        retention_days: None,
        disputes: None,
        stripe_price_id: Some("price_m".to_owned()),
        prices: vec![
            price(Term::Monthly, "price_m", 699),
            price(Term::Yearly, "price_y", 6710),
        ],
        is_active: true,
        etag: "e".to_owned(),
        created_us: 1,
        updated_us: 2,
    }
}

fn addon() -> Addon {
    Addon {
        id: "additional-ssd".to_owned(),
        item_type: ItemType::Game,
        display_name: "More disk".to_owned(),
        description: String::new(),
        ram_gb: 0,
        vcores: 0,
        ssd_gb: 50,
        databases: 0,
        backups: 0,
        allocations: 0,
        manual: false,
        stripe_price_id: Some("price_a".to_owned()),
        prices: vec![price(Term::Monthly, "price_a", 250)],
        is_active: true,
        etag: "e".to_owned(),
        created_us: 1,
        updated_us: 2,
    }
}

fn game() -> Game {
    Game {
        id: "rust".to_owned(),
        display_name: "Rust".to_owned(),
        ptero_nest_id: 19,
        ptero_egg_id: 50,
        ports: 3,
        port_variables: vec!["QUERY_PORT".to_owned(), "RCON_PORT".to_owned()],
        environment: BTreeMap::from([("MAX_PLAYERS".to_owned(), "100".to_owned())]),
        secret_variables: vec!["RCON_PASS".to_owned()],
        min_ram_gb: 0,
        min_ssd_gb: 35,
        swap_mb: 2048,
        oom_disabled: true,
        is_active: true,
        etag: "e".to_owned(),
        created_us: 1,
        updated_us: 2,
    }
}

/// How a sound row is broken, and the field that is then named.
type Broken<T> = (fn(&mut T), &'static str);

fn paths(check: impl FnOnce(&mut Violations)) -> Vec<String> {
    let mut violations = Violations::default();
    check(&mut violations);
    violations
        .into_vec()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn plan_paths(plan: &Plan) -> Vec<String> {
    paths(|violations| plan.check(violations, "plan", PricePath::Index))
}

#[test]
fn intervals_of_terms_cover_their_months() {
    for term in Term::ALL {
        let (unit, count) = term.interval();
        let months = if unit == "year" { 12 * count } else { count };
        assert_eq!(i64::from(term.months()), months, "{term}");
        assert_eq!(Term::parse(term.as_str()), Some(*term));
    }
    assert_eq!(Term::Yearly.interval(), ("year", 1));
    assert_eq!(Term::Semiannual.interval(), ("month", 6));
}

#[test]
fn sound_rows_break_no_rule() {
    assert_eq!(plan_paths(&plan()), Vec::<String>::new());
    for (grace_days, retention_days) in [(0, 0), (365, 3650)] {
        let mut own = plan();
        own.grace_days = Some(grace_days);
        own.retention_days = Some(retention_days);
        own.disputes = Some(DisputePolicy::Ignore);
        assert_eq!(plan_paths(&own), Vec::<String>::new());
    }
    assert!(paths(|v| addon().check(v, "addon", PricePath::Index)).is_empty());
    assert!(paths(|v| game().check(v, "game")).is_empty());
}

#[test]
fn every_broken_rule_of_a_plan_is_named() {
    let cases: [Broken<Plan>; 31] = [
        (|p| p.id = String::new(), "plan.id"),
        (|p| p.id = "Mc".to_owned(), "plan.id"),
        (|p| p.id = "-mc".to_owned(), "plan.id"),
        (|p| p.id = "m".repeat(65), "plan.id"),
        (|p| p.game = None, "plan.game"),
        (|p| p.game = Some("Bad Game".to_owned()), "plan.game"),
        (|p| p.display_name = String::new(), "plan.display_name"),
        (
            |p| p.display_name = "a\u{7}b".to_owned(),
            "plan.display_name",
        ),
        (|p| p.display_name = " a".to_owned(), "plan.display_name"),
        (|p| p.display_name = "a".repeat(101), "plan.display_name"),
        (|p| p.description = "nul \0".to_owned(), "plan.description"),
        (|p| p.ram_gb = 0, "plan.ram_gb"),
        (|p| p.vcores = -1, "plan.vcores"),
        (|p| p.ssd_gb = i32::MAX, "plan.ssd_gb"),
        (|p| p.databases = -1, "plan.databases"),
        (|p| p.backups = 1001, "plan.backups"),
        (|p| p.allocations = -1, "plan.allocations"),
        (|p| p.grace_days = Some(-1), "plan.grace_days"),
        (|p| p.grace_days = Some(366), "plan.grace_days"),
        (|p| p.retention_days = Some(-1), "plan.retention_days"),
        (|p| p.retention_days = Some(3651), "plan.retention_days"),
        (|p| p.retention_days = Some(i32::MAX), "plan.retention_days"),
        (|p| p.stripe_price_id = None, "plan.stripe_price_id"),
        (
            |p| p.stripe_price_id = Some("price_y".to_owned()),
            "plan.stripe_price_id",
        ),
        (
            |p| p.prices[1].stripe_price_id = String::new(),
            "plan.prices[1].stripe_price_id",
        ),
        (
            |p| p.prices[1].stripe_price_id = "a b".to_owned(),
            "plan.prices[1].stripe_price_id",
        ),
        (
            |p| p.prices[1].stripe_price_id = "price_m".to_owned(),
            "plan.prices[1].stripe_price_id",
        ),
        (
            |p| p.prices[1].amount.amount_minor = 0,
            "plan.prices[1].amount",
        ),
        (
            |p| p.prices[1].amount.currency = "eur".to_owned(),
            "plan.prices[1].amount",
        ),
        (|p| p.prices[1].term = Term::Monthly, "plan.prices[1].term"),
        (
            |p| {
                p.prices.remove(0);
                p.stripe_price_id = None;
            },
            "plan.prices",
        ),
    ];
    for (index, (break_it, path)) in cases.into_iter().enumerate() {
        let mut plan = plan();
        break_it(&mut plan);
        assert_eq!(plan_paths(&plan), [path], "case {index}");
    }
}

#[test]
fn all_violations_come_at_once_and_in_the_form_asked_for() {
    let mut plan = plan();
    plan.ram_gb = 0;
    (plan.grace_days, plan.retention_days) = (Some(-1), Some(9999));
    plan.prices[1].amount.amount_minor = -1;
    let by_term = paths(|v| plan.check(v, "plans.mc-2gb", PricePath::Term));
    assert_eq!(
        by_term,
        [
            "plans.mc-2gb.ram_gb",
            "plans.mc-2gb.grace_days",
            "plans.mc-2gb.retention_days",
            "plans.mc-2gb.prices.yearly.amount"
        ]
    );
}

#[test]
fn a_vps_needs_no_game_and_an_inactive_plan_no_price() {
    let mut plan = plan();
    plan.item_type = ItemType::Vps;
    plan.game = None;
    plan.is_active = false;
    plan.prices.clear();
    plan.stripe_price_id = None;
    assert!(plan_paths(&plan).is_empty());
}

#[test]
fn an_addon_charged_for_nothing_is_refused() {
    let mut addon = addon();
    assert!(addon.require_effect().is_ok());
    addon.ssd_gb = 0;
    assert_eq!(
        addon.require_effect().unwrap_err().reason(),
        "ADDON_WITHOUT_EFFECT"
    );
    addon.manual = true;
    assert!(addon.require_effect().is_ok());
    addon.vcores = -1;
    assert_eq!(
        paths(|v| addon.check(v, "addon", PricePath::Index)),
        ["addon.vcores"]
    );
}

#[test]
fn every_broken_rule_of_a_game_is_named() {
    let cases: [Broken<Game>; 15] = [
        (|g| g.id = "Rust".to_owned(), "game.id"),
        (|g| g.display_name = String::new(), "game.display_name"),
        (|g| g.ptero_nest_id = 0, "game.ptero_nest_id"),
        (|g| g.ptero_egg_id = -3, "game.ptero_egg_id"),
        (|g| g.ports = 17, "game.ports"),
        (|g| g.ports = 2, "game.port_variables"),
        (
            |g| g.port_variables[1] = "QUERY_PORT".to_owned(),
            "game.port_variables[1]",
        ),
        (
            |g| g.port_variables[1] = "1PORT".to_owned(),
            "game.port_variables[1]",
        ),
        (
            |g| g.secret_variables[0] = "RCON PASS".to_owned(),
            "game.secret_variables[0]",
        ),
        (
            |g| g.secret_variables[0] = "RCON_PORT".to_owned(),
            "game.secret_variables[0]",
        ),
        (
            |g| {
                g.environment.insert("RCON_PASS".to_owned(), "x".to_owned());
            },
            "game.environment.RCON_PASS",
        ),
        (
            |g| {
                g.environment.insert("a-b".to_owned(), "x".to_owned());
            },
            "game.environment",
        ),
        (
            |g| {
                g.environment.insert("A".to_owned(), "\0".to_owned());
            },
            "game.environment.A",
        ),
        (|g| g.min_ram_gb = -1, "game.min_ram_gb"),
        (|g| g.swap_mb = -1, "game.swap_mb"),
    ];
    for (index, (break_it, path)) in cases.into_iter().enumerate() {
        let mut game = game();
        break_it(&mut game);
        assert_eq!(paths(|v| game.check(v, "game")), [path], "case {index}");
    }
}

#[test]
fn a_further_port_needs_no_variable() {
    let mut game = game();
    game.port_variables.pop();
    assert!(paths(|v| game.check(v, "game")).is_empty());
}

#[test]
fn floors_raise_a_small_plan_and_swap_is_held_as_disk() {
    let mut game = game();
    game.min_ram_gb = 6;
    let spec = spec(&plan(), &[], &game);
    assert_eq!(
        (spec.ram_mb, spec.disk_mb, spec.swap_mb),
        (6144, 35 * 1024, 2048)
    );
    assert_eq!((spec.cpu_percent, spec.ports), (100, 3));
    let need = spec.need();
    assert_eq!(
        (need.ram_gb, need.disk_gb, need.vcores, need.ports),
        (6, 37, 1, 3)
    );
}

#[test]
fn swap_below_a_gigabyte_holds_a_whole_one() {
    let mut game = game();
    game.swap_mb = 1;
    assert_eq!(spec(&plan(), &[], &game).need().disk_gb, 36);
}

#[test]
fn addons_are_summed_before_the_floor() {
    let spec = spec(&plan(), &[addon(), addon()], &game());
    assert_eq!(spec.disk_mb, 120 * 1024);
}

#[test]
fn a_stored_spec_is_read_back() {
    let spec = spec(&plan(), &[addon()], &game());
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
}

#[test]
fn an_update_takes_only_what_it_names() {
    let mut other = plan();
    other.display_name = "Other".to_owned();
    other.ram_gb = 64;
    other.prices = vec![price(Term::Monthly, "price_new", 1)];
    let mut changed = plan();
    changed.take(&other, &[PlanField::DisplayName]);
    assert_eq!(
        changed,
        Plan {
            display_name: "Other".to_owned(),
            ..plan()
        }
    );
    // New prices bring the monthly id with them.
    changed.take(&other, &[PlanField::Prices]);
    assert_eq!(changed.stripe_price_id.as_deref(), Some("price_new"));
    assert!(plan_paths(&changed).is_empty());
    // Every field can be taken: all together make the other row.
    let mut all = plan();
    other.item_type = ItemType::Vps;
    (other.databases, other.backups, other.allocations) = (7, 8, 9);
    (other.vcores, other.ssd_gb, other.is_active) = (3, 4, false);
    (other.game, other.description) = (None, "d".to_owned());
    other.stripe_price_id = Some("price_new".to_owned());
    // But for those that only the catalog file says: a call names none of them.
    (all.grace_days, all.retention_days) = (Some(1), Some(2));
    all.disputes = Some(DisputePolicy::Ignore);
    all.take(&other, PlanField::ALL);
    (other.grace_days, other.retention_days) = (Some(1), Some(2));
    other.disputes = Some(DisputePolicy::Ignore);
    assert_eq!(all, other);
}

#[test]
fn rows_are_compared_without_their_bookkeeping() {
    let mut other = plan();
    (other.etag, other.created_us, other.updated_us) = ("f".to_owned(), 8, 9);
    assert!(plan().same_as(&other));
    other.ssd_gb += 1;
    assert!(!plan().same_as(&other));
    other = plan();
    other.retention_days = Some(0);
    assert!(!plan().same_as(&other));
}

proptest! {
    /// What is held covers what is sent, and no unit more than rounding needs.
    #[test]
    fn need_covers_the_spec(
        ram in 1..=512_i32,
        ssd in 1..=4096_i32,
        cores in 1..=64_i32,
        deltas in proptest::collection::vec((0..=64_i32, 0..=64_i32, 0..=512_i32), 0..6),
        floors in (0..=64_i32, 0..=512_i32, 0..=8192_i32),
    ) {
        let base = Plan { ram_gb: ram, ssd_gb: ssd, vcores: cores, ..plan() };
        let addons: Vec<Addon> = deltas
            .iter()
            .map(|(ram_gb, vcores, ssd_gb)| Addon {
                ram_gb: *ram_gb, vcores: *vcores, ssd_gb: *ssd_gb, ..addon()
            })
            .collect();
        let game = Game { min_ram_gb: floors.0, min_ssd_gb: floors.1, swap_mb: floors.2, ..game() };
        let made = spec(&base, &addons, &game);
        let need = made.need();
        let gap_of_ram = i64::from(need.ram_gb) * 1024 - made.ram_mb;
        let gap_of_disk = i64::from(need.disk_gb) * 1024 - made.disk_mb - made.swap_mb;
        prop_assert_eq!(gap_of_ram, 0);
        prop_assert!((0..1024).contains(&gap_of_disk));
        prop_assert_eq!(i64::from(need.vcores) * 100, made.cpu_percent);
        prop_assert!(made.ram_mb >= i64::from(game.min_ram_gb) * 1024);
        prop_assert!(made.ram_mb >= i64::from(ram) * 1024);
        // The order of add-ons does not matter, and another one never makes it smaller.
        let mut reversed = addons.clone();
        reversed.reverse();
        prop_assert_eq!(&spec(&base, &reversed, &game), &made);
        let mut more = addons;
        more.push(addon());
        prop_assert!(spec(&base, &more, &game).disk_mb >= made.disk_mb);
    }

    /// No text makes a check panic, and an accepted id is plain.
    #[test]
    fn hostile_texts_are_data(text in any::<String>()) {
        let hostile = Plan {
            id: text.clone(), display_name: text.clone(), game: Some(text.clone()), ..plan()
        };
        if !plan_paths(&hostile).contains(&"plan.id".to_owned()) {
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        }
        let mut game = game();
        game.environment.insert(text.clone(), text.clone());
        game.secret_variables.push(text);
        let _ = paths(|v| game.check(v, "game"));
    }
}
