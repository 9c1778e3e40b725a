//! What a customer is entitled to: the one place where Stripe's word and an operator's turn
//! into a server that runs, stands still or goes.
//!
//! Pure, and without memory: asked again with the same facts it says the same. What is not
//! known changes nothing: a server is never stopped on a word that nobody understands.

use serde::{Deserialize, Serialize};

use super::{DAY_US, words::words};

words! {
    /// Why a server is suspended. Derived, never stored: each ends by itself, and a payment
    /// ends only the first.
    SuspensionReason {
        /// The subscription is not paid, or over.
        Billing = "billing",
        /// A bank disputes a payment.
        Dispute = "dispute",
        /// An operator said so.
        Operator = "operator",
    }
}

/// How long a shop is patient: with all of its customers, or with those of a plan (see
/// [`super::lenience`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// A server runs this long after its subscription was first seen past due: Stripe tries
    /// the card again meanwhile.
    pub grace_us: i64,
    /// A suspended server is kept this long, with all that its customer has on it.
    pub retention_us: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace_us: 3 * DAY_US,
            retention_us: 7 * DAY_US,
        }
    }
}

/// Where a subscription stands, by Stripe's own word (`subscription.status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `active`, `trialing`: paid for.
    Good,
    /// `past_due`: a renewal failed and is tried again.
    PastDue,
    /// `unpaid`, `paused`: not paid for, and nobody tries; it may come back.
    Lapsed,
    /// `canceled`, `incomplete_expired`: over for good.
    Over,
    /// None yet, `incomplete`, or a word that Stripe has since added.
    Unclear,
}

impl Standing {
    /// Whether Stripe has added this word since.
    pub fn is_new(status: &str) -> bool {
        Self::of(Some(status)) == Self::Unclear && status != "incomplete"
    }

    /// Where this word of Stripe's stands.
    pub fn of(status: Option<&str>) -> Self {
        match status {
            Some("active" | "trialing") => Self::Good,
            Some("past_due") => Self::PastDue,
            Some("unpaid" | "paused") => Self::Lapsed,
            Some("canceled" | "incomplete_expired") => Self::Over,
            _ => Self::Unclear,
        }
    }
}

/// All that bears on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// Where the subscription stands, as last read.
    pub standing: Standing,
    /// When the read was that first showed it past due, while it is.
    pub past_due_since_us: Option<i64>,
    /// When the read was that first showed that billing suspends, while it does.
    pub suspend_since_us: Option<i64>,
    /// Since when what is on the server is kept for whoever may pay after all: since billing
    /// suspends it, and a server that was used, since it stands still as well.
    pub kept_since_us: Option<i64>,
    /// Whether a dispute of a payment suspends it.
    pub disputed: bool,
    /// Whether an operator suspended it.
    pub operator: bool,
    /// Whether an operator wants it gone.
    pub terminated: bool,
}

/// What a customer is entitled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// To a server that runs.
    Running,
    /// To what is on it: the server stands still.
    Suspended(Reasons),
    /// To nothing any more: the server may go.
    Ended,
    /// To what they have: Stripe's word is not one that we know. Nothing suspends the server, so one
    /// that still stands still for what has ended goes on.
    Unchanged,
}

/// Why a server is suspended; all that hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// See [`SuspensionReason::Billing`].
    pub billing: bool,
    /// See [`SuspensionReason::Dispute`].
    pub dispute: bool,
    /// See [`SuspensionReason::Operator`].
    pub operator: bool,
}

impl Reasons {
    /// Those that hold, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = SuspensionReason> {
        SuspensionReason::ALL
            .iter()
            .copied()
            .filter(move |reason| match reason {
                SuspensionReason::Billing => self.billing,
                SuspensionReason::Dispute => self.dispute,
                SuspensionReason::Operator => self.operator,
            })
    }

    /// Whether any holds.
    pub fn any(self) -> bool {
        self.billing || self.dispute || self.operator
    }
}

impl Grounds {
    /// What they entitle to at a time.
    pub fn entitle(&self, patience: Patience, now_us: i64) -> Entitlement {
        let kept_until_us = self
            .kept_since_us
            .map(|since_us| since_us.saturating_add(patience.retention_us));
        let lapsed = matches!(self.standing, Standing::Lapsed | Standing::Over);
        if self.terminated || lapsed && kept_until_us.is_some_and(|until_us| until_us <= now_us) {
            return Entitlement::Ended;
        }
        let reasons = Reasons {
            billing: self.billing_suspends(patience, now_us),
            dispute: self.disputed,
            operator: self.operator,
        };
        if reasons.any() {
            Entitlement::Suspended(reasons)
        } else if self.standing == Standing::Unclear {
            Entitlement::Unchanged
        } else {
            Entitlement::Running
        }
    }

    fn billing_suspends(&self, patience: Patience, now_us: i64) -> bool {
        match self.standing {
            Standing::Good => false,
            Standing::Lapsed | Standing::Over => true,
            Standing::PastDue => self
                .grace_ends_us(patience)
                .is_some_and(|ends_us| ends_us <= now_us),
            // As it was: neither stopped nor started on a word that we do not know.
            Standing::Unclear => self.suspend_since_us.is_some(),
        }
    }

    fn grace_ends_us(&self, patience: Patience) -> Option<i64> {
        let since_us = self.past_due_since_us?;
        Some(since_us.saturating_add(patience.grace_us))
    }

    /// When it will next change by time alone, if nothing is heard till then.
    pub fn changes_us(&self, patience: Patience, now_us: i64) -> Option<i64> {
        let ends_us = match self.standing {
            Standing::PastDue => self.grace_ends_us(patience),
            Standing::Lapsed | Standing::Over => self
                .kept_since_us
                .map(|since_us| since_us.saturating_add(patience.retention_us)),
            Standing::Good | Standing::Unclear => None,
        };
        ends_us.filter(|ends_us| *ends_us > now_us)
    }

    /// The grounds after a read of Stripe: since when it is past due, since when billing
    /// suspends. Both count from our own first read and are never dated back; a word that we
    /// do not know moves neither.
    #[must_use]
    pub fn after_read(self, standing: Standing, patience: Patience, read_us: i64) -> Self {
        let past_due_since_us = match standing {
            Standing::PastDue => self.past_due_since_us.or(Some(read_us)),
            Standing::Unclear => self.past_due_since_us,
            Standing::Good | Standing::Lapsed | Standing::Over => None,
        };
        let read = Self {
            standing,
            past_due_since_us,
            ..self
        };
        let suspends = read.billing_suspends(patience, read_us);
        Self {
            suspend_since_us: suspends.then(|| self.suspend_since_us.unwrap_or(read_us)),
            ..read
        }
    }
}

#[cfg(test)]
mod tests;
