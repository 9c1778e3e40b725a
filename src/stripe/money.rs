//! Money at Stripe: payments, their charges, refunds, and what banks dispute.

/// Money that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// `pi_...`.
    pub id: String,
    /// Minor units, where Stripe says it.
    pub amount: Option<i64>,
}

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// `re_...`.
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// `pending`, `requires_action`, `succeeded`, `failed`, `canceled`.
    pub status: String,
}

impl Refund {
    /// Nothing went back, and nothing will.
    pub fn in_vain(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "canceled")
    }
}

/// The invoice behind a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidInvoice {
    /// `in_...`.
    pub id: String,
    /// `sub_...`; none where it is of no subscription.
    pub subscription: Option<String>,
}

/// What a payment took from a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// `ch_...`.
    pub id: String,
    /// `pi_...`; none of a charge that was made without one.
    pub payment: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// What went back so far, minor units.
    pub amount_refunded: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether all of it went back.
    pub refunded: bool,
    /// Whether a bank ever disputed it or asked about it, however that ended.
    pub disputed: bool,
    /// `in_...`; only up to acacia.
    pub invoice: Option<String>,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
}

/// A bank takes the money of a payment back, or asks about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// `du_...` or `dp_...`.
    pub id: String,
    /// `warning_needs_response`, `warning_under_review`, `warning_closed`, `needs_response`,
    /// `under_review`, `won`, `lost`, `prevented`, or a word that Stripe has since added.
    pub status: String,
    /// `pi_...`; none of a charge that was made without one.
    pub payment: Option<String>,
    /// `ch_...`.
    pub charge: String,
    /// What it is about, minor units: not always the whole payment.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether it belongs to the live mode.
    pub livemode: bool,
}
