//! The harness itself: a cluster leaves nothing behind, databases are apart, and the real
//! programs can be started, stopped and killed.

use std::{net::TcpStream, process::Command, time::Duration};

use spawnpoint::{db::Connection, rpc::proto};
use uuid::Uuid;

use crate::support::{
    db::{Engine, TestDb},
    live::Live,
    postgres::{self, Cluster},
    processes::{CoreProcess, GatewayProcess, Signal},
    sql, wait,
};

both_engines!(
    databases_are_apart_and_replicas_share,
    the_real_programs_deliver_a_purchase,
);

async fn databases_are_apart_and_replicas_share(engine: Engine) {
    let (one, other) = (TestDb::new(engine).await, TestDb::new(engine).await);
    let replica = one.replica().await;
    let change = "UPDATE panel_budget SET used = 7";
    one.db
        .read()
        .execute_unprepared(change)
        .await
        .expect("a plain update");
    let used = "SELECT CAST(used AS bigint) FROM panel_budget";
    assert_eq!(sql::count(&replica, used).await, 7);
    assert_eq!(sql::count(&other.db, used).await, 0);
}

/// Killed or not, the end of the test process closes the pipe: here the pipe is
/// closed by killing a process that holds it.
#[tokio::test]
async fn a_cluster_goes_with_its_process() {
    if postgres::skipped() {
        return;
    }
    let mut cluster = tokio::task::spawn_blocking(Cluster::start)
        .await
        .unwrap()
        .unwrap();
    let (port, folder) = (cluster.port(), cluster.folder().to_owned());
    assert!(folder.join("data/postmaster.pid").exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    // A process with the only writing end of the pipe, ended without warning.
    let mut holder = Command::new("sleep")
        .arg("600")
        .stdout(cluster.pipe().expect("the pipe is held here"))
        .spawn()
        .unwrap();
    assert!(folder.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait::until(
        "the cluster and its folder are gone",
        Duration::from_secs(60),
        async || !folder.exists() && TcpStream::connect(("127.0.0.1", port)).is_err(),
    )
    .await;
}

async fn the_real_programs_deliver_a_purchase(engine: Engine) {
    let mut live = Live::open(engine).await;
    live.world.stop_cores().await;
    let core = CoreProcess::start_all(&live, &[]).await;
    let gateway = GatewayProcess::start(&live, &[]).await;
    gateway.take_webhooks(&live);
    let order = live.buy(Uuid::new_v4()).await;
    assert_eq!(live.creates(&order.id).len(), 1);
    assert!(TcpStream::connect(core.probes).is_ok());
    assert!(gateway.log().contains("webhook stored"));

    // Stopped, a process keeps its connections and answers nothing.
    core.stop().await;
    let mut orders = live.orders();
    let message = proto::GetOrderRequest {
        order_id: order.id.clone(),
    };
    let asked = orders.get_order(live.operator(message));
    let asked = tokio::time::timeout(Duration::from_millis(300), asked).await;
    assert!(asked.is_err(), "{asked:?}");
    core.signal(Signal::Cont);
    assert_eq!(live.order(&order.id).await.id, order.id);

    gateway.signal(Signal::Term);
    let status = gateway.exited(Duration::from_secs(25)).await;
    assert!(status.success(), "{status}\n{}", gateway.log());
    core.kill().await;
    let core = CoreProcess::start_all(&live, &[]).await;
    assert_eq!(live.order(&order.id).await.status(), order.status());
    core.signal(Signal::Term);
    let status = core.exited(Duration::from_secs(25)).await;
    assert!(status.success(), "{status}\n{}", core.log());
    live.close().await;
}
