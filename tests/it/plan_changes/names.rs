//! Another name for a server, here and on the panel.

use uuid::Uuid;

use super::{DETAILS, fields, running, written};
use crate::support::{
    changes::rename,
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, wait,
};

both_engines!(a_server_gets_another_name);

async fn a_server_gets_another_name(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let name = "Ärger im Bau";
    let named = rename(&live, &order.id, name).await.unwrap();
    assert_eq!(named.server_name, name);
    wait::until("the panel has the name", PATIENCE, || async {
        live.world.panel.server(&order.id).unwrap().name == name
    })
    .await;
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!(server.external_id.as_deref(), Some(order.id.as_str()));
    assert_eq!(
        (
            written(&live),
            live.world.panel.count_route("PATCH", DETAILS)
        ),
        (0, 1)
    );
    // The same name is no change, and one of before its server is its server's from the start.
    rename(&live, &order.id, name).await.unwrap();
    let early = live
        .checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
    rename(&live, &early.id, "Early bird").await.unwrap();
    live.pay(&early);
    live.wait_running(&early.id).await;
    wait::until("nothing is left to do", PATIENCE, || async {
        let left = "SELECT count(*) FROM servers WHERE respec_us IS NOT NULL";
        sql::count(&live.store.db, left).await == 0
    })
    .await;
    assert_eq!(
        live.world.panel.server(&early.id).unwrap().name,
        "Early bird"
    );
    assert_eq!(live.world.panel.count_route("PATCH", DETAILS), 1);
    let refused = rename(&live, &order.id, " ").await.unwrap_err();
    assert_eq!(fields(&refused), ["server_name"]);
    live.close().await;
}
