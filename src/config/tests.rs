use std::{collections::HashMap, fs, time::Duration};

use secrecy::ExposeSecret;

use super::{Config, Faults, Source, ToolConfig};
use crate::{domain::placement::Strategy, telemetry::Format};

const NEEDED: &[(&str, &str)] = &[
    ("STRIPE_SECRET_KEY", "sk_test_1"),
    ("PTERO_APP_KEY", "ptla_1"),
    ("PANEL_URL", "https://panel.example"),
];

fn read(pairs: &[(&str, &str)], toml: Option<&str>) -> Result<Config, Faults> {
    let values: HashMap<&str, &str> = pairs.iter().copied().collect();
    let lookup = |name: &str| values.get(name).map(|value| (*value).to_owned());
    Config::read(&Source::new(&lookup, toml))
}

/// What is needed, with changes; an empty value takes one away.
fn with(changes: &[(&str, &str)]) -> Result<Config, Faults> {
    let pairs: Vec<_> = NEEDED.iter().chain(changes).copied().collect();
    read(&pairs, None)
}

fn variables(result: Result<Config, Faults>) -> Vec<String> {
    result.err().map_or(Vec::new(), |faults| {
        faults.0.into_iter().map(|fault| fault.variable).collect()
    })
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = with(&[]).unwrap();
    assert_eq!(
        config.database.url.get().expose_secret(),
        "sqlite://spawnpoint.db"
    );
    assert_eq!(config.stripe.api_base.as_str(), "https://api.stripe.com/");
    assert_eq!(config.listen.grpc_addr.to_string(), "127.0.0.1:50051");
    assert_eq!(config.listen.metrics_addr.to_string(), "127.0.0.1:9464");
    assert!(config.listen.tls.is_none());
    assert!(config.shop.allowed_origins.is_empty());
    assert!(!config.shop.automatic_tax && !config.shop.promotion_codes);
    assert_eq!(config.shop.payment_methods, ["card"]);
    assert_eq!(config.shop.placement, Strategy::Spread);
    assert_eq!((config.shop.grace_days, config.shop.retention_days), (3, 7));
    assert_eq!(config.shop.hold_minutes, 35);
    assert_eq!(
        (config.panel.rate_limit, config.panel.max_creates),
        (None, 4)
    );
    let seconds = |duration: Duration| duration.as_secs();
    let worker = &config.worker;
    assert_eq!(
        (
            seconds(worker.lease),
            seconds(worker.settle),
            worker.concurrency
        ),
        (60, 45, 16)
    );
    assert_eq!(
        (seconds(worker.sweep_install), seconds(worker.sweep_pending)),
        (10, 30)
    );
    assert_eq!(
        (seconds(worker.sweep_ports), seconds(worker.sweep_requests)),
        (30, 3600)
    );
    assert_eq!(config.log.format, Format::Pretty);
}

#[test]
fn everything_missing_is_named_at_once() {
    let faults = read(&[], None).unwrap_err();
    let text = faults.to_string();
    for name in [
        "STRIPE_SECRET_KEY: is missing",
        "PTERO_APP_KEY: is missing",
        "PANEL_URL: is missing",
    ] {
        assert!(text.contains(name), "{text}");
    }
    assert!(text.starts_with("3 fault(s)"), "{text}");
    assert!(
        faults.0.iter().all(|fault| !fault.hint.is_empty()),
        "each says what to do"
    );
}

#[test]
fn each_bad_value_is_a_fault_of_its_variable() {
    for (name, value) in [
        ("DATABASE_URL", "mysql://localhost"),
        ("DATABASE_MAX_CONNECTIONS", "1"),
        ("DATABASE_ACQUIRE_SECONDS", "0"),
        ("DATABASE_START_SECONDS", "-1"),
        ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_SECRET_KEY", "whsec_1"),
        ("STRIPE_SECRET_KEY", "sk_test_1 2"),
        ("STRIPE_API_BASE", "http://api.stripe.com"),
        ("STRIPE_API_BASE", "http://localhost.example.com"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("STRIPE_API_BASE", "https://user:word@api.stripe.com"),
        ("STRIPE_AUTOMATIC_TAX", "maybe"),
        ("STRIPE_PROMOTION_CODES", "2"),
        ("STRIPE_PAYMENT_METHODS", "Card"),
        ("STRIPE_PAYMENT_METHODS", "card,dashboard"),
        ("PTERO_APP_KEY", "ptlc_1"),
        ("PTERO_APP_KEY", "ptla_1\n2"),
        ("PANEL_URL", "panel.example"),
        ("PANEL_URL", "https://panel.example?x=1"),
        ("SPAWNPOINT_GRPC_ADDR", "50051"),
        ("SPAWNPOINT_GRPC_ADDR", "localhost:50051"),
        ("SPAWNPOINT_METRICS_ADDR", "127.0.0.1:50051"),
        ("SPAWNPOINT_CALL_SECONDS", "0"),
        ("SPAWNPOINT_MAX_CALLS", "0"),
        ("SPAWNPOINT_MAX_STREAMS", "many"),
        ("SPAWNPOINT_DRAIN_SECONDS", "NaN"),
        ("CHECKOUT_ALLOWED_ORIGINS", "shop.example"),
        ("CHECKOUT_ALLOWED_ORIGINS", "https://shop.example/path"),
        ("CHECKOUT_ALLOWED_ORIGINS", "https://*.shop.example/x"),
        ("CHECKOUT_ALLOWED_ORIGINS", "null"),
        ("TLS_CERT", "/nowhere/cert.pem"),
        ("TLS_KEY", "/nowhere/key.pem"),
        ("TLS_CLIENT_CA", "/nowhere/ca.pem"),
        ("PLACEMENT", "random"),
        ("AFFILIATE_PERCENT", "101"),
        ("AFFILIATE_MONTHS", "0"),
        ("AFFILIATE_REFUND_DAYS", "-1"),
        ("SWEEP_COMMISSIONS_SECONDS", "0"),
        ("FORCE_DELETE_AFTER_SECONDS", "7"),
        ("REFUND_UNFULFILLABLE_AFTER_SECONDS", "9e9"),
        ("GRACE_DAYS", "-1"),
        ("RETENTION_DAYS", "x"),
        ("LEASE_SECONDS", "50"),
        ("LEASE_SECONDS", "inf"),
        ("HOLD_MINUTES", "30"),
        ("HOLD_MINUTES", "1441"),
        ("PANEL_RATE_LIMIT", "-1"),
        ("PANEL_MAX_CREATES", "0"),
        ("PANEL_MAX_CREATES_PER_NODE", "0"),
        ("SWEEP_INSTALL_SECONDS", "0"),
        ("SWEEP_PENDING_SECONDS", "x"),
        ("SWEEP_PORTS_SECONDS", "0"),
        ("SWEEP_REQUESTS_SECONDS", "1e9"),
        ("WORKER_CONCURRENCY", "0"),
        ("SETTLE_SECONDS", "-1"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "spawnpoint=loud"),
        ("STRIPE_SECRET_KEY_FILE", "/nowhere/key"),
    ] {
        let named = variables(with(&[(name, value)]));
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let expected: &[&str] = match name {
            // The other half of the pair is missing as well.
            "TLS_CERT" => &["TLS_KEY", "TLS_CERT"],
            "TLS_KEY" => &["TLS_CERT", "TLS_KEY"],
            // Set twice: the value is there already.
            "STRIPE_SECRET_KEY_FILE" => &["STRIPE_SECRET_KEY"],
            name => &[name],
        };
        assert_eq!(named, expected, "{name}={value}");
    }
}

#[test]
fn good_values_are_read() {
    let config = with(&[
        ("DATABASE_URL", "postgres://me:word@db/shop"),
        ("STRIPE_API_BASE", "http://127.0.0.1:12111"),
        ("STRIPE_AUTOMATIC_TAX", "ON"),
        ("STRIPE_PAYMENT_METHODS", "card, sepa_debit"),
        (
            "CHECKOUT_ALLOWED_ORIGINS",
            "https://Shop.example:443/, http://localhost:3000",
        ),
        ("PLACEMENT", "pack"),
        ("LEASE_SECONDS", "2"),
        ("CALL_TIMEOUT_SECONDS", "1.5"),
        ("LEASE_MARGIN_SECONDS", "0.25"),
        ("PANEL_RATE_LIMIT", "240"),
        ("SPAWNPOINT_GRPC_ADDR", "[::1]:0"),
        ("LOG_FORMAT", "json"),
        ("GRACE_DAYS", ""),
        ("RETENTION_DAYS", "  "),
    ])
    .unwrap();
    assert_eq!(
        config.shop.allowed_origins,
        ["https://shop.example", "http://localhost:3000"]
    );
    assert_eq!(config.shop.payment_methods, ["card", "sepa_debit"]);
    assert_eq!(config.shop.placement, Strategy::Pack);
    assert!(config.shop.automatic_tax);
    assert_eq!(config.worker.longest_call, Duration::from_millis(1500));
    assert_eq!(config.panel.rate_limit, Some(240));
    assert_eq!(
        (config.shop.grace_days, config.shop.retention_days),
        (3, 7),
        "empty is absent"
    );
    assert_eq!(config.log.format, Format::Json);
    let dashboard = with(&[("STRIPE_PAYMENT_METHODS", "dashboard")]).unwrap();
    assert!(dashboard.shop.payment_methods.is_empty());
}

#[test]
fn two_names_of_the_panel_must_agree() {
    let same = with(&[
        ("PTERODACTYL_URL", "https://panel.example/"),
        ("PTERODACTYL_API_KEY", "ptla_1"),
    ]);
    assert!(same.is_ok(), "{same:?}");
    let other = with(&[
        ("PTERODACTYL_URL", "https://other.example"),
        ("PTERODACTYL_API_KEY", "ptla_2"),
    ]);
    assert_eq!(variables(other), ["PANEL_URL", "PTERO_APP_KEY"]);
    let old_names_only = read(
        &[
            ("STRIPE_SECRET_KEY", "rk_live_1"),
            ("PTERODACTYL_URL", "https://panel.example"),
            ("PTERODACTYL_API_KEY", "ptla_2"),
        ],
        None,
    )
    .unwrap();
    assert_eq!(old_names_only.panel.key.get().expose_secret(), "ptla_2");
    assert_eq!(old_names_only.panel.url.as_str(), "https://panel.example/");
}

#[test]
fn the_file_has_the_same_names_and_the_environment_wins() {
    let toml = r#"
        STRIPE_SECRET_KEY = "sk_test_file"
        PTERO_APP_KEY = "ptla_file"
        PANEL_URL = "https://panel.example"
        HOLD_MINUTES = 40
        GRACE_DAYS = 5
        SETTLE_SECONDS = 1.5
        STRIPE_AUTOMATIC_TAX = true
        CHECKOUT_ALLOWED_ORIGINS = ["https://a.example", "https://b.example"]
    "#;
    let config = read(&[("GRACE_DAYS", "1"), ("HOLD_MINUTES", "")], Some(toml)).unwrap();
    assert_eq!((config.shop.hold_minutes, config.shop.grace_days), (40, 1));
    assert_eq!(config.worker.settle, Duration::from_millis(1500));
    assert_eq!(config.shop.allowed_origins.len(), 2);
    assert_eq!(
        config.stripe.secret_key.get().expose_secret(),
        "sk_test_file"
    );
}

#[test]
fn the_file_may_only_hold_what_is_known() {
    let toml = "lease_seconds = 60\nSTRIPE_WEBHOOK_SECRET = \"whsec_1\"\n[stripe]\nkey = \"x\"\n";
    let faults = read(NEEDED, Some(toml)).unwrap_err();
    let text = faults.to_string();
    assert!(
        text.contains(
            "lease_seconds: is not a setting of this service (did you mean LEASE_SECONDS?)"
        ),
        "{text}"
    );
    assert!(
        text.contains("STRIPE_WEBHOOK_SECRET: is not a setting"),
        "{text}"
    );
    assert!(text.contains("stripe: must be a text"), "{text}");
    assert!(!text.contains("whsec_1"), "{text}");

    let faults = read(
        NEEDED,
        Some("GRACE_DAYS = 3\nSTRIPE_SECRET_KEY = sk_test_secret"),
    )
    .unwrap_err();
    let text = faults.to_string();
    assert!(
        text.contains("spawnpoint.toml: is not valid TOML near line 2"),
        "{text}"
    );
    assert!(!text.contains("sk_test_secret"), "{text}");
}

#[test]
fn secrets_come_from_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "sk_test_filed\n").unwrap();
    let path = path.to_str().unwrap();
    let config = with(&[("STRIPE_SECRET_KEY", ""), ("STRIPE_SECRET_KEY_FILE", path)]).unwrap();
    assert_eq!(
        config.stripe.secret_key.get().expose_secret(),
        "sk_test_filed"
    );
    fs::write(path, "sk_test_rotated\n").unwrap();
    assert_eq!(
        config.stripe.secret_key.get().expose_secret(),
        "sk_test_rotated"
    );

    let twice = with(&[("STRIPE_SECRET_KEY_FILE", path)]);
    assert_eq!(variables(twice), ["STRIPE_SECRET_KEY"]);
    let missing = with(&[
        ("STRIPE_SECRET_KEY", ""),
        ("STRIPE_SECRET_KEY_FILE", "/nowhere"),
    ]);
    assert_eq!(variables(missing), ["STRIPE_SECRET_KEY_FILE"], "told once");
}

#[test]
fn no_fault_and_no_debug_text_shows_a_secret() {
    let secrets = [
        ("DATABASE_URL", "mysql://me:hunter2@db"),
        ("STRIPE_SECRET_KEY", "hunter2"),
        ("PTERO_APP_KEY", "ptlc_hunter2"),
        ("PANEL_URL", "https://me:hunter2@panel.example"),
    ];
    let text = read(&secrets, None).unwrap_err().to_string();
    assert!(text.starts_with("4 fault(s)"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let good = with(&[
        ("STRIPE_SECRET_KEY", "sk_test_hunter2"),
        ("DATABASE_URL", "postgres://a:hunter2@b/c"),
    ]);
    assert!(!format!("{good:?}").contains("hunter2"));
}

#[test]
fn tools_need_the_store_only() {
    let lookup = |name: &str| (name == "DATABASE_URL").then(|| "sqlite://x.db".to_owned());
    let config = ToolConfig::read(&Source::new(&lookup, Some("LEASE_SECONDS = 1"))).unwrap();
    assert_eq!(config.database.url.get().expose_secret(), "sqlite://x.db");
    let unknown = ToolConfig::read(&Source::new(&lookup, Some("LEASE = 1"))).unwrap_err();
    assert_eq!(unknown.0[0].variable, "LEASE");
    let bad = |_: &str| Some("mysql://x".to_owned());
    assert!(ToolConfig::read(&Source::new(&bad, None)).is_err());
}

#[test]
fn a_lease_must_outlast_the_longest_call() {
    let lease = |seconds: &str| variables(with(&[("LEASE_SECONDS", seconds)]));
    assert_eq!(lease("50"), ["LEASE_SECONDS"]);
    assert_eq!(lease("50.001"), [""; 0]);
    let margin = variables(with(&[("LEASE_MARGIN_SECONDS", "20")]));
    assert_eq!(margin, ["LEASE_SECONDS"]);
}
