//! Webhooks as the stand-in really sends them, for Stripe's own library to judge.
//! `scripts/check-signatures` runs this and compares.

use std::path::PathBuf;

use sandbox::stripe::{PayMode, StripeConfig};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Receiver, START, Shop, config};

const FIRST: &str = "whsec_first";
const ROLLED: &str = "whsec_rolled";

fn case(name: String, hook: (&[u8], &str), secret: &str, accepted: bool) -> Value {
    let body = std::str::from_utf8(hook.0).unwrap();
    json!({"name": name, "body": body, "header": hook.1, "secret": secret, "accepted": accepted})
}

/// W-08, W-11: writes to `ours.json` what was delivered before and while a secret is
/// rolled, in right and in spoilt form.
#[tokio::test]
#[ignore = "scripts/check-signatures runs it"]
async fn independent_signer_judges_ours() {
    let folder = std::env::var_os("SPAWNPOINT_SIGNER_FOLDER");
    let folder = PathBuf::from(folder.expect("scripts/check-signatures sets it"));
    // A clock that shows long ago shows in the objects, never in signatures.
    let shop = Shop::with(StripeConfig {
        start_at: Some(START),
        ..config()
    })
    .await;
    let receiver = Receiver::answering(&[]).await;
    let version = "2026-07-29.dahlia";
    shop.stripe
        .set_webhook_endpoint(&receiver.url, FIRST, version)
        .unwrap();
    let mut cases = Vec::new();
    for (when, accepted) in [("before", [FIRST].as_slice()), ("rolled", &[FIRST, ROLLED])] {
        if accepted.len() == 2 {
            shop.stripe.roll_webhook_secret(ROLLED);
        }
        let before = receiver.hooks().len();
        let session = shop.session().await;
        shop.stripe.pay(&session, PayMode::Paid).unwrap();
        assert!(shop.stripe.deliveries_idle(PATIENCE).await);
        for hook in receiver.hooks().split_off(before) {
            let name = |what: &str| format!("{when}, {}: {what}", hook.kind());
            let sent = (hook.body.as_slice(), hook.signature.as_str());
            for secret in accepted {
                cases.push(case(name(secret), sent, secret, true));
            }
            cases.push(case(name("a stranger's"), sent, "whsec_other", false));
            let longer = [hook.body.as_slice(), b"\n"].concat();
            cases.push(case(name("longer"), (&longer, sent.1), FIRST, false));
            let later = hook.signature.replacen("t=1", "t=2", 1);
            cases.push(case(name("another time"), (sent.0, &later), FIRST, false));
        }
    }
    assert!(cases.len() > 20, "{} cases", cases.len());
    let cases = serde_json::to_vec(&cases).unwrap();
    std::fs::write(folder.join("ours.json"), cases).unwrap();
}
