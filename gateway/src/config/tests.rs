//! Defaults, precedence, every fault at once, and silence about secrets.

use std::collections::HashMap;

use super::*;

const REQUIRED: [(&str, &str); 2] = [
    ("STRIPE_WEBHOOK_SECRET", "whsec_canary"),
    ("SPAWNPOINT_TOKEN", "spt_canary"),
];

fn load(vars: &[(&str, &str)], file: Option<&str>) -> Result<Config, Faults> {
    let vars: HashMap<String, String> = vars
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Config::load(|key| vars.get(key).cloned(), file)
}

fn load_with(more: &[(&str, &str)]) -> Result<Config, Faults> {
    load(&[&REQUIRED, more].concat(), None)
}

fn keys(faults: &Faults) -> Vec<&str> {
    faults.0.iter().map(|fault| fault.key.as_str()).collect()
}

#[test]
fn two_variables_are_enough() {
    let config = load_with(&[]).unwrap();
    assert_eq!(config.listen_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.metrics_addr.unwrap().to_string(), "127.0.0.1:9465");
    assert_eq!(config.upstream.url, "http://127.0.0.1:50051/");
    assert_eq!(config.upstream.deadline, Duration::from_secs(6));
    assert_eq!(config.upstream.token.current().value(), "Bearer spt_canary");
    assert_eq!(config.limits.tolerance, Duration::from_secs(300));
    assert_eq!(config.limits.body_bytes, 1_048_576);
    assert_eq!(config.limits.header_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.body_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.max_connections, 4096);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn every_fault_is_named_at_once() {
    let faults = load(
        &[
            ("STRIPE_WEBHOOK_SECRET", "  "),
            ("SPAWNPOINT_URL", "ftp://core:1"),
            ("GATEWAY_ADDR", "localhost"),
            ("GATEWAY_METRICS_ADDR", "9465"),
            ("GATEWAY_DEADLINE_MS", "soon"),
            ("GATEWAY_TOLERANCE_SECONDS", "0"),
            ("GATEWAY_BODY_LIMIT_BYTES", "99999999"),
            ("GATEWAY_HEADER_TIMEOUT_MS", "-1"),
            ("GATEWAY_BODY_TIMEOUT_MS", "1.5"),
            ("GATEWAY_MAX_CONNECTIONS", "0"),
            ("GATEWAY_SHUTDOWN_GRACE_MS", "x"),
            ("SPAWNPOINT_CA_FILE", "/nowhere/ca.pem"),
        ],
        None,
    )
    .unwrap_err();
    let mut seen = keys(&faults);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "GATEWAY_ADDR",
            "GATEWAY_BODY_LIMIT_BYTES",
            "GATEWAY_BODY_TIMEOUT_MS",
            "GATEWAY_DEADLINE_MS",
            "GATEWAY_HEADER_TIMEOUT_MS",
            "GATEWAY_MAX_CONNECTIONS",
            "GATEWAY_METRICS_ADDR",
            "GATEWAY_SHUTDOWN_GRACE_MS",
            "GATEWAY_TOLERANCE_SECONDS",
            "SPAWNPOINT_CA_FILE",
            "SPAWNPOINT_TOKEN",
            "SPAWNPOINT_URL",
            "STRIPE_WEBHOOK_SECRET",
        ]
    );
    let text = faults.to_string();
    assert!(
        text.starts_with("the configuration has 13 fault(s)\n"),
        "{text}"
    );
    assert!(
        text.contains("SPAWNPOINT_TOKEN is required (or SPAWNPOINT_TOKEN_FILE)"),
        "{text}"
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = r#"
        STRIPE_WEBHOOK_SECRET = "whsec_file_a,whsec_file_b"
        SPAWNPOINT_TOKEN_FILE = "/nowhere"
        GATEWAY_DEADLINE_MS = 1500
        GATEWAY_ADDR = "127.0.0.1:7000"
        DATABASE_URL = "not ours"
        [some.table]
        x = 1
    "#;
    let env = [
        ("SPAWNPOINT_TOKEN", "spt_env"),
        ("GATEWAY_ADDR", "127.0.0.1:7001"),
    ];
    let config = load(&env, Some(file)).unwrap();
    assert_eq!(config.webhook_secrets.current().count(), 2);
    assert_eq!(config.upstream.token.current().value(), "Bearer spt_env");
    assert_eq!(config.upstream.deadline, Duration::from_millis(1500));
    assert_eq!(config.listen_addr.port(), 7001);
}

#[test]
fn a_bad_file_is_a_fault_that_does_not_quote_it() {
    let broken = "GATEWAY_ADDR = \"127.0.0.1:1\"\nSPAWNPOINT_TOKEN = spt_canary\n";
    let faults = load(&REQUIRED, Some(broken)).unwrap_err();
    assert_eq!(faults.0[0].problem, "is not valid TOML at line 2");
    assert!(!faults.to_string().contains("canary"));

    let faults = load(
        &REQUIRED,
        Some("GATEWAY_ADRR = \"x\"\nGATEWAY_DEADLINE_MS = [1]"),
    )
    .unwrap_err();
    assert_eq!(keys(&faults), ["GATEWAY_ADRR", "GATEWAY_DEADLINE_MS"]);
}

#[test]
fn secrets_are_trimmed_with_a_warning_and_never_doubled() {
    let config = load(
        &[
            ("STRIPE_WEBHOOK_SECRET", "whsec_a\n"),
            ("SPAWNPOINT_TOKEN", "t"),
        ],
        None,
    )
    .unwrap();
    assert_eq!(config.webhook_secrets.current().count(), 1);
    assert_eq!(
        config.warnings,
        ["STRIPE_WEBHOOK_SECRET ends in a line break, which was dropped"]
    );

    let faults = load_with(&[("SPAWNPOINT_TOKEN_FILE", "/some/file")]).unwrap_err();
    assert_eq!(keys(&faults), ["SPAWNPOINT_TOKEN"]);
    let faults = load(
        &[
            ("STRIPE_WEBHOOK_SECRET", "sk_live_canary"),
            ("SPAWNPOINT_TOKEN_FILE", "/nowhere"),
        ],
        None,
    )
    .unwrap_err();
    assert_eq!(
        keys(&faults),
        ["STRIPE_WEBHOOK_SECRET", "SPAWNPOINT_TOKEN_FILE"]
    );
    assert!(!faults.to_string().contains("canary"));
}

#[test]
fn a_secret_file_may_end_in_a_line_break() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "whsec_a\nwhsec_b\n").unwrap();
    let path = file.path().to_str().unwrap();
    let vars = [
        ("STRIPE_WEBHOOK_SECRET_FILE", path),
        ("SPAWNPOINT_TOKEN", "t"),
    ];
    let config = load(&vars, None).unwrap();
    assert_eq!(config.webhook_secrets.current().count(), 2);
    assert!(config.warnings.is_empty());
}

#[test]
fn urls_are_checked_and_plain_http_beyond_loopback_is_warned_of() {
    for url in [
        "http://127.9.9.9:1",
        "http://localhost:1",
        "http://[::1]:1/",
        "https://core:443",
    ] {
        assert!(
            load_with(&[("SPAWNPOINT_URL", url)])
                .unwrap()
                .warnings
                .is_empty(),
            "{url}"
        );
    }
    let config = load_with(&[("SPAWNPOINT_URL", "http://core.internal:50051")]).unwrap();
    assert_eq!(config.warnings.len(), 1);
    for url in [
        "core:50051",
        "http://",
        "http://u:p@core:1",
        "http://core:1/x",
        "unix:/s",
        "http://core:1?q",
    ] {
        let faults = load_with(&[("SPAWNPOINT_URL", url)]).unwrap_err();
        assert_eq!(keys(&faults), ["SPAWNPOINT_URL"], "{url}");
    }
}

#[test]
fn metrics_can_be_off_but_not_on_the_same_address() {
    assert_eq!(
        load_with(&[("GATEWAY_METRICS_ADDR", "off")])
            .unwrap()
            .metrics_addr,
        None
    );
    let faults = load_with(&[("GATEWAY_METRICS_ADDR", "127.0.0.1:8080")]).unwrap_err();
    assert_eq!(keys(&faults), ["GATEWAY_METRICS_ADDR"]);
    let any = [
        ("GATEWAY_METRICS_ADDR", "127.0.0.1:0"),
        ("GATEWAY_ADDR", "127.0.0.1:0"),
    ];
    assert!(load_with(&any).is_ok());
}

#[test]
fn debug_output_hides_secrets() {
    let shown = format!("{:?}", load_with(&[]).unwrap());
    assert!(
        shown.contains("STRIPE_WEBHOOK_SECRET") && !shown.contains("canary"),
        "{shown}"
    );
}

#[test]
fn an_authority_must_hold_a_certificate_and_be_of_use() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let with = |url| load_with(&[("SPAWNPOINT_CA_FILE", path), ("SPAWNPOINT_URL", url)]);
    std::fs::write(path, "no certificate").unwrap();
    assert_eq!(
        keys(&with("https://core:1").unwrap_err()),
        ["SPAWNPOINT_CA_FILE"]
    );
    std::fs::write(path, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let config = with("https://core:1").unwrap();
    assert!(config.upstream.ca_pem.is_some() && config.warnings.is_empty());
    assert_eq!(with("http://localhost:1").unwrap().warnings.len(), 1);
}
