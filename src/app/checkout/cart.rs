//! A cart, checked against the catalog, the eggs and the regions, before any money.

use std::time::Duration;

use super::Command;
use crate::{
    app::{
        App, Error,
        catalog::{Basket, basket},
    },
    db::{nodes, orders::NewOrder},
    domain::{
        self, OrderId,
        catalog::{Addon, Game, Plan, Price, Spec, Term},
        egg::{self, Egg},
        error::{Kind, Violations},
        lenience::Lenience,
    },
};

/// A cart that can be sold.
#[derive(Clone, Debug)]
pub struct Cart {
    /// The plan, as it is now.
    pub plan: Plan,
    /// The add-ons, in the order they were named.
    pub addons: Vec<Addon>,
    /// How often it is billed.
    pub term: Term,
    /// Prices of the plan and of each add-on for the term, in that order.
    pub prices: Vec<Price>,
    /// Where it runs.
    pub region: String,
    /// What the server gets.
    pub spec: Spec,
}

impl Cart {
    /// A basket for a term, at its prices for it.
    pub(in crate::app) fn of(
        basket: Basket,
        term: &str,
        region: &str,
        spec: Spec,
    ) -> Result<Self, Error> {
        let term = Term::parse(term)
            .ok_or_else(|| Error::Internal(format!("an order of the unknown term {term}")))?;
        let prices = prices(&basket, term)?;
        Ok(Self {
            plan: basket.plan,
            addons: basket.addons,
            term,
            prices,
            region: region.to_owned(),
            spec,
        })
    }

    /// Sum of the recurring lines.
    pub fn total_minor(&self) -> i64 {
        self.prices
            .iter()
            .map(|price| price.amount.amount_minor)
            .sum()
    }

    /// The currency of all lines.
    pub fn currency(&self) -> &str {
        self.prices
            .first()
            .map_or("", |price| price.amount.currency.as_str())
    }

    /// The refusal where no node has room or ports.
    pub fn no_capacity(&self) -> domain::Error {
        domain::Error::precondition(
            "NO_CAPACITY",
            format!("no node in {} has room for {}", self.region, self.plan.id),
            vec![
                ("region", self.region.clone()),
                ("plan_id", self.plan.id.clone()),
            ],
        )
    }
}

/// Checks a cart: what is sold, for which term, where, and whether it can be delivered.
pub(super) async fn check(app: &App, command: &Command) -> Result<Cart, Error> {
    check_urls(app, command)?;
    let basket = basket(&app.db, &command.plan_id, &command.addon_ids).await?;
    check_plan(&basket.plan, command)?;
    let prices = prices(&basket, command.term)?;
    let views = nodes::views(app.db.read(), Some(&command.region)).await?;
    if views.is_empty() {
        return Err(domain::Error::not_found(Kind::Region, &command.region).into());
    }
    if let Some(obstacle) = basket.obstacle() {
        return Err(undeliverable(&basket, obstacle).into());
    }
    let (Some(spec), Some(game), Some(egg)) = (basket.spec(), &basket.game, &basket.egg) else {
        return Err(undeliverable(&basket, "NOT_PROVISIONABLE").into());
    };
    check_environment(egg, game, command)?;
    if views.iter().all(|node| !node.ports_known) {
        return Err(warming_up().into());
    }
    Ok(Cart {
        plan: basket.plan,
        addons: basket.addons,
        term: command.term,
        prices,
        region: command.region.clone(),
        spec,
    })
}

/// Prices of the plan and of each add-on for the term, all in one currency.
fn prices(basket: &Basket, term: Term) -> Result<Vec<Price>, domain::Error> {
    let plan = &basket.plan;
    let offered = |price: Option<&Price>, field: &'static str, id: &str| {
        price.cloned().ok_or_else(|| not_offered(field, id, term))
    };
    let first = offered(plan.price(term), "plan_id", &plan.id)?;
    let mut prices = vec![first.clone()];
    for addon in &basket.addons {
        let price = offered(addon.price(term), "addon_id", &addon.id)?;
        if price.amount.currency != first.amount.currency {
            return Err(not_offered("addon_id", &addon.id, term));
        }
        prices.push(price);
    }
    Ok(prices)
}

fn check_urls(app: &App, command: &Command) -> Result<(), Error> {
    for (field, text) in [
        ("success_url", &command.success_url),
        ("cancel_url", &command.cancel_url),
    ] {
        check_url(app, field, text)?;
    }
    Ok(())
}

/// Refuses to send a browser anywhere but to the shop.
pub(in crate::app) fn check_url(
    app: &App,
    field: &'static str,
    text: &str,
) -> Result<(), domain::Error> {
    let origin = url::Url::parse(text).map(|url| url.origin().ascii_serialization());
    let allowed = &app.settings.checkout_allowed_origins;
    if origin.is_ok_and(|origin| allowed.contains(&origin)) {
        return Ok(());
    }
    Err(domain::Error::BadRequest {
        reason: "URL_NOT_ALLOWED",
        message: format!("{field} is not on an allowed origin"),
        metadata: vec![("field", field.to_owned())],
    })
}

fn check_plan(plan: &Plan, command: &Command) -> Result<(), domain::Error> {
    if !plan.is_active {
        return Err(domain::Error::precondition(
            "PLAN_INACTIVE",
            format!("plan {} is not sold", plan.id),
            vec![("plan_id", plan.id.clone())],
        ));
    }
    if plan.item_type != command.item_type {
        return Err(domain::Error::BadRequest {
            reason: "ITEM_TYPE_MISMATCH",
            message: format!("plan {} is of type {}", plan.id, plan.item_type),
            metadata: vec![
                ("plan_id", plan.id.clone()),
                ("item_type", plan.item_type.to_string()),
            ],
        });
    }
    Ok(())
}

fn not_offered(field: &'static str, id: &str, term: Term) -> domain::Error {
    domain::Error::precondition(
        "TERM_NOT_OFFERED",
        format!("{id} is not sold for term {term}"),
        vec![(field, id.to_owned()), ("term", term.to_string())],
    )
}

/// The refusal of what can be sold nowhere, whatever room there is.
fn undeliverable(basket: &Basket, obstacle: &'static str) -> domain::Error {
    if obstacle == "WARMING_UP" {
        return warming_up();
    }
    let plan = &basket.plan;
    let mut metadata = vec![("plan_id", plan.id.clone())];
    if let (Some(game), "EGG_NOT_FOUND") = (&basket.game, obstacle) {
        metadata.push(("game", game.id.clone()));
        metadata.push(("ptero_egg_id", game.ptero_egg_id.to_string()));
        let message = format!("the panel has no egg {} for {}", game.ptero_egg_id, game.id);
        return domain::Error::precondition("EGG_NOT_FOUND", message, metadata);
    }
    let message = format!("plan {} cannot be delivered as it is configured", plan.id);
    domain::Error::precondition(obstacle, message, metadata)
}

fn check_environment(egg: &Egg, game: &Game, command: &Command) -> Result<(), domain::Error> {
    let mut violations = Violations::default();
    egg::check_chosen(egg, game, &command.environment, &mut violations);
    violations.finish()
}

fn warming_up() -> domain::Error {
    domain::Error::Unavailable {
        reason: "WARMING_UP",
        message: "eggs and ports of the panel have not been read yet",
        after: Duration::from_secs(5),
    }
}

/// The order that a cart becomes, in a shop that is so lenient where its plan says nothing else.
pub(super) fn order(
    id: OrderId,
    command: &Command,
    cart: &Cart,
    shop: Lenience,
    due_us: i64,
) -> NewOrder {
    let manual = cart.addons.iter().filter(|addon| addon.manual);
    NewOrder {
        id,
        user_id: command.told.user_id,
        plan_id: cart.plan.id.clone(),
        item_type: cart.plan.item_type,
        term: cart.term,
        region: cart.region.clone(),
        server_name: command.server_name.clone(),
        addons: command.addon_ids.clone(),
        manual_addons: manual.map(|addon| (addon.id.clone(), false)).collect(),
        request_id: command.request_id,
        referral_code: command.referral_code.clone(),
        environment: command.environment.clone(),
        cart_sha256: command.cart_sha256(),
        spec: cart.spec.clone(),
        price_minor: cart.total_minor(),
        currency: cart.currency().to_owned(),
        lenience: cart.plan.lenience(shop),
        due_us,
    }
}
