//! How the server goes away.

use super::*;

#[tokio::test]
async fn a_call_under_way_is_finished_and_no_new_one_is_taken() {
    let rig = Rig::start().await;
    let mut orders = rig.orders().await;
    let request = rig.get("slow");
    let slow = tokio::spawn(async move { orders.get_order(request).await });
    soon(rig.begun.notified()).await;
    let stopping = tokio::spawn(rig.serving.stop());
    // The port is closed while the call goes on.
    let endpoint = Endpoint::from_shared(format!("http://{}", rig.addr)).unwrap();
    soon(async {
        while endpoint.connect().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!slow.is_finished());
    rig.go.notify_one();
    assert!(soon(slow).await.unwrap().is_ok());
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn streams_are_told_why_they_end() {
    let rig = Rig::start().await;
    let watch = rig.signed(proto::WatchOrderRequest::default());
    let mut stream = rig
        .orders()
        .await
        .watch_order(watch)
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let mut watcher = HealthClient::new(rig.channel().await);
    let mut health = watcher
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        health.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );

    let stopping = tokio::spawn(rig.serving.stop());
    let ended = soon(stream.message()).await.unwrap_err();
    assert_refused(&ended, Code::Unavailable, "SHUTTING_DOWN");
    assert!(ended.get_details_retry_info().is_some());
    let last = soon(health.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing, "before its end");
    let ended = soon(health.message()).await.unwrap_err();
    assert_refused(&ended, Code::Unavailable, "SHUTTING_DOWN");
    // The clients above still hold their connections: that must not keep the server.
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off() {
    let drain = Duration::from_millis(100);
    let rig = Rig::with(Settings {
        drain,
        ..Settings::default()
    })
    .await;
    let mut orders = rig.orders().await;
    let request = rig.get("slow");
    let slow = tokio::spawn(async move { orders.get_order(request).await });
    soon(rig.begun.notified()).await;
    soon(rig.serving.stop()).await;
    slow.abort();
}
