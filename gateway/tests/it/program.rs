//! The program itself: its faults, its start and its end.

use crate::support::process::{Program, command, signed_now};
use crate::support::*;

#[tokio::test]
async fn without_settings_it_names_every_fault_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path())
        .env("GATEWAY_ADDR", "here")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "spawnpoint-gateway: the configuration has 3 fault(s)\n  \
         STRIPE_WEBHOOK_SECRET is required (or STRIPE_WEBHOOK_SECRET_FILE)\n  \
         SPAWNPOINT_TOKEN is required (or SPAWNPOINT_TOKEN_FILE)\n  \
         GATEWAY_ADDR must be an IP address and a port, like 127.0.0.1:8080\n"
    );
    let output = command(folder.path())
        .args(["--config", "absent.toml"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("absent.toml cannot be read")
    );
}

#[tokio::test]
async fn it_reads_its_file_serves_and_ends_well_on_sigterm() {
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "STRIPE_WEBHOOK_SECRET = \"{SECRET}\"\nSPAWNPOINT_URL = \"http://{}\"\n",
        core.addr
    );
    std::fs::write(folder.path().join("spawnpoint.toml"), settings).unwrap();
    let mut program = Program::start(folder.path(), |command| {
        command.env("SPAWNPOINT_TOKEN", TOKEN);
    })
    .await;
    assert_eq!(get(program.addr, "/healthz").await.status, 200);
    assert_eq!(get(program.addr, "/readyz").await.status, 200);
    for (signature, status) in [(signed(EVENT), 400), (signed_now(SECRET, EVENT), 200)] {
        let headers = [("Stripe-Signature", signature.as_str())];
        assert_eq!(post(program.addr, &headers, EVENT).await.status, status);
    }
    assert_eq!(core.calls().len(), 1);
    assert_eq!(core.calls()[0].authorization, format!("Bearer {TOKEN}"));

    assert!(program.terminate().await.success());
    assert!(
        program.log().contains("gateway stopped"),
        "{}",
        program.log()
    );
}
