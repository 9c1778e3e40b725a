//! What must become of an order, told from its story alone: what its customer did, what
//! the panel's node did, and nothing of how the shop went about it.

use sandbox::stripe::SubscriptionStatus;
use spawnpoint::domain::order::{ErrorReason, Facts, ServerState, Status};

/// How far the customer's money has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Money {
    /// Never paid: the customer walked away, or the session ended first.
    #[default]
    None,
    /// Under way by a delayed method.
    Awaited,
    /// It did not come.
    Failed,
    /// Paid, or covered by a voucher.
    Paid,
}

/// How far Stripe is with a bill that is not paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dunning {
    /// Nothing is owed.
    #[default]
    None,
    /// It tries again.
    PastDue,
    /// It has given up.
    GivenUp,
}

impl Dunning {
    /// Stripe's word for it.
    pub fn status(self) -> SubscriptionStatus {
        match self {
            Self::None => SubscriptionStatus::Active,
            Self::PastDue => SubscriptionStatus::PastDue,
            Self::GivenUp => SubscriptionStatus::Unpaid,
        }
    }
}

/// Whether a bank disputes its payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Claim {
    /// No, or no longer.
    #[default]
    None,
    /// The bank has the money.
    Open,
    /// The bank keeps it.
    Lost,
}

/// How installs of the order end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Installs {
    /// Well, sooner or later.
    #[default]
    Well,
    /// The next one fails, further ones end well.
    FailOnce,
    /// All fail until somebody mends them.
    FailAlways,
}

/// The story of one order.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// Whether the customer was ever told where to pay.
    pub told: bool,
    pub money: Money,
    /// The subscription ended, or is ended as soon as Stripe hears of it.
    pub ended: bool,
    /// Somebody wants it to end with its period.
    pub leaving: bool,
    /// An operator keeps its server from running.
    pub stopped: bool,
    pub dunning: Dunning,
    pub claim: Claim,
    pub installs: Installs,
    /// The panel had its server ready for use at least once.
    pub usable: bool,
    /// An install of it failed on the panel.
    pub failed: bool,
    /// Its create was cut off: the panel may have lost its first install.
    pub cut: bool,
    /// An operator mended what made its installs fail.
    pub mended: bool,
}

/// What is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub status: Status,
    pub server_state: ServerState,
    pub error: Option<ErrorReason>,
    /// Servers on the panel with its id.
    pub servers: usize,
    /// Whether room and ports are held.
    pub holds: bool,
}

impl Story {
    /// Whether a server may exist for it at all.
    pub fn entitles(&self) -> bool {
        self.money == Money::Paid
    }

    /// Nothing is owed any more, in either direction.
    pub fn over(&self) -> bool {
        self.ended
            || self.money != Money::Paid
            || self.dunning == Dunning::GivenUp
            || self.claim == Claim::Lost
    }

    /// The end, once everybody has done what they do and nothing is under way.
    pub fn end(&self) -> End {
        // What was not paid for stands still, then ends with its subscription; by the end of
        // the story the time for which it is kept is over.
        let stays = self.entitles() && !self.over();
        let failed = stays && !self.usable && self.installs == Installs::FailAlways;
        End {
            status: match (self.over(), failed) {
                (true, _) => Status::Canceled,
                (false, true) => Status::Error,
                (false, false) => Status::Provisioned,
            },
            server_state: match (stays, failed) {
                (true, true) => ServerState::InstallFailed,
                (true, false) if self.dunning == Dunning::PastDue => ServerState::Suspended,
                (true, false) if self.claim == Claim::Open => ServerState::Suspended,
                (true, false) if self.stopped => ServerState::Suspended,
                (true, false) => ServerState::Running,
                (false, _) => ServerState::None,
            },
            error: failed.then_some(ErrorReason::InstallFailed),
            servers: usize::from(stays),
            holds: stays,
        }
    }

    /// The end where one install was lost and the second, the last chance, failed.
    fn parked_end(&self) -> End {
        let failed = Self {
            installs: Installs::FailAlways,
            ..self.clone()
        };
        if self.failed {
            failed.end()
        } else {
            self.end()
        }
    }

    /// What of an order and its servers on the panel is not as its story wants it.
    pub fn differs(&self, facts: &Facts, servers: usize) -> Option<String> {
        let end = self.end();
        let found = End {
            status: facts.order.status,
            server_state: match facts.server_state() {
                // Made for an order that ended before it could be used: gone again.
                ServerState::Deleted if end.servers == 0 => ServerState::None,
                state => state,
            },
            // Why an order was parked before it ended is history.
            error: facts.order.error_reason.filter(|_| !self.over()),
            servers,
            holds: facts.hold_node.is_some(),
        };
        let ports = if found.holds {
            facts.order.spec.ports
        } else {
            0
        };
        if facts.ports != ports {
            return Some(format!("has {} ports instead of {ports}", facts.ports));
        }
        if found == end || (self.cut && found == self.parked_end()) {
            return None;
        }
        Some(format!("is {found:?}, and should be {end:?}"))
    }
}
