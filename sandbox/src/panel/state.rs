//! The panel's database and switches in one place, behind one lock that no wait ever holds.
//!
//! Holds rows and what follows from them; the rules of requests live with their nouns.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::auth::KeySpec;
use super::calls::CallLog;
use super::clock::PanelClock;
use super::config::PanelConfig;
use super::daemon::Script;
use super::races::Races;
use super::rate::RateLimiter;
use super::rows::{
    Allocation, Egg, Location, Nest, Node, PendingInstall, Server, Status, User, Variable,
};
use super::workers::Workers;
use crate::faults::Faults;

/// A trouble of the panel itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Taken down on purpose: 503 before anything else.
    Maintenance,
    /// Its database is unreachable.
    Database,
    /// Its cache is unreachable.
    Cache,
    /// Its mailer fails: users are created, yet the answer is a 500.
    Mail,
    /// Two-factor log-in has become mandatory and the key's owner has none.
    TwoFactorRequired,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub install_delay: Option<Duration>,
    pub daemon_timeout: Duration,
    pub daemon_connect_timeout: Duration,
    pub race_window: Duration,
}

/// What became of the installs that daemons have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstallCounts {
    /// Reported well.
    pub finished: usize,
    /// Reported as failed.
    pub failed: usize,
    /// Over, but the report was lost: the server stays as it is.
    pub lost: usize,
    /// Forgotten by a daemon that restarted; the panel then calls the server normal.
    pub cleared: usize,
}

/// Foreign writers that take additional ports away from new servers.
#[derive(Debug, Default)]
pub(crate) struct Thefts {
    pub left: usize,
    pub fired: usize,
}

/// The counters behind auto-increment ids. A failed insert uses one up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    pub user: i64,
    pub node: i64,
    pub allocation: i64,
    pub variable: i64,
    pub server: i64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub keys: Vec<KeySpec>,
    pub users: BTreeMap<i64, User>,
    pub locations: BTreeMap<i64, Location>,
    pub nodes: BTreeMap<i64, Node>,
    pub nests: BTreeMap<i64, Nest>,
    pub eggs: BTreeMap<i64, Egg>,
    pub allocations: BTreeMap<i64, Allocation>,
    pub servers: BTreeMap<i64, Server>,
    pub sequences: Sequences,
    pub daemons: HashMap<i64, Script>,
    pub settings: Settings,
    pub outage: Option<Outage>,
    /// How many further installs of a server fail.
    pub failing_installs: HashMap<String, usize>,
    /// Servers whose install ends without the panel hearing of it.
    pub lost_installs: HashSet<String>,
    /// Installs of whatever servers that are still to be lost.
    pub losses_left: usize,
    pub installs: InstallCounts,
    pub thefts: Thefts,
    pub races: Races,
    pub rate: RateLimiter,
    pub log: CallLog,
    pub faults: Faults,
    /// What the next draws of ports and the next server uuids shall be; random once used up.
    pub scripted_draws: VecDeque<i64>,
    pub scripted_uuids: VecDeque<Uuid>,
    pub rng: StdRng,
}

impl State {
    pub(crate) fn new(config: &PanelConfig) -> Self {
        let mut state = Self {
            keys: config.keys.clone(),
            users: BTreeMap::new(),
            locations: BTreeMap::new(),
            nodes: BTreeMap::new(),
            nests: BTreeMap::new(),
            eggs: BTreeMap::new(),
            allocations: BTreeMap::new(),
            servers: BTreeMap::new(),
            sequences: Sequences::default(),
            daemons: HashMap::new(),
            settings: Settings {
                install_delay: config.install_delay,
                daemon_timeout: config.daemon_timeout,
                daemon_connect_timeout: config.daemon_connect_timeout,
                race_window: config.race_window,
            },
            outage: None,
            failing_installs: HashMap::new(),
            lost_installs: HashSet::new(),
            losses_left: 0,
            installs: InstallCounts::default(),
            thefts: Thefts::default(),
            races: Races::default(),
            rate: RateLimiter::new(config.rate_limit),
            log: CallLog::default(),
            faults: Faults::new(super::calls::API),
            scripted_draws: VecDeque::new(),
            scripted_uuids: VecDeque::new(),
            rng: StdRng::seed_from_u64(config.seed),
        };
        super::seeding::fill(&mut state, config);
        state
    }

    pub(crate) fn new_uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn free(&self, allocation: i64) -> bool {
        self.allocations
            .get(&allocation)
            .is_some_and(|row| row.server_id.is_none())
    }

    /// Everything listed under a server, by id.
    pub(crate) fn allocations_of(&self, server: i64) -> impl Iterator<Item = &Allocation> {
        self.allocations
            .values()
            .filter(move |row| row.server_id == Some(server))
    }

    /// Memory and disk of all servers of a node.
    pub(crate) fn used_on(&self, node: i64) -> (i64, i64) {
        self.servers
            .values()
            .filter(|server| server.node_id == node)
            .fold((0, 0), |(memory, disk), server| {
                (memory + server.limits.memory, disk + server.limits.disk)
            })
    }

    pub(crate) fn variables_of(&self, egg: i64) -> &[Variable] {
        self.eggs.get(&egg).map_or(&[], |egg| &egg.variables)
    }

    /// Removes a server; its ports become free and keep their notes.
    pub(crate) fn remove_server(&mut self, id: i64) {
        self.servers.remove(&id);
        for allocation in self.allocations.values_mut() {
            if allocation.server_id == Some(id) {
                allocation.server_id = None;
            }
        }
    }

    /// The daemon has begun an install: when it will report, if ever.
    pub(crate) fn schedule_install(&mut self, server: i64, reinstall: bool, now: OffsetDateTime) {
        let delay = self.settings.install_delay;
        let Some(delay) = delay.and_then(|delay| time::Duration::try_from(delay).ok()) else {
            return;
        };
        if let Some(server) = self.servers.get_mut(&server) {
            server.install = Some(PendingInstall {
                due: now.saturating_add(delay),
                reinstall,
            });
        }
    }

    /// Applies the reports of all installs that are over by now.
    pub(crate) fn settle(&mut self, now: OffsetDateTime) {
        for server in self.servers.values_mut() {
            let Some(install) = server.install.filter(|install| install.due <= now) else {
                continue;
            };
            let id = server.external_id.as_deref().unwrap_or_default();
            if self.lost_installs.contains(id) || take_one(&mut self.losses_left) {
                server.install = None;
                self.installs.lost += 1;
                continue;
            }
            let failing = self.failing_installs.get_mut(id).filter(|left| **left > 0);
            let failed = failing.map(|left| *left -= 1).is_some();
            match failed {
                true => self.installs.failed += 1,
                false => self.installs.finished += 1,
            }
            apply_report(server, !failed, install.reinstall, now);
        }
    }

    /// A daemon that restarts forgets what it was installing.
    pub(crate) fn daemon_restarted(&mut self, node: i64, now: OffsetDateTime) {
        for server in self
            .servers
            .values_mut()
            .filter(|server| server.node_id == node)
        {
            if matches!(server.status, Status::Installing | Status::RestoringBackup) {
                server.status = Status::Normal;
                server.install = None;
                server.updated_at = now;
                self.installs.cleared += 1;
            }
        }
    }

    /// How long a create rests between its checks and its insert.
    pub(crate) fn race_pause(&mut self) -> Duration {
        let half = self.settings.race_window / 2;
        half.mul_f64(self.rng.random_range(0.0..=1.0))
    }
}

/// Takes one of what is left, if anything is.
fn take_one(left: &mut usize) -> bool {
    let taken = *left > 0;
    *left -= usize::from(taken);
    taken
}

/// A daemon's word on an install. A suspended server stays suspended and the word is lost.
pub(crate) fn apply_report(
    server: &mut Server,
    successful: bool,
    reinstall: bool,
    now: OffsetDateTime,
) {
    server.install = None;
    server.updated_at = now;
    if server.status == Status::Suspended {
        return;
    }
    server.status = match (successful, reinstall) {
        (true, _) => Status::Normal,
        (false, false) => Status::InstallFailed,
        (false, true) => Status::ReinstallFailed,
    };
}

/// The state with its clock, as all tasks share it.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub clock: PanelClock,
    pub workers: Workers,
}

impl Shared {
    pub(crate) fn new(config: &PanelConfig) -> Self {
        Self {
            state: Mutex::new(State::new(config)),
            clock: config.clock.clone(),
            workers: Workers::default(),
        }
    }

    /// The state with every install that is over settled.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(self.clock.now());
        state
    }

    /// Rests as a create does between its checks and its insert.
    pub(crate) async fn race_pause(&self) {
        let pause = self.lock().race_pause();
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
}
