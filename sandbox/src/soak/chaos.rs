//! What goes wrong, and how often it did: calls of both stand-ins, nodes, webhooks.
//!
//! Kinds are dealt like cards, so that a short run has had each of them.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use tokio_util::sync::CancellationToken;

use crate::{
    panel::{self, DaemonMode, FaultAction, RunningPanel},
    stripe::{self, Controls, Effect, ReleaseOrder, WebhookSwitches},
};

/// Faults are given time to strike before they are taken back.
const PATIENCE: Duration = Duration::from_secs(14);
const HANG_MS: u64 = 4_000;

/// Calls of the panel that are struck.
const PANEL_CALLS: [(&str, &str); 5] = [
    ("POST", "/servers"),
    ("POST", "/servers"),
    ("POST", "/users"),
    ("GET", "/servers"),
    ("GET", "/"),
];
/// Calls of Stripe that are struck.
const STRIPE_CALLS: [(&str, &str); 5] = [
    ("POST", "/v1/checkout/sessions"),
    ("GET", "/v1/checkout/sessions"),
    ("GET", "/v1/subscriptions"),
    ("POST", "/v1/customers"),
    ("*", "/v1"),
];

/// One card.
#[derive(Clone, Debug)]
enum Kind {
    Panel(&'static str, FaultAction, bool),
    Stripe(&'static str, Effect),
    Node(&'static str, DaemonMode),
    Webhooks(&'static str, WebhookSwitches),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Panel(name, ..)
            | Self::Stripe(name, _)
            | Self::Node(name, _)
            | Self::Webhooks(name, _) => name,
        }
    }
}

fn kinds() -> Vec<Kind> {
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
    let moved = FaultAction::Redirect {
        location: "https://elsewhere.example/".to_owned(),
    };
    let refused = Effect::Status {
        status: 503,
        body: None,
    };
    let on = WebhookSwitches::default();
    let panel = |name, action: &FaultAction, after| Kind::Panel(name, action.clone(), after);
    vec![
        panel("panel 500", &status(500), false),
        panel("panel 500 after the work", &status(500), true),
        panel("panel 401", &status(401), false),
        panel("panel page", &FaultAction::HtmlPage { status: 502 }, false),
        panel("panel redirect", &moved, false),
        panel("panel drop", &FaultAction::Drop, false),
        panel("panel drop after the work", &FaultAction::Drop, true),
        panel("panel hang", &hang, false),
        panel("panel hang after the work", &hang, true),
        panel("panel slow", &slow, false),
        panel("panel garbage", &FaultAction::Garbage, true),
        panel("panel cut answer", &FaultAction::Truncate, true),
        Kind::Stripe("Stripe 503", refused),
        Kind::Stripe("Stripe 429", Effect::RateLimited { retry_after: 1 }),
        Kind::Stripe("Stripe 500", Effect::InternalError { after_work: true }),
        Kind::Stripe("Stripe slow", Effect::Delay { millis: 900 }),
        Kind::Stripe("Stripe slow answer", Effect::DelayAnswer { millis: 900 }),
        Kind::Stripe("Stripe hang", Effect::Hang { after_work: false }),
        Kind::Stripe(
            "Stripe hang after the work",
            Effect::Hang { after_work: true },
        ),
        Kind::Stripe("Stripe drop", Effect::DropBefore),
        Kind::Stripe("Stripe drop after the work", Effect::DropAfter),
        Kind::Stripe("Stripe garbage", Effect::Garbage),
        Kind::Stripe("Stripe page", Effect::Html),
        Kind::Stripe("Stripe cut answer", Effect::Truncated),
        Kind::Node("node down", DaemonMode::Down),
        Kind::Node("node drop", DaemonMode::Drop),
        Kind::Node("node kills the panel's worker", DaemonMode::KillWorker),
        Kind::Webhooks(
            "webhooks off",
            WebhookSwitches {
                enabled: false,
                ..on
            },
        ),
        Kind::Webhooks(
            "webhooks doubled",
            WebhookSwitches {
                doubled: true,
                ..on
            },
        ),
        Kind::Webhooks("webhooks shuffled", WebhookSwitches { hold: true, ..on }),
    ]
}

/// Makes things go wrong until told to stop; then all is well again.
pub(super) struct Chaos<'a> {
    pub panel: &'a RunningPanel,
    pub stripe: Controls,
    pub seed: u64,
    panel_faults: Vec<(&'static str, panel::FaultId)>,
    stripe_faults: Vec<(&'static str, stripe::FaultId)>,
    /// How often what has no fault of its own was in force.
    others: BTreeMap<&'static str, u64>,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(panel: &'a RunningPanel, stripe: Controls, seed: u64) -> Self {
        Self {
            panel,
            stripe,
            seed,
            panel_faults: Vec::new(),
            stripe_faults: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    /// Deals one kind after the other.
    pub(super) async fn run(&mut self, cancel: &CancellationToken) {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut deck: Vec<Kind> = Vec::new();
        let mut since_mended = Duration::ZERO;
        while !cancel.is_cancelled() {
            let kind = deck.pop().unwrap_or_else(|| {
                deck = kinds();
                deck.shuffle(&mut rng);
                Kind::Stripe("Stripe drop", Effect::DropBefore)
            });
            let lasts = Duration::from_millis(rng.random_range(1_500..3_500));
            let undo = self.strike(&kind, &mut rng);
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(lasts) => {}
            }
            self.undo(undo, &mut rng);
            since_mended += lasts;
            if since_mended > PATIENCE {
                self.mend_calls();
                since_mended = Duration::ZERO;
            }
        }
        self.mend_calls();
    }

    fn strike(&mut self, kind: &Kind, rng: &mut StdRng) -> Kind {
        let times = rng.random_range(1..=3_usize);
        match kind {
            Kind::Panel(name, action, after) => {
                let (method, path) = PANEL_CALLS.choose(rng).copied().unwrap_or(("GET", "/"));
                let mut fault = panel::Fault::on(method, path, action.clone()).times(times);
                if *after {
                    fault = fault.after_work();
                }
                let id = self.panel.inject(fault);
                self.panel_faults.push((name, id));
            }
            Kind::Stripe(name, effect) => {
                let (method, path) = STRIPE_CALLS.choose(rng).copied().unwrap_or(("*", "/v1"));
                let times = u64::try_from(times).unwrap_or(1);
                let fault = stripe::Fault::on(method, path, effect.clone()).times(times);
                let id = self.stripe.inject(fault);
                self.stripe_faults.push((name, id));
            }
            Kind::Node(name, mode) => {
                self.panel.set_daemon(1, mode.clone());
                *self.others.entry(name).or_default() += 1;
            }
            Kind::Webhooks(name, switches) => {
                self.stripe.set_webhooks(*switches);
                *self.others.entry(name).or_default() += 1;
            }
        }
        kind.clone()
    }

    fn undo(&self, kind: Kind, rng: &mut StdRng) {
        match kind {
            Kind::Node(..) => self.panel.set_daemon(1, DaemonMode::Ok),
            Kind::Webhooks(..) => {
                self.stripe.set_webhooks(WebhookSwitches::default());
                self.stripe
                    .release_all(ReleaseOrder::Shuffled(rng.random()));
            }
            Kind::Panel(..) | Kind::Stripe(..) => {}
        }
    }

    fn mend_calls(&self) {
        self.panel.clear_faults();
        self.stripe.clear_faults();
    }

    /// How often each kind struck; those that never did, too.
    pub(super) fn fired(&self) -> BTreeMap<&'static str, u64> {
        let mut fired: BTreeMap<&'static str, u64> =
            kinds().iter().map(|kind| (kind.name(), 0)).collect();
        for (name, id) in &self.panel_faults {
            let times = u64::try_from(self.panel.fired(*id)).unwrap_or(0);
            *fired.entry(name).or_default() += times;
        }
        for (name, id) in &self.stripe_faults {
            *fired.entry(name).or_default() += self.stripe.fired(*id);
        }
        for (name, times) in &self.others {
            *fired.entry(name).or_default() += times;
        }
        fired
    }
}
