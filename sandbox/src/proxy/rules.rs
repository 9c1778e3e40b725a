//! When to cut: one rule at a time, counted over all connections of a proxy.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Which side of the work a cut is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The other side never sees it.
    BeforeForward,
    /// The other side does it, but its answer is lost: the connection is closed as soon
    /// as the answer begins.
    AfterForward,
}

/// When a connection is cut.
pub enum Rule {
    /// After so many more bytes of clients.
    Bytes(u64),
    /// When a client sends these bytes.
    Pattern {
        /// The bytes.
        pattern: Vec<u8>,
        /// Which time.
        nth: u32,
        /// On which side.
        cut: Cut,
    },
    /// At a statement of PostgreSQL's protocol.
    Statement {
        /// Whether this text counts.
        counts: Box<dyn Fn(&str) -> bool + Send + Sync>,
        /// Which one that counts.
        nth: u32,
        /// On which side.
        cut: Cut,
    },
}

/// More statements than any run between two looks sends; an idle proxy must not grow.
const REMEMBERED: usize = 20_000;

/// The rule that waits, and what was seen.
#[derive(Default)]
pub(super) struct Rules {
    waiting: Mutex<Option<Rule>>,
    statements: Mutex<Vec<String>>,
    pub(super) fired: AtomicU32,
    pub(super) bytes: AtomicU64,
    pub(super) open: AtomicUsize,
    pub(super) accepted: AtomicU64,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("fired", &self.fired)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Rules {
    pub(super) fn arm(&self, rule: Rule) {
        *lock(&self.waiting) = Some(rule);
    }

    pub(super) fn disarm(&self) {
        lock(&self.waiting).take();
    }

    pub(super) fn take_statements(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.statements))
    }

    /// A client sent a statement: whether it is the one to cut at.
    pub(super) fn statement(&self, sql: &str) -> Option<Cut> {
        let mut seen = lock(&self.statements);
        if seen.len() < REMEMBERED {
            seen.push(sql.to_owned());
        }
        drop(seen);
        let mut waiting = lock(&self.waiting);
        let Some(Rule::Statement { counts, nth, cut }) = waiting.as_mut() else {
            return None;
        };
        if !counts(sql) {
            return None;
        }
        *nth = nth.saturating_sub(1);
        let (due, cut) = (*nth == 0, *cut);
        due.then(|| self.fire(&mut waiting, cut))
    }

    /// A client sent bytes: where in them to cut, and on which side. `tail` is what it
    /// sent just before, as a pattern may be spread over two pieces.
    pub(super) fn chunk(&self, tail: &[u8], chunk: &[u8]) -> Option<(usize, Cut)> {
        let count = chunk.len() as u64;
        self.bytes.fetch_add(count, Ordering::Relaxed);
        let mut waiting = lock(&self.waiting);
        match waiting.as_mut()? {
            Rule::Bytes(left) if *left <= count => {
                let at = usize::try_from(*left).unwrap_or(chunk.len());
                let cut = self.fire(&mut waiting, Cut::BeforeForward);
                Some((at, cut))
            }
            Rule::Bytes(left) => {
                *left -= count;
                None
            }
            Rule::Pattern { pattern, nth, cut } => {
                let kept = tail.len().min(pattern.len().saturating_sub(1));
                let tail = &tail[tail.len() - kept..];
                let joined = [tail, chunk].concat();
                let found = joined
                    .windows(pattern.len().max(1))
                    .enumerate()
                    .filter(|(_, window)| window == pattern)
                    .map(|(at, _)| at);
                let mut due = None;
                for at in found {
                    *nth = nth.saturating_sub(1);
                    if *nth == 0 {
                        due = Some(at.saturating_sub(kept));
                        break;
                    }
                }
                let (at, cut) = (due?, *cut);
                let cut = self.fire(&mut waiting, cut);
                Some((at, cut))
            }
            Rule::Statement { .. } => None,
        }
    }

    fn fire(&self, waiting: &mut Option<Rule>, cut: Cut) -> Cut {
        waiting.take();
        self.fired.fetch_add(1, Ordering::Relaxed);
        cut
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
