//! What Stripe's own library signs, through the real program. `scripts/check-signatures`
//! makes the cases, runs this, and compares.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::process::Program;
use crate::support::*;

/// W-08: sends each case of `theirs.json` and writes the answers to `gateway.json`.
#[tokio::test]
#[ignore = "scripts/check-signatures runs it"]
async fn independent_signer_is_answered() {
    let folder = std::env::var_os("SPAWNPOINT_SIGNER_FOLDER");
    let folder = PathBuf::from(folder.expect("scripts/check-signatures sets it"));
    let theirs = std::fs::read_to_string(folder.join("theirs.json")).unwrap();
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let core = FakeCore::start().await;
    let home = tempfile::tempdir().unwrap();
    let program = Program::start(home.path(), |command| {
        command
            .env("STRIPE_WEBHOOK_SECRET", theirs["secret"].as_str().unwrap())
            .env("SPAWNPOINT_TOKEN", TOKEN)
            .env("SPAWNPOINT_URL", format!("http://{}", core.addr));
    })
    .await;
    let mut answers = BTreeMap::new();
    for case in theirs["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let (name, body) = (text("name"), text("body").as_bytes());
        let before = core.calls().len();
        let reply = post(program.addr, &[("Stripe-Signature", text("header"))], body).await;
        let seen = core.calls().split_off(before);
        let handed_on: Vec<&[u8]> = seen.iter().map(|call| &call.message.payload[..]).collect();
        let expected: &[&[u8]] = if reply.status == 200 { &[body] } else { &[] };
        assert_eq!(handed_on, expected, "{name}");
        answers.insert(name.to_owned(), reply.status);
    }
    let answers = serde_json::to_vec(&answers).unwrap();
    std::fs::write(folder.join("gateway.json"), answers).unwrap();
}
