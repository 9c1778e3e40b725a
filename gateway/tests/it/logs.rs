//! Nothing that is secret or a customer's is ever logged, at any level, by us
//! or by a library under us: the real program at TRACE.

use tonic::Code;

use crate::support::http::request;
use crate::support::process::{Program, signed_now};
use crate::support::*;

const CANARY_SECRET: &str = "whsec_canary_secret";
const BODY: &[u8] = br#"{"id":"evt_canary_payload","email":"canary@example.com"}"#;

#[tokio::test]
async fn canaries_never_show_at_trace_level() {
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), |command| {
        command
            .env("RUST_LOG", "trace")
            .env("STRIPE_WEBHOOK_SECRET", CANARY_SECRET)
            .env("SPAWNPOINT_TOKEN", "spt_canary_token")
            .env("SPAWNPOINT_URL", format!("http://{}", core.addr));
    })
    .await;
    let right = signed_now(CANARY_SECRET, BODY);
    let digest = right.rsplit('=').next().unwrap();
    let headers = [
        ("Stripe-Signature", right.as_str()),
        ("X-Other", "canary_header"),
    ];
    assert_eq!(post(program.addr, &headers, BODY).await.status, 200);
    let forged = [("Stripe-Signature", "t=1700000000,v1=canary_signature")];
    assert_eq!(post(program.addr, &forged, BODY).await.status, 400);
    let stale = format!(
        "t=1700000000,v1={}",
        sign(CANARY_SECRET, "1700000000", BODY)
    );
    assert_eq!(
        post(program.addr, &[("Stripe-Signature", &stale)], BODY)
            .await
            .status,
        400
    );
    let other = request("PUT", "/stripe-webhook?canary_query", &headers, BODY);
    assert_eq!(exchange(program.addr, &other).await.status, 405);
    for code in [Code::InvalidArgument, Code::Unavailable, Code::Internal] {
        core.behave(Behaviour::Fail(code));
        post(program.addr, &headers, BODY).await;
    }
    let mut large = b"canary_large".to_vec();
    large.resize((1 << 20) + 1, b'x');
    assert_eq!(post(program.addr, &headers, &large).await.status, 413);
    assert!(program.terminate().await.success());

    let log = program.log();
    // The log is whole: our own lines and those of the libraries are in it.
    for word in [
        "\"message\":\"webhook stored\",\"status\":200,\"upstream_code\":\"OK\"",
        "\"message\":\"webhook rejected\",\"status\":400,\"reason\":\"signature_missing\"",
        "\"reason\":\"timestamp_too_old\"",
        "\"upstream_code\":\"INTERNAL\"",
        "\"level\":\"TRACE\"",
        "\"target\":\"tower::buffer",
        "\"target\":\"h2::",
        "gateway stopped",
    ] {
        assert!(log.contains(word), "{word} is not in the log");
    }
    for line in log.lines() {
        assert!(!line.contains("canary"), "{line}");
        assert!(!line.contains(digest), "{line}");
    }
}
