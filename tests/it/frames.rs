//! What is wrong with a call before any method reads it: sizes, deadlines, frames that end
//! too early, names of no method; and a connection that outlives all of them.

use std::time::Duration;

use prost::Message;
use spawnpoint::rpc::proto;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, reason, with_token},
    wire::{Api, call, delimited},
};

mod damaged;

/// G-05: too large, of no method, of another wire type, without an end, nested deeply.
/// One connection through all of this: SQLite only, because no row is concerned.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_method_reads_is_refused_and_the_connection_lives() {
    let live = Live::open(Engine::Sqlite).await;
    let (channel, token) = (live.channel(), &live.world.tokens.operator);
    let path = |label: &str| format!("/spawnpoint.v1.{label}");
    let send =
        async |path: &str, bytes: Vec<u8>| call(&channel, path, with_token(bytes, token)).await;
    let lives = async || {
        send(&path("CatalogService/ListPlans"), Vec::new())
            .await
            .is_ok()
    };
    for size in [4 << 20, (4 << 20) + 1, 2 << 20] {
        for method in [
            "CatalogService/GetPlan",
            "OrderService/GetOrder",
            "ProvisioningService/GetNode",
        ] {
            let bytes = delimited(1, &vec![b'x'; size]);
            let status = send(&path(method), bytes).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::OutOfRange, "MESSAGE_TOO_LARGE"),
                "{method}: {status:?}"
            );
            assert!(lives().await, "after {size} bytes");
        }
    }
    for unknown in [
        "/spawnpoint.v1.OrderService/DropOrders",
        "/spawnpoint.v2.OrderService/GetOrder",
        "/x/y",
    ] {
        let status = send(unknown, Vec::new()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "UNIMPLEMENTED")
        );
        let unsigned = call(&channel, unknown, Request::new(Vec::new()))
            .await
            .unwrap_err();
        assert_eq!(
            unsigned.code(),
            Code::Unauthenticated,
            "names are told to nobody unknown"
        );
    }
    // Another wire type, a group that never ends, a length past the end, a field number of 0.
    for broken in [
        &[0x08, 0x01][..],
        &[0x0b],
        &[0x0a, 0x7f, 0x61],
        &[0x02, 0x00],
        &[0xff; 11],
    ] {
        let status = send(&path("OrderService/GetOrder"), broken.to_vec())
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "MESSAGE_MALFORMED"),
            "{broken:?}: {status:?}"
        );
        assert!(lives().await);
    }
    // A newer client's messages may be nested, but not without an end.
    for (levels, taken) in [(64, true), (10_000, false)] {
        let group = [
            &[0x9b, 0x06].repeat(levels)[..],
            &[0x9c, 0x06].repeat(levels),
        ]
        .concat();
        let nested = (0..levels).fold(Vec::new(), |inner, _| delimited(99, &inner));
        for (unknown, taken) in [(group, taken), (nested, true)] {
            let mut message = delimited(1, b"mc-2gb");
            message.extend(unknown);
            let answer = send(&path("CatalogService/GetPlan"), message).await;
            match answer {
                Ok(_) => assert!(taken, "{levels} levels"),
                Err(status) => {
                    assert!(!taken, "{levels} levels: {status:?}");
                    assert_eq!(reason(&status), "MESSAGE_MALFORMED", "{status:?}");
                }
            }
            assert!(lives().await, "after {levels} levels");
        }
    }
    // Unknown fields are a newer client's.
    let mut newer = proto::GetPlanRequest {
        plan_id: "mc-2gb".to_owned(),
    }
    .encode_to_vec();
    newer.extend(delimited(1_000, b"news"));
    assert!(send(&path("CatalogService/GetPlan"), newer).await.is_ok());
    live.close().await;
}

/// Calls GetPlan over plain HTTP/2: a gRPC client would keep the deadline itself, and would
/// never end a message too early.
async fn plain(live: &Live, frame: Vec<u8>, timeout: Option<&str>) -> Status {
    let answered = posted(&plain_client(), live, frame, timeout).await;
    Status::from_header_map(answered.headers()).expect("a refusal")
}

fn plain_client() -> reqwest::Client {
    let client = reqwest::Client::builder().http2_prior_knowledge();
    client.no_proxy().build().unwrap()
}

async fn posted(
    client: &reqwest::Client,
    live: &Live,
    frame: Vec<u8>,
    timeout: Option<&str>,
) -> reqwest::Response {
    let url = format!(
        "http://{}/spawnpoint.v1.CatalogService/GetPlan",
        live.world.grpc_addr
    );
    let mut request = client
        .post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .bearer_auth(&live.world.tokens.operator)
        .body(frame);
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let answer = tokio::time::timeout(Duration::from_secs(20), request.send()).await;
    answer.unwrap().unwrap()
}

fn framed(message: &[u8], length: usize) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(length).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// G-05: frames that are cut short, lie about their length or about being compressed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadline_of_nothing_and_a_frame_that_ends_early_are_refused() {
    let live = Live::open(Engine::Sqlite).await;
    let message = proto::GetPlanRequest {
        plan_id: "mc-2gb".to_owned(),
    }
    .encode_to_vec();
    let whole = framed(&message, message.len());
    for timeout in ["1m", "0n", "900u"] {
        let status = plain(&live, whole.clone(), Some(timeout)).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        );
    }
    let halves = [
        framed(&message, message.len() + 1),
        framed(&message, 1 << 30),
        whole[..whole.len() - 1].to_vec(),
        whole[..3].to_vec(),
        Vec::new(),
        // Said to be compressed, in no way that was agreed on.
        [&[1], &whole[1..]].concat(),
        // Neither plain nor compressed.
        [&[7], &whole[1..]].concat(),
    ];
    for frame in halves {
        let status = plain(&live, frame.clone(), None).await;
        let told = matches!(
            status.code(),
            Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented
        );
        assert!(told && !reason(&status).is_empty(), "{frame:?}: {status:?}");
    }
    live.buy(Uuid::new_v4()).await;
    live.close().await;
}

/// A megabyte of token is refused before anything reads it; whoever sent it may lose the
/// connection, and nobody else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_of_a_megabyte_hurts_nobody() {
    let live = Live::open(Engine::Sqlite).await;
    let api = Api::read();
    for method in &api.methods {
        let mut request = Request::new(Vec::new());
        let huge = format!("Bearer {}", "x".repeat(1 << 20)).parse().unwrap();
        request.metadata_mut().insert("authorization", huge);
        let endpoint = format!("http://{}", live.world.grpc_addr);
        let other = tonic::transport::Channel::from_shared(endpoint)
            .unwrap()
            .connect_lazy();
        let status = call(&other, &method.path, request).await.unwrap_err();
        assert_ne!(status.code(), Code::Ok, "{}", method.label);
        assert!(status.details().is_empty() || status.code() == Code::Unauthenticated);
    }
    let list = live.operator(proto::ListPlansRequest::default());
    assert!(
        !live
            .catalog()
            .list_plans(list)
            .await
            .unwrap()
            .into_inner()
            .plans
            .is_empty()
    );
    live.close().await;
}
