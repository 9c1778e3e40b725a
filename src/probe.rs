//! Where tests stand: beside every step of the worker and every transaction of the store.
//!
//! A probe may fail there, panic, or never come back, as the machine might. Only code
//! can place one, when the service is built; production builds it without.

use async_trait::async_trait;

use crate::domain::{OrderId, step::StepKind};

/// A place between two things that can be torn apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A step was planned and nothing of it is done.
    StepBegins(OrderId, StepKind),
    /// A step did all it does; what comes of it is not closed yet.
    StepEnds(OrderId, StepKind),
    /// A transaction is about to begin: calls before it are done, nothing of them is stored.
    TxBegins,
    /// A transaction did its statements and is about to commit.
    TxCommits,
    /// A transaction is on disk; its caller does not know yet.
    TxCommitted,
}

/// The store does not answer at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck;

/// A test's hand on the running service.
#[async_trait]
pub trait Probe: std::fmt::Debug + Send + Sync {
    /// Called at each moment; an error is that of a store that went away.
    async fn at(&self, moment: Moment) -> Result<(), Struck>;

    /// Whether a step that ended is taken once more on the facts that it began with.
    fn repeats(&self, _order: OrderId, _step: StepKind) -> bool {
        false
    }
}
