//! How often each kind of thing happened in a batch: what is not counted was not tried.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

/// What is counted, and how many of it a hundred stories must bring at least.
const KINDS: [(&str, u64); 28] = [
    ("purchase", 200),
    ("request repeated", 30),
    ("payment", 100),
    ("delayed payment", 10),
    ("payment failed", 2),
    ("walk-away", 50),
    ("session expired", 30),
    ("subscription ended", 15),
    ("event delivered", 30),
    ("event doubled", 5),
    ("event reordered", 10),
    ("event lost", 100),
    ("clock jump", 200),
    ("clock set", 15),
    ("crash", 15),
    ("crash in a call", 3),
    ("store away", 10),
    ("step repeated", 5),
    ("fault of Stripe", 20),
    ("fault of the panel", 5),
    ("create unanswered", 5),
    ("create landed late", 2),
    ("install lost", 1),
    ("install failed", 5),
    ("wake-up by an operator", 3),
    ("end: provisioned", 50),
    ("end: canceled", 100),
    ("end: error", 1),
];

/// Counts by kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// It happened.
    pub fn one(&mut self, kind: &'static str) {
        self.many(kind, 1);
    }

    /// It happened so often.
    pub fn many(&mut self, kind: &'static str, count: usize) {
        let known = KINDS.iter().any(|(known, _)| *known == kind);
        assert!(known, "{kind} is not in the list");
        *self.0.entry(kind).or_default() += count as u64;
    }

    fn count(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// The kinds of which so many stories brought too few.
    pub fn missing(&self, stories: u32) -> Vec<String> {
        let few = KINDS.iter().filter_map(|(kind, per_hundred)| {
            let (count, wanted) = (self.count(kind), per_hundred * u64::from(stories) / 100);
            (count < wanted).then(|| format!("{kind}: {count} of {wanted}"))
        });
        few.collect()
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, _) in KINDS {
            writeln!(f, "{:>9}  {kind}", self.count(kind))?;
        }
        Ok(())
    }
}
