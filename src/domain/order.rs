//! An order: its facts, and what they add up to.
//!
//! The facts are parts with one kind of writer each. Status and server state are
//! never set: they are computed here, in one place.

use uuid::Uuid;

use super::{
    OrderId, UserId,
    catalog::Spec,
    entitlement::{Grounds, Reasons, Standing},
    lenience::Lenience,
    words::words,
};

pub mod visible;

words! {
    /// Where an order stands.
    Status {
        /// Waiting for payment.
        Pending = "pending",
        /// Payment confirmed by our own read of Stripe.
        Paid = "paid",
        /// A server is being made.
        Provisioning = "provisioning",
        /// The server exists.
        Provisioned = "provisioned",
        /// Parked without a usable server.
        Error = "error",
        /// Over.
        Canceled = "canceled",
    }
}

words! {
    /// What is known of the server on the panel.
    ServerState {
        /// There is none.
        None = "none",
        /// Its install script runs.
        Installing = "installing",
        /// Its install script failed.
        InstallFailed = "install_failed",
        /// It can be used.
        Running = "running",
        /// The panel keeps it stopped.
        Suspended = "suspended",
        /// It was there and is gone.
        Deleted = "deleted",
    }
}

words! {
    /// What an order waits for without fault of its own. Never counts as a try.
    WaitingReason {
        /// No node has room.
        NoCapacity = "NO_CAPACITY",
        /// No node has ports.
        NoPorts = "NO_PORTS",
        /// The panel or the node does not answer or fails.
        PanelUnavailable = "PANEL_UNAVAILABLE",
        /// The panel refuses our key.
        PanelRefusedKey = "PANEL_REFUSED_KEY",
        /// The panel is not the one we know.
        PanelChanged = "PANEL_CHANGED",
        /// The rate budget is spent.
        RateLimited = "RATE_LIMITED",
        /// A create may have been done; look-ups will tell.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
        /// Stripe does not answer or refuses our key.
        StripeUnavailable = "STRIPE_UNAVAILABLE",
        /// The customer has not paid yet.
        AwaitingPayment = "AWAITING_PAYMENT",
        /// The install script runs.
        Installing = "INSTALLING",
    }
}

words! {
    /// Why an order is parked until somebody acts.
    ErrorReason {
        /// The panel refused this very order too often.
        PanelRejected = "PANEL_REJECTED",
        /// The user's panel account cannot be made or adopted.
        PanelUserUnresolved = "PANEL_USER_UNRESOLVED",
        /// The panel has no such egg.
        EggNotFound = "EGG_NOT_FOUND",
        /// The install script failed twice.
        InstallFailed = "INSTALL_FAILED",
        /// The server is gone from the panel.
        ServerMissing = "SERVER_MISSING",
        /// What was paid is not what was ordered.
        BillingMismatch = "BILLING_MISMATCH",
        /// The subscription's items match no price of the order.
        PlanMismatch = "PLAN_MISMATCH",
        /// Stripe refused a price.
        StripePriceInvalid = "STRIPE_PRICE_INVALID",
        /// A bug.
        Internal = "INTERNAL",
    }
}

words! {
    /// How a customer wants a subscription to end.
    EndWish {
        /// At once.
        Now = "now",
        /// With the period that is paid for.
        WithItsPeriod = "with_its_period",
        /// A planned end is taken back.
        Never = "never",
    }
}

/// Everything known of one order, as read under its row lock or in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The order itself.
    pub order: Order,
    /// Its session and subscription.
    pub billing: Billing,
    /// Its server.
    pub server: Server,
    /// The node whose room it holds.
    pub hold_node: Option<i32>,
    /// How many ports it holds or has.
    pub ports: i32,
    /// The user's account on the panel.
    pub panel_user: Option<i64>,
    /// A change of its plan that is on its way.
    pub change: Option<Changing>,
}

/// A change of an order's plan that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changing {
    /// The wanted plan; once it is paid, the one before.
    pub plan_id: String,
    /// When Stripe is asked next what became of it; none: at once.
    pub look_us: Option<i64>,
    /// When it was seen to be paid: from then on only the server has to follow.
    pub paid_us: Option<i64>,
}

/// What was bought, and how the work on it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who bought it.
    pub user_id: UserId,
    /// What was bought.
    pub plan_id: String,
    /// `game` or `vps`.
    pub item_type: String,
    /// How often it is billed.
    pub term: String,
    /// Where it runs.
    pub region: String,
    /// Its name on the panel.
    pub server_name: String,
    /// Ids of the add-ons bought.
    pub addons: Vec<String>,
    /// Ids of those among them that people deliver, and whether they have.
    pub manual_addons: Vec<(String, bool)>,
    /// What the server gets.
    pub spec: Spec,
    /// The recurring lines: of the first invoice, or of the plan that was changed to since.
    pub price_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How lenient the shop is with it, as it was sold; none: as the shop is now.
    pub lenience: Option<Lenience>,
    /// Who sent the customer.
    pub referral_code: String,
    /// The caller's `request_id` of the checkout.
    pub request_id: Uuid,
    /// Definite refusals so far.
    pub attempts: i32,
    /// What it waits for.
    pub waiting_reason: Option<WaitingReason>,
    /// Why it is parked.
    pub error_reason: Option<ErrorReason>,
    /// The error in words.
    pub error_message: String,
    /// As last computed.
    pub status: Status,
    /// As last computed.
    pub server_state: ServerState,
    /// When the worker looks at it next; `None` until a fact arrives.
    pub due_us: Option<i64>,
    /// Counts facts, so that a worker sees that one came while it worked.
    pub facts_seq: i64,
    /// Grows with each claim; a write with an older one is refused.
    pub fence: i64,
    /// Counts visible changes.
    pub version: i64,
    /// When it was made.
    pub created_us: i64,
    /// When it last changed visibly.
    pub updated_us: i64,
}

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
    /// Since when it ends with its period because nothing was delivered.
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

/// What is known of the panel's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// How many placements were stored.
    pub attempt: i32,
    /// How many creates failed by their node.
    pub node_failures: i32,
    /// Where it is or will be.
    pub node_id: Option<i32>,
    /// Whether a create request is stored.
    pub has_create_request: bool,
    /// A create was sent then and its outcome is not settled.
    pub create_sent_us: Option<i64>,
    /// Look-ups since then.
    pub settle_looks: i32,
    /// When the last of them was.
    pub looked_us: Option<i64>,
    /// The panel's id.
    pub panel_id: Option<i64>,
    /// The panel's short id.
    pub identifier: Option<String>,
    /// The panel's uuid.
    pub uuid: Option<String>,
    /// The owner's panel id.
    pub owner_id: Option<i64>,
    /// How often it was installed again.
    pub reinstalls: i32,
    /// When the running install began.
    pub install_since_us: Option<i64>,
    /// When it was first seen ready.
    pub first_running_us: Option<i64>,
    /// The panel's word as last seen; empty means normal.
    pub observed_status: Option<String>,
    /// When that was.
    pub observed_us: Option<i64>,
    /// When our last write to the panel ended.
    pub panel_write_us: Option<i64>,
    /// The panel was told to suspend it then, and not yet to let it go on.
    pub suspend_sent_us: Option<i64>,
    /// When that was seen to be done.
    pub suspended_us: Option<i64>,
    /// When the guard of a sweep last kept it from being suspended.
    pub suspend_held_us: Option<i64>,
    /// When it was not found on the panel.
    pub missing_us: Option<i64>,
    /// When an operator suspended it, until an operator lets it go on.
    pub operator_suspended_us: Option<i64>,
    /// When an operator wanted it gone.
    pub terminated_us: Option<i64>,
    /// Since when its limits on the panel are to follow the order's, while they do not.
    pub respec_us: Option<i64>,
    /// The same of its name.
    pub rename_us: Option<i64>,
    /// Since when its customer wants its install script run again, while that was not done.
    pub reinstall_us: Option<i64>,
    /// The panel was told to do so then, and what came of it is not known.
    pub reinstall_sent_us: Option<i64>,
    /// When the panel had last changed the server by its own clock, before it was told: Unix
    /// seconds. Where that is still so, nothing came of it.
    pub reinstall_over: Option<i64>,
    /// When it was deleted.
    pub deleted_us: Option<i64>,
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

impl Server {
    /// It is on the panel, as far as we know.
    pub fn exists(&self) -> bool {
        self.panel_id.is_some() && self.deleted_us.is_none()
    }

    /// It was ready for its customer at least once.
    pub fn ever_ran(&self) -> bool {
        self.first_running_us.is_some()
    }

    /// A create was sent and nobody knows yet what came of it.
    pub fn in_doubt(&self) -> bool {
        self.create_sent_us.is_some() && self.panel_id.is_none()
    }
}

impl Facts {
    /// What the facts add up to. The order of the rules is their precedence.
    pub fn status(&self) -> Status {
        let usable = self.server.exists() && self.server.ever_ran();
        if self.billing.over() {
            Status::Canceled
        } else if self.order.error_reason.is_some() && !usable {
            Status::Error
        } else if self.server.exists() {
            Status::Provisioned
        } else if !self.billing.confirmed() {
            Status::Pending
        } else if self.server.attempt > 0 {
            Status::Provisioning
        } else {
            Status::Paid
        }
    }

    /// Nothing is left to be done for it: it is over, has neither server nor room, and no payment
    /// is to go back.
    pub fn settled(&self) -> bool {
        self.billing.over()
            && self.billing.refunds_due == 0
            && !self.server.exists()
            && !self.server.in_doubt()
            && self.hold_node.is_none()
            && self.ports == 0
    }

    /// What bears on what the customer is entitled to. What is gone stands still as well.
    pub fn grounds(&self) -> Grounds {
        let suspend_since_us = self.billing.suspend_since_us;
        let used = self.server.exists() && self.server.ever_ran();
        Grounds {
            kept_since_us: if used {
                let still_us = self.server.suspended_us.or(self.server.missing_us);
                let both = suspend_since_us.zip(still_us);
                both.map(|(since_us, still_us)| since_us.max(still_us))
            } else {
                suspend_since_us
            },
            standing: self.billing.standing(),
            past_due_since_us: self.billing.past_due_since_us,
            suspend_since_us,
            disputed: self.billing.disputed_since_us.is_some(),
            operator: self.server.operator_suspended_us.is_some(),
            terminated: self.server.terminated_us.is_some(),
        }
    }

    /// Why its server is suspended, or is about to be.
    pub fn suspension_reasons(&self) -> Reasons {
        if !self.server.exists() {
            return Reasons::default();
        }
        Reasons {
            billing: self.billing.suspend_since_us.is_some(),
            dispute: self.billing.disputed_since_us.is_some(),
            operator: self.server.operator_suspended_us.is_some(),
        }
    }

    /// Whether nothing but a dispute stops its server: no subscription says so, and nobody ordered
    /// it.
    pub fn disputed_alone(&self) -> bool {
        let reasons = self.suspension_reasons();
        reasons.dispute && !(reasons.billing || reasons.operator || self.billing.over())
    }

    /// The plan that the order will have once the difference is paid.
    pub fn wanted_plan(&self) -> Option<&str> {
        let change = self.change.as_ref()?;
        let open = change.paid_us.is_none() && !self.billing.over();
        open.then_some(change.plan_id.as_str())
    }

    /// What is known of the server, in one word.
    pub fn server_state(&self) -> ServerState {
        if self.server.panel_id.is_none() {
            return ServerState::None;
        }
        if self.server.deleted_us.is_some() {
            return ServerState::Deleted;
        }
        match self.server.observed_status.as_deref() {
            None | Some("installing") => ServerState::Installing,
            Some("install_failed" | "reinstall_failed") => ServerState::InstallFailed,
            Some("suspended") => ServerState::Suspended,
            Some(_) => ServerState::Running,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
