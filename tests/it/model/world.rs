//! The world of one story: Stripe, the panel, a store, and a core that may die; and the
//! one time that all of them live in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox::{
    audit::{Auditor, Rest, Violation, violations},
    panel::{Fault, FaultAction, FaultId},
    stripe,
};
use spawnpoint::{
    db::orders,
    domain::{SECOND_US, order::Facts},
};
use tokio::runtime::Runtime;

use super::{
    core::Core,
    op::Route,
    standins::Standins,
    store::{Store, Template},
    striker::Striker,
    tally::Tally,
};

/// A call that took longer may have been given up while the other side still works.
const SLOW: Duration = Duration::from_secs(1);
/// What is due happens by then, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// No work of a stand-in takes longer.
const SURELY_DONE: Duration = Duration::from_secs(2);
/// Longer than any story takes.
const FOR_EVER_MS: u64 = 600_000;

/// A call in the middle of which the core dies.
enum Dying {
    Stripe(stripe::FaultId),
    Panel(FaultId),
}

/// A create that is held up on its way, once it is sent.
struct HeldUp {
    fault: FaultId,
    seconds: u64,
    /// When it lands, once it was sent.
    lands: Option<u64>,
}

/// Everything around the shop, and the shop.
pub(super) struct World<'a> {
    pub standins: Standins,
    pub striker: Arc<Striker>,
    pub tally: Tally,
    runtime: &'a Runtime,
    store: Store,
    core: Option<Core>,
    /// Seconds that were skipped so far.
    passed: u64,
    /// How far the core's clock is from Stripe's and the panel's.
    skew_us: i64,
    dying: Option<Dying>,
    held_up: Vec<HeldUp>,
    slow: bool,
    lost_creates: Vec<FaultId>,
    stripe_faults: Vec<stripe::FaultId>,
    panel_faults: Vec<FaultId>,
}

impl<'a> World<'a> {
    /// A new one.
    pub fn open(runtime: &'a Runtime, template: &Template, seed: u64) -> Result<Self, String> {
        let standins = Standins::start(runtime, seed, seed % 2 == 1);
        let mut world = Self {
            standins,
            striker: Arc::default(),
            tally: Tally::default(),
            runtime,
            store: template.copy(runtime),
            core: None,
            passed: 0,
            skew_us: 0,
            dying: None,
            held_up: Vec::new(),
            slow: false,
            lost_creates: Vec::new(),
            stripe_faults: Vec::new(),
            panel_faults: Vec::new(),
        };
        world.start()?;
        Ok(world)
    }

    /// Closes it; what was counted remains.
    pub fn close(mut self) -> Tally {
        if let Some(core) = self.core.take() {
            core.end();
        }
        self.store.remove(self.runtime);
        self.tally
    }

    /// A core begins, with a clock of its own.
    fn start(&mut self) -> Result<(), String> {
        self.striker.revive();
        let config = self.standins.config(&self.store.url);
        let core = Core::start(&config, Some(Arc::clone(&self.striker)))?;
        let passed_us = i64::try_from(self.passed).unwrap_or_default() * SECOND_US;
        core.app.db.shift_clock(passed_us + self.skew_us);
        self.core = Some(core);
        Ok(())
    }

    fn core(&self) -> &Core {
        self.core.as_ref().expect("a core runs between two calls")
    }

    /// Lets the core work. Nothing comes back where it died over it: then another runs.
    pub fn call<T>(&mut self, work: impl AsyncFnOnce(&Core) -> T) -> Result<Option<T>, String> {
        let began = Instant::now();
        let core = self.core();
        let done = match &self.dying {
            None => core.call(work(core)),
            Some(dying) => core.call_until(|| self.fired(dying), work(core)),
        };
        self.slow |= began.elapsed() > SLOW;
        if done.is_none() {
            if let Some(dying) = self.dying.take() {
                self.died_in_call(dying);
            }
            if let Some(core) = self.core.take() {
                core.end();
            }
            self.start()?;
        }
        self.note_held_up();
        Ok(done)
    }

    fn fired(&self, dying: &Dying) -> bool {
        match dying {
            Dying::Stripe(fault) => self.standins.stripe.fired(*fault) > 0,
            Dying::Panel(fault) => self.standins.panel.fired(*fault) > 0,
        }
    }

    fn died_in_call(&mut self, dying: Dying) {
        if !self.fired(&dying) {
            // It died of something else before the call came.
            self.dying = Some(dying);
            return;
        }
        self.tally.one("crash in a call");
        if let Dying::Stripe(_) = dying {
            // Stripe ends such a call by itself; until then its key would be in use.
            self.standins.stripe.clear_faults();
        }
    }

    /// The core dies in the middle of the next such call.
    pub fn die_in_call(&mut self, route: Route, after_work: bool) {
        if self.dying.is_some() {
            return;
        }
        let Route(method, path) = route;
        self.dying = Some(if route.is_stripe() {
            let hang = stripe::Effect::Hang { after_work };
            let fault = stripe::Fault::on(method, path, hang);
            Dying::Stripe(self.standins.stripe.inject(fault))
        } else {
            let hang = FaultAction::Hang {
                milliseconds: FOR_EVER_MS,
            };
            let fault = Fault::on(method, path, hang).times(1);
            let fault = if after_work {
                fault.after_work()
            } else {
                fault
            };
            Dying::Panel(self.standins.panel.inject(fault))
        });
    }

    /// A call of Stripe goes wrong.
    pub fn fault_stripe(&mut self, fault: stripe::Fault) {
        let id = self.standins.stripe.inject(fault);
        self.stripe_faults.push(id);
    }

    /// A call of the panel goes wrong.
    pub fn fault_panel(&mut self, fault: Fault) -> FaultId {
        let id = self.standins.panel.inject(fault);
        self.panel_faults.push(id);
        id
    }

    /// Nobody hears what came of the next create.
    pub fn lose_create(&mut self, fault: Fault) {
        let id = self.fault_panel(fault);
        self.lost_creates.push(id);
    }

    /// The next create is held up on its way and lands so much later.
    pub fn hold_up(&mut self, seconds: u64) {
        let fault = Fault::on_route("POST", "/servers", FaultAction::Drop)
            .times(1)
            .late(Duration::from_secs(seconds));
        self.held_up.push(HeldUp {
            fault: self.standins.panel.inject(fault),
            seconds,
            lands: None,
        });
    }

    /// What was sent in the call just made lands so much later.
    fn note_held_up(&mut self) {
        for held in self.held_up.iter_mut().filter(|held| held.lands.is_none()) {
            if self.standins.panel.fired(held.fault) > 0 {
                held.lands = Some(self.passed + held.seconds);
            }
        }
    }

    /// Every order, newest first, and never the end of the core.
    pub fn orders(&self) -> Result<Vec<Facts>, String> {
        let core = self.core();
        let filter = orders::Filter::default();
        let read = core.call(orders::list(core.app.db.read(), &filter, None, 1_000));
        let read = read.ok_or("it died while it was looked at")?;
        read.map_err(|error| error.to_string())
    }

    /// Every invariant that the shop breaks while it is at rest.
    pub fn violations(&self) -> Result<Vec<Violation>, String> {
        let now_us = self.now_us();
        let Standins { stripe, panel } = &self.standins;
        let picture = self.runtime.block_on(async {
            let auditor = Auditor::open(&self.store.url).await?;
            let picture = auditor.picture(panel, &stripe.controls(), now_us).await;
            auditor.close().await?;
            picture
        });
        let picture = picture.map_err(|error| format!("no audit: {error}"))?;
        match picture.unrest().as_slice() {
            [] => Ok(violations(&picture, Rest::AtRest)),
            unrest => Err(format!("not at rest: {unrest:?}")),
        }
    }

    /// The core's time.
    pub fn now_us(&self) -> i64 {
        let core = self.core();
        core.call(core.app.db.now())
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    /// Lets time pass for everybody; what is on its way lands in its time.
    pub fn pass(&mut self, seconds: u64) {
        if std::mem::take(&mut self.slow) {
            std::thread::sleep(SURELY_DONE);
        }
        let until = self.passed + seconds;
        let mut landings: Vec<(u64, FaultId)> = self
            .held_up
            .iter()
            .filter_map(|held| Some((held.lands?, held.fault)))
            .filter(|(lands, _)| *lands <= until)
            .collect();
        landings.sort_by_key(|(lands, _)| *lands);
        for (lands, fault) in landings {
            self.advance(lands.saturating_sub(self.passed));
            self.wait_landed(fault);
            self.held_up.retain(|held| held.fault != fault);
            self.tally.one("create landed late");
        }
        self.advance(until - self.passed);
    }

    /// Its time has come on the panel's clock: what is left is a moment of real work.
    fn wait_landed(&self, fault: FaultId) {
        let began = Instant::now();
        while self.standins.panel.landed(fault) == 0 {
            assert!(began.elapsed() < PATIENCE, "a late create does not land");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn advance(&mut self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.standins.stripe.advance(by);
        self.standins.panel.advance(by);
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.core().app.db.shift_clock(by_us);
        self.passed += seconds;
    }

    /// Whole days that were skipped so far.
    pub fn days(&self) -> usize {
        usize::try_from(self.passed / 86_400).unwrap_or_default()
    }

    /// Sets the core's clock so far ahead of the others, or behind. Not while something is
    /// on its way: that it lands in time is reckoned by a clock that runs.
    pub fn set_clock(&mut self, seconds: i64) {
        if self.held_up.iter().any(|held| held.lands.is_some()) {
            return;
        }
        let skew_us = seconds * SECOND_US;
        self.core().app.db.shift_clock(skew_us - self.skew_us);
        self.skew_us = skew_us;
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.striker.disarm();
        self.dying = None;
        self.held_up.retain(|held| held.lands.is_some());
        self.standins.stripe.clear_faults();
        self.standins.panel.clear_faults();
    }

    /// Counts what struck.
    pub fn count_blows(&mut self) {
        let (deaths, aways, repeats) = self.striker.struck();
        let Standins { stripe, panel } = &self.standins;
        let of_stripe: u64 = self.stripe_faults.iter().map(|id| stripe.fired(*id)).sum();
        let of_panel: usize = self.panel_faults.iter().map(|id| panel.fired(*id)).sum();
        self.tally.many("crash", deaths as usize);
        self.tally.many("store away", aways as usize);
        self.tally.many("step repeated", repeats as usize);
        let of_stripe = usize::try_from(of_stripe).unwrap_or(usize::MAX);
        self.tally.many("fault of Stripe", of_stripe);
        self.tally.many("fault of the panel", of_panel);
        let unanswered: usize = self.lost_creates.iter().map(|id| panel.fired(*id)).sum();
        self.tally.many("create unanswered", unanswered);
    }
}
