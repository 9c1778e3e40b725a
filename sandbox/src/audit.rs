//! The audit: ten invariants of the shop, judged over its database and both stand-ins.
//!
//! Reads one [`Picture`] by SQL of its own and judges it by rules of its own: an audit that
//! shares code with what it audits proves less. Used after every integration test and all
//! along a soak. `docs/invariants.md` says each rule in words. I9 (no customer sees
//! another's rows) needs a client, and I10 (no secret in a log) the logs: both are judged
//! where those are, and reported in the same form.

mod affiliates;
mod history;
mod inbox;
mod ledger;
mod outsiders;
mod picture;
mod read;
mod refunds;
mod rows;
mod servers;
#[cfg(test)]
mod tests;

use std::fmt;

use uuid::Uuid;

pub use picture::{Counts, Picture};
pub use read::Auditor;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A paid order has at most one server.
    I1,
    /// A paid order ends as one server, or in a state that is shown.
    I2,
    /// Nothing of ours is on the panel or at Stripe without an order or a customer.
    I3,
    /// No port is used or held twice, and the ledger of ports is the panel's.
    I4,
    /// What is held of a node is the sum of its holds, and fits.
    I5,
    /// An event and a request have one effect each, and a payment goes back once.
    I6,
    /// Every change of an order is legal and recorded without a gap.
    I7,
    /// A server runs only for whom it was paid for, and is not taken from them.
    I8,
    /// No customer sees another's rows.
    I9,
    /// No secret is logged.
    I10,
}

/// How much may still be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The shop works: only what holds at every instant is judged.
    Running,
    /// Nothing is under way: what must come to pass has come.
    AtRest,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// By which order, where it was one.
    pub order: Option<Uuid>,
    /// How.
    pub text: String,
}

impl Violation {
    /// A finding that is no single order's.
    pub fn new(invariant: Invariant, text: impl Into<String>) -> Self {
        Self {
            invariant,
            order: None,
            text: text.into(),
        }
    }

    fn of(invariant: Invariant, order: Uuid, text: impl Into<String>) -> Self {
        Self {
            order: Some(order),
            ..Self::new(invariant, text)
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.invariant)?;
        if let Some(order) = self.order {
            write!(f, "order {order}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Every rule that the picture breaks, by invariant.
pub fn violations(picture: &Picture, rest: Rest) -> Vec<Violation> {
    let mut found = Vec::new();
    servers::judge(picture, rest, &mut found);
    outsiders::judge(picture, rest, &mut found);
    ledger::judge(picture, rest, &mut found);
    inbox::judge(picture, &mut found);
    refunds::judge(picture, rest, &mut found);
    affiliates::judge(picture, &mut found);
    history::judge(picture, &mut found);
    found.sort_by_key(|violation| violation.invariant);
    found
}
