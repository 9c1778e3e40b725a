//! No burst of carts sells more than the nodes have room for.

use futures_util::future::join_all;
use spawnpoint::rpc::proto::CreateCheckoutSessionRequest;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(a_burst_of_carts_never_oversells_a_node);

/// P-23, through the checkout: forty carts race for the last room of a node.
/// Findings 26 and 30: only orders that had their node counted, so a burst of carts oversold it;
/// disk never counted at all.
async fn a_burst_of_carts_never_oversells_a_node(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.catalog = till::catalog_with(&[
            // Room for five by memory.
            (
                "region = \"us-east\"\nmax_ram_gb = 64",
                "region = \"us-east\"\nmax_ram_gb = 13",
            ),
            // Room for three by disk.
            (
                "region = \"us-west\"\nmax_ram_gb = 64\nmax_disk_gb = 1000",
                "region = \"us-west\"\nmax_ram_gb = 64\nmax_disk_gb = 79",
            ),
        ]);
    })
    .await;
    let mut pending = Vec::new();
    for (region, room) in [("us-east", 5), ("us-west", 3)] {
        let carts = (0..40).map(|_| CreateCheckoutSessionRequest {
            region: region.to_owned(),
            ..cart(Uuid::new_v4())
        });
        let answers = join_all(carts.map(|cart| live.checkout(cart))).await;
        let (sold, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(sold.len(), room, "{region}");
        for status in refused.into_iter().map(Result::unwrap_err) {
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!(reason(&status), "NO_CAPACITY");
        }
        assert_eq!(till::remaining(&live, "mc-2gb", region).await, 0);
        pending.push(sold.into_iter().next().unwrap().unwrap().order.unwrap());
    }
    assert_eq!(live.world.stripe.sessions().len(), 8);
    assert_eq!(till::rows(&live, "orders").await, 8);
    assert_eq!(till::rows(&live, "holds").await, 8);
    let held = "SELECT held_ram_gb || ' ' || held_disk_gb FROM ptero_nodes ORDER BY id";
    assert_eq!(sql::texts(&live.store.db, held).await, ["10 100", "6 60"]);
    let ports = "SELECT count(*) FROM allocations WHERE state = 'held'";
    assert_eq!(sql::count(&live.store.db, ports).await, 8);

    // What is given up can be sold again, once.
    live.world
        .stripe
        .expire(&pending[0].stripe_checkout_session_id)
        .unwrap();
    till::wait_remaining(&live, "mc-2gb", "us-east", 1).await;
    let answers = join_all((0..10).map(|_| live.checkout(cart(Uuid::new_v4())))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);

    // Bought is still held: a server that runs takes its room for good.
    live.pay(&pending[1]);
    live.wait_running(&pending[1].id).await;
    wait::until("the node is full", PATIENCE, || async {
        till::remaining(&live, "mc-2gb", "us-west").await == 0
    })
    .await;
    live.close().await;
}
