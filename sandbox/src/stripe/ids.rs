//! Object ids that look like Stripe's: a prefix and letters without meaning.
//!
//! A seed makes them repeatable, so that a failing test names the same objects twice.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Source of ids.
pub(super) struct Ids {
    rng: StdRng,
}

impl Ids {
    /// Ids from a seed, or new ones on every start.
    pub(super) fn new(seed: Option<u64>) -> Self {
        let rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_rng(&mut rand::rng()),
        };
        Self { rng }
    }

    /// `prefix` and 24 letters.
    pub(super) fn make(&mut self, prefix: &str) -> String {
        self.with_length(prefix, 24)
    }

    /// A Checkout Session's id, which is longer than the others and names the mode.
    pub(super) fn session(&mut self, livemode: bool) -> String {
        let mode = if livemode { "cs_live_a1" } else { "cs_test_a1" };
        self.with_length(mode, 56)
    }

    fn with_length(&mut self, prefix: &str, letters: usize) -> String {
        let tail = (0..letters).map(|_| char::from(ALPHABET[self.rng.random_range(0..62)]));
        prefix.chars().chain(tail).collect()
    }
}
