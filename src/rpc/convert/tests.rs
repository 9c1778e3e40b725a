use super::*;
use crate::{
    domain::{
        catalog::{ItemType, PlanField, PricePath, Term},
        node::NodeField,
    },
    rpc::proto,
};

fn problems(violations: Violations) -> Vec<String> {
    violations
        .into_vec()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    })
}

#[test]
fn times_keep_their_microseconds_on_both_sides_of_the_epoch() {
    let sent = |us| (time(us).seconds, time(us).nanos);
    assert_eq!(sent(1_500_001), (1, 500_001_000));
    assert_eq!(sent(-1), (-1, 999_999_000));
    assert_eq!(sent(0), (0, 0));
    assert!((0..1_000_000_000).contains(&time(i64::MIN).nanos));
}

#[test]
fn a_mask_names_known_fields_and_at_least_one() {
    let mut violations = Violations::default();
    let read = fields(
        &mut violations,
        mask(&["ram_gb", "prices", "ram_gb"]),
        PlanField::parse,
    );
    assert_eq!(read, [PlanField::RamGb, PlanField::Prices]);
    assert!(violations.is_empty());
    for (sent, wrong) in [
        (None, "update_mask"),
        (mask(&[]), "update_mask"),
        (mask(&["ram_gb", "id"]), "update_mask.paths[1]"),
        (mask(&["etag"]), "update_mask.paths[0]"),
        (mask(&["*"]), "update_mask.paths[0]"),
        (mask(&["prices.amount"]), "update_mask.paths[0]"),
        (mask(&[""]), "update_mask.paths[0]"),
    ] {
        let mut violations = Violations::default();
        fields(&mut violations, sent, PlanField::parse);
        assert_eq!(problems(violations), [wrong]);
    }
    let mut violations = Violations::default();
    fields(
        &mut violations,
        mask(&["pterodactyl_node_id"]),
        NodeField::parse,
    );
    assert_eq!(problems(violations), ["update_mask.paths[0]"]);
}

/// A field that a mask may name but the message does not have could never be set.
#[test]
fn every_field_of_a_mask_is_a_field_of_the_message() {
    use prost::Message;
    let files = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let names = |message: &str| -> Vec<String> {
        let mut messages = files.file.iter().flat_map(|file| &file.message_type);
        let found = messages.find(|found| found.name() == message).unwrap();
        found
            .field
            .iter()
            .map(|field| field.name().to_owned())
            .collect()
    };
    let words = |words: Vec<&str>, message: &str, fixed: &[&str]| {
        let mut all: Vec<&str> = words.into_iter().chain(fixed.iter().copied()).collect();
        all.sort_unstable();
        let mut names = names(message);
        names.sort_unstable();
        assert_eq!(all, names, "{message}");
    };
    use crate::domain::catalog::{AddonField, GameField};
    words(
        PlanField::ALL.iter().map(|field| field.as_str()).collect(),
        "Plan",
        &["id", "etag", "create_time", "update_time"],
    );
    words(
        AddonField::ALL.iter().map(|field| field.as_str()).collect(),
        "Addon",
        &["id", "etag"],
    );
    words(
        GameField::ALL.iter().map(|field| field.as_str()).collect(),
        "Game",
        &["id", "etag"],
    );
    words(
        NodeField::ALL.iter().map(|field| field.as_str()).collect(),
        "Node",
        &[
            "id",
            "pterodactyl_node_id",
            "held_ram_gb",
            "held_disk_gb",
            "free_allocations",
            "avoided_until_time",
            "last_seen_time",
        ],
    );
}

fn sent_plan() -> proto::Plan {
    let price = |term: proto::Term, id: &str, amount_minor| proto::PlanPrice {
        term: term.into(),
        stripe_price_id: id.to_owned(),
        amount: Some(proto::Money {
            amount_minor,
            currency: "usd".to_owned(),
        }),
    };
    proto::Plan {
        id: "mc-2gb".to_owned(),
        item_type: proto::ItemType::Game.into(),
        game: "minecraft".to_owned(),
        display_name: "Minecraft 2GB".to_owned(),
        ram_gb: 2,
        vcores: 1,
        ssd_gb: 20,
        prices: vec![
            price(proto::Term::Monthly, "price_m", 699),
            price(proto::Term::Yearly, "price_y", 6710),
        ],
        is_active: true,
        ..proto::Plan::default()
    }
}

#[test]
fn a_plan_goes_in_and_out() {
    let mut violations = Violations::default();
    let plan = catalog::plan_from(&mut violations, sent_plan(), true);
    assert!(violations.is_empty());
    assert_eq!(
        (plan.item_type, plan.prices[1].term),
        (ItemType::Game, Term::Yearly)
    );
    let back = catalog::plan_to(plan);
    // Left empty, the monthly id is filled in.
    let expected = proto::Plan {
        stripe_price_id: "price_m".to_owned(),
        create_time: Some(time(0)),
        update_time: Some(time(0)),
        ..sent_plan()
    };
    assert_eq!(back, expected);
}

#[test]
fn what_cannot_be_read_is_named_once_and_breaks_no_further_rule() {
    let mut sent = sent_plan();
    sent.item_type = 99;
    sent.prices[0].term = 0;
    sent.prices[1].amount = None;
    sent.stripe_price_id = String::new();
    let mut violations = Violations::default();
    let plan = catalog::plan_from(&mut violations, sent, true);
    plan.check(&mut violations, "plan", PricePath::Index);
    assert_eq!(
        problems(violations),
        [
            "plan.item_type",
            "plan.prices[0].term",
            "plan.prices[1].amount"
        ]
    );
}

#[test]
fn a_flood_of_prices_is_one_violation() {
    let mut sent = sent_plan();
    sent.prices = vec![proto::PlanPrice::default(); 100_000];
    let mut violations = Violations::default();
    let plan = catalog::plan_from(&mut violations, sent, true);
    plan.check(&mut violations, "plan", PricePath::Index);
    let problems = problems(violations);
    assert!(problems.len() < 20, "{}", problems.len());
    assert!(problems.contains(&"plan.prices".to_owned()));
}

#[test]
fn enums_are_one_table_both_ways() {
    for term in Term::ALL {
        assert_eq!(
            catalog::term_from(catalog::term_to(*term).into()),
            Some(*term)
        );
    }
    for item_type in ItemType::ALL {
        let sent = catalog::item_type_to(*item_type).into();
        assert_eq!(catalog::item_type_from(sent), Some(*item_type));
    }
    assert_eq!(catalog::term_from(0), None);
    assert_eq!(catalog::term_from(5), None);
    assert_eq!(catalog::item_type_from(-1), None);
}
