//! A rebuilt panel gives out the ids that we know a second time.

use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, wait,
};

both_engines!(nothing_is_asked_of_a_panel_that_is_not_the_one_we_know);

/// P-30: a panel that was built anew gives out our ids a second time. One look tells that it is
/// another one; nothing is asked of it, and nothing made again.
async fn nothing_is_asked_of_a_panel_that_is_not_the_one_we_know(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live
        .checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
    let known = sql::texts(
        &live.store.db,
        "SELECT panel_uuid FROM ptero_nodes ORDER BY id",
    )
    .await;
    sql::run(
        &live.store.db,
        "UPDATE ptero_nodes SET panel_uuid = 'of-another-panel'",
    )
    .await
    .unwrap();
    wait_changed(&live, 2).await;

    live.pay(&order);
    live.wait_order(&order.id, "it waits for the panel we know", |order| {
        order.waiting_reason == "PANEL_CHANGED"
    })
    .await;
    let panel = &live.world.panel;
    assert_eq!(panel.count_route("POST", "/users"), 0);
    assert_eq!(panel.count_route("POST", "/servers"), 0);
    assert_eq!(live.order(&order.id).await.attempts, 0);

    for (uuid, id) in known.iter().zip(1..) {
        let restore = format!("UPDATE ptero_nodes SET panel_uuid = '{uuid}' WHERE id = {id}");
        sql::run(&live.store.db, &restore).await.unwrap();
    }
    wait_changed(&live, 0).await;
    live.wait_running(&order.id).await;
    assert_eq!(panel.count_route("POST", "/servers"), 1);
    live.close().await;
}

async fn wait_changed(live: &Live, nodes: i64) {
    wait::until("the mirror has compared the nodes", PATIENCE, || async {
        let query = "SELECT count(*) FROM ptero_nodes WHERE panel_changed";
        sql::count(&live.store.db, query).await == nodes
    })
    .await;
}
