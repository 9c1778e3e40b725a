//! What stands beside every step and transaction of a run, and strikes where it is told.

use std::{
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use spawnpoint::{
    domain::{OrderId, step::StepKind},
    probe::{Moment, Probe, Struck},
};
use tokio::sync::Notify;

/// What is to happen so many moments from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// The process dies.
    Die,
    /// The store does not answer; at a commit nobody knows whether it came through.
    StoreAway,
}

#[derive(Debug, Default)]
struct Plan {
    blows: Vec<(u32, Blow)>,
    twice: bool,
    dead: bool,
    deaths: u32,
    aways: u32,
    repeats: u32,
}

/// The probe of one run; it outlives the cores.
#[derive(Debug, Default)]
pub(super) struct Striker {
    plan: Mutex<Plan>,
    died: Notify,
}

impl Striker {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Strikes at the nth moment from now.
    pub fn arm(&self, moments: u32, blow: Blow) {
        self.plan().blows.push((moments.max(1), blow));
    }

    /// The next step is taken twice.
    pub fn arm_twice(&self) {
        self.plan().twice = true;
    }

    /// Nothing strikes any more.
    pub fn disarm(&self) {
        let mut plan = self.plan();
        plan.blows.clear();
        plan.twice = false;
    }

    /// Another process begins.
    pub fn revive(&self) {
        self.plan().dead = false;
    }

    /// Deaths, absences of the store and repeated steps so far.
    pub fn struck(&self) -> (u32, u32, u32) {
        let plan = self.plan();
        (plan.deaths, plan.aways, plan.repeats)
    }

    /// Comes back when the process is dead.
    pub async fn died(&self) {
        while !self.plan().dead {
            self.died.notified().await;
        }
    }

    fn strike(&self) -> Option<Blow> {
        let mut plan = self.plan();
        if plan.dead {
            return Some(Blow::Die);
        }
        for (left, _) in &mut plan.blows {
            *left -= 1;
        }
        let at = plan.blows.iter().position(|(left, _)| *left == 0)?;
        let (_, blow) = plan.blows.remove(at);
        // Two that fall on one moment are one.
        plan.blows.retain(|(left, _)| *left > 0);
        match blow {
            Blow::Die => {
                plan.dead = true;
                plan.deaths += 1;
            }
            Blow::StoreAway => plan.aways += 1,
        }
        Some(blow)
    }
}

#[async_trait]
impl Probe for Striker {
    async fn at(&self, _moment: Moment) -> Result<(), Struck> {
        match self.strike() {
            None => Ok(()),
            Some(Blow::StoreAway) => Err(Struck),
            Some(Blow::Die) => {
                self.died.notify_one();
                pending().await
            }
        }
    }

    fn repeats(&self, _order: OrderId, _step: StepKind) -> bool {
        let mut plan = self.plan();
        let twice = std::mem::take(&mut plan.twice);
        plan.repeats += u32::from(twice);
        twice
    }
}
