//! From the text of a catalog file to rows, with every fault of the text itself.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Catalog, Fault, section::Section};
use crate::domain::{
    Violation,
    catalog::{Addon, Game, ItemType, Money, Plan, Price, PricePath, Term, is_currency, monthly},
    dispute::DisputePolicy,
    error::Violations,
    node::NewNode,
};

/// Reads a file. Where there are faults, the rows are good for further checks only.
pub(super) fn catalog(text: &str) -> (Catalog, Vec<Fault>) {
    let table: Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => return (Catalog::default(), vec![no_toml(text, &error)]),
    };
    let mut root = Section::root(table);
    let currency = currency(&mut root);
    let mut catalog = Catalog::default();
    for (id, section) in sections(&mut root, "games") {
        let faults = game(id, section, &mut catalog);
        root.absorb(faults);
    }
    for (id, section) in sections(&mut root, "plans") {
        let faults = plan(id, section, currency.as_deref(), &mut catalog);
        root.absorb(faults);
    }
    for (id, section) in sections(&mut root, "addons") {
        let faults = addon(id, section, currency.as_deref(), &mut catalog);
        root.absorb(faults);
    }
    for (id, section) in sections(&mut root, "nodes") {
        let faults = node(&id, section, &mut catalog);
        root.absorb(faults);
    }
    root.absorb(shared_prices(&catalog));
    (catalog, root.finish())
}

fn no_toml(text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    Fault {
        key: format!("line {line}"),
        problem: error.message().to_owned(),
    }
}

fn sections(root: &mut Section, name: &str) -> Vec<(String, Section)> {
    let mut table = root.table(name);
    let entries = table.entries();
    let sections = entries
        .into_iter()
        .map(|(id, value)| {
            let section = Section::of(format!("{name}.{id}"), value);
            (id, section)
        })
        .collect();
    root.absorb(table.finish());
    sections
}

fn currency(section: &mut Section) -> Option<String> {
    let currency = section.text("currency")?;
    if !is_currency(&currency) {
        section.fault("currency", "must be three lower-case letters");
        return Some("usd".to_owned());
    }
    Some(currency)
}

fn item_type(section: &mut Section) -> ItemType {
    let Some(word) = section.text("item_type") else {
        return ItemType::Game;
    };
    ItemType::parse(&word).unwrap_or_else(|| {
        section.fault("item_type", "must be game or vps");
        ItemType::Game
    })
}

fn game(id: String, mut section: Section, catalog: &mut Catalog) -> Vec<Fault> {
    let environment = environment(&mut section);
    let game = Game {
        display_name: section.required_text("display_name"),
        ptero_nest_id: section.required_whole("ptero_nest_id"),
        ptero_egg_id: section.required_whole("ptero_egg_id"),
        ports: section.number("ports").unwrap_or(1),
        port_variables: section.texts("port_variables"),
        environment,
        secret_variables: section.texts("secret_variables"),
        min_ram_gb: section.number("min_ram_gb").unwrap_or_default(),
        min_ssd_gb: section.number("min_ssd_gb").unwrap_or_default(),
        swap_mb: section.number("swap_mb").unwrap_or_default(),
        oom_disabled: section.flag("oom_disabled").unwrap_or_default(),
        is_active: section.flag("is_active").unwrap_or(true),
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
        id,
    };
    let mut violations = Violations::default();
    game.check(&mut violations, section.key());
    catalog.games.push(game);
    finish(section, violations)
}

fn environment(section: &mut Section) -> BTreeMap<String, String> {
    let mut table = section.table("environment");
    let mut environment = BTreeMap::new();
    for (name, value) in table.entries() {
        match value {
            Value::String(text) => {
                environment.insert(name, text);
            }
            _ => table.fault(&name, "must be a text"),
        }
    }
    section.absorb(table.finish());
    environment
}

fn plan(
    id: String,
    mut section: Section,
    default_currency: Option<&str>,
    catalog: &mut Catalog,
) -> Vec<Fault> {
    let prices = prices(&mut section, default_currency);
    let plan = Plan {
        item_type: item_type(&mut section),
        game: section.text("game"),
        display_name: section.required_text("display_name"),
        description: section.text("description").unwrap_or_default(),
        ram_gb: section.required_number("ram_gb"),
        vcores: section.required_number("vcores"),
        ssd_gb: section.required_number("ssd_gb"),
        databases: section.number("databases").unwrap_or_default(),
        backups: section.number("backups").unwrap_or_default(),
        allocations: section.number("allocations").unwrap_or_default(),
        grace_days: section.number("grace_days"),
        retention_days: section.number("retention_days"),
        disputes: disputes(&mut section),
        stripe_price_id: monthly(&prices).map(str::to_owned),
        prices,
        is_active: section.flag("is_active").unwrap_or(true),
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
        id,
    };
    let mut violations = Violations::default();
    plan.check(&mut violations, section.key(), PricePath::Term);
    catalog.plans.push(plan);
    finish(section, violations)
}

/// None is as the shop says.
fn disputes(section: &mut Section) -> Option<DisputePolicy> {
    let word = section.text("disputes")?;
    let policy = DisputePolicy::parse(&word);
    if policy.is_none() {
        section.fault("disputes", "must be suspend or ignore");
    }
    policy
}

fn addon(
    id: String,
    mut section: Section,
    default_currency: Option<&str>,
    catalog: &mut Catalog,
) -> Vec<Fault> {
    let prices = prices(&mut section, default_currency);
    let addon = Addon {
        item_type: item_type(&mut section),
        display_name: section.required_text("display_name"),
        description: section.text("description").unwrap_or_default(),
        ram_gb: section.number("ram_gb").unwrap_or_default(),
        vcores: section.number("vcores").unwrap_or_default(),
        ssd_gb: section.number("ssd_gb").unwrap_or_default(),
        databases: section.number("databases").unwrap_or_default(),
        backups: section.number("backups").unwrap_or_default(),
        allocations: section.number("allocations").unwrap_or_default(),
        manual: section.flag("manual").unwrap_or_default(),
        stripe_price_id: monthly(&prices).map(str::to_owned),
        prices,
        is_active: section.flag("is_active").unwrap_or(true),
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
        id,
    };
    let mut violations = Violations::default();
    addon.check(&mut violations, section.key(), PricePath::Term);
    violations.require(
        addon.has_effect(),
        section.key(),
        "changes nothing on the server and is not manual",
    );
    catalog.addons.push(addon);
    finish(section, violations)
}

fn prices(section: &mut Section, default_currency: Option<&str>) -> Vec<Price> {
    let currency = currency(section).or_else(|| default_currency.map(str::to_owned));
    let mut table = section.table("prices");
    let mut prices = Vec::new();
    for (word, value) in table.entries() {
        let Some(term) = Term::parse(&word) else {
            table.fault(&word, "must be monthly, quarterly, semiannual or yearly");
            continue;
        };
        let mut entry = Section::of(table.key_of(&word), value);
        prices.push(Price {
            term,
            // Distinct per term: a missing id must not look like a repeated one as well.
            stripe_price_id: if entry.has("stripe_price_id") {
                entry.required_text("stripe_price_id")
            } else {
                entry.fault("stripe_price_id", "is required");
                format!("missing_{}_{word}", section.key())
            },
            amount: Money {
                amount_minor: entry.required_whole("amount"),
                currency: currency.clone().unwrap_or_else(|| "usd".to_owned()),
            },
        });
        table.absorb(entry.finish());
    }
    section.absorb(table.finish());
    if currency.is_none() && !prices.is_empty() {
        section.fault("currency", "is required, here or at the top of the file");
    }
    prices.sort_by_key(|price| price.term);
    prices
}

fn node(id: &str, mut section: Section, catalog: &mut Catalog) -> Vec<Fault> {
    // One spelling per number: `01` would be a second row of the same node.
    let panel_id = id
        .parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == id);
    if panel_id.is_none() {
        section.fault_here("must be named by its id on the panel");
    }
    let node = NewNode {
        pterodactyl_node_id: panel_id.unwrap_or(1),
        name: section.required_text("name"),
        region: section.required_text("region"),
        fqdn: section.text("fqdn").unwrap_or_default(),
        max_ram_gb: section.required_number("max_ram_gb"),
        max_disk_gb: section.required_number("max_disk_gb"),
        max_vcores: section.number("max_vcores"),
        reserved_headroom_gb: section.number("reserved_headroom_gb").unwrap_or_default(),
        enabled: section.flag("enabled").unwrap_or(true),
        maintenance: section.flag("maintenance").unwrap_or_default(),
        weight: section.number("weight").unwrap_or(100),
    };
    let mut violations = Violations::default();
    node.check(&mut violations, section.key());
    catalog.nodes.push(node);
    finish(section, violations)
}

/// The faults of a section and of the row made of it. A field that could not
/// be read at all is not blamed twice.
fn finish(section: Section, violations: Violations) -> Vec<Fault> {
    let mut faults = section.finish();
    for Violation { field, problem } in violations.into_vec() {
        if faults.iter().all(|fault| fault.key != field) {
            faults.push(Fault {
                key: field,
                problem,
            });
        }
    }
    faults
}

/// Price ids that two rows of the file claim.
fn shared_prices(catalog: &Catalog) -> Vec<Fault> {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for (row, price) in catalog.priced() {
        match first.get(price.stripe_price_id.as_str()) {
            None => {
                first.insert(&price.stripe_price_id, row);
            }
            // Twice in one row is the row's own fault and told already.
            Some(other) if *other == row => {}
            Some(other) => faults.push(Fault {
                key: format!("{row}.prices.{}.stripe_price_id", price.term),
                problem: format!("belongs to {other} too"),
            }),
        }
    }
    faults
}
