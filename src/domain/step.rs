//! The steps that an order can take, and when they come due.

use super::{
    MINUTE_US, SECOND_US,
    entitlement::Patience,
    order::{ErrorReason, WaitingReason},
    words::words,
};

mod plan;
mod provision;

pub use plan::{
    UNDELIVERED_ENDS_US, given_up, looks_again_us, looks_to_settle, next_step, wanted_end,
};

/// When things come due. Configurable, so that tests need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After its expiry a session gets this long before Stripe is asked: events
    /// are usually faster, and a payment may be under way.
    pub session_grace_us: i64,
    /// How often a session that waits for a delayed payment is read again.
    pub delayed_payment_us: i64,
    /// A create may still land this long after it began: the panel's own worst
    /// case is 30 s, and the way there takes its time as well.
    pub settle_us: i64,
    /// Between the two look-ups that settle a create.
    pub settle_again_us: i64,
    /// Looks at the panel for a create whose order ended meanwhile, counted from the POST.
    pub late_looks_us: [i64; 3],
    /// Nothing is made on a read of Stripe that is older than this.
    pub billing_fresh_us: i64,
    /// How long an install may take before it counts as failed.
    pub install_limit_us: i64,
    /// After so long without a server a paid order is given up and its payment goes back;
    /// none: it waits until somebody acts.
    pub refund_unfulfillable_after_us: Option<i64>,
    /// How long the shop is patient with a customer who does not pay, where the order was sold
    /// with nothing else: see [`Facts::patience`](super::order::Facts::patience).
    pub patience: Patience,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            session_grace_us: MINUTE_US,
            delayed_payment_us: 60 * MINUTE_US,
            settle_us: 45 * SECOND_US,
            settle_again_us: 5 * SECOND_US,
            late_looks_us: [MINUTE_US, 10 * MINUTE_US, 60 * MINUTE_US],
            billing_fresh_us: 10 * MINUTE_US,
            install_limit_us: 60 * MINUTE_US,
            refund_unfulfillable_after_us: None,
            patience: Patience::default(),
        }
    }
}

/// What to do next for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the stored session request to Stripe.
    OpenSession,
    /// Read session and subscription from Stripe.
    SyncBilling,
    /// Find, make or adopt the user's panel account.
    EnsureOwner,
    /// Choose node and ports, and store the attempt.
    Place,
    /// Send the create to the panel.
    CreateServer,
    /// Ask the panel what came of a create.
    SettleCreate,
    /// Look at an install that failed or takes too long, and run its script once more.
    RetryInstall,
    /// Have the panel stop a server that is not paid for, or that an operator suspends.
    Suspend,
    /// Have the panel let a server go on that we suspended.
    Unsuspend,
    /// End the subscription now: its customer wants that, or its server is about to be
    /// deleted, and nobody pays for what is gone.
    CancelSubscription,
    /// Have the subscription end with its period, or not after all.
    PlanEnd,
    /// Have Stripe change what the subscription is for, and see whether that is paid.
    ChangePlan,
    /// Give a server the name and the limits that its order has by now.
    ApplySpec,
    /// Run the install script of a used server again: its customer wants that.
    Reinstall,
    /// Delete a server that its order no longer entitles to.
    Delete,
    /// Give room and ports back.
    Release,
    /// Give a payment back: paid twice, paid too late, or for what could not be delivered.
    Refund,
    /// Stop until somebody acts.
    Park(ErrorReason),
    /// Look again at a time; shown as this reason, if any.
    Wait {
        /// When.
        until_us: i64,
        /// Why.
        reason: Option<WaitingReason>,
    },
    /// Nothing until a fact arrives; shown as this reason, if any.
    Rest(Option<WaitingReason>),
}

words! {
    /// The steps in which a worker does something: with Stripe, the panel or the ledger.
    StepKind {
        /// See [`Step::OpenSession`].
        OpenSession = "OpenSession",
        /// See [`Step::SyncBilling`].
        SyncBilling = "SyncBilling",
        /// See [`Step::EnsureOwner`].
        EnsureOwner = "EnsureOwner",
        /// See [`Step::Place`].
        Place = "Place",
        /// See [`Step::CreateServer`].
        CreateServer = "CreateServer",
        /// See [`Step::SettleCreate`].
        SettleCreate = "SettleCreate",
        /// See [`Step::RetryInstall`].
        RetryInstall = "RetryInstall",
        /// See [`Step::Suspend`].
        Suspend = "Suspend",
        /// See [`Step::Unsuspend`].
        Unsuspend = "Unsuspend",
        /// See [`Step::CancelSubscription`].
        CancelSubscription = "CancelSubscription",
        /// See [`Step::PlanEnd`].
        PlanEnd = "PlanEnd",
        /// See [`Step::ChangePlan`].
        ChangePlan = "ChangePlan",
        /// See [`Step::ApplySpec`].
        ApplySpec = "ApplySpec",
        /// See [`Step::Reinstall`].
        Reinstall = "Reinstall",
        /// See [`Step::Delete`].
        Delete = "Delete",
        /// See [`Step::Release`].
        Release = "Release",
        /// See [`Step::Refund`].
        Refund = "Refund",
    }
}

impl Step {
    /// Which kind of work it is; none where there is nothing to do now.
    pub const fn kind(self) -> Option<StepKind> {
        Some(match self {
            Self::OpenSession => StepKind::OpenSession,
            Self::SyncBilling => StepKind::SyncBilling,
            Self::EnsureOwner => StepKind::EnsureOwner,
            Self::Place => StepKind::Place,
            Self::CreateServer => StepKind::CreateServer,
            Self::SettleCreate => StepKind::SettleCreate,
            Self::RetryInstall => StepKind::RetryInstall,
            Self::Suspend => StepKind::Suspend,
            Self::Unsuspend => StepKind::Unsuspend,
            Self::CancelSubscription => StepKind::CancelSubscription,
            Self::PlanEnd => StepKind::PlanEnd,
            Self::ChangePlan => StepKind::ChangePlan,
            Self::ApplySpec => StepKind::ApplySpec,
            Self::Reinstall => StepKind::Reinstall,
            Self::Delete => StepKind::Delete,
            Self::Release => StepKind::Release,
            Self::Refund => StepKind::Refund,
            Self::Park(_) | Self::Wait { .. } | Self::Rest(_) => return None,
        })
    }

    /// Its name in logs and order events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Park(_) => "Park",
            Self::Wait { .. } => "Wait",
            Self::Rest(_) => "Rest",
            _ => match self.kind() {
                Some(kind) => kind.as_str(),
                None => "",
            },
        }
    }
}

#[cfg(test)]
mod tests;
