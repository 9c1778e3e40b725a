//! Payments that go back to their customer in full, and why.
//!
//! What is due is stored before Stripe is asked, once for each payment, and done once.

use super::words::words;

words! {
    /// Why a payment goes back.
    RefundReason {
        /// Nothing could be delivered for too long.
        Unfulfillable = "unfulfillable",
        /// A second session of the same order was paid.
        PaidTwice = "paid_twice",
        /// It was paid while its customer had it canceled already.
        PaidAfterCancel = "paid_after_cancel",
    }
}

impl RefundReason {
    /// For the order's events.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unfulfillable => "nothing could be delivered",
            Self::PaidTwice => "it was paid twice",
            Self::PaidAfterCancel => "it was paid after it was canceled",
        }
    }
}

/// A payment that is to go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRefund {
    /// Its row.
    pub id: i64,
    /// Why.
    pub reason: RefundReason,
    /// The session that was paid, `cs_...`.
    pub session_id: String,
    /// How often it was tried in vain.
    pub attempts: i32,
    /// Why, the last time.
    pub last_error: String,
}
