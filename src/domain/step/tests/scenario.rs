//! What happens to an order in the world of these tests: what customers do, and how
//! Stripe and the panel answer.

use crate::domain::lenience::Lenience;

/// What customers and operators do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pay,
    PayByDelayedMethod,
    DelayedMethodPays,
    DelayedMethodFails,
    CancelSubscription,
    /// A customer ends the order with us.
    CancelOrder,
    /// A renewal fails, and Stripe tries it again.
    RenewalFails,
    /// Stripe has given up trying.
    DunningEnds,
    /// The customer pays what is owed.
    PayDebt,
    /// A customer wants another plan.
    ChangePlan,
    /// A customer gives the server another name.
    Rename,
    /// Its customer wants its install script run again.
    Reinstall,
    /// A fourth session of the user: the oldest is to end.
    OpenFourthSession,
    /// An operator lets a parked order try again.
    Retry,
}

/// How Stripe answers a session request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Opened,
    OpenedWithoutAnswer,
    NoAnswer,
    Refused,
}

/// What comes of a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    Made,
    /// No answer; the server appears after so many seconds.
    LandsAfter(u8),
    /// No answer, and nothing was done.
    Vanishes,
    NodeDown,
    PortTaken,
    RateLimited,
    Rejected,
}

/// What comes of an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Install {
    Ends,
    Fails,
    Hangs,
}

/// Stripe's own truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    None,
    Open {
        expires_us: i64,
    },
    Unpaid,
    Paid,
    PastDue,
    /// The subscription is unpaid.
    Lapsed,
    Canceled,
    Failed,
    Expired,
}

/// What happens to an order, in the order in which it is asked for. Where a list
/// ends, all goes well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scenario {
    /// After so many steps, or when nothing else happens; and whether an event tells.
    pub acts: Vec<(u8, Act, bool)>,
    pub opens: Vec<Open>,
    pub creates: Vec<Create>,
    pub installs: Vec<Install>,
    /// Steps that find Stripe or the panel away.
    pub troubles: Vec<u8>,
    /// Steps whose worker dies after the deed, before it is stored.
    pub crashes: Vec<u8>,
    /// Reads of a paid session that do not name its subscription yet.
    pub unnamed_reads: u8,
    /// Asks to end the session that Stripe refuses.
    pub refused_ends: u8,
    /// How lenient the shop was when the order was made; none: nobody kept that.
    pub sold: Option<Lenience>,
    /// The same of a change of its plan.
    pub changed: Option<Lenience>,
    /// What is paid is not what was ordered.
    pub mismatch: bool,
    /// The panel has another's account under the customer's address.
    pub unresolved: bool,
}
