use std::{net::SocketAddr, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Ops, recorder};
use crate::db::{Db, connect::Options};

async fn start() -> (TempDir, Db, Ops) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        url: format!("sqlite://{}", folder.path().join("test.db").display()),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
    };
    let db = Db::open(&options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ops = Ops::start(listener, db.clone(), recorder().unwrap()).unwrap();
    (folder, db, ops)
}

async fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn samples_are_shown_in_buckets() {
    let (_folder, _db, ops) = start().await;
    metrics::histogram!("ops_test_seconds").record(0.02);
    metrics::counter!("ops_test_total").increment(3);
    let text = get(ops.addr(), "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(
        text.contains("ops_test_seconds_bucket{le=\"0.025\"} 1"),
        "{text}"
    );
    assert!(text.contains("ops_test_total 3"), "{text}");
    ops.stop().await;
}

#[tokio::test]
async fn two_services_in_one_process_share_the_recorder() {
    let (_one_folder, _one_db, one) = start().await;
    let (_other_folder, _other_db, other) = start().await;
    metrics::counter!("ops_shared_total").increment(1);
    for ops in [&one, &other] {
        assert!(
            get(ops.addr(), "/metrics")
                .await
                .contains("ops_shared_total 1")
        );
    }
}

#[tokio::test]
async fn readiness_follows_the_store_and_liveness_does_not() {
    let (_folder, db, ops) = start().await;
    assert!(
        get(ops.addr(), "/healthz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(get(ops.addr(), "/readyz").await.starts_with("HTTP/1.1 200"));
    db.read().clone().close().await.unwrap();
    assert!(
        get(ops.addr(), "/healthz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(get(ops.addr(), "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(
        get(ops.addr(), "/nothing")
            .await
            .starts_with("HTTP/1.1 404")
    );
    let addr = ops.addr();
    ops.stop().await;
    assert!(
        TcpStream::connect(addr).await.is_err(),
        "the port is free again"
    );
}
