//! Secrets that change: several at once, and files rewritten while serving.

use std::path::Path;

use crate::support::*;

fn header(secrets: &[&str]) -> String {
    let list: Vec<String> = secrets
        .iter()
        .map(|s| format!("v1={}", sign(s, &NOW.to_string(), EVENT)))
        .collect();
    format!("t={NOW},{}", list.join(","))
}

/// By a rename, as mounted secrets are replaced: nobody sees half a file.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, path).unwrap();
}

#[tokio::test]
async fn two_secrets_and_two_signatures_in_either_order() {
    let core = FakeCore::start().await;
    let vars = [("STRIPE_WEBHOOK_SECRET", "whsec_old, whsec_new\n")];
    let gateway = Gateway::start_with(core.addr, &vars, |_| {}).await;
    for signers in [
        &["whsec_old"][..],
        &["whsec_new"],
        &["whsec_old", "whsec_new"],
        &["whsec_new", "whsec_old"],
        &["whsec_x", "whsec_new"],
        &["whsec_old", "whsec_x"],
    ] {
        assert_eq!(
            gateway.webhook(EVENT, &header(signers)).await.status,
            200,
            "{signers:?}"
        );
    }
    assert_eq!(core.calls().len(), 6);
    for signers in [
        &["whsec_x"][..],
        &["whsec_x", "whsec_y"],
        &["whsec_old, whsec_new"],
    ] {
        assert_eq!(
            gateway.webhook(EVENT, &header(signers)).await.status,
            400,
            "{signers:?}"
        );
    }
    assert_eq!(core.calls().len(), 6);
}

#[tokio::test]
async fn a_rewritten_secret_file_is_used_without_a_restart() {
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhook-secret");
    std::fs::write(&path, "whsec_old\n").unwrap();
    let vars = [("STRIPE_WEBHOOK_SECRET_FILE", path.to_str().unwrap())];
    let gateway = &Gateway::start_with(core.addr, &vars, |_| {}).await;
    let accepted = |secret: &'static str| async move {
        gateway.webhook(EVENT, &header(&[secret])).await.status == 200
    };
    assert!(accepted("whsec_old").await && !accepted("whsec_new").await);

    // Both, then the new one alone: the old one is taken to the end of its life.
    replace(&path, "whsec_old\nwhsec_new\n");
    eventually("the new secret is taken", || accepted("whsec_new")).await;
    assert!(accepted("whsec_old").await);
    replace(&path, "whsec_new\n");
    eventually("the old secret is refused", || async {
        !accepted("whsec_old").await
    })
    .await;
    assert!(accepted("whsec_new").await);

    // A broken file locks nobody out, and says so once.
    std::fs::write(&path, "\n").unwrap();
    let alarm = "gateway_alarms_total{cause=\"secret_file\"}";
    eventually("an alarm", || async { gateway.metric(alarm).await == 1.0 }).await;
    std::fs::remove_file(&path).unwrap();
    assert!(accepted("whsec_new").await);
    assert_eq!(gateway.metric(alarm).await, 1.0);
}

#[tokio::test]
async fn a_rewritten_token_file_is_sent_without_a_restart() {
    let core = &FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "spt_first\n").unwrap();
    let vars = [
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("SPAWNPOINT_TOKEN_FILE", path.to_str().unwrap()),
    ];
    let gateway = &Gateway::start_with(core.addr, &vars, |_| {}).await;
    let sent = || async {
        assert_eq!(gateway.deliver().await.status, 200);
        core.calls().pop().unwrap().authorization
    };
    assert_eq!(sent().await, "Bearer spt_first");
    std::fs::write(&path, "spt_second\n").unwrap();
    eventually("the new token is sent", || async {
        sent().await == "Bearer spt_second"
    })
    .await;
}
