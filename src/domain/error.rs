//! Why a request is refused: a closed set, because callers act on the reason.

use std::time::Duration;

/// A refusal that the caller can understand and act on.
///
/// Texts name what the caller sent, never what is stored of others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fields that break their rules; all of them at once.
    #[error("{} field(s) are invalid", .0.len())]
    Invalid(Vec<Violation>),
    /// The request is malformed as a whole: the reason says how.
    #[error("{message}")]
    BadRequest {
        /// `PAGE_TOKEN_INVALID`, `ITEM_TYPE_MISMATCH`, `EVENT_MALFORMED`, `EVENT_THIN`,
        /// `URL_NOT_ALLOWED`, `MESSAGE_TOO_LARGE`.
        reason: &'static str,
        /// In words.
        message: String,
        /// Every value that the message names.
        metadata: Vec<(&'static str, String)>,
    },
    /// It does not exist, or is another's.
    #[error("{what} {id} was not found")]
    NotFound {
        /// What was looked for: `plan`, `order`...
        what: Kind,
        /// As the caller wrote it.
        id: String,
    },
    /// Something with this identity exists already.
    #[error("{message}")]
    Exists {
        /// `RESOURCE_EXISTS`, `REQUEST_ID_REUSED`...
        reason: &'static str,
        /// In words.
        message: String,
        /// Every value that the message names.
        metadata: Vec<(&'static str, String)>,
    },
    /// The state of the shop or of the object does not allow it.
    #[error("{message}")]
    Precondition {
        /// `PLAN_INACTIVE`, `NO_CAPACITY`...
        reason: &'static str,
        /// In words.
        message: String,
        /// Every value that the message names.
        metadata: Vec<(&'static str, String)>,
    },
    /// The object has changed since the caller read it.
    #[error("{what} {id} has changed since its etag was read")]
    EtagMismatch {
        /// What was to be changed.
        what: Kind,
        /// As the caller wrote it.
        id: String,
    },
    /// No token, or not a valid one. One text for every cause.
    #[error("a valid bearer token is required")]
    Unauthenticated,
    /// The caller's role may not call this method.
    #[error("role {role} may not call {method}")]
    RoleForbidden {
        /// The caller's role.
        role: &'static str,
        /// The method.
        method: &'static str,
    },
    /// A storefront did not name its user.
    #[error("x-spawnpoint-user must name the user")]
    UserHeaderRequired,
    /// The caller is over its rate.
    #[error("too many requests")]
    RateLimited {
        /// When to come back.
        after: Duration,
    },
    /// Something we depend on does not answer; the same call may succeed later.
    #[error("{message}")]
    Unavailable {
        /// `STORE_UNAVAILABLE`, `STRIPE_UNAVAILABLE`, `PANEL_UNAVAILABLE`, `WARMING_UP`.
        reason: &'static str,
        /// In words.
        message: &'static str,
        /// When to come back.
        after: Duration,
    },
}

/// One field that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted path in the request: `plan.prices[1].amount`.
    pub field: String,
    /// What is wrong, in words that start in lower case.
    pub problem: String,
}

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plan.
    Plan,
    /// An add-on.
    Addon,
    /// A game.
    Game,
    /// A region.
    Region,
    /// An order.
    Order,
    /// A server.
    Server,
    /// A node.
    Node,
    /// A profile.
    Profile,
    /// An affiliate, by its user.
    Affiliate,
    /// An affiliate, by its code.
    AffiliateCode,
    /// An event of Stripe.
    Event,
    /// A sweep.
    Sweep,
}

impl Kind {
    /// The reason that goes with it.
    pub const fn not_found_reason(self) -> &'static str {
        match self {
            Self::Plan => "PLAN_NOT_FOUND",
            Self::Addon => "ADDON_NOT_FOUND",
            Self::Game => "GAME_NOT_FOUND",
            Self::Region => "REGION_NOT_FOUND",
            Self::Order => "ORDER_NOT_FOUND",
            Self::Server => "SERVER_NOT_FOUND",
            Self::Node => "NODE_NOT_FOUND",
            Self::Profile => "PROFILE_NOT_FOUND",
            Self::Affiliate | Self::AffiliateCode => "AFFILIATE_NOT_FOUND",
            Self::Event => "EVENT_NOT_FOUND",
            Self::Sweep => "SWEEP_NOT_FOUND",
        }
    }

    /// The name of the request field that carries its id.
    pub const fn id_field(self) -> &'static str {
        match self {
            Self::Plan => "plan_id",
            Self::Addon => "addon_id",
            Self::Game => "game_id",
            Self::Region => "region",
            Self::Order | Self::Server => "order_id",
            Self::Node => "node_id",
            Self::Profile | Self::Affiliate => "user_id",
            Self::AffiliateCode => "code",
            Self::Event => "event_id",
            Self::Sweep => "sweep",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Addon => "add-on",
            Self::Game => "game",
            Self::Region => "region",
            Self::Order => "order",
            Self::Server => "server of order",
            Self::Node => "node",
            Self::Profile => "profile of user",
            Self::Affiliate => "affiliate",
            Self::AffiliateCode => "affiliate with the code",
            Self::Event => "event",
            Self::Sweep => "sweep",
        })
    }
}

impl Error {
    /// The stable reason, UPPER_SNAKE.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "FIELD_INVALID",
            Self::BadRequest { reason, .. }
            | Self::Exists { reason, .. }
            | Self::Precondition { reason, .. }
            | Self::Unavailable { reason, .. } => reason,
            Self::NotFound { what, .. } => what.not_found_reason(),
            Self::EtagMismatch { .. } => "ETAG_MISMATCH",
            Self::Unauthenticated => "UNAUTHENTICATED_TOKEN",
            Self::RoleForbidden { .. } => "ROLE_FORBIDDEN",
            Self::UserHeaderRequired => "USER_HEADER_REQUIRED",
            Self::RateLimited { .. } => "RATE_LIMITED",
        }
    }

    /// An object that does not exist, or is another's.
    pub fn not_found(what: Kind, id: impl ToString) -> Self {
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }

    /// A state that does not allow it.
    pub fn precondition(
        reason: &'static str,
        message: impl Into<String>,
        metadata: Vec<(&'static str, String)>,
    ) -> Self {
        Self::Precondition {
            reason,
            message: message.into(),
            metadata,
        }
    }
}

/// Collects violations, so that a caller learns of all of them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes a violation.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Violation {
            field: field.into(),
            problem: problem.into(),
        });
    }

    /// Notes a violation unless the rule holds.
    pub fn require(&mut self, holds: bool, field: impl Into<String>, problem: impl Into<String>) {
        if !holds {
            self.add(field, problem);
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was noted.
    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    /// Refuses where anything was noted.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}
