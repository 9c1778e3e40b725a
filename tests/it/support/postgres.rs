//! The throwaway PostgreSQL cluster of this test process.

use std::{
    env,
    sync::{Once, OnceLock},
};

pub use sandbox::postgres::Cluster;

/// The cluster of this test process, started at first use. It is never dropped:
/// the end of the process closes the pipe.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    match SHARED.get_or_init(Cluster::start) {
        Ok(cluster) => cluster,
        Err(why) => panic!("{why}"),
    }
}

/// Whether tests on PostgreSQL are left out, which is said aloud.
pub fn skipped() -> bool {
    static SAID: Once = Once::new();
    let skipped = env::var_os("SPAWNPOINT_SKIP_POSTGRES").is_some_and(|value| value == "1");
    if skipped {
        SAID.call_once(|| {
            // Past the test runner's capture: a green run must not hide this.
            let warning =
                "\n*** SPAWNPOINT_SKIP_POSTGRES=1: NOTHING IS TESTED ON POSTGRESQL ***\n\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), warning.as_bytes());
        });
    }
    skipped
}
