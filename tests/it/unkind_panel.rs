//! The panel at its worst, as its own create pipeline, its races, its daemons and its lists
//! can be: each switch of the stand-in is turned on the product, and each paid order has one
//! server in the end, without a try being counted.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::panel::{DripFrom, Fault, FaultAction, FaultId, Moment, Race, RaceLoss};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::{EAST, cart_of},
    wait,
};

both_engines!(
    creates_torn_around_their_commit_make_one_server_each,
    two_orders_of_a_new_customer_race_for_the_account,
    a_port_that_another_writer_takes_in_the_create_is_noticed,
    an_install_that_its_daemon_forgot_counts_as_it_is,
    empty_and_short_lists_are_no_reason_to_act,
    locks_that_are_waited_for_in_vain_delay_an_order_and_nothing_else,
    a_panel_that_drips_is_left,
    creates_that_take_all_workers_of_the_panel_make_one_server_each,
);

const SERVERS: &str = "/servers";
const REINSTALL: &str = "/servers/{server}/reinstall";
/// Longer than an install may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(3_660);

/// Everything is as it would be if nothing had happened.
pub(crate) async fn assert_delivered(
    live: &Live,
    order: &proto::Order,
    what: &str,
) -> proto::Order {
    live.wait_running(&order.id).await;
    let well = |order: &proto::Order| {
        (order.error_reason.as_str(), order.waiting_reason.as_str()) == ("", "")
    };
    let order = live.wait_order(&order.id, what, well).await;
    assert_eq!(live.tries(&order.id).await, 0, "{what} is not its fault");
    let servers = live.world.panel.servers();
    let ours = servers
        .iter()
        .filter(|row| row.external_id.as_ref() == Some(&order.id));
    assert_eq!(ours.count(), 1, "{what}: servers on the panel");
    order
}

/// What was in doubt is repeated as it was.
fn assert_repeated_alike(live: &Live, order: &proto::Order, what: &str) {
    let creates = live.creates(&order.id).into_iter();
    let bodies: Vec<_> = creates.map(|call| call.body).collect();
    let alike = bodies.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(alike, "{what}: a repeat is another request");
}

/// P-04, P-11, P-12, P-13: the panel's worker fails right before and right after the commit
/// of the row, with no answer, a hang, a 500, a page of a proxy. A row that was committed
/// before its daemon heard of it installs for ever, unless somebody begins the install again.
async fn creates_torn_around_their_commit_make_one_server_each(engine: Engine) {
    let live = Live::open_impatient(engine, &[]).await;
    let panel = &live.world.panel;
    let actions = [
        FaultAction::Drop,
        FaultAction::Hang {
            milliseconds: 2_500,
        },
        FaultAction::InternalError,
        FaultAction::HtmlPage { status: 502 },
    ];
    let mut torn: Vec<(proto::Order, Fault, FaultId)> = Vec::new();
    for when in [Moment::BeforeCommit, Moment::AfterCommit] {
        for action in &actions {
            let order = live.reserve(cart(Uuid::new_v4())).await;
            let fault = Fault::on_route("POST", SERVERS, action.clone())
                .containing(&order.id)
                .when(when)
                .times(1);
            torn.push((order, fault.clone(), panel.inject(fault)));
        }
    }
    for (order, ..) in &torn {
        live.pay(order);
    }
    let shop = &live;
    let made = torn.iter().map(|(order, fault, _)| async move {
        shop.wait_order(&order.id, "its server is there", |order| {
            order.pterodactyl_server_id > 0
        })
        .await;
        let creates = shop.creates(&order.id).len();
        // What was rolled back is sent again; what was committed is found.
        let wanted = 1 + usize::from(fault.when == Moment::BeforeCommit);
        assert_eq!(creates, wanted, "{fault:?}");
    });
    join_all(made).await;
    // The daemons of those that were committed never heard of them.
    let unheard = torn
        .iter()
        .filter(|(_, fault, _)| fault.when == Moment::AfterCommit);
    let unheard: Vec<&proto::Order> = unheard.map(|(order, ..)| order).collect();
    for order in &unheard {
        live.wait_for_reason(&order.id, "INSTALLING").await;
    }
    // One that still installs at the leap would count as unheard of, too.
    let heard = torn
        .iter()
        .filter(|(_, fault, _)| fault.when != Moment::AfterCommit);
    for (order, ..) in heard {
        live.wait_running(&order.id).await;
    }
    live.skip(INSTALL_LIMIT);
    for (order, fault, id) in &torn {
        assert_eq!(panel.fired(*id), 1, "{fault:?}");
        assert_delivered(&live, order, &format!("{fault:?}")).await;
        assert_repeated_alike(&live, order, &format!("{fault:?}"));
    }
    assert_eq!(panel.succeeded_route("POST", REINSTALL), unheard.len());
    live.close().await;
}

/// P-02: both POSTs of a new customer's first two orders pass the panel's checks before
/// either is stored, and one loses: to the model's own check, and to a unique key.
async fn two_orders_of_a_new_customer_race_for_the_account(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    for loss in [RaceLoss::ModelCheck, RaceLoss::Insert] {
        let user = Uuid::new_v4();
        let mut orders = Vec::new();
        for name in ["One", "Two"] {
            let cart = proto::CreateCheckoutSessionRequest {
                server_name: name.to_owned(),
                ..cart(user)
            };
            orders.push(live.reserve(cart).await);
        }
        let race = panel.race(Race::users(2, loss));
        live.hold_webhooks();
        for order in &orders {
            live.pay(order);
        }
        live.release_webhooks();
        for order in &orders {
            assert_delivered(&live, order, &format!("{loss:?}")).await;
        }
        assert!(panel.raced(race), "{loss:?}: the two never met");
        assert_eq!(live.panel_users(user).len(), 1, "{loss:?}");
    }
    live.close().await;
}

/// Finding 25 of the panel's own making: nothing there guards additional ports, and the last
/// writer wins. What the panel has is what our ledger says.
async fn a_port_that_another_writer_takes_in_the_create_is_noticed(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    panel.steal_additional(1);
    let order = live.buy_cart(cart_of(Uuid::new_v4(), "rust-3gb")).await;
    assert_eq!(panel.stolen(), 1);
    assert_delivered(&live, &order, "a theft").await;
    let made = live.made(&order.id).allocations;
    assert_eq!(made.len(), 2);
    let ports = live.ports_of(EAST.1, &order.id).await;
    let ours: Vec<i64> = ports
        .iter()
        .map(|port| port.pterodactyl_allocation_id)
        .collect();
    assert_eq!(ours, made, "the panel's word wins");
    let events = live.events(&order.id).await;
    let noted = |event: &proto::OrderEvent| event.what == "note" && event.to.contains("1 lost");
    assert!(events.iter().any(noted), "{events:?}");
    live.close().await;
}

/// A daemon that is restarted forgets what it was installing, and the panel calls the server
/// normal: it counts as it is.
async fn an_install_that_its_daemon_forgot_counts_as_it_is(engine: Engine) {
    let live = Live::open_with(engine, |options| options.install = 100 * PATIENCE).await;
    let panel = &live.world.panel;
    let forgotten = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&forgotten.id, "INSTALLING").await;
    panel.restart_daemon(EAST.0);
    assert_delivered(&live, &forgotten, "a restart").await;
    assert_eq!(panel.count_route("POST", REINSTALL), 0);
    live.close().await;
}

/// Finding 16: a page view reset an order that the panel's list lacked, and it was made again.
/// Design section 6: whatever the panel's lists leave out, nothing is made, deleted or given
/// back for it, and the shop sells on once they are whole.
async fn empty_and_short_lists_are_no_reason_to_act(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let order = live.buy_cart(cart(Uuid::new_v4())).await;
    let before = live.server(&order.id).await;
    let ports = live.ports_of(EAST.1, &order.id).await;
    let empty = FaultAction::EmptyList;
    let short = FaultAction::ShortList { rows: 0 };
    let ports_list = "/nodes/{node}/allocations";
    for (action, list) in [
        (&empty, "/nodes"),
        (&short, "/nodes"),
        (&empty, ports_list),
        (&short, ports_list),
    ] {
        let lists = [list, SERVERS];
        let faults = lists.map(|list| {
            (
                list,
                panel.inject(Fault::on_route("GET", list, action.clone())),
            )
        });
        // One order that installs keeps the list of servers asked for; the mirror of ports
        // believes what it read for minutes.
        panel.set_install_delay(100 * PATIENCE);
        let waits = live.purchase(cart(Uuid::new_v4())).await;
        live.wait_for_reason(&waits.id, "INSTALLING").await;
        live.skip(Duration::from_secs(301));
        for (list, fault) in &faults {
            wait::until("the list is read twice", PATIENCE, || async {
                panel.fired(*fault) >= 2
            })
            .await;
            assert!(panel.fired(*fault) >= 2, "{list}");
        }
        let now = live.order(&order.id).await;
        let held = (
            now.status(),
            now.server_state(),
            now.waiting_reason.as_str(),
        );
        let running = proto::ServerState::Running;
        assert_eq!(held, (proto::OrderStatus::Provisioned, running, ""));
        assert_eq!(live.server(&order.id).await.ports, before.ports);
        assert_eq!(live.ports_of(EAST.1, &order.id).await, ports);
        assert!(live.hold(&order.id).await.is_some());
        assert_eq!(live.creates(&order.id).len(), 1);
        for (_, fault) in faults {
            panel.remove_fault(fault);
        }
        panel.set_install_delay(Duration::from_millis(50));
        panel.restart_daemon(EAST.0);
        assert_delivered(&live, &waits, "an empty list").await;
        live.skip(Duration::from_secs(301));
        live.wait_until_sellable().await;
        live.buy_cart(cart(Uuid::new_v4())).await;
    }
    assert_eq!(panel.count_route("DELETE", "/servers/{server}"), 0);
    live.close().await;
}

/// The calls that an order makes of a panel that does not know its customer.
const CALLS: [(&str, &str); 3] = [("POST", "/users"), ("POST", SERVERS), ("GET", SERVERS)];

/// 500 `QueryException` from a database that is locked, before the work and instead of it.
async fn locks_that_are_waited_for_in_vain_delay_an_order_and_nothing_else(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    for when in [Moment::BeforeWork, Moment::BeforeCommit] {
        let locked = |(method, route): (&str, &str)| {
            let locked = FaultAction::LockTimeout { retry_after: None };
            Fault::on_route(method, route, locked).times(1)
        };
        // Lists commit nothing.
        let calls = CALLS.iter().filter(|(method, _)| *method == "POST");
        let faults = calls.map(|call| panel.inject(locked(*call).when(when)));
        let faults: Vec<FaultId> = faults.collect();
        let order = live.reserve(cart(Uuid::new_v4())).await;
        live.pay(&order);
        assert_delivered(&live, &order, &format!("a lock, {when:?}")).await;
        for fault in faults {
            assert_eq!(panel.fired(fault), 1, "{when:?}");
        }
    }
    live.close().await;
}

/// P-29: a byte in a while, from the first of the head or of the body. The time-out is that
/// of the whole call, so each is left in time, and the order goes on.
async fn a_panel_that_drips_is_left(engine: Engine) {
    let live = Live::open_impatient(engine, &[]).await;
    let panel = &live.world.panel;
    for from in [DripFrom::Head, DripFrom::Body] {
        let drip = FaultAction::Drip {
            from,
            bytes: 1,
            milliseconds: 300,
        };
        let faults = CALLS.map(|(method, route)| {
            panel.inject(Fault::on_route(method, route, drip.clone()).times(1))
        });
        let order = live.reserve(cart(Uuid::new_v4())).await;
        live.pay(&order);
        assert_delivered(&live, &order, &format!("{from:?}")).await;
        for fault in faults {
            assert_eq!(panel.fired(fault), 1, "{from:?}");
        }
        assert_eq!(live.creates(&order.id).len(), 1, "{from:?}");
    }
    live.close().await;
}

/// The daemons of two creates ask back, and both workers of the panel are in those creates:
/// each fails by its time-out, nothing is left of it, and no order has two servers.
async fn creates_that_take_all_workers_of_the_panel_make_one_server_each(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(live.reserve(cart(Uuid::new_v4())).await);
    }
    // Accounts and owners are read first: only the creates are to meet.
    panel.set_daemon_timeout(Duration::from_secs(1));
    let meet = panel.race(Race::servers(2, RaceLoss::ModelCheck));
    live.hold_webhooks();
    for order in &orders {
        live.pay(order);
    }
    panel.set_workers(2);
    live.release_webhooks();
    wait::until("daemons ask back in vain", PATIENCE, || async {
        panel.starved() >= 1
    })
    .await;
    assert!(panel.raced(meet), "the creates never met");
    panel.set_workers(16);
    // What fails after the jump would keep its node from being chosen for a real minute.
    live.wait_until_unleased().await;
    live.skip(Duration::from_secs(61));
    for order in &orders {
        assert_delivered(&live, order, "a panel without workers").await;
    }
    assert_eq!(panel.servers().len(), orders.len());
    live.close().await;
}
