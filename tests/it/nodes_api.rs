//! Nodes through the API: what operators say of their machines, and what it changes.

use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    wait,
};

both_engines!(
    nodes_are_written_once_and_refused_with_a_reason,
    a_node_that_takes_nothing_is_not_sold,
    a_new_node_is_sold_once_its_ports_are_known,
);

fn assert_refused<T>(answer: Result<T, Status>, code: Code, wanted: &str) -> Status {
    let Err(status) = answer else {
        panic!("{wanted} was expected")
    };
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (code, wanted),
        "{status:?}"
    );
    status
}

fn node(pterodactyl_node_id: i64, region: &str) -> proto::Node {
    proto::Node {
        pterodactyl_node_id,
        name: format!("Node {pterodactyl_node_id}"),
        region: region.to_owned(),
        fqdn: "node.example.net".to_owned(),
        max_ram_gb: 64,
        max_disk_gb: 1_000,
        enabled: true,
        weight: 100,
        ..Default::default()
    }
}

async fn create(live: &Live, node: proto::Node, id: &str) -> Result<proto::Node, Status> {
    let request = proto::CreateNodeRequest {
        node: Some(node),
        request_id: id.to_owned(),
    };
    let answer = live
        .provisioning()
        .create_node(live.operator(request))
        .await?;
    Ok(answer.into_inner().node.unwrap())
}

async fn update(
    live: &Live,
    node: proto::Node,
    paths: &[&str],
    id: &str,
) -> Result<proto::Node, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = proto::UpdateNodeRequest {
        node: Some(node),
        update_mask: Some(FieldMask { paths }),
        request_id: id.to_owned(),
    };
    let answer = live
        .provisioning()
        .update_node(live.operator(request))
        .await?;
    Ok(answer.into_inner().node.unwrap())
}

async fn list(live: &Live, region: &str) -> Vec<proto::Node> {
    let request = proto::ListNodesRequest {
        region: region.to_owned(),
        ..Default::default()
    };
    let answer = live
        .provisioning()
        .list_nodes(live.viewer(request))
        .await
        .unwrap();
    answer.into_inner().nodes
}

async fn nodes_are_written_once_and_refused_with_a_reason(engine: Engine) {
    let live = Live::open(engine).await;
    let id = Uuid::new_v4().to_string();
    let made = create(&live, node(77, "eu-west"), &id).await.unwrap();
    assert_eq!(
        create(&live, node(77, "eu-west"), &id).await.unwrap().id,
        made.id
    );
    let reused = create(&live, node(78, "eu-west"), &id).await;
    assert_refused(reused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let again = create(&live, node(77, "us-east"), "").await;
    assert_refused(again, Code::AlreadyExists, "RESOURCE_EXISTS");
    assert_eq!(list(&live, "").await.len(), 3);
    assert_eq!(list(&live, "eu-west").await.len(), 1);
    assert_eq!(list(&live, "nowhere").await.len(), 0);

    let get = |node_id| proto::GetNodeRequest { node_id };
    let mut provisioning = live.provisioning();
    let shown = provisioning
        .get_node(live.viewer(get(made.id)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.node.unwrap().pterodactyl_node_id, 77);
    let absent = provisioning.get_node(live.viewer(get(9_999))).await;
    let status = assert_refused(absent, Code::NotFound, "NODE_NOT_FOUND");
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["node_id"],
        "9999"
    );
    for wrong in [0, -1, i32::MIN] {
        let refused = provisioning.get_node(live.viewer(get(wrong))).await;
        assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
    let absent = proto::ListAllocationsRequest {
        node_id: 9_999,
        ..Default::default()
    };
    let absent = provisioning.list_allocations(live.viewer(absent)).await;
    assert_refused(absent, Code::NotFound, "NODE_NOT_FOUND");
    let absent = update(
        &live,
        proto::Node {
            id: 9_999,
            ..node(77, "us-east")
        },
        &["name"],
        "",
    );
    assert_refused(absent.await, Code::NotFound, "NODE_NOT_FOUND");

    let changed = proto::Node {
        name: "Renamed".to_owned(),
        weight: 7,
        ..made.clone()
    };
    let changed = update(&live, changed, &["name"], &id).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.weight), ("Renamed", 100));
    // All that is wrong at once, and nothing of it is kept.
    let wrong = proto::Node {
        name: " ".to_owned(),
        region: "EU".to_owned(),
        fqdn: "a b".to_owned(),
        max_ram_gb: 0,
        max_disk_gb: -1,
        max_vcores: Some(0),
        weight: 0,
        reserved_headroom_gb: -1,
        pterodactyl_node_id: 0,
        ..made.clone()
    };
    let status = create(&live, wrong.clone(), "").await.unwrap_err();
    let told = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(told.len(), 9, "{told:?}");
    let paths = [
        "name",
        "region",
        "fqdn",
        "max_ram_gb",
        "max_vcores",
        "weight",
    ];
    let refused = update(&live, wrong, &paths, "").await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    // What others write of it is not the operator's to write.
    for path in [
        "id",
        "pterodactyl_node_id",
        "held_ram_gb",
        "free_allocations",
        "last_seen_time",
    ] {
        let refused = update(&live, made.clone(), &[path], "").await;
        assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
    let kept = list(&live, "eu-west").await.remove(0);
    assert_eq!(
        (kept.name.as_str(), kept.max_ram_gb, kept.held_ram_gb),
        ("Renamed", 64, 0)
    );
    live.close().await;
}

async fn a_node_that_takes_nothing_is_not_sold(engine: Engine) {
    let live = Live::open(engine).await;
    let east = list(&live, "us-east").await.remove(0);
    for (paths, off) in [
        (
            ["enabled"],
            proto::Node {
                enabled: false,
                ..east.clone()
            },
        ),
        (
            ["maintenance"],
            proto::Node {
                maintenance: true,
                ..east.clone()
            },
        ),
        (
            ["max_ram_gb"],
            proto::Node {
                max_ram_gb: east.reserved_headroom_gb + 1,
                ..east.clone()
            },
        ),
        (
            ["max_disk_gb"],
            proto::Node {
                max_disk_gb: 1,
                ..east.clone()
            },
        ),
        (
            ["reserved_headroom_gb"],
            proto::Node {
                reserved_headroom_gb: east.max_ram_gb - 1,
                ..east.clone()
            },
        ),
    ] {
        update(&live, off, &paths, "").await.unwrap();
        let refused = live.checkout(cart(Uuid::new_v4())).await;
        assert_refused(refused, Code::FailedPrecondition, "NO_CAPACITY");
        let ask = proto::CheckAvailabilityRequest {
            plan_id: "mc-2gb".to_owned(),
            ..Default::default()
        };
        let told = live
            .catalog()
            .check_availability(live.viewer(ask))
            .await
            .unwrap();
        let told = told.into_inner().availability;
        let of = |region: &str| {
            told.iter()
                .find(|told| told.region == region)
                .unwrap()
                .clone()
        };
        assert_eq!(
            (of("us-east").available, of("us-east").remaining),
            (false, 0),
            "{paths:?}"
        );
        assert_eq!(of("us-east").reason, "NO_CAPACITY", "{paths:?}");
        assert!(of("us-west").available);
        let ask = proto::ExplainPlacementRequest {
            plan_id: "mc-2gb".to_owned(),
            region: "us-east".to_owned(),
            ..Default::default()
        };
        let why = live
            .provisioning()
            .explain_placement(live.viewer(ask))
            .await
            .unwrap();
        let why = why.into_inner();
        assert_eq!(why.chosen_node_id, None);
        assert!(
            !why.nodes[0].fits && !why.nodes[0].reasons.is_empty(),
            "{why:?}"
        );
        update(&live, east.clone(), &paths, "").await.unwrap();
    }
    assert_eq!(
        live.world.stripe.count("POST", "/v1/checkout"),
        0,
        "nothing was charged"
    );
    live.checkout(cart(Uuid::new_v4())).await.unwrap();
    let held = list(&live, "us-east").await.remove(0);
    assert_eq!((held.held_ram_gb, held.held_disk_gb), (2, 20));
    live.close().await;
}

async fn a_new_node_is_sold_once_its_ports_are_known(engine: Engine) {
    let live = Live::open(engine).await;
    let spec = sandbox::panel::NodeSpec {
        name: "moon".to_owned(),
        description: String::new(),
        location: 1,
        fqdn: "moon.example.net".to_owned(),
        memory: 65_536,
        disk: 1_024_000,
        ip: [203, 0, 113, 99].into(),
        alias: None,
        ports: 25_565..=25_568,
    };
    let panel_id = live.world.panel.add_node(&spec);
    let made = create(&live, node(panel_id, "moon"), "").await.unwrap();
    wait::until("its ports are known", PATIENCE, || async {
        list(&live, "moon").await[0].free_allocations == 4
    })
    .await;
    let moon = proto::CreateCheckoutSessionRequest {
        region: "moon".to_owned(),
        ..cart(Uuid::new_v4())
    };
    let order = live.checkout(moon).await.unwrap().order.unwrap();
    live.pay(&order);
    let done = live.wait_running(&order.id).await;
    assert_eq!(done.node_id, made.id);
    assert_eq!(live.world.panel.server(&order.id).unwrap().node, panel_id);
    let message = proto::GetServerRequest {
        order_id: order.id.clone(),
    };
    let server = live
        .provisioning()
        .get_server(live.viewer(message))
        .await
        .unwrap();
    let server = server.into_inner().server.unwrap();
    assert!(
        server.address.starts_with("203.0.113.99:"),
        "{}",
        server.address
    );
    let ports = proto::ListAllocationsRequest {
        node_id: made.id,
        state: "assigned".to_owned(),
        ..Default::default()
    };
    let ports = live
        .provisioning()
        .list_allocations(live.viewer(ports))
        .await
        .unwrap();
    let ports = ports.into_inner().allocations;
    assert_eq!((ports.len(), &ports[0].order_id), (1, &order.id));
    live.close().await;
}
