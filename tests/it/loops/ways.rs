//! Where a step is torn apart, and how.

/// A place in a step. Transactions are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Planned, nothing done.
    StepBegins,
    /// What was done outside is done, and not stored.
    TxBegins(usize),
    /// Written, not committed.
    TxCommits(usize),
    /// Committed, and nobody knows.
    TxCommitted(usize),
    /// All done, the order not yet closed.
    StepEnds,
}

impl Place {
    /// Every place of a step with so many transactions.
    pub fn all(transactions: usize) -> Vec<Self> {
        let mut places = vec![Self::StepBegins];
        for nth in 1..=transactions {
            places.extend([
                Self::TxBegins(nth),
                Self::TxCommits(nth),
                Self::TxCommitted(nth),
            ]);
        }
        places.push(Self::StepEnds);
        places
    }
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The store does not answer.
    Fails,
    /// The code panics.
    Panics,
    /// Nothing comes back, ever.
    Hangs,
    /// The process is killed.
    Dies,
}

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where.
    pub place: Place,
    /// How.
    pub effect: Effect,
}

/// The ways to try: all of them, or those in which the most is at stake.
pub fn of(transactions: usize, all: bool) -> Vec<Way> {
    let last = transactions;
    let mut ways = Vec::new();
    for place in Place::all(transactions) {
        for effect in [Effect::Fails, Effect::Panics, Effect::Hangs, Effect::Dies] {
            let at_stake = match effect {
                // Before, after the effect, after the store.
                Effect::Fails => {
                    matches!(place, Place::StepBegins)
                        || place == Place::TxBegins(last)
                        || place == Place::TxCommitted(last)
                }
                Effect::Panics => place == Place::TxBegins(last),
                Effect::Hangs => place == Place::TxBegins(last),
                Effect::Dies => {
                    matches!(place, Place::StepBegins)
                        || place == Place::TxBegins(last)
                        || place == Place::TxCommitted(last)
                }
            };
            if all || at_stake {
                ways.push(Way { place, effect });
            }
        }
    }
    ways
}
