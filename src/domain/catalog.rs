//! What the shop sells: plans, add-ons, the games they install, and their prices.
//!
//! Owns the rules that a catalog row must keep, whoever writes it (a call or
//! the catalog file), and what a purchase takes of a node. Must not know how
//! rows are stored or spelled on the wire: rules name fields by dotted path.

use serde::{Serialize, Serializer};

use super::words::words;

mod addon;
mod game;
mod plan;
mod price;
pub(crate) mod rules;
mod spec;

pub use addon::{Addon, AddonField, AddonFilter};
pub use game::{Game, GameField};
pub use plan::{Plan, PlanField, PlanFilter};
pub use price::{Money, Price, PricePath, is_currency, monthly};
pub use spec::{Spec, spec};

words! {
    /// How often a subscription is billed.
    Term {
        /// Every month.
        Monthly = "monthly",
        /// Every 3 months.
        Quarterly = "quarterly",
        /// Every 6 months.
        Semiannual = "semiannual",
        /// Every year.
        Yearly = "yearly",
    }
}

words! {
    /// What kind of thing a plan sells.
    ItemType {
        /// A game server.
        Game = "game",
        /// A general-purpose server; provisionable only where the plan names a game row.
        Vps = "vps",
    }
}

impl Term {
    /// How many months one payment covers.
    pub const fn months(self) -> u32 {
        match self {
            Self::Monthly => 1,
            Self::Quarterly => 3,
            Self::Semiannual => 6,
            Self::Yearly => 12,
        }
    }

    /// `recurring.interval` and `recurring.interval_count` of a Stripe price of this term.
    pub const fn interval(self) -> (&'static str, i64) {
        match self {
            Self::Monthly => ("month", 1),
            Self::Quarterly => ("month", 3),
            Self::Semiannual => ("month", 6),
            Self::Yearly => ("year", 1),
        }
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for ItemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
pub(crate) mod tests;
