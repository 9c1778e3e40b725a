use std::{sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Error, Mode, Running, start};
use crate::{
    config::{
        Affiliates, Config, Database, Listen, Log, Panel, SecretSource, Shop, Stripe, Worker,
    },
    db::{Db, migrate::FileGuard},
    rpc::proto::{self, catalog_service_client::CatalogServiceClient},
};

/// A whole configuration whose Stripe and panel are ports that nobody listens on.
fn config(url: &str) -> Config {
    let nowhere = "http://127.0.0.1:9".parse::<url::Url>().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    Config {
        database: Database {
            start_timeout: Duration::from_secs(1),
            ..Database::at(url)
        },
        stripe: Stripe {
            secret_key: SecretSource::fixed("sk_test_1".to_owned()),
            api_base: nowhere.clone(),
        },
        panel: Panel::at(nowhere, SecretSource::fixed("ptla_1".to_owned())),
        listen: Listen {
            grpc_addr: any,
            metrics_addr: any,
            insecure_loopback: true,
            ..Listen::default()
        },
        shop: Shop::default(),
        affiliates: Affiliates::default(),
        worker: Worker::default(),
        log: Log::default(),
    }
}

fn folder() -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&format!(
        "sqlite://{}",
        folder.path().join("shop.db").display()
    ));
    (folder, config)
}

async fn health(running: &Running) -> ServingStatus {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.grpc_addr)).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    client
        .check(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner()
        .status()
}

fn refusal(started: Result<Running, Error>) -> Error {
    match started {
        Ok(_) => panic!("it must not start"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn it_serves_with_stripe_and_the_panel_away_and_can_be_started_again() {
    let (_folder, config) = folder();
    for _ in 0..2 {
        let running = start(config.clone(), Mode::All).await.unwrap();
        assert_eq!(health(&running).await, ServingStatus::Serving);
        let channel = format!("http://{}", running.grpc_addr);
        let mut catalog = CatalogServiceClient::connect(channel).await.unwrap();
        let plans = catalog
            .list_plans(proto::ListPlansRequest::default())
            .await
            .unwrap();
        assert!(plans.into_inner().plans.is_empty());
        let (grpc, metrics) = (running.grpc_addr, running.metrics_addr);
        running.stop().await;
        for addr in [grpc, metrics] {
            assert!(
                TcpListener::bind(addr).await.is_ok(),
                "{addr} is free again"
            );
        }
    }
}

#[tokio::test]
async fn a_file_has_one_process() {
    let (_folder, config) = folder();
    let running = start(config.clone(), Mode::All).await.unwrap();
    assert!(matches!(
        refusal(start(config.clone(), Mode::All).await),
        Error::Guard(_)
    ));
    running.stop().await;
    assert!(
        FileGuard::take(&config.database.options().url)
            .unwrap()
            .is_some(),
        "given back"
    );
}

#[tokio::test]
async fn a_file_cannot_be_split() {
    for mode in [Mode::NoWorker, Mode::WorkerOnly] {
        let (_folder, config) = folder();
        assert!(matches!(
            refusal(start(config, mode).await),
            Error::SplitNeedsPostgres
        ));
    }
}

#[tokio::test]
async fn faults_are_told_before_anything_runs() {
    let (_folder, mut short) = folder();
    short.worker.lease = short.worker.longest_call;
    assert!(matches!(
        refusal(start(short, Mode::All).await),
        Error::Lease(_)
    ));

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_folder, mut busy) = folder();
    busy.listen.metrics_addr = taken.local_addr().unwrap();
    let error = refusal(start(busy, Mode::All).await);
    assert!(error.to_string().contains("the port is in use"), "{error}");

    let (_folder, mut open) = folder();
    open.listen.grpc_addr = "0.0.0.0:0".parse().unwrap();
    let error = refusal(start(open, Mode::All).await);
    assert!(error.to_string().contains("--insecure-loopback"), "{error}");

    let (_folder, mut key) = folder();
    key.stripe.secret_key = SecretSource::fixed("pk_test_1".to_owned());
    assert!(matches!(
        refusal(start(key, Mode::All).await),
        Error::Stripe(_)
    ));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_waited_for_and_then_told() {
    let began = std::time::Instant::now();
    let error = refusal(start(config("postgres://nobody@127.0.0.1:9/none"), Mode::All).await);
    assert!(matches!(error, Error::Open(_)), "{error}");
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "tried more than once"
    );
}

/// As the binary is told to stop: a call under way ends well, and then the process does.
#[tokio::test]
async fn the_store_is_left_in_order() {
    let (_folder, config) = folder();
    let running = start(config.clone(), Mode::All).await.unwrap();
    let app = Arc::clone(&running.app);
    assert_eq!(app.settings.panel_url, "http://127.0.0.1:9");
    assert!(!app.stripe.livemode());
    running.stop().await;
    let db = Db::open(&config.database.options()).await.unwrap();
    db.ping().await.unwrap();
}
