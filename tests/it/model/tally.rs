//! How often each kind of thing happened in a batch: what is not counted was not tried.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

/// What is counted, and how many of it a thousand stories must bring at least: about
/// half of what they do bring.
const KINDS: [(&str, u64); 49] = [
    ("purchase", 900),
    ("request repeated", 120),
    ("payment", 310),
    ("delayed payment", 90),
    ("payment failed", 30),
    ("walk-away", 370),
    ("session expired", 390),
    ("subscription ended", 30),
    ("canceled at once", 20),
    ("canceled with its period", 120),
    ("end taken back", 30),
    ("suspended by an operator", 60),
    ("let go by an operator", 50),
    ("terminated by an operator", 10),
    ("renewal failed", 50),
    ("dunning ended", 9),
    ("debt paid", 7),
    ("plan change", 20),
    ("larger plan delivered", 5),
    ("difference paid", 3),
    ("dispute", 30),
    ("dispute won", 30),
    ("dispute lost", 1),
    ("reinstall", 60),
    ("event delivered", 670),
    ("event doubled", 100),
    ("event reordered", 220),
    ("event lost", 2040),
    ("clock jump", 900),
    ("clock set", 170),
    ("crash", 150),
    ("crash in a call", 20),
    ("store away", 70),
    ("step repeated", 50),
    ("fault of Stripe", 40),
    ("fault of the panel", 30),
    ("create unanswered", 20),
    ("create landed late", 4),
    ("install lost", 1),
    ("install failed", 30),
    ("wake-up by an operator", 4),
    ("server suspended", 70),
    ("server let go on", 30),
    ("server deleted", 38),
    ("look at another's order", 2500),
    ("log searched", 60),
    ("end: provisioned", 300),
    ("end: canceled", 540),
    ("end: error", 4),
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
