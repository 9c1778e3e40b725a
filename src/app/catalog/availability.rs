//! What can be sold where, right now: the same basket and the same placement as
//! checkout, so that a shop window and a till never disagree for long.

use std::collections::BTreeMap;

use crate::{
    app::{Caller, Error},
    db::{
        Db,
        catalog::{addons, games, plans},
        eggs, nodes,
    },
    domain::{
        self, Listed,
        catalog::{Addon, Game, Plan, Spec, spec},
        egg::{self, Egg},
        error::Kind,
        node::Region,
        placement::{self, Need, Obstacle, Strategy},
    },
};

/// A plan with add-ons, and what is known of how to install it.
#[derive(Clone, Debug)]
pub struct Basket {
    /// What is bought.
    pub plan: Plan,
    /// What is added, by id.
    pub addons: Vec<Addon>,
    /// How it is installed; none for a plan that names no game.
    pub game: Option<Game>,
    /// The game's egg, once the panel was asked for it.
    pub egg: Option<Egg>,
}

/// What can be placed in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The region.
    pub region: String,
    /// How many such servers fit.
    pub remaining: i32,
    /// Why none does; empty where one does.
    pub reason: &'static str,
}

impl Basket {
    /// Its size on the panel, where it can be installed.
    pub fn spec(&self) -> Option<Spec> {
        self.game
            .as_ref()
            .map(|game| spec(&self.plan, &self.addons, game))
    }

    /// Why it can be sold nowhere, whatever room there is.
    pub fn obstacle(&self) -> Option<&'static str> {
        if !self.plan.is_active {
            return Some("PLAN_INACTIVE");
        }
        let Some(game) = self.game.as_ref().filter(|game| game.is_active) else {
            return Some("NOT_PROVISIONABLE");
        };
        match &self.egg {
            None => Some("WARMING_UP"),
            Some(egg) if !egg.found || egg.nest_id != game.ptero_nest_id => Some("EGG_NOT_FOUND"),
            Some(egg) if !can_start(egg, game) => Some("NOT_PROVISIONABLE"),
            Some(_) => None,
        }
    }
}

/// Whether the panel would take the game's own values. What is chosen later has placeholders.
fn can_start(egg: &Egg, game: &Game) -> bool {
    let ports = vec![25_565; game.port_variables.len()];
    let secret = || "s".repeat(egg::SECRET_LENGTH);
    let values = egg::environment(egg, game, &BTreeMap::new(), &ports, secret);
    egg::broken_variables(egg, &values).is_empty()
}

/// Loads a plan and its add-ons. An add-on that cannot be bought counts as absent.
/// Callers have checked that no id is named twice.
pub async fn basket(db: &Db, plan_id: &str, addon_ids: &[String]) -> Result<Basket, Error> {
    let connection = db.read();
    let plan = plans::find(connection, plan_id).await?;
    let plan = plan.ok_or_else(|| domain::Error::not_found(Kind::Plan, plan_id))?;
    let mut addons = addons::find_many(connection, addon_ids).await?;
    addons.retain(|addon| addon.is_active);
    for id in addon_ids {
        let addon = addons.iter().find(|addon| addon.id == *id);
        let addon = addon.ok_or_else(|| domain::Error::not_found(Kind::Addon, id))?;
        if addon.item_type != plan.item_type {
            return Err(item_type_mismatch(&plan, addon).into());
        }
    }
    let game = match &plan.game {
        Some(game) => games::find(connection, game).await?,
        None => None,
    };
    let egg = match &game {
        Some(game) => eggs::find(connection, game.ptero_egg_id).await?,
        None => None,
    };
    Ok(Basket {
        plan,
        addons,
        game,
        egg,
    })
}

fn item_type_mismatch(plan: &Plan, addon: &Addon) -> domain::Error {
    domain::Error::BadRequest {
        reason: "ITEM_TYPE_MISMATCH",
        message: format!("add-on {} is not for {} plans", addon.id, plan.item_type),
        metadata: vec![
            ("addon_id", addon.id.clone()),
            ("plan_id", plan.id.clone()),
            ("item_type", plan.item_type.to_string()),
        ],
    }
}

/// How many servers of this basket fit now, in one region or in each.
pub async fn check_availability(
    db: &Db,
    caller: &Caller,
    plan_id: &str,
    addon_ids: &[String],
    region: Option<&str>,
) -> Result<Vec<Availability>, Error> {
    caller.may("CatalogService/CheckAvailability")?;
    let basket = basket(db, plan_id, addon_ids).await?;
    let views = nodes::views(db.read(), region).await?;
    if let (Some(region), true) = (region, views.is_empty()) {
        return Err(domain::Error::not_found(Kind::Region, region).into());
    }
    let mut regions: Vec<&str> = views.iter().map(|node| node.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    let (obstacle, need) = (basket.obstacle(), basket.spec().map(|spec| spec.need()));
    let now_us = db.now().await?;
    let answer = |region: &str| {
        let (remaining, reason) = match (obstacle, need) {
            (Some(reason), _) => (0, reason),
            (None, None) => (0, "NOT_PROVISIONABLE"),
            (None, Some(need)) => {
                let here: Vec<placement::Node> = views
                    .iter()
                    .filter(|node| node.region == region)
                    .cloned()
                    .collect();
                fit(&here, need, now_us)
            }
        };
        Availability {
            region: region.to_owned(),
            remaining,
            reason,
        }
    };
    Ok(regions.into_iter().map(answer).collect())
}

/// How many fit on the nodes of one region, or why none does.
fn fit(nodes: &[placement::Node], need: Need, now_us: i64) -> (i32, &'static str) {
    // Which node would be chosen does not change how many fit.
    let verdicts = placement::rank(nodes, need, Strategy::Spread, now_us);
    let remaining = verdicts
        .iter()
        .fold(0_i32, |sum, verdict| sum.saturating_add(verdict.remaining));
    if remaining > 0 {
        return (remaining, "");
    }
    let lacks_only = |obstacle: Obstacle| {
        verdicts
            .iter()
            .any(|verdict| verdict.obstacles.as_slice() == [obstacle])
    };
    let reason = if lacks_only(Obstacle::WarmingUp) {
        "WARMING_UP"
    } else if lacks_only(Obstacle::Ports) {
        "NO_PORTS"
    } else {
        "NO_CAPACITY"
    };
    (0, reason)
}

/// Regions by id, after `after`.
pub async fn list_regions(
    db: &Db,
    caller: &Caller,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Region>, Error> {
    caller.may("CatalogService/ListRegions")?;
    Ok(nodes::regions(db.read(), after, limit).await?)
}
