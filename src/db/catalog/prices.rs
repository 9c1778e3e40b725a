//! Queries of `plan_prices` and `addon_prices`: two tables of one shape, which
//! together give every Stripe price id at most one owner.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

use crate::{
    db::{
        Error, Tx,
        convert::word,
        entity::{addon_prices, plan_prices},
    },
    domain::catalog::{Money, Price, Term},
};

/// Ids of one statement; engines allow some ten thousand parameters.
const CHUNK: usize = 1000;

/// Whose prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A plan's.
    Plan,
    /// An add-on's.
    Addon,
}

/// Who has a price id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The price id.
    pub stripe_price_id: String,
    /// What kind of thing has it.
    pub kind: OwnerKind,
    /// Its id.
    pub owner: String,
}

/// The prices of plans, by plan, in the order of terms.
pub(super) async fn of_plans(
    connection: &impl ConnectionTrait,
    ids: &[String],
) -> Result<HashMap<String, Vec<Price>>, Error> {
    let mut rows = Vec::new();
    for some in ids.chunks(CHUNK) {
        let query = plan_prices::Entity::find();
        rows.extend(
            query
                .filter(plan_prices::Column::PlanId.is_in(some))
                .all(connection)
                .await?,
        );
    }
    group(rows.into_iter().map(|row| {
        (
            row.plan_id,
            row.term,
            row.stripe_price_id,
            row.unit_amount_minor,
            row.currency,
        )
    }))
}

/// The prices of add-ons, by add-on, in the order of terms.
pub(super) async fn of_addons(
    connection: &impl ConnectionTrait,
    ids: &[String],
) -> Result<HashMap<String, Vec<Price>>, Error> {
    let mut rows = Vec::new();
    for some in ids.chunks(CHUNK) {
        let query = addon_prices::Entity::find();
        rows.extend(
            query
                .filter(addon_prices::Column::AddonId.is_in(some))
                .all(connection)
                .await?,
        );
    }
    group(rows.into_iter().map(|row| {
        (
            row.addon_id,
            row.term,
            row.stripe_price_id,
            row.unit_amount_minor,
            row.currency,
        )
    }))
}

fn group(
    rows: impl Iterator<Item = (String, String, String, i64, String)>,
) -> Result<HashMap<String, Vec<Price>>, Error> {
    let mut grouped: HashMap<String, Vec<Price>> = HashMap::new();
    for (owner, term, stripe_price_id, amount_minor, currency) in rows {
        let term = word(Term::parse, &term, "term")?;
        let amount = Money {
            amount_minor,
            currency,
        };
        grouped.entry(owner).or_default().push(Price {
            term,
            stripe_price_id,
            amount,
        });
    }
    for prices in grouped.values_mut() {
        prices.sort_by_key(|price| price.term);
    }
    Ok(grouped)
}

/// Replaces all prices of a plan.
pub(super) async fn replace_of_plan(tx: &Tx, id: &str, prices: &[Price]) -> Result<(), Error> {
    plan_prices::Entity::delete_many()
        .filter(plan_prices::Column::PlanId.eq(id))
        .exec(&**tx)
        .await?;
    if prices.is_empty() {
        return Ok(());
    }
    let rows = prices.iter().map(|price| plan_prices::ActiveModel {
        plan_id: Set(id.to_owned()),
        term: Set(price.term.to_string()),
        stripe_price_id: Set(price.stripe_price_id.clone()),
        unit_amount_minor: Set(price.amount.amount_minor),
        currency: Set(price.amount.currency.clone()),
    });
    plan_prices::Entity::insert_many(rows)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Replaces all prices of an add-on.
pub(super) async fn replace_of_addon(tx: &Tx, id: &str, prices: &[Price]) -> Result<(), Error> {
    addon_prices::Entity::delete_many()
        .filter(addon_prices::Column::AddonId.eq(id))
        .exec(&**tx)
        .await?;
    if prices.is_empty() {
        return Ok(());
    }
    let rows = prices.iter().map(|price| addon_prices::ActiveModel {
        addon_id: Set(id.to_owned()),
        term: Set(price.term.to_string()),
        stripe_price_id: Set(price.stripe_price_id.clone()),
        unit_amount_minor: Set(price.amount.amount_minor),
        currency: Set(price.amount.currency.clone()),
    });
    addon_prices::Entity::insert_many(rows)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Who has any of these price ids, in both tables.
pub async fn owners(
    connection: &impl ConnectionTrait,
    price_ids: &[String],
) -> Result<Vec<Owned>, Error> {
    let mut owned = Vec::new();
    for some in price_ids.chunks(CHUNK) {
        let plans = plan_prices::Entity::find()
            .filter(plan_prices::Column::StripePriceId.is_in(some))
            .all(connection)
            .await?;
        owned.extend(plans.into_iter().map(|row| Owned {
            stripe_price_id: row.stripe_price_id,
            kind: OwnerKind::Plan,
            owner: row.plan_id,
        }));
        let addons = addon_prices::Entity::find()
            .filter(addon_prices::Column::StripePriceId.is_in(some))
            .all(connection)
            .await?;
        owned.extend(addons.into_iter().map(|row| Owned {
            stripe_price_id: row.stripe_price_id,
            kind: OwnerKind::Addon,
            owner: row.addon_id,
        }));
    }
    Ok(owned)
}
