//! What a call may take: time, size, company.

use prost::Message;

use super::*;

/// Calls GetOrder for `slow` over plain HTTP/2: a gRPC client would keep the deadline
/// itself, and answer in the server's place.
async fn slow_within(rig: &Rig, timeout: &str) -> Status {
    // Fails where another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let message = proto::GetOrderRequest {
        order_id: "slow".to_owned(),
    }
    .encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    let answer = client
        .post(format!(
            "http://{}/spawnpoint.v1.OrderService/GetOrder",
            rig.addr
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .bearer_auth(&rig.token)
        .body(frame)
        .send();
    let answer = soon(answer).await.unwrap();
    Status::from_header_map(answer.headers()).unwrap()
}

#[tokio::test]
async fn the_clients_deadline_is_kept_and_has_a_reason() {
    let rig = Rig::start().await;
    // Often: the framework's own timer must never be first.
    for _ in 0..20 {
        let refused = slow_within(&rig, "15m").await;
        assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    soon(rig.begun.notified()).await;
}

#[tokio::test]
async fn a_deadline_of_nothing_does_no_work() {
    let rig = Rig::start().await;
    for timeout in ["0n", "1m"] {
        let refused = slow_within(&rig, timeout).await;
        assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    let begun = tokio::time::timeout(Duration::from_millis(50), rig.begun.notified()).await;
    assert!(begun.is_err(), "the handler did not run");
}

#[tokio::test]
async fn the_cap_holds_for_calls_and_not_for_streams() {
    let cap = Duration::from_millis(150);
    let rig = Rig::with(Settings {
        call_cap: cap,
        ..Settings::default()
    })
    .await;
    for asked in [None, Some("1H")] {
        let mut request = rig.get("slow");
        if let Some(asked) = asked {
            request
                .metadata_mut()
                .insert("grpc-timeout", asked.parse().unwrap());
        }
        let refused = soon(rig.orders().await.get_order(request))
            .await
            .unwrap_err();
        assert_refused(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        let metadata = refused.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["limit_ms"], "150");
    }
    let watch = rig.signed(proto::WatchOrderRequest::default());
    let mut stream = rig
        .orders()
        .await
        .watch_order(watch)
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let next = tokio::time::timeout(cap * 3, stream.message()).await;
    assert!(next.is_err(), "the stream goes on");
}

#[tokio::test]
async fn a_stream_ends_when_its_clients_time_is_up() {
    let rig = Rig::start().await;
    let mut watch = rig.signed(proto::WatchOrderRequest::default());
    watch
        .metadata_mut()
        .insert("grpc-timeout", "500m".parse().unwrap());
    let mut stream = rig
        .orders()
        .await
        .watch_order(watch)
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let ended = soon(stream.message()).await.unwrap_err();
    assert_refused(&ended, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives() {
    let rig = Rig::start().await;
    let mut orders = rig.orders().await;
    let event = |bytes: usize| {
        let payload = vec![b'x'; bytes];
        rig.signed(proto::RecordStripeEventRequest {
            payload,
            ..Default::default()
        })
    };
    let kept = orders
        .record_stripe_event(event(1 << 20))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(kept.event_id, (1 << 20).to_string());
    let refused = orders
        .record_stripe_event(event(EVENT_DECODE_BYTES))
        .await
        .unwrap_err();
    assert_refused(&refused, Code::OutOfRange, "MESSAGE_TOO_LARGE");
    assert!(orders.get_order(rig.get("caller")).await.is_ok());
}

#[tokio::test]
async fn an_unreadable_message_is_the_senders_fault() {
    let rig = Rig::start().await;
    let mut client = tonic::client::Grpc::new(rig.channel().await);
    client.ready().await.unwrap();
    // Field 1 is a number here and a text there.
    let codec =
        tonic_prost::ProstCodec::<proto::GetNodeRequest, proto::GetOrderResponse>::default();
    let path = "/spawnpoint.v1.OrderService/GetOrder".parse().unwrap();
    let request = rig.signed(proto::GetNodeRequest { node_id: 7 });
    let refused = client.unary(request, path, codec).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "MESSAGE_MALFORMED");
}

#[tokio::test]
async fn more_calls_than_allowed_are_told_to_come_back() {
    let rig = Rig::with(Settings {
        calls: 1,
        ..Settings::default()
    })
    .await;
    let mut orders = rig.orders().await;
    let mut other = orders.clone();
    let request = rig.get("slow");
    let slow = tokio::spawn(async move { orders.get_order(request).await });
    soon(rig.begun.notified()).await;
    let refused = other.get_order(rig.get("caller")).await.unwrap_err();
    assert_refused(&refused, Code::ResourceExhausted, "RATE_LIMITED");
    assert!(
        refused
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
    assert!(
        health(&rig, "").await.is_ok(),
        "health is answered under any load"
    );
    rig.go.notify_one();
    assert!(soon(slow).await.unwrap().is_ok());
    assert!(
        other.get_order(rig.get("caller")).await.is_ok(),
        "the place is free again"
    );
}

#[tokio::test]
async fn a_panic_is_one_calls_trouble() {
    let rig = Rig::start().await;
    let mut orders = rig.orders().await;
    let refused = orders.get_order(rig.get("panic")).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "INTERNAL");
    assert!(!refused.message().contains("scripted"));
    assert!(orders.get_order(rig.get("caller")).await.is_ok());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let rig = Rig::start().await;
    rig.db.read().clone().close().await.unwrap();
    let refused = rig
        .orders()
        .await
        .get_order(rig.get("caller"))
        .await
        .unwrap_err();
    assert_refused(&refused, Code::Unavailable, "STORE_UNAVAILABLE");
    assert!(refused.get_details_retry_info().is_some());
}
