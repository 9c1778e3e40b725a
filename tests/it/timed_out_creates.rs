//! Creates that the panel did while we had given up waiting: one POST, one server, however
//! long its look-ups know nothing of it.

use futures_util::future::join_all;
use sandbox::panel::{Call, Fault, FaultAction};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort,
    live::{IMPATIENT, Live, cart},
    provisioning::cart_of,
};

both_engines!(
    a_create_that_times_out_after_the_work_is_sent_once,
    a_look_up_that_lags_behind_the_create_settles_nothing_yet,
    a_repeated_create_that_meets_the_first_one_adopts_it,
);

const SERVERS: &str = "/servers";
const LOOK_UP: &str = "/servers/external/{external_id}";
/// So many fit on the ports of one shop's node.
const ORDERS_OF_A_SHOP: u32 = 100;

/// An impatient shop with room for many creates in flight: a thousand of them should not
/// wait for each other.
async fn open_roomy(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set_all(&IMPATIENT);
        options.set_all(&[
            ("SETTLE_SECONDS", "1.5"),
            ("WORKER_CONCURRENCY", "64"),
            ("PANEL_MAX_CREATES", "32"),
            ("PANEL_MAX_CREATES_PER_NODE", "32"),
            ("SWEEP_INSTALL_SECONDS", "0.5"),
        ]);
        options.catalog = options
            .catalog
            .replace("max_ram_gb = 64", "max_ram_gb = 512")
            .replace("max_disk_gb = 1000", "max_disk_gb = 9999");
    })
    .await
}

/// The look-ups of an order that reached the panel.
fn looks(live: &Live, order: &proto::Order) -> Vec<Call> {
    let mut calls = live.calls("GET", LOOK_UP);
    calls.retain(|call| call.external_id.as_deref() == Some(order.id.as_str()));
    calls
}

/// A look-up of this order that the panel answers as if it had no such server.
fn blind(order: &proto::Order, times: usize) -> Fault {
    let not_found = FaultAction::Status {
        status: 404,
        body: r#"{"errors":[{"code":"NotFoundHttpException","status":"404",
            "detail":"The requested resource could not be found on this server."}]}"#
            .to_owned(),
        content_type: None,
        // Without them it would be the page of a proxy, not the panel's word.
        headers: ["X-RateLimit-Limit", "X-RateLimit-Remaining"]
            .map(|name| (name.to_owned(), "1000".to_owned()))
            .into(),
    };
    let path = format!("{SERVERS}/external/{}", order.id);
    Fault::on("GET", &path, not_found).times(times)
}

/// P-11: the panel makes the server and says nothing until we give up; in the long mode a
/// thousand times. Looked up before anything else is sent, so there is one POST for each.
async fn a_create_that_times_out_after_the_work_is_sent_once(engine: Engine) {
    let mut left = effort::runs(6, 1_000);
    while left > 0 {
        let orders = left.min(ORDERS_OF_A_SHOP);
        left -= orders;
        let live = open_roomy(engine).await;
        let panel = &live.world.panel;
        let silent = FaultAction::Hang {
            milliseconds: 3_000,
        };
        let count = usize::try_from(orders).unwrap();
        let silent = Fault::on("POST", SERVERS, silent).after_work().times(count);
        let fault = panel.inject(silent);
        let mut bought = Vec::new();
        for _ in 0..orders {
            bought.push(live.purchase(cart(Uuid::new_v4())).await);
        }
        let bought = join_all(bought.iter().map(|order| live.wait_running(&order.id))).await;
        assert_eq!(
            panel.fired(fault),
            count,
            "each create was answered by silence"
        );
        assert_eq!(
            panel.count_route("POST", SERVERS),
            count,
            "one POST for each"
        );
        assert_eq!(panel.servers().len(), count);
        for order in &bought {
            assert_eq!(
                (live.creates(&order.id).len(), live.tries(&order.id).await),
                (1, 0)
            );
            assert_eq!(order.pterodactyl_server_id, live.made(&order.id).id);
            let looks = looks(&live, order);
            assert_eq!(looks.last().unwrap().status, Some(200), "{looks:?}");
        }
        live.close().await;
    }
}

/// P-12: the first look-up after the settle time still says 404; the second finds it.
async fn a_look_up_that_lags_behind_the_create_settles_nothing_yet(engine: Engine) {
    let live = open_roomy(engine).await;
    let panel = &live.world.panel;
    let lost = panel.inject(Fault::on("POST", SERVERS, FaultAction::Drop).after_work());
    for _ in 0..effort::runs(2, 100) {
        let order = live.reserve(cart_of(Uuid::new_v4(), "mc-1gb")).await;
        let lag = panel.inject(blind(&order, 1));
        live.pay(&order);
        let order = live.wait_running(&order.id).await;
        assert_eq!(panel.fired(lag), 1);
        assert_eq!(
            (live.creates(&order.id).len(), live.tries(&order.id).await),
            (1, 0)
        );
        assert_eq!(order.pterodactyl_server_id, live.made(&order.id).id);
        assert!(live.hold(&order.id).await.is_some());
    }
    assert_eq!(panel.fired(lost), panel.servers().len());
    assert_eq!(panel.count_route("POST", SERVERS), panel.servers().len());
    live.close().await;
}

/// P-12, with a longer lag: both look-ups say 404, so the very same request goes out again.
/// The panel refuses it because of its external id: that is no rejection of the order, and
/// the server is found by the next look.
async fn a_repeated_create_that_meets_the_first_one_adopts_it(engine: Engine) {
    let live = open_roomy(engine).await;
    let panel = &live.world.panel;
    for plan in ["mc-1gb", "rust-3gb"] {
        let order = live.reserve(cart_of(Uuid::new_v4(), plan)).await;
        let lag = panel.inject(blind(&order, 2));
        let lost = Fault::on("POST", SERVERS, FaultAction::Drop).after_work();
        let lost = panel.inject(lost.times(1));
        live.pay(&order);
        let order = live.wait_running(&order.id).await;
        assert_eq!((panel.fired(lag), panel.fired(lost)), (2, 1));
        let creates = live.creates(&order.id);
        let statuses: Vec<_> = creates.iter().map(|call| call.status).collect();
        assert_eq!(statuses, [Some(201), Some(422)], "{plan}");
        assert_eq!(creates[0].body, creates[1].body, "the same request again");
        assert_eq!(live.tries(&order.id).await, 0, "it was never rejected");
        let made = live.made(&order.id);
        assert_eq!(order.pterodactyl_server_id, made.id);
        let ports = live.ports_of(order.node_id, &order.id).await;
        let ports: Vec<i64> = ports
            .iter()
            .map(|port| port.pterodactyl_allocation_id)
            .collect();
        assert_eq!(ports, made.allocations, "its own ports, not others");
    }
    assert_eq!(panel.servers().len(), 2);
    live.close().await;
}
