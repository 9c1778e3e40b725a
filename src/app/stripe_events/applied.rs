//! What becomes of an event, and the count of those of which nothing comes.

use crate::{db::stripe_events::State, domain::OrderId};

/// What became of an event.
pub(super) struct Applied {
    pub state: State,
    pub order: Option<OrderId>,
    pub error: Option<&'static str>,
    /// Why nothing comes of it, where nothing does.
    pub ignored: Option<Ignored>,
}

/// Why nothing comes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// Nothing follows from its type.
    Type,
    /// It is of the other mode.
    Livemode,
    /// It names no order of ours: accounts at Stripe are often shared.
    NotOurs,
    /// It names an order as ours are named, and there is none: the store is older than that
    /// order, or two shops share the account.
    NoSuchOrder,
}

impl Ignored {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Livemode => "livemode",
            Self::NotOurs => "not_ours",
            Self::NoSuchOrder => "no_such_order",
        }
    }

    /// Counts an event of which nothing comes.
    pub(super) fn count(self) {
        metrics::counter!("spawnpoint_stripe_events_ignored_total", "why" => self.as_str())
            .increment(1);
    }
}

pub(super) const fn ignored(why: Ignored) -> Applied {
    Applied {
        state: State::Ignored,
        order: None,
        error: match why {
            Ignored::NoSuchOrder => Some("it names an order that is not in the store"),
            Ignored::Type | Ignored::Livemode | Ignored::NotOurs => None,
        },
        ignored: Some(why),
    }
}

pub(super) const fn applied(id: OrderId) -> Applied {
    Applied {
        state: State::Applied,
        order: Some(id),
        error: None,
        ignored: None,
    }
}

pub(super) const fn failed(error: &'static str) -> Applied {
    Applied {
        state: State::Failed,
        order: None,
        error: Some(error),
        ignored: None,
    }
}

/// Tells of an event that names an order which is not in the store: somebody may pay for it, and
/// only a person can find out what was sold.
pub(super) fn tell_lost(event_id: &str, order_id: Option<&str>, subscription_id: Option<&str>) {
    tracing::error!(
        event_id,
        order_id,
        subscription_id,
        "an event names an order that is not in the store"
    );
}
