//! Sweeps: what is shown of them, and turns by hand.

use std::sync::Arc;

use spawnpoint::{
    app::Error,
    rpc::proto,
    worker::{ByHand, Settings},
};

use super::{
    live::{Live, PATIENCE},
    sql, wait,
};

/// What ListSweeps tells of one.
pub async fn shown(live: &Live, name: &str) -> proto::Sweep {
    let mut client = live.provisioning();
    let listed = client.list_sweeps(live.viewer(proto::ListSweepsRequest {}));
    let sweeps = listed.await.unwrap().into_inner().sweeps;
    let found = sweeps.into_iter().find(|sweep| sweep.name == name);
    found.unwrap()
}

/// One turn of a sweep.
pub async fn look(live: &Live, name: &str) {
    try_to_look(live, name).await.unwrap();
}

/// One turn of a sweep that may fail.
pub async fn try_to_look(live: &Live, name: &str) -> Result<(), Error> {
    let app = Arc::clone(&live.world.cores[0].app);
    let hand = ByHand::new(app, Settings::default());
    hand.sweep_one(name).await
}

/// Waits until each of these has looked once by itself, and none has its turn.
pub async fn looked(live: &Live, names: &[&str]) {
    wait::until("the sweeps have looked", PATIENCE, || async {
        let mut waits = 0;
        for name in names {
            let has = format!(
                "SELECT count(*) FROM sweeps WHERE name = '{name}'
                    AND last_run_us IS NOT NULL AND lease_owner IS NULL"
            );
            waits += 1 - sql::count(&live.store.db, &has).await;
        }
        waits == 0
    })
    .await;
}
