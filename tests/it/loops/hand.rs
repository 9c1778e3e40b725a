//! The hand that strikes: a probe which knows in which step each transaction is, by the
//! span of its order: what a step hands to a task of its own is within it.

use std::{
    collections::HashMap,
    future::pending,
    panic::resume_unwind,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use spawnpoint::{
    domain::{OrderId, step::StepKind},
    probe::{Moment, Probe, Struck},
};
use tracing::{Span, span};

use super::ways::{Effect, Place, Way};

/// Strikes the next step of a kind once, counts its transactions, or lets it be repeated.
#[derive(Debug, Default)]
pub struct Hand {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The step that is taken within each span, and the transactions that it began.
    steps: HashMap<span::Id, (OrderId, StepKind, usize)>,
    armed: Option<(Option<StepKind>, Way)>,
    struck: Option<OrderId>,
    /// It struck a process dead that nobody has buried yet.
    dead: bool,
    counting: Option<StepKind>,
    counted: usize,
    repeating: Option<StepKind>,
    repeated: Option<OrderId>,
}

impl Hand {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Strikes the next step of this kind.
    pub fn arm(&self, kind: Option<StepKind>, way: Way) {
        let mut state = self.state();
        state.armed = Some((kind, way));
        state.struck = None;
    }

    /// Strikes the next step of any kind, after the process came back.
    pub fn arm_again(&self, way: Way) {
        self.state().armed = Some((None, way));
    }

    /// Strikes no more.
    pub fn disarm(&self) {
        self.state().armed = None;
    }

    /// Whether everything that it was armed for happened.
    pub fn spent(&self) -> bool {
        self.state().armed.is_none()
    }

    /// The order that it struck.
    pub fn struck(&self) -> Option<OrderId> {
        self.state().struck
    }

    /// Whether a process is to be killed now.
    pub fn take_death(&self) -> bool {
        let mut state = self.state();
        // Tasks of a killed process end no step.
        if state.dead {
            state.steps.clear();
        }
        std::mem::take(&mut state.dead)
    }

    /// Counts the transactions of the steps of this kind.
    pub fn count(&self, kind: StepKind) {
        let mut state = self.state();
        (state.counting, state.counted) = (Some(kind), 0);
    }

    /// The most transactions that one step of the counted kind began; it counts no more.
    pub fn counted(&self) -> usize {
        let mut state = self.state();
        state.counting = None;
        state.counted
    }

    /// Lets the next step of this kind be taken twice.
    pub fn repeat(&self, kind: StepKind) {
        let mut state = self.state();
        (state.repeating, state.repeated) = (Some(kind), None);
    }

    /// The order whose step was taken twice.
    pub fn repeated(&self) -> Option<OrderId> {
        self.state().repeated
    }

    /// What happens at a moment, if anything.
    fn strike(&self, moment: Moment) -> Option<Effect> {
        let within = Span::current().id()?;
        let mut state = self.state();
        let (order, kind, place) = match moment {
            Moment::StepBegins(order, kind) => {
                state.steps.insert(within.clone(), (order, kind, 0));
                (order, kind, Place::StepBegins)
            }
            Moment::StepEnds(order, kind) => {
                state.steps.remove(&within);
                (order, kind, Place::StepEnds)
            }
            Moment::TxBegins => {
                let (order, kind, begun) = state.steps.get_mut(&within)?;
                *begun += 1;
                let (order, kind, begun) = (*order, *kind, *begun);
                if state.counting == Some(kind) {
                    state.counted = state.counted.max(begun);
                }
                (order, kind, Place::TxBegins(begun))
            }
            Moment::TxCommits => {
                let (order, kind, begun) = *state.steps.get(&within)?;
                (order, kind, Place::TxCommits(begun))
            }
            Moment::TxCommitted => {
                let (order, kind, begun) = *state.steps.get(&within)?;
                (order, kind, Place::TxCommitted(begun))
            }
        };
        let (wanted, way) = state.armed?;
        if wanted.is_some_and(|wanted| wanted != kind) || way.place != place {
            return None;
        }
        state.armed = None;
        state.steps.remove(&within);
        state.struck = Some(order);
        state.dead = way.effect == Effect::Dies;
        Some(way.effect)
    }
}

#[async_trait]
impl Probe for Hand {
    async fn at(&self, moment: Moment) -> Result<(), Struck> {
        match self.strike(moment) {
            None => Ok(()),
            Some(Effect::Fails) => Err(Struck),
            // Without a word from the process's hook, whose backtrace takes longer than the step.
            Some(Effect::Panics) => resume_unwind(Box::new(format!("struck at {moment:?}"))),
            // Who waits for a process that died waits as long.
            Some(Effect::Hangs | Effect::Dies) => pending().await,
        }
    }

    fn repeats(&self, order: OrderId, step: StepKind) -> bool {
        let mut state = self.state();
        let repeats = state.repeating == Some(step);
        if repeats {
            (state.repeating, state.repeated) = (None, Some(order));
        }
        repeats
    }
}
