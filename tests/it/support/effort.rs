//! How much a test tries: the suite's share, or all of it in the long mode.

use std::env;

/// Whether `scripts/test --long` runs: the catalogue's own figures instead of samples.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn long() -> bool {
    env::var_os("SPAWNPOINT_LONG").is_some_and(|value| value == "1")
}

/// How often something is tried: `usual` in the suite, `most` in the long mode.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn runs(usual: u32, most: u32) -> u32 {
    if long() { most } else { usual }
}

/// Where random choices begin: the number of the run, or SPAWNPOINT_SEED, which repeats
/// a run that failed. Whoever uses it prints it.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn seed(run: u32) -> u64 {
    env::var_os("SPAWNPOINT_SEED")
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or_else(|| u64::from(run))
}

/// Whether one run is repeated: SPAWNPOINT_SEED says which.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn repeated() -> bool {
    env::var_os("SPAWNPOINT_SEED").is_some()
}
