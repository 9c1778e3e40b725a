//! Secrets that change: several at once, and files rewritten while serving.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::support::process::{Program, signed_now, signed_now_by};
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

/// W-11: both secrets configured, both signatures sent, in either order.
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

/// W-11: the file goes from the old secret to both to the new one.
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

/// What a stream of deliveries came to.
#[derive(Default)]
struct Stream {
    taken: AtomicU32,
    refused: Mutex<Vec<String>>,
}

/// Delivers without a pause, signed with whatever `signers` says at the moment.
async fn deliver_on(program: SocketAddr, signers: watch::Receiver<&[&str]>, stream: Arc<Stream>) {
    loop {
        let now = *signers.borrow();
        let header = signed_now_by(now, EVENT);
        let reply = post(program, &[("Stripe-Signature", &header)], EVENT).await;
        if reply.status == 200 {
            stream.taken.fetch_add(1, Ordering::SeqCst);
        } else {
            let what = format!("{} under {now:?}", reply.status);
            stream.refused.lock().unwrap().push(what);
        }
    }
}

/// W-11: a secret is rolled under load. Stripe signs with the old one, with both in
/// either order, then with the new one; the file follows behind, the program is never
/// restarted, and not one delivery is refused.
#[tokio::test]
async fn the_program_follows_a_rolled_secret_and_refuses_nothing() {
    const OLD: &str = "whsec_old";
    const NEW: &str = "whsec_new";
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhook-secret");
    std::fs::write(&path, OLD).unwrap();
    let program = &Program::start(folder.path(), |command| {
        command
            .env("STRIPE_WEBHOOK_SECRET_FILE", &path)
            .env("SPAWNPOINT_TOKEN", TOKEN)
            .env("SPAWNPOINT_URL", format!("http://{}", core.addr));
    })
    .await;
    let (signers, seen) = watch::channel(&[OLD][..]);
    let stream = Arc::new(Stream::default());
    let sender = tokio::spawn(deliver_on(program.addr, seen, stream.clone()));
    let further = |what: &'static str| {
        let taken = || stream.taken.load(Ordering::SeqCst);
        let goal = taken() + 20;
        async move { eventually(what, || async { taken() >= goal }).await }
    };
    // A stranger's view of which secret is in force; not part of the stream.
    let accepts = |secret: &'static str| async move {
        let header = signed_now(secret, EVENT);
        post(program.addr, &[("Stripe-Signature", &header)], EVENT)
            .await
            .status
            == 200
    };

    further("the old secret is in force").await;
    assert!(!accepts(NEW).await);
    signers.send_replace(&[OLD, NEW]);
    further("both sign, the old one is known").await;
    replace(&path, "whsec_old\nwhsec_new\n");
    eventually("both are known", || accepts(NEW)).await;
    assert!(accepts(OLD).await);
    for order in [&[NEW, OLD][..], &[OLD], &[NEW], &[OLD, NEW]] {
        signers.send_replace(order);
        further("both are known").await;
    }
    signers.send_replace(&[NEW]);
    further("the new one signs alone").await;
    replace(&path, NEW);
    eventually("the old one is gone", || async { !accepts(OLD).await }).await;
    further("the new one is known alone").await;

    sender.abort();
    assert_eq!(*stream.refused.lock().unwrap(), [""; 0]);
    let reloads = program.log().matches("new value in use").count();
    assert_eq!(reloads, 2, "{}", program.log());
    assert!(program.id() > 0, "the same process to the end");
}
