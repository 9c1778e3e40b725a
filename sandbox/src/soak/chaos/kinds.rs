//! The kinds of trouble, the calls that some of them strike, and what the stand-ins count
//! of the others.

use crate::{
    panel::{DaemonMode, FaultAction, InstallCounts, Moment, RunningPanel},
    stripe::{Controls, Effect, WebhookCounts, WebhookSwitches},
};

/// A method and the beginning of a path.
pub(super) type Calls = (&'static str, &'static str);

/// Calls of the panel that are struck.
pub(super) const PANEL_CALLS: [Calls; 5] = [
    ("POST", "/servers"),
    ("POST", "/servers"),
    ("POST", "/users"),
    ("GET", "/servers"),
    ("GET", "/"),
];
/// Calls of Stripe that are struck.
pub(super) const STRIPE_CALLS: [Calls; 5] = [
    ("POST", "/v1/checkout/sessions"),
    ("GET", "/v1/checkout/sessions"),
    ("GET", "/v1/subscriptions"),
    ("POST", "/v1/customers"),
    ("*", "/v1"),
];
/// Whatever is asked of the panel, and of Stripe.
pub(super) const ANY_PANEL_CALL: Calls = ("*", "/");
pub(super) const ANY_STRIPE_CALL: Calls = ("*", "/v1");

const HANG_MS: u64 = 4_000;

/// One card.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Calls of the panel fail at a moment of their work.
    Panel(&'static str, FaultAction, Moment),
    /// Calls of Stripe fail.
    Stripe(&'static str, Effect),
    /// The connection of a create closes at once; the work is done a while later.
    LateCreate,
    /// A node's daemon has a mood.
    Node(&'static str, DaemonMode),
    /// The daemons restart, and forget what they were installing.
    NodesRestart,
    /// Installs end, and the panel does not hear of it.
    LostInstalls,
    /// Somebody else takes a port of a server that is being made.
    Thefts,
    /// Stripe delivers in another way than usual.
    Webhooks(Delivery),
}

/// How Stripe may deliver.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delivery {
    Off,
    Doubled,
    Shuffled,
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Panel(name, ..) | Self::Stripe(name, _) | Self::Node(name, _) => name,
            Self::LateCreate => "late create",
            Self::NodesRestart => "nodes restart",
            Self::LostInstalls => "lost install",
            Self::Thefts => "stolen port",
            Self::Webhooks(Delivery::Off) => "webhooks off",
            Self::Webhooks(Delivery::Doubled) => "webhooks doubled",
            Self::Webhooks(Delivery::Shuffled) => "webhooks shuffled",
        }
    }

    /// How often it struck by what the stand-ins count for all time, if they do.
    pub(super) fn counted(&self, counts: &Counted) -> Option<usize> {
        Some(match self {
            Self::NodesRestart => counts.installs.cleared,
            Self::LostInstalls => counts.installs.lost,
            Self::Thefts => counts.stolen,
            Self::Webhooks(Delivery::Off) => counts.webhooks.never,
            Self::Webhooks(Delivery::Doubled) => counts.webhooks.doubled,
            Self::Webhooks(Delivery::Shuffled) => counts.webhooks.shuffled,
            Self::Panel(..) | Self::Stripe(..) | Self::LateCreate | Self::Node(..) => return None,
        })
    }
}

impl Delivery {
    pub(super) fn switches(self) -> WebhookSwitches {
        let usual = WebhookSwitches::default();
        match self {
            Self::Off => WebhookSwitches {
                enabled: false,
                ..usual
            },
            Self::Doubled => WebhookSwitches {
                doubled: true,
                ..usual
            },
            Self::Shuffled => WebhookSwitches {
                hold: true,
                ..usual
            },
        }
    }
}

/// What the stand-ins have counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    installs: InstallCounts,
    stolen: usize,
    webhooks: WebhookCounts,
}

impl Counted {
    pub(super) fn of(panel: &RunningPanel, stripe: &Controls) -> Self {
        Self {
            installs: panel.install_counts(),
            stolen: panel.stolen(),
            webhooks: stripe.webhook_counts(),
        }
    }
}

/// The whole deck.
pub(super) fn all() -> Vec<Kind> {
    let mut all = panel_kinds();
    all.extend(stripe_kinds());
    all.extend([
        Kind::LateCreate,
        Kind::Node("node down", DaemonMode::Down),
        Kind::Node("node drop", DaemonMode::Drop),
        Kind::Node("node kills the panel's worker", DaemonMode::KillWorker),
        Kind::NodesRestart,
        Kind::LostInstalls,
        Kind::Thefts,
        Kind::Webhooks(Delivery::Off),
        Kind::Webhooks(Delivery::Doubled),
        Kind::Webhooks(Delivery::Shuffled),
    ]);
    all
}

fn panel_kinds() -> Vec<Kind> {
    use Moment::{AfterWork, BeforeWork};
    let status = |status| FaultAction::Status {
        status,
        body: String::new(),
        content_type: None,
        headers: Vec::new(),
    };
    let hang = FaultAction::Hang {
        milliseconds: HANG_MS,
    };
    let slow = FaultAction::Delay { milliseconds: 900 };
    let page = FaultAction::HtmlPage { status: 502 };
    let moved = FaultAction::Redirect {
        location: "https://elsewhere.example/".to_owned(),
    };
    vec![
        Kind::Panel("panel 500", status(500), BeforeWork),
        Kind::Panel("panel 500 after the work", status(500), AfterWork),
        Kind::Panel("panel 401", status(401), BeforeWork),
        Kind::Panel("panel page", page, BeforeWork),
        Kind::Panel("panel redirect", moved, BeforeWork),
        Kind::Panel("panel drop", FaultAction::Drop, BeforeWork),
        Kind::Panel("panel drop after the work", FaultAction::Drop, AfterWork),
        Kind::Panel("panel hang", hang.clone(), BeforeWork),
        Kind::Panel("panel hang after the work", hang, AfterWork),
        Kind::Panel("panel slow", slow, BeforeWork),
        Kind::Panel("panel garbage", FaultAction::Garbage, AfterWork),
        Kind::Panel("panel cut answer", FaultAction::Truncate, AfterWork),
    ]
}

fn stripe_kinds() -> Vec<Kind> {
    let refused = Effect::Status {
        status: 503,
        body: None,
    };
    let hang = |after_work| Effect::Hang { after_work };
    vec![
        Kind::Stripe("Stripe 503", refused),
        Kind::Stripe("Stripe 429", Effect::RateLimited { retry_after: 1 }),
        Kind::Stripe("Stripe 500", Effect::InternalError { after_work: true }),
        Kind::Stripe("Stripe slow", Effect::Delay { millis: 900 }),
        Kind::Stripe("Stripe slow answer", Effect::DelayAnswer { millis: 900 }),
        Kind::Stripe("Stripe hang", hang(false)),
        Kind::Stripe("Stripe hang after the work", hang(true)),
        Kind::Stripe("Stripe drop", Effect::DropBefore),
        Kind::Stripe("Stripe drop after the work", Effect::DropAfter),
        Kind::Stripe("Stripe garbage", Effect::Garbage),
        Kind::Stripe("Stripe page", Effect::Html),
        Kind::Stripe("Stripe cut answer", Effect::Truncated),
    ]
}
