//! How often each kind of thing happened in a batch: what is not counted was not tried.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

/// What is counted, and how many of it a thousand stories must bring at least: about
/// half of what they do bring.
const KINDS: [(&str, u64); 37] = [
    ("purchase", 1290),
    ("request repeated", 260),
    ("payment", 580),
    ("delayed payment", 160),
    ("payment failed", 60),
    ("walk-away", 290),
    ("session expired", 390),
    ("subscription ended", 90),
    ("renewal failed", 120),
    ("dunning ended", 15),
    ("debt paid", 15),
    ("plan change", 35),
    ("difference paid", 6),
    ("dispute", 50),
    ("dispute won", 40),
    ("dispute lost", 3),
    ("reinstall", 70),
    ("event delivered", 970),
    ("event doubled", 100),
    ("event reordered", 390),
    ("event lost", 2680),
    ("clock jump", 900),
    ("clock set", 170),
    ("crash", 180),
    ("crash in a call", 40),
    ("store away", 70),
    ("step repeated", 50),
    ("fault of Stripe", 80),
    ("fault of the panel", 30),
    ("create unanswered", 20),
    ("create landed late", 8),
    ("install lost", 1),
    ("install failed", 50),
    ("wake-up by an operator", 4),
    ("end: provisioned", 510),
    ("end: canceled", 640),
    ("end: error", 2),
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
        let few = KINDS.iter().filter_map(|(kind, per_thousand)| {
            let (count, wanted) = (self.count(kind), per_thousand * u64::from(stories) / 1000);
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
