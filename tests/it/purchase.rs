//! The purchase, end to end.

use uuid::Uuid;

use crate::support::{db::Engine, live::Live, sql};

both_engines!(a_paid_cart_becomes_one_running_server);
async fn a_paid_cart_becomes_one_running_server(engine: Engine) {
    let live = Live::open(engine).await;
    let order = live.buy(Uuid::new_v4()).await;
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!(server.id, order.pterodactyl_server_id);
    let why = sql::texts(&live.store.db, "SELECT why FROM holds").await;
    assert_eq!(why, ["server"], "what checkout held is in use");
    live.close().await;
}
