//! A create whose answer is lost, late or unreadable: exactly one server, however it ends.

use std::time::Duration;

use sandbox::{
    audit::Invariant,
    panel::{DaemonMode, Fault, FaultAction, KeySpec, Outage, ServerSeed},
};
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::{EAST, cart_of},
    wait,
};

both_engines!(
    an_answer_lost_after_the_work_is_adopted,
    a_create_that_never_arrived_is_sent_again_unchanged,
    a_hanging_create_is_settled_after_our_patience,
    a_failing_node_is_waited_for_and_never_counts,
    an_adopted_server_is_believed_as_the_panel_has_it,
    a_row_that_the_panel_takes_back_is_not_believed,
    the_panels_own_troubles_never_count,
    an_outage_of_the_panel_is_waited_out,
);

const SERVERS: &str = "/servers";
const LOOK_UP: &str = "/servers/external/{external_id}";

async fn waited_for(live: &Live, order_id: &str, reason: &str) -> bool {
    let events = live.events(order_id).await;
    events
        .iter()
        .any(|event| event.what == "waiting_reason" && event.to == reason)
}

/// P-13: a 201 with half a body, a cut connection, a page of a proxy, no JSON: each is in
/// doubt, is looked up, and nothing is sent twice.
/// Finding 22: the panel had made the server, nobody knew, and the retry made another.
async fn an_answer_lost_after_the_work_is_adopted(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let user = Uuid::new_v4();
    let lost = [
        FaultAction::Drop,
        FaultAction::HtmlPage { status: 502 },
        FaultAction::Garbage,
        FaultAction::Truncate,
    ];
    for action in lost {
        let fault = panel.inject(
            Fault::on("POST", SERVERS, action.clone())
                .after_work()
                .times(1),
        );
        let order = live.buy_cart(cart(user)).await;
        assert_eq!(panel.fired(fault), 1, "{action:?}");
        assert_eq!(live.creates(&order.id).len(), 1, "{action:?}");
        assert_eq!(
            order.pterodactyl_server_id,
            live.made(&order.id).id,
            "{action:?}"
        );
        assert_eq!(live.tries(&order.id).await, 0, "{action:?}");
        assert!(
            waited_for(&live, &order.id, "OUTCOME_UNKNOWN").await,
            "{action:?}"
        );
        assert_eq!(
            live.ports_of(EAST.1, &order.id).await[0].state,
            "assigned",
            "{action:?}"
        );
    }
    assert_eq!(panel.servers().len(), 4);
    live.close().await;
}

async fn a_create_that_never_arrived_is_sent_again_unchanged(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let never = [FaultAction::Drop, FaultAction::HtmlPage { status: 504 }];
    for action in never {
        let fault = panel.inject(Fault::on("POST", SERVERS, action.clone()).times(1));
        let order = live.buy_cart(cart_of(Uuid::new_v4(), "rust-3gb")).await;
        assert_eq!(panel.fired(fault), 1, "{action:?}");
        // A request that is dropped before the work is not read: it has no external id.
        assert_eq!(live.creates(&order.id).len(), 1, "{action:?}");
        assert!(waited_for(&live, &order.id, "OUTCOME_UNKNOWN").await);
        assert_eq!(live.tries(&order.id).await, 0);
        let looks = live.calls("GET", LOOK_UP);
        let looks: Vec<_> = looks
            .iter()
            .filter(|call| call.external_id.as_deref() == Some(order.id.as_str()))
            .map(|call| call.status)
            .collect();
        assert_eq!(looks, [Some(404), Some(404)], "{action:?}");
    }
    assert_eq!(panel.servers().len(), 2);
    assert_eq!(
        panel.count_route("POST", SERVERS),
        2,
        "the lost ones reached no route"
    );
    live.close().await;
}

async fn a_hanging_create_is_settled_after_our_patience(engine: Engine) {
    let live = Live::open_impatient(engine, &[("SETTLE_SECONDS", "1.5")]).await;
    let panel = &live.world.panel;
    let hang = FaultAction::Hang {
        milliseconds: 4_000,
    };
    let fault = panel.inject(Fault::on("POST", SERVERS, hang).after_work().times(1));
    let order = live.buy_cart(cart(Uuid::new_v4())).await;
    assert_eq!(panel.fired(fault), 1);
    assert_eq!(
        (live.creates(&order.id).len(), live.tries(&order.id).await),
        (1, 0)
    );
    assert_eq!(order.pterodactyl_server_id, live.made(&order.id).id);
    assert!(waited_for(&live, &order.id, "OUTCOME_UNKNOWN").await);
    live.close().await;
}

/// The panel goes on after we hung up, and takes the row back when its node fails:
/// a look meanwhile would find a server that is about to vanish.
async fn a_row_that_the_panel_takes_back_is_not_believed(engine: Engine) {
    let live = Live::open_impatient(engine, &[("SETTLE_SECONDS", "3")]).await;
    let panel = &live.world.panel;
    let wait = Duration::from_millis(2_000);
    panel.set_daemon(
        EAST.0,
        DaemonMode::Hang {
            wait,
            method: Some("POST".to_owned()),
        },
    );
    let order = live.purchase(cart(Uuid::new_v4())).await;
    wait::until("the row is there", PATIENCE, || async {
        panel.server(&order.id).is_some()
    })
    .await;
    let vanishing = live.made(&order.id).id;
    panel.set_daemon(EAST.0, DaemonMode::Ok);
    let order = live.wait_running(&order.id).await;
    assert_ne!(order.pterodactyl_server_id, vanishing);
    let creates = live.creates(&order.id);
    assert_eq!((creates.len(), live.tries(&order.id).await), (2, 0));
    assert_eq!(creates[0].body, creates[1].body, "the same request again");
    assert_eq!(creates[0].status, Some(504));
    assert_eq!(panel.servers().len(), 1);
    live.close().await;
}

async fn a_failing_node_is_waited_for_and_never_counts(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let user = Uuid::new_v4();
    let status = |status| DaemonMode::Status {
        status,
        body: r#"{"error":"no"}"#.to_owned(),
    };
    // The panel passes the daemon's word on: none of these is about our key, id, body or rate.
    let modes = [
        DaemonMode::Down,
        DaemonMode::Drop,
        status(500),
        status(401),
        status(403),
        status(404),
        status(409),
        status(422),
        status(429),
    ];
    for mode in modes {
        panel.set_daemon(EAST.0, mode.clone());
        let order = live.purchase(cart(user)).await;
        let order = live.wait_for_reason(&order.id, "PANEL_UNAVAILABLE").await;
        assert_eq!(live.tries(&order.id).await, 0, "{mode:?}");
        assert!(panel.server(&order.id).is_none(), "{mode:?}");
        assert!(live.hold(&order.id).await.is_some(), "{mode:?}");
        let node = live.node(EAST.1).await;
        assert!(node.avoided_until_time.is_some(), "{mode:?}");
        panel.set_daemon(EAST.0, DaemonMode::Ok);
        live.skip(Duration::from_secs(61));
        let order = live.wait_running(&order.id).await;
        assert_eq!(
            (live.creates(&order.id).len(), live.tries(&order.id).await),
            (2, 0),
            "{mode:?}"
        );
    }
    live.close().await;
}

/// 4xx and 5xx of the panel itself that are not about the order.
async fn the_panels_own_troubles_never_count(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let user = Uuid::new_v4();
    live.buy_cart(cart(user)).await;

    let throttled = FaultAction::Status {
        status: 429,
        body: r#"{"errors":[{"code":"ThrottleRequestsException","status":"429","detail":""}]}"#
            .to_owned(),
        content_type: None,
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
    };
    let fault = panel.inject(Fault::on("POST", SERVERS, throttled).times(1));
    let order = live.purchase(cart(user)).await;
    let order = live.wait_running(&order.id).await;
    assert_eq!((panel.fired(fault), live.tries(&order.id).await), (1, 0));
    assert!(waited_for(&live, &order.id, "RATE_LIMITED").await);
    assert_eq!(live.creates(&order.id).len(), 1);

    let login = FaultAction::Redirect {
        location: "/auth/login".to_owned(),
    };
    let fault = panel.inject(Fault::on("POST", SERVERS, login).times(2));
    let order = live.buy_cart(cart(user)).await;
    assert_eq!((panel.fired(fault), live.tries(&order.id).await), (2, 0));
    assert!(waited_for(&live, &order.id, "PANEL_UNAVAILABLE").await);

    let key = panel.key().to_owned();
    panel.revoke_key(&key);
    let known = live.purchase(cart(user)).await;
    let new = live.purchase(cart(Uuid::new_v4())).await;
    for order in [&known, &new] {
        let order = live.wait_for_reason(&order.id, "PANEL_REFUSED_KEY").await;
        assert_ne!(order.status(), proto::OrderStatus::Error);
    }
    panel.add_key(KeySpec::application(key, 1));
    for order in [&known, &new] {
        let order = live.wait_running(&order.id).await;
        assert_eq!(live.tries(&order.id).await, 0);
        let made = live.calls("POST", SERVERS);
        let made = made.iter().filter(|call| {
            call.external_id.as_deref() == Some(order.id.as_str()) && call.status == Some(201)
        });
        assert_eq!(made.count(), 1);
    }
    live.close().await;
}

/// Whatever ails the panel as a whole: one server in the end, no try counted, and the
/// order's history tells of it once, not once for each attempt.
async fn an_outage_of_the_panel_is_waited_out(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("RETRY_SECONDS", "0.1");
    })
    .await;
    let panel = &live.world.panel;
    let user = Uuid::new_v4();
    live.buy_cart(cart(user)).await;
    let outages = [
        (Outage::Maintenance, "PANEL_UNAVAILABLE"),
        (Outage::Database, "PANEL_UNAVAILABLE"),
        (Outage::Cache, "PANEL_UNAVAILABLE"),
        (Outage::TwoFactorRequired, "PANEL_REFUSED_KEY"),
    ];
    for (outage, reason) in outages {
        panel.set_outage(Some(outage));
        let began = panel.calls().len();
        let order = live.purchase(cart(user)).await;
        live.wait_for_reason(&order.id, reason).await;
        wait::until("it is tried some more", PATIENCE, || async {
            let calls = panel.calls().into_iter().skip(began);
            calls
                .filter(|call| call.path.starts_with("/api/application/servers"))
                .count()
                >= 5
        })
        .await;
        let events = live.events(&order.id).await;
        let told = events
            .iter()
            .filter(|event| event.what == "waiting_reason" && event.to == reason);
        assert_eq!(told.count(), 1, "{outage:?}: {events:?}");
        panel.set_outage(None);
        let order = live.wait_running(&order.id).await;
        assert_eq!(live.tries(&order.id).await, 0, "{outage:?}");
        let made = live.calls("POST", SERVERS).into_iter().filter(|call| {
            call.external_id.as_deref() == Some(order.id.as_str()) && call.status == Some(201)
        });
        assert_eq!(made.count(), 1, "{outage:?}");
    }
    assert_eq!(panel.servers().len(), 5);
    live.close().await;
}

/// What a look finds is taken as the panel has it: where it is, whose it is and on which
/// port. Whatever differs from what was asked is told to operators, not made again.
async fn an_adopted_server_is_believed_as_the_panel_has_it(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let lost = panel.inject(Fault::on("POST", SERVERS, FaultAction::Drop).times(1));
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    let west = panel.free_allocations(2)[7];
    panel.seed_server(&ServerSeed {
        id: 77,
        external_id: Some(order.id.clone()),
        uuid: None,
        name: "Made by hand".to_owned(),
        startup: None,
        status: None,
        user: 1,
        egg: 50,
        allocation: west,
    });
    let order = live.wait_running(&order.id).await;
    assert_eq!((panel.fired(lost), live.creates(&order.id).len()), (1, 0));
    assert_eq!((order.pterodactyl_server_id, order.node_id), (77, 2));
    assert_eq!(live.hold(&order.id).await.unwrap().0, 2);
    let (east, west_node) = (live.node(EAST.1).await, live.node(2).await);
    assert_eq!((east.held_ram_gb, east.free_allocations), (0, 199));
    assert_eq!(
        (west_node.held_ram_gb, west_node.free_allocations),
        (2, 199)
    );
    let ports = live.ports_of(2, &order.id).await;
    assert_eq!((ports.len(), ports[0].pterodactyl_allocation_id), (1, west));
    assert_eq!(live.ports_of(EAST.1, &order.id).await, []);
    let events = live.events(&order.id).await;
    let mut notes = events.iter().filter(|event| event.what == "note");
    let note = notes.find(|event| event.actor == "worker").unwrap();
    for difference in [
        "another node",
        "another owner",
        "another egg",
        "1 lost, 1 unexpected",
    ] {
        assert!(note.to.contains(difference), "{note:?}");
    }
    let why = "its server is made by hand, to other limits and for another owner";
    live.close_expecting(&[Invariant::I2], why).await;
}
