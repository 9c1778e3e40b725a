//! Prices: what Stripe charges for one term, and under which of its ids.

use serde::Serialize;

use super::{Term, rules::at};
use crate::domain::error::Violations;

/// Stripe refuses an amount of more than eight digits.
const MAX_AMOUNT_MINOR: i64 = 99_999_999;

/// An amount in the smallest unit of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Money {
    /// 699 is 6.99 of a currency with two decimals.
    pub amount_minor: i64,
    /// ISO 4217 in lower case.
    pub currency: String,
}

/// What one term costs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Price {
    /// The term.
    pub term: Term,
    /// Stripe's id of the price; belongs to this row only.
    pub stripe_price_id: String,
    /// Charged once per term.
    pub amount: Money,
}

/// How a price is named in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PricePath {
    /// By its place in a list: `prices[1]`.
    Index,
    /// By its term: `prices.quarterly`.
    Term,
}

impl PricePath {
    pub(crate) fn of(self, prefix: &str, index: usize, term: Term) -> String {
        match self {
            Self::Index => format!("{prefix}.prices[{index}]"),
            Self::Term => format!("{prefix}.prices.{term}"),
        }
    }
}

/// The id of the monthly price.
pub fn monthly(prices: &[Price]) -> Option<&str> {
    let price = prices.iter().find(|price| price.term == Term::Monthly)?;
    Some(&price.stripe_price_id)
}

/// Whether it is an ISO 4217 code as Stripe writes it.
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Checks the prices of one plan or add-on, and what follows from them.
pub(crate) fn check(
    violations: &mut Violations,
    prefix: &str,
    path: PricePath,
    prices: &[Price],
    stripe_price_id: Option<&str>,
    is_active: bool,
) {
    if prices.len() > Term::ALL.len() {
        violations.add(at(prefix, "prices"), "must be at most one per term");
        return;
    }
    for (index, price) in prices.iter().enumerate() {
        let field = path.of(prefix, index, price.term);
        let earlier = &prices[..index];
        violations.require(
            earlier.iter().all(|other| other.term != price.term),
            at(&field, "term"),
            format!("{} is priced twice", price.term),
        );
        let id = &price.stripe_price_id;
        violations.require(
            (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()),
            at(&field, "stripe_price_id"),
            "must be 1 to 255 printable ASCII characters without spaces",
        );
        violations.require(
            earlier.iter().all(|other| other.stripe_price_id != *id),
            at(&field, "stripe_price_id"),
            "is the price of another term too",
        );
        violations.require(
            (1..=MAX_AMOUNT_MINOR).contains(&price.amount.amount_minor),
            at(&field, "amount"),
            format!("must be from 1 to {MAX_AMOUNT_MINOR} minor units"),
        );
        violations.require(
            is_currency(&price.amount.currency),
            at(&field, "amount"),
            "must have a currency of three lower-case letters",
        );
        violations.require(
            prices[0].amount.currency == price.amount.currency,
            at(&field, "amount"),
            "has another currency than the first price",
        );
    }
    let monthly = monthly(prices);
    violations.require(
        monthly == stripe_price_id,
        at(prefix, "stripe_price_id"),
        "must be the id of the monthly price",
    );
    violations.require(
        !is_active || monthly.is_some(),
        at(prefix, "prices"),
        "must have a monthly price, because it is active",
    );
}
