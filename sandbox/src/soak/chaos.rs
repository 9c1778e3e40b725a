//! What goes wrong, and how often it did: calls of both stand-ins, creates that land late,
//! nodes, installs, ports, webhooks.
//!
//! Kinds are dealt like cards, so that a short run has had each of them; the choices are
//! the seed's alone. What counts is what a stand-in says has struck, never what was only
//! prepared: a fault whose call does not come is moved to any call, and a node's mood lies
//! until somebody met it.

mod kinds;

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use tokio_util::sync::CancellationToken;

use self::kinds::{
    ANY_PANEL_CALL, ANY_STRIPE_CALL, Calls, Counted, Delivery, Kind, PANEL_CALLS, STRIPE_CALLS,
};
use crate::{
    panel::{self, DaemonMode, FaultAction, FaultId, RunningPanel},
    stripe::{self, Controls, ReleaseOrder, WebhookSwitches},
};

/// Faults are given time to strike before they are taken back or moved.
const PATIENCE: Duration = Duration::from_secs(14);
/// What nobody has met by then is over all the same.
const LONGEST: Duration = Duration::from_secs(12);
/// Between two looks whether a card has struck.
const LOOK: Duration = Duration::from_millis(50);
/// How late a create lands. A process that stood still sends up to 7 s late; together it is
/// less than the 12 s after which a create is believed to be settled.
const LATE_MS: std::ops::Range<u64> = 500..3_000;
/// The node that has moods; the other one stays well.
const MOODY: i64 = 1;
const NODES: [i64; 2] = [1, 2];
/// So many held events are shuffled into another order almost surely.
const ENOUGH: usize = 4;

/// A fault that was injected, and the card that it came from.
struct Armed {
    kind: Kind,
    id: FaultId,
    /// Its own call did not come: it strikes any.
    moved: bool,
}

/// Makes things go wrong until told to stop; then all is well again.
pub(super) struct Chaos<'a> {
    panel: &'a RunningPanel,
    stripe: Controls,
    seed: u64,
    /// Faults in force.
    armed: Vec<Armed>,
    /// Those that are over: their counts are still to be had.
    past: Vec<Armed>,
    /// How many calls met a node's mood.
    moods: BTreeMap<&'static str, u64>,
    /// What the stand-ins had counted before anything went wrong.
    before: Counted,
    /// And when the present card was dealt.
    dealt: Counted,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(panel: &'a RunningPanel, stripe: Controls, seed: u64) -> Self {
        let before = Counted::of(panel, &stripe);
        Self {
            panel,
            stripe,
            seed,
            armed: Vec::new(),
            past: Vec::new(),
            moods: BTreeMap::new(),
            before,
            dealt: before,
        }
    }

    /// Deals one kind after the other.
    pub(super) async fn run(&mut self, cancel: &CancellationToken) {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut deck: Vec<Kind> = Vec::new();
        let mut mended = Instant::now();
        while !cancel.is_cancelled() {
            if deck.is_empty() {
                deck = kinds::all();
                deck.shuffle(&mut rng);
            }
            let Some(kind) = deck.pop() else { break };
            let lasts = Duration::from_millis(rng.random_range(1_500..3_500));
            self.strike(&kind, &mut rng);
            self.lie(&kind, lasts, cancel).await;
            self.undo(&kind, &mut rng);
            if mended.elapsed() > PATIENCE {
                self.mend();
                mended = Instant::now();
            }
        }
        self.end();
    }

    fn strike(&mut self, kind: &Kind, rng: &mut StdRng) {
        let times = rng.random_range(1..=3_usize);
        self.dealt = self.counted();
        match kind {
            Kind::Panel(..) => {
                let calls = PANEL_CALLS.choose(rng).copied().unwrap_or(ANY_PANEL_CALL);
                self.arm(kind, calls, times, false);
            }
            Kind::Stripe(..) => {
                let calls = STRIPE_CALLS.choose(rng).copied().unwrap_or(ANY_STRIPE_CALL);
                self.arm(kind, calls, times, false);
            }
            Kind::LateCreate => {
                let late = Duration::from_millis(rng.random_range(LATE_MS));
                let fault = panel::Fault::on_route("POST", "/servers", FaultAction::Drop);
                let id = self.panel.inject(fault.late(late).times(times));
                self.note(kind, id, false);
            }
            Kind::Node(_, mode) => self.panel.set_daemon(MOODY, mode.clone()),
            Kind::NodesRestart => self.restart_nodes(),
            Kind::LostInstalls => self.panel.lose_installs(times),
            Kind::Thefts => self.panel.steal_additional(times),
            Kind::Webhooks(way) => self.stripe.set_webhooks(way.switches()),
        }
    }

    /// Puts a fault in the way of calls.
    fn arm(&mut self, kind: &Kind, (method, path): Calls, times: usize, moved: bool) {
        let id = match kind {
            Kind::Panel(_, action, moment) => {
                let fault = panel::Fault::on(method, path, action.clone());
                self.panel.inject(fault.when(*moment).times(times))
            }
            Kind::Stripe(_, effect) => {
                let times = u64::try_from(times).unwrap_or(1);
                let fault = stripe::Fault::on(method, path, effect.clone());
                self.stripe.inject(fault.times(times))
            }
            _ => return,
        };
        self.note(kind, id, moved);
    }

    fn note(&mut self, kind: &Kind, id: FaultId, moved: bool) {
        self.armed.push(Armed {
            kind: kind.clone(),
            id,
            moved,
        });
    }

    /// Lets a card lie for its time, and on until it has struck.
    async fn lie(&self, kind: &Kind, lasts: Duration, cancel: &CancellationToken) {
        let began = Instant::now();
        // A mood that no daemon was called in disturbs nobody meanwhile.
        let longest = match kind {
            Kind::Node(..) => 4 * LONGEST,
            _ => LONGEST,
        };
        loop {
            let lies = began.elapsed();
            let struck = self.struck(kind);
            if lies >= longest || (lies >= lasts && struck) {
                return;
            }
            if matches!(kind, Kind::NodesRestart) && !struck {
                // Nothing was being installed a moment ago.
                self.restart_nodes();
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Whether the next card may be dealt.
    fn struck(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Node(..) => self.panel.daemon_fired(MOODY) > 0,
            // They are shuffled when they are let go.
            Kind::Webhooks(Delivery::Shuffled) => self.stripe.held().len() >= ENOUGH,
            Kind::NodesRestart | Kind::Webhooks(_) => {
                kind.counted(&self.counted()) > kind.counted(&self.dealt)
            }
            // They stay in force beside the cards that follow.
            Kind::Panel(..)
            | Kind::Stripe(..)
            | Kind::LateCreate
            | Kind::LostInstalls
            | Kind::Thefts => true,
        }
    }

    fn undo(&mut self, kind: &Kind, rng: &mut StdRng) {
        match kind {
            Kind::Node(name, _) => {
                let fired = u64::try_from(self.panel.daemon_fired(MOODY)).unwrap_or(0);
                *self.moods.entry(name).or_default() += fired;
                self.panel.set_daemon(MOODY, DaemonMode::Ok);
            }
            Kind::Webhooks(_) => {
                self.stripe.set_webhooks(WebhookSwitches::default());
                self.stripe
                    .release_all(ReleaseOrder::Shuffled(rng.random()));
            }
            _ => {}
        }
    }

    /// Takes back the faults that struck. The others are moved to any call, once; creates
    /// come, so one that is to land late is left where it is.
    fn mend(&mut self) {
        for armed in mem::take(&mut self.armed) {
            let idle = self.fired_by(&armed) == 0;
            if idle && matches!(armed.kind, Kind::LateCreate) {
                self.armed.push(armed);
                continue;
            }
            self.disarm(&armed);
            if idle && !armed.moved {
                let calls = match armed.kind {
                    Kind::Stripe(..) => ANY_STRIPE_CALL,
                    _ => ANY_PANEL_CALL,
                };
                self.arm(&armed.kind, calls, 1, true);
            }
            self.past.push(armed);
        }
    }

    /// All is well again. An install whose end nobody heard of would be waited for an hour:
    /// its daemon restarts, and the panel calls the server normal.
    fn end(&mut self) {
        for armed in mem::take(&mut self.armed) {
            self.disarm(&armed);
            self.past.push(armed);
        }
        self.panel.steal_additional(0);
        self.panel.lose_installs(0);
        self.restart_nodes();
    }

    /// Ends a fault and the waits of those it holds; what is to land late does so.
    fn disarm(&self, armed: &Armed) {
        match armed.kind {
            Kind::Stripe(..) => self.stripe.remove_fault(armed.id),
            _ => self.panel.remove_fault(armed.id),
        }
    }

    fn restart_nodes(&self) {
        for node in NODES {
            self.panel.restart_daemon(node);
        }
    }

    fn counted(&self) -> Counted {
        Counted::of(self.panel, &self.stripe)
    }

    fn fired_by(&self, armed: &Armed) -> u64 {
        let times = match armed.kind {
            Kind::Stripe(..) => return self.stripe.fired(armed.id),
            Kind::LateCreate => self.panel.landed(armed.id),
            _ => self.panel.fired(armed.id),
        };
        u64::try_from(times).unwrap_or(0)
    }

    /// How often each kind struck; those that never did, too.
    pub(super) fn fired(&self) -> BTreeMap<&'static str, u64> {
        let now = self.counted();
        let mut fired = BTreeMap::new();
        for kind in kinds::all() {
            let before = kind.counted(&self.before).unwrap_or(0);
            let struck = kind.counted(&now).unwrap_or(0).saturating_sub(before);
            fired.insert(kind.name(), u64::try_from(struck).unwrap_or(0));
        }
        for armed in self.past.iter().chain(&self.armed) {
            *fired.entry(armed.kind.name()).or_default() += self.fired_by(armed);
        }
        for (name, times) in &self.moods {
            *fired.entry(name).or_default() += times;
        }
        fired
    }
}
