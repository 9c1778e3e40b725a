//! Disputes: a bank takes the money of a payment back, or asks about it first.
//!
//! A dispute takes its amount from the balance at once; an inquiry (`warning_...`) takes nothing
//! and may become a dispute under the same id. A charge can have several. None of them names a
//! customer, an invoice or a subscription.

use serde::{Deserialize, Serialize};

use super::table::Row;

pub(super) mod calls;
mod changes;
mod render;

pub(super) use changes::{
    answer, apply_setting, bar_refunds, close, end_inquiries, escalate, open,
};

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry that waits for an answer.
    WarningNeedsResponse,
    /// An inquiry that was answered.
    WarningUnderReview,
    /// An inquiry that came to nothing; final.
    WarningClosed,
    /// The money is gone, and an answer may bring it back.
    NeedsResponse,
    /// The bank looks at the answer.
    UnderReview,
    /// The money is back; final.
    Won,
    /// The money stays gone; final.
    Lost,
}

impl DisputeStatus {
    /// Whether it is about a question and no money.
    pub fn is_inquiry(self) -> bool {
        matches!(
            self,
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed
        )
    }

    /// Whether nothing can follow it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost)
    }

    /// Whether the bank holds the money.
    fn holds_money(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost)
    }
}

/// How a dispute ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeOutcome {
    /// The money comes back.
    Won,
    /// It stays with the customer.
    Lost,
    /// An inquiry comes to nothing.
    WarningClosed,
}

/// What Stripe does about the subscription of a disputed payment: a setting of the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputedPayments {
    /// Nothing.
    #[default]
    Keep,
    /// Ends it, an hour later and without giving back anything.
    Cancel,
    /// Plans its end for the end of its period, an hour later.
    CancelAtPeriodEnd,
}

/// A movement of the account's balance.
#[derive(Clone)]
pub(super) struct Move {
    id: String,
    at: i64,
    amount: i64,
    fee: i64,
}

/// A stored dispute.
#[derive(Clone)]
pub(super) struct Dispute {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    pub status: DisputeStatus,
    pub reason: String,
    pub amount: i64,
    pub currency: String,
    pub charge: String,
    pub payment_intent: String,
    moves: Vec<Move>,
    answered: bool,
    /// Whether what is left of the payment can still be given back.
    refundable: bool,
}

impl Row for Dispute {
    const OBJECT: &'static str = "dispute";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}
