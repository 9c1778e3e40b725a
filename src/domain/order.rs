//! An order: its facts, and what they add up to.
//!
//! The facts are parts with one kind of writer each. Status and server state are
//! never set: they are computed here, in one place.

use uuid::Uuid;

use super::{
    OrderId, UserId,
    catalog::Spec,
    entitlement::{Grounds, Reasons},
    lenience::Lenience,
    words::words,
};

mod billing;
mod drift;
mod server;
pub mod visible;

pub use billing::{Billing, is_settled};
pub use drift::Drift;
pub use server::Server;

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
