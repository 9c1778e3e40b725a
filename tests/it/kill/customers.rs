//! Two orders of one new customer at the same moment, on two replicas.

use std::collections::BTreeSet;

use sandbox::panel::{Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use super::{fleet::Fleet, rest, scene};
use crate::support::{db::Engine, effort, pool::pool_cart, postgres};

/// Customers whose orders come due at once.
const AT_ONCE: usize = 5;
/// Customers that one shop has room for.
const A_SHOP: usize = 50;

/// P-02: two first orders of a customer share one panel account and one customer at Stripe,
/// whichever replica makes them, and neither order is lost over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_first_orders_of_a_customer_share_an_account() {
    if postgres::skipped() {
        return;
    }
    let customers = usize::try_from(effort::runs(10, 200)).unwrap();
    let mut refused = 0;
    for shop in (0..customers).step_by(A_SHOP) {
        refused += sell_to(A_SHOP.min(customers - shop)).await;
    }
    eprintln!("{customers} customers, {refused} accounts were asked for twice");
    assert!(refused > 0, "no two orders ever met");
}

/// Sells two servers to each of so many new customers; tells how many accounts were asked
/// for a second time and refused.
async fn sell_to(customers: usize) -> usize {
    let fleet = Fleet::open(Engine::Postgres, 2, &[]).await;
    let live = &fleet.live;
    // Both requests are on their way before either is done.
    let milliseconds = 150;
    let slow = Fault::on("POST", "/users", FaultAction::Delay { milliseconds });
    let slow = live.world.panel.inject(slow);
    for _ in 0..customers / AT_ONCE {
        live.hold_webhooks();
        let mut orders = Vec::new();
        for _ in 0..AT_ONCE {
            let user = Uuid::new_v4();
            for name in ["First", "Second"] {
                let cart = proto::CreateCheckoutSessionRequest {
                    server_name: name.to_owned(),
                    ..pool_cart(user)
                };
                orders.push(scene::reserve(live, cart).await);
            }
        }
        for order in &orders {
            live.pay(order);
        }
        live.release_webhooks();
        fleet.wait_until_delivered().await;
    }
    rest::assert_each_delivered_once(live, 2 * customers).await;
    let asked = live.calls("POST", "/users");
    assert_eq!(live.world.panel.fired(slow), asked.len());
    let made: BTreeSet<_> = asked
        .iter()
        .filter(|call| call.status == Some(201))
        .filter_map(|call| call.external_id.clone())
        .collect();
    assert_eq!(made.len(), customers);
    let refused = asked.iter().filter(|call| call.status == Some(422));
    let refused = refused.count();
    fleet.close().await;
    refused
}
