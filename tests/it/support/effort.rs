//! How much a test tries: the suite's share, or all of it in the long mode.

use std::{env, time::Duration};

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

/// The longest that something may take: the catalogue's `figure` in the long mode, which
/// runs what is timed by itself; `busy` in the suite, whose machine does all the rest as well.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn bar(figure: Duration, busy: Duration) -> Duration {
    if long() { figure } else { busy }
}

/// The time within which so many of a hundred answers came.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).max(1);
    times[at - 1]
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
