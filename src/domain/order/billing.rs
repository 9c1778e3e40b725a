//! What an order knows of its session and its subscription at Stripe.

use super::EndWish;
use crate::domain::entitlement::Standing;

/// What is known of Stripe's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Billing {
    /// `expires_at` of the stored session request.
    pub request_expires_us: i64,
    /// When the session request was first sent.
    pub request_sent_us: Option<i64>,
    /// `cs_...`.
    pub session_id: Option<String>,
    /// Where to pay.
    pub session_url: Option<String>,
    /// When the session ends unless paid.
    pub session_expires_us: Option<i64>,
    /// `cus_...`.
    pub customer_id: Option<String>,
    /// `sub_...`: first value wins.
    pub subscription_id: Option<String>,
    /// Counts events that told of this order.
    pub hints: i64,
    /// Up to which of them Stripe has been read.
    pub hints_read: i64,
    /// The session is to be ended early.
    pub expire_requested: bool,
    /// The session was certainly never opened.
    pub never_opened: bool,
    /// `open`, `complete`, `expired`.
    pub session_status: Option<String>,
    /// `paid`, `unpaid`, `no_payment_required`.
    pub payment_status: Option<String>,
    /// When an event said that a delayed payment failed.
    pub payment_failed_us: Option<i64>,
    /// Stripe's own word.
    pub subscription_status: Option<String>,
    /// Until when it is paid.
    pub current_period_end_us: Option<i64>,
    /// When it will end, if that is decided.
    pub cancel_at_us: Option<i64>,
    /// When the read was that first showed it past due, while it is.
    pub past_due_since_us: Option<i64>,
    /// When the read was that first showed that billing suspends the server, while it does.
    pub suspend_since_us: Option<i64>,
    /// How its customer wants the subscription to end, until Stripe knows.
    pub wish: Option<EndWish>,
    /// When that was said.
    pub wish_us: Option<i64>,
    /// How many payments are still to go back.
    pub refunds_due: i32,
    /// When that is tried next; none: at once.
    pub refund_next_us: Option<i64>,
    /// Since when it ends with its period because its server never came, or is gone.
    pub ends_undelivered_us: Option<i64>,
    /// How many disputes of its payments may still change.
    pub disputes_open: i32,
    /// Since when the youngest of them is known that could not be read when it was last asked for.
    pub dispute_unread_us: Option<i64>,
    /// When the read was that first showed that a dispute keeps the server from running, while it
    /// does.
    pub disputed_since_us: Option<i64>,
    /// When it ended.
    pub ended_at_us: Option<i64>,
    /// When our own read first showed it paid and matching.
    pub confirmed_at_us: Option<i64>,
    /// When Stripe was last read.
    pub read_us: Option<i64>,
}

/// Whether this word of Stripe's (`session.payment_status`) says that nothing is owed any more:
/// paid, or all of it covered by a voucher.
pub fn is_settled(payment_status: &str) -> bool {
    matches!(payment_status, "paid" | "no_payment_required")
}

impl Billing {
    /// Paid, by our own read of Stripe, and matching the order.
    pub fn confirmed(&self) -> bool {
        self.confirmed_at_us.is_some()
    }

    /// The session says that nothing is owed any more.
    pub fn paid(&self) -> bool {
        self.payment_status.as_deref().is_some_and(is_settled)
    }

    /// A delayed payment failed: an event said so, and a later read showed no payment.
    fn payment_failed(&self) -> bool {
        self.payment_failed_us.is_some_and(|failed_us| self.read_us >= Some(failed_us))
            && self.session_status.as_deref() == Some("complete")
            && self.payment_status.as_deref() == Some("unpaid")
            && !self.confirmed()
            // A subscription that lives on may still be charged: it has to end first.
            && self.subscription_id.is_none()
    }

    /// Where the subscription stands. One that ended stays so, whatever is read later.
    pub fn standing(&self) -> Standing {
        match Standing::of(self.subscription_status.as_deref()) {
            _ if self.ended_at_us.is_some() => Standing::Over,
            standing => standing,
        }
    }

    /// The subscription is over, by Stripe's own word.
    pub fn subscription_over(&self) -> bool {
        self.standing() == Standing::Over
    }

    /// Nothing was or will be paid: the session ended, or never began.
    pub fn session_over(&self) -> bool {
        self.never_opened
            || self.session_status.as_deref() == Some("expired")
            || self.payment_failed()
    }

    /// The order has come to its end.
    pub fn over(&self) -> bool {
        self.subscription_over() || self.session_over()
    }
}
