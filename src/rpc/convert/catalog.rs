//! Plans, add-ons, games, regions and availability.

use crate::{
    app::catalog::Availability,
    domain::{
        catalog::{Addon, Game, ItemType, Money, Plan, Price, Term, monthly},
        error::Violations,
        node::Region,
    },
    rpc::{convert::time, proto},
};

/// A type of item as it is sent.
pub fn item_type_to(item_type: ItemType) -> proto::ItemType {
    match item_type {
        ItemType::Game => proto::ItemType::Game,
        ItemType::Vps => proto::ItemType::Vps,
    }
}

/// A type of item as it was sent; none where it is unspecified or unknown.
pub fn item_type_from(value: i32) -> Option<ItemType> {
    match proto::ItemType::try_from(value) {
        Ok(proto::ItemType::Game) => Some(ItemType::Game),
        Ok(proto::ItemType::Vps) => Some(ItemType::Vps),
        Ok(proto::ItemType::Unspecified) | Err(_) => None,
    }
}

/// A term as it is sent.
pub fn term_to(term: Term) -> proto::Term {
    match term {
        Term::Monthly => proto::Term::Monthly,
        Term::Quarterly => proto::Term::Quarterly,
        Term::Semiannual => proto::Term::Semiannual,
        Term::Yearly => proto::Term::Yearly,
    }
}

/// A term as it was sent; none where it is unspecified or unknown.
pub fn term_from(value: i32) -> Option<Term> {
    match proto::Term::try_from(value) {
        Ok(proto::Term::Monthly) => Some(Term::Monthly),
        Ok(proto::Term::Quarterly) => Some(Term::Quarterly),
        Ok(proto::Term::Semiannual) => Some(Term::Semiannual),
        Ok(proto::Term::Yearly) => Some(Term::Yearly),
        Ok(proto::Term::Unspecified) | Err(_) => None,
    }
}

/// An amount as it is sent.
pub fn money_to(money: Money) -> proto::Money {
    proto::Money {
        amount_minor: money.amount_minor,
        currency: money.currency,
    }
}

/// The filter `item_type` of a list: unspecified means any.
pub fn item_type_filter(violations: &mut Violations, value: i32) -> Option<ItemType> {
    let item_type = item_type_from(value);
    let known = item_type.is_some() || value == i32::from(proto::ItemType::Unspecified);
    violations.require(known, "item_type", "must be one of the item types");
    item_type
}

fn prices_to(prices: Vec<Price>) -> Vec<proto::PlanPrice> {
    prices
        .into_iter()
        .map(|price| proto::PlanPrice {
            term: term_to(price.term).into(),
            stripe_price_id: price.stripe_price_id,
            amount: Some(money_to(price.amount)),
        })
        .collect()
}

/// Stand-ins keep their place in the list and break no further rule.
fn prices_from(
    violations: &mut Violations,
    prefix: &str,
    mut sent: Vec<proto::PlanPrice>,
) -> Vec<Price> {
    // One too many is enough to be refused.
    sent.truncate(Term::ALL.len() + 1);
    let terms: Vec<Option<Term>> = sent.iter().map(|price| term_from(price.term)).collect();
    let mut spare = Term::ALL
        .iter()
        .copied()
        .filter(|term| !terms.contains(&Some(*term)));
    let currency = sent
        .iter()
        .find_map(|price| Some(price.amount.as_ref()?.currency.clone()));
    let currency = currency.unwrap_or_else(|| "usd".to_owned());
    let mut prices = Vec::with_capacity(sent.len());
    for (index, (price, term)) in sent.into_iter().zip(&terms).enumerate() {
        let field = |name: &str| format!("{prefix}.prices[{index}].{name}");
        violations.require(term.is_some(), field("term"), "must be one of the terms");
        let amount = price.amount.map(|amount| Money {
            amount_minor: amount.amount_minor,
            currency: amount.currency,
        });
        violations.require(amount.is_some(), field("amount"), "is required");
        prices.push(Price {
            term: term.or_else(|| spare.next()).unwrap_or(Term::Monthly),
            stripe_price_id: price.stripe_price_id,
            amount: amount.unwrap_or_else(|| Money {
                amount_minor: 1,
                currency: currency.clone(),
            }),
        });
    }
    prices
}

/// Left empty, the id of the monthly price is taken from the prices.
fn price_id_from(sent: String, prices: &[Price]) -> Option<String> {
    if sent.is_empty() {
        monthly(prices).map(str::to_owned)
    } else {
        Some(sent)
    }
}

/// A plan as it is sent.
pub fn plan_to(plan: Plan) -> proto::Plan {
    proto::Plan {
        id: plan.id,
        item_type: item_type_to(plan.item_type).into(),
        game: plan.game.unwrap_or_default(),
        display_name: plan.display_name,
        description: plan.description,
        ram_gb: plan.ram_gb,
        vcores: plan.vcores,
        ssd_gb: plan.ssd_gb,
        databases: plan.databases,
        backups: plan.backups,
        allocations: plan.allocations,
        stripe_price_id: plan.stripe_price_id.unwrap_or_default(),
        prices: prices_to(plan.prices),
        is_active: plan.is_active,
        etag: plan.etag,
        create_time: Some(time(plan.created_us)),
        update_time: Some(time(plan.updated_us)),
    }
}

/// A plan as it was sent. `item_type_counts` is false for an update that does not name it.
pub fn plan_from(violations: &mut Violations, plan: proto::Plan, item_type_counts: bool) -> Plan {
    let item_type = item_type_from(plan.item_type);
    violations.require(
        item_type.is_some() || !item_type_counts,
        "plan.item_type",
        "must be one of the item types",
    );
    let prices = prices_from(violations, "plan", plan.prices);
    Plan {
        id: plan.id,
        // The type that asks for nothing else.
        item_type: item_type.unwrap_or(ItemType::Vps),
        game: Some(plan.game).filter(|game| !game.is_empty()),
        display_name: plan.display_name,
        description: plan.description,
        ram_gb: plan.ram_gb,
        vcores: plan.vcores,
        ssd_gb: plan.ssd_gb,
        databases: plan.databases,
        backups: plan.backups,
        allocations: plan.allocations,
        // Said in the catalog file only; an update leaves them as they are.
        grace_days: None,
        retention_days: None,
        disputes: None,
        stripe_price_id: price_id_from(plan.stripe_price_id, &prices),
        prices,
        is_active: plan.is_active,
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
    }
}

/// An add-on as it is sent.
pub fn addon_to(addon: Addon) -> proto::Addon {
    proto::Addon {
        id: addon.id,
        item_type: item_type_to(addon.item_type).into(),
        display_name: addon.display_name,
        description: addon.description,
        ram_gb: addon.ram_gb,
        vcores: addon.vcores,
        ssd_gb: addon.ssd_gb,
        databases: addon.databases,
        backups: addon.backups,
        allocations: addon.allocations,
        manual: addon.manual,
        stripe_price_id: addon.stripe_price_id.unwrap_or_default(),
        prices: prices_to(addon.prices),
        is_active: addon.is_active,
        etag: addon.etag,
    }
}

/// An add-on as it was sent. `item_type_counts` is false for an update that does not name it.
pub fn addon_from(
    violations: &mut Violations,
    addon: proto::Addon,
    item_type_counts: bool,
) -> Addon {
    let item_type = item_type_from(addon.item_type);
    violations.require(
        item_type.is_some() || !item_type_counts,
        "addon.item_type",
        "must be one of the item types",
    );
    let prices = prices_from(violations, "addon", addon.prices);
    Addon {
        id: addon.id,
        item_type: item_type.unwrap_or(ItemType::Vps),
        display_name: addon.display_name,
        description: addon.description,
        ram_gb: addon.ram_gb,
        vcores: addon.vcores,
        ssd_gb: addon.ssd_gb,
        databases: addon.databases,
        backups: addon.backups,
        allocations: addon.allocations,
        manual: addon.manual,
        stripe_price_id: price_id_from(addon.stripe_price_id, &prices),
        prices,
        is_active: addon.is_active,
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
    }
}

/// A game as it is sent.
pub fn game_to(game: Game) -> proto::Game {
    proto::Game {
        id: game.id,
        display_name: game.display_name,
        ptero_nest_id: game.ptero_nest_id,
        ptero_egg_id: game.ptero_egg_id,
        ports: game.ports,
        port_variables: game.port_variables,
        environment: game.environment.into_iter().collect(),
        secret_variables: game.secret_variables,
        min_ram_gb: game.min_ram_gb,
        min_ssd_gb: game.min_ssd_gb,
        swap_mb: game.swap_mb,
        oom_disabled: game.oom_disabled,
        is_active: game.is_active,
        etag: game.etag,
    }
}

/// A game as it was sent.
pub fn game_from(game: proto::Game) -> Game {
    Game {
        id: game.id,
        display_name: game.display_name,
        ptero_nest_id: game.ptero_nest_id,
        ptero_egg_id: game.ptero_egg_id,
        ports: game.ports,
        port_variables: game.port_variables,
        environment: game.environment.into_iter().collect(),
        secret_variables: game.secret_variables,
        min_ram_gb: game.min_ram_gb,
        min_ssd_gb: game.min_ssd_gb,
        swap_mb: game.swap_mb,
        oom_disabled: game.oom_disabled,
        is_active: game.is_active,
        etag: String::new(),
        created_us: 0,
        updated_us: 0,
    }
}

/// A region as it is sent.
pub fn region_to(region: Region) -> proto::Region {
    proto::Region {
        id: region.id,
        nodes: region.nodes,
        enabled: region.enabled,
    }
}

/// An availability as it is sent.
pub fn availability_to(availability: Availability) -> proto::Availability {
    proto::Availability {
        region: availability.region,
        available: availability.remaining > 0,
        remaining: availability.remaining,
        reason: availability.reason.to_owned(),
    }
}
