//! A panel, or what stands before it, that answers nonsense: pages of others, values that
//! no panel has, lists without an end or of any length. The shop waits, looks again, and
//! in the end every paid order has its one server.

use std::{
    fs,
    time::{Duration, Instant},
};

use sandbox::panel::{Call, Fault, FaultAction, FaultId, Filling, Moment, UserSpec};
use serde_json::json;
use spawnpoint::rpc::proto;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE, cart},
    processes::CoreProcess,
    sql, wait,
};

both_engines!(
    pages_of_a_proxy_delay_an_order_and_nothing_else,
    answers_of_wrong_types_delay_an_order_and_nothing_else,
    a_nul_in_one_name_hides_no_install,
    lists_without_an_end_are_given_up,
    ports_that_move_while_they_are_listed_are_sold_once,
);

/// How long the list of a node's ports is believed.
const PORTS_BELIEVED_US: i64 = 300_000_000;
const PORTS: &str = "/nodes/{node}/allocations";

/// Everything that an order asks of the panel, in turn, if its customer has an account
/// there already.
const ASKED: [(&str, &str); 7] = [
    ("GET", "/users/external/{external_id}"),
    ("POST", "/users"),
    ("GET", "/users"),
    ("PATCH", "/users/{user}"),
    ("GET", "/servers/external/{external_id}"),
    ("POST", "/servers"),
    ("GET", "/servers"),
];

/// Buys with these faults in the way, each of which must strike: one user, one server.
async fn buys_in_spite_of(live: &Live, known: bool, faults: Vec<Fault>) {
    let panel = &live.world.panel;
    let (users, servers) = (panel.users().len(), panel.servers().len());
    let cart = cart(Uuid::new_v4());
    if known {
        panel.add_user(&UserSpec {
            email: cart.email.clone(),
            username: format!("known{users}"),
            first_name: "Alex".to_owned(),
            last_name: "Miner".to_owned(),
            external_id: None,
            root_admin: false,
        });
    }
    let order = live.reserve(cart).await;
    let injected: Vec<(Fault, FaultId)> = faults
        .into_iter()
        .map(|fault| (fault.clone(), panel.inject(fault)))
        .collect();
    live.pay(&order);
    let order = live.wait_running(&order.id).await;
    assert_eq!(
        (order.error_reason.as_str(), order.waiting_reason.as_str()),
        ("", "")
    );
    for (fault, id) in injected {
        assert!(panel.fired(id) >= 1, "never in the way: {fault:?}");
        panel.remove_fault(id);
    }
    assert_eq!(panel.users().len(), users + 1);
    assert_eq!(panel.servers().len(), servers + 1);
    assert!(panel.server(&order.id).is_some());
}

/// P-16: HTML with a good and with a bad status, to each call that an order makes, before
/// the panel did anything and after.
async fn pages_of_a_proxy_delay_an_order_and_nothing_else(engine: Engine) {
    let live = Live::open(engine).await;
    for status in [200, 502] {
        let page = || FaultAction::HtmlPage { status };
        let faults = ASKED.map(|(method, route)| Fault::on_route(method, route, page()).times(1));
        buys_in_spite_of(&live, true, faults.into()).await;
        let made = ["/users", "/servers"].map(|route| {
            Fault::on_route("POST", route, page())
                .when(Moment::AfterWork)
                .times(1)
        });
        buys_in_spite_of(&live, false, made.into()).await;
    }
    live.close().await;
}

fn answer(status: u16, body: String) -> FaultAction {
    FaultAction::Status {
        status,
        body,
        content_type: None,
        headers: Vec::new(),
    }
}

/// P-17: null ids, numbers beyond 64 bits, missing fields, wrong types and 10,000 levels,
/// in answers that say that all is well.
async fn answers_of_wrong_types_delay_an_order_and_nothing_else(engine: Engine) {
    let live = Live::open(engine).await;
    let bodies = [
        json!({"object": "server", "attributes": {"id": null, "uuid": null, "name": 7}})
            .to_string(),
        r#"{"object":"user","attributes":{"id":92233720368547758080,"username":"x","email":"x",
            "root_admin":false}}"#
            .to_owned(),
        json!({"object": "user", "attributes": {}}).to_string(),
        json!({"object": "list", "data": {"0": []}, "meta": []}).to_string(),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!(r#"{{"object":"list","data":{}"#, r#"{"a":"#.repeat(10_000)),
    ];
    for turn in 0..effort::runs(2, 6) as usize {
        let faults = ASKED.iter().enumerate().map(|(place, (method, route))| {
            let status = if *method == "POST" { 201 } else { 200 };
            let body = bodies[(place + turn * 2) % bodies.len()].clone();
            Fault::on_route(method, route, answer(status, body)).times(1)
        });
        buys_in_spite_of(&live, true, faults.collect()).await;
    }
    live.close().await;
}

/// P-17: one list tells of all installs, and customers name their servers. PostgreSQL stores
/// no NUL, so one in a name kept everybody's install from ending.
async fn a_nul_in_one_name_hides_no_install(engine: Engine) {
    let live = Live::open_with(engine, |options| options.install = 100 * PATIENCE).await;
    let panel = &live.world.panel;
    let mut orders = Vec::new();
    for _ in 0..2 {
        let order = live.reserve(cart(Uuid::new_v4())).await;
        live.pay(&order);
        let installing = live.wait_order(&order.id, "it installs", |order| {
            order.waiting_reason == "INSTALLING"
        });
        orders.push(installing.await);
    }
    let rows: Vec<_> = orders
        .iter()
        .map(|order| {
            let server = panel.server(&order.id).unwrap();
            json!({"object": "server", "attributes": {
                "id": server.id, "external_id": order.id, "uuid": server.uuid,
                "identifier": server.identifier, "name": "a\0b\u{7}", "status": null,
                "limits": {"memory": 2048, "swap": 0, "disk": 20480, "io": 500, "cpu": 100},
                "feature_limits": {"databases": 0, "allocations": 1, "backups": 0},
                "user": server.user, "node": server.node, "allocation": server.allocation,
                "egg": server.egg}})
        })
        .collect();
    let list = json!({"object": "list", "data": rows, "meta": {"pagination": {
        "total": 2, "count": 2, "per_page": 1000, "current_page": 1, "total_pages": 1}}});
    let fault = panel.inject(Fault::on_route(
        "GET",
        "/servers",
        answer(200, list.to_string()),
    ));
    for order in &orders {
        live.wait_running(&order.id).await;
    }
    assert!(panel.fired(fault) >= 1);
    live.close().await;
}

/// P-19: a next page without an end, or one that is the first again, of nodes, ports and
/// servers. Each list is given up within a thousand pages and begun anew later, and sales
/// go on meanwhile.
async fn lists_without_an_end_are_given_up(engine: Engine) {
    // Until the panel's clock is moved, every install goes on.
    let install = Duration::from_secs(3_600);
    let live = Live::open_with(engine, |options| options.install = install).await;
    let panel = &live.world.panel;
    for action in [FaultAction::EndlessList, FaultAction::StuckList] {
        let lists = ["/nodes", PORTS, "/servers"];
        let faults = lists.map(|list| panel.inject(Fault::on_route("GET", list, action.clone())));
        let began = panel.calls().len();
        let order = live.reserve(cart(Uuid::new_v4())).await;
        live.pay(&order);
        for (list, fault) in lists.iter().zip(faults) {
            if *list == PORTS {
                live.world.cores[0].app.db.shift_clock(PORTS_BELIEVED_US);
            }
            wait::until("the list goes on, and is begun anew", PATIENCE, || async {
                asked(&live, list, began, 2) >= 1 && asked(&live, list, began, 1) >= 2
            })
            .await;
            assert!(panel.fired(fault) >= 2, "{list}");
            panel.remove_fault(fault);
        }
        let calls = panel.calls();
        let longest = calls[began..].iter().filter_map(page).max();
        assert!(longest.is_some_and(|page| page <= 1_000), "{longest:?}");
        panel.advance(install);
        live.wait_running(&order.id).await;
        assert_eq!(live.creates(&order.id).len(), 1);
    }
    live.close().await;
}

/// How often a page of a list was asked for since a call.
fn asked(live: &Live, list: &str, since: usize, number: u32) -> usize {
    let calls = live.calls("GET", list);
    let of = |call: &&Call| call.sequence > since && page(call) == Some(number);
    calls.iter().filter(of).count()
}

fn page(call: &Call) -> Option<u32> {
    let mut parts = call.query.split('&');
    parts
        .find_map(|part| part.strip_prefix("page="))?
        .parse()
        .ok()
}

/// P-18: rows that are missed or come twice, because the list moved between two pages, are
/// at worst found later; no port is sold twice.
async fn ports_that_move_while_they_are_listed_are_sold_once(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    // Two pages of each node.
    for node in [1, 2] {
        panel.fill(&Filling {
            users: 0,
            allocations: 1_000,
            servers: 0,
            node,
        });
    }
    let db = &live.store.db;
    let known =
        || async { sql::count(db, "SELECT count(*) FROM allocations WHERE state <> 'gone'").await };
    let all = known().await + 2_000;
    for by in [-3, 3, 0] {
        let fault = (by != 0).then(|| {
            let action = FaultAction::ShiftedList { by };
            panel.inject(Fault::on_route("GET", PORTS, action))
        });
        let began = panel.calls().len();
        live.world.cores[0]
            .app
            .db
            .shift_clock(PORTS_BELIEVED_US + 1);
        wait::until("both nodes were listed", PATIENCE, || async {
            asked(&live, PORTS, began, 2) >= 2
        })
        .await;
        let order = live.buy(Uuid::new_v4()).await;
        assert_eq!(live.creates(&order.id).len(), 1, "shifted by {by}");
        if let Some(fault) = fault {
            assert!(panel.fired(fault) >= 2);
            panel.remove_fault(fault);
        }
    }
    wait::until("every port is known", PATIENCE, || async {
        known().await == all
    })
    .await;
    let doubled = "SELECT count(*) FROM (SELECT 1 FROM allocations WHERE order_id IS NOT NULL
        GROUP BY node_id, ip, port HAVING count(*) > 1) AS doubled";
    assert_eq!(sql::count(db, doubled).await, 0);
    let servers = panel.servers();
    let mut ports: Vec<i64> = servers.iter().flat_map(|s| s.allocations.clone()).collect();
    let listed = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), listed, "a port of two servers");
    live.close().await;
}

/// P-18: a node with very many ports. The real program, so that its memory is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn very_many_ports_cost_neither_memory_nor_time() {
    let ports = effort::runs(10_000, 50_000);
    let mut live = Live::open(Engine::Sqlite).await;
    live.world.stop_cores().await;
    let panel = &live.world.panel;
    panel.fill(&Filling {
        users: 0,
        allocations: ports as usize,
        servers: 0,
        node: 1,
    });
    let unread = "UPDATE ptero_nodes SET ports_read_us = NULL";
    sql::run(&live.store.db, unread).await.unwrap();
    let core = CoreProcess::start_all(&live, &[]).await;
    wait::until("every port is known", 5 * PATIENCE, || async {
        let known = sql::count(&live.store.db, "SELECT count(*) FROM allocations").await;
        known >= i64::from(ports)
    })
    .await;

    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        live.reserve(cart(Uuid::new_v4())).await;
        quickest = quickest.min(began.elapsed());
    }
    let order = live.buy(Uuid::new_v4()).await;
    assert_eq!(order.status(), proto::OrderStatus::Provisioned);
    let status = fs::read_to_string(format!("/proc/{}/status", core.pid())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let peak: u32 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    eprintln!("{ports} ports: a checkout in {quickest:?}, {peak} KiB at most");
    assert!(quickest <= Duration::from_secs(2), "{quickest:?}");
    assert!(peak < 200 << 10, "{peak} KiB");
    drop(core);
    live.close().await;
}
