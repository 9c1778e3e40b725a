//! The harness itself: a cluster leaves nothing behind, and databases are apart.

use std::{net::TcpStream, process::Command, time::Duration};

use spawnpoint::db::Connection;

use crate::support::{
    db::{Engine, TestDb},
    postgres::{self, Cluster},
    sql, wait,
};

both_engines!(databases_are_apart_and_replicas_share);

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
