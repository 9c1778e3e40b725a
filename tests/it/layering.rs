//! The house's own rules, checked on its sources; and that the check can fail.

use std::{collections::BTreeMap, fs};

use tests::root;

use crate::support::{
    layers::{findings, undocumented},
    source::{Tree, blanked, functions, paths},
};

/// Every folder with sources of ours.
const FOLDERS: [&str; 8] = [
    "src",
    "migrations/src",
    "gateway/src",
    "gateway/tests",
    "sandbox/src",
    "sandbox/tests",
    "tests",
    "fuzz/src",
];

fn breaches(path: &str, text: &str) -> Vec<String> {
    findings(&Tree(BTreeMap::from([(path.to_owned(), text.to_owned())])))
}

#[test]
fn the_house_keeps_its_rules() {
    let tree = Tree::read(root(), &FOLDERS);
    assert!(
        tree.0.len() > 100,
        "only {} sources were found",
        tree.0.len()
    );
    let found = findings(&tree);
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn the_gateway_and_the_core_depend_on_nothing_they_must_not_know() {
    for (manifest, banned) in [
        (
            "gateway/Cargo.toml",
            &["sea-orm", "sea-orm-migration", "migrations", "spawnpoint"][..],
        ),
        ("Cargo.toml", &["sandbox", "gateway"][..]),
        ("migrations/Cargo.toml", &["spawnpoint", "sea-orm"][..]),
    ] {
        let text = fs::read_to_string(root().join(manifest)).expect("a readable manifest");
        let parsed: toml::Table = text.parse().expect("a valid manifest");
        for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(dependencies) = parsed.get(table).and_then(toml::Value::as_table) else {
                continue;
            };
            for name in banned {
                assert!(
                    !dependencies.contains_key(*name),
                    "{manifest}: [{table}] has {name}"
                );
            }
        }
    }
}

#[test]
fn a_bad_source_is_found() {
    for (path, text, part) in [
        (
            "src/domain/x.rs",
            "use tonic::Status;",
            "domain knows no framework",
        ),
        (
            "src/domain.rs",
            "fn f() { tokio::spawn(g()); }",
            "domain knows no framework",
        ),
        ("src/domain/x.rs", "use crate::db::Error;", "no layer above"),
        (
            "src/domain/x.rs",
            "use crate::{\n    app,\n    domain::x,\n};",
            "x.rs:2: names app",
        ),
        (
            "src/app/x.rs",
            "use {std::fmt, sea_orm::DbErr};",
            "only user of SeaORM",
        ),
        (
            "src/app/x.rs",
            "use crate::db::{self, entity::orders};",
            "rows stay in db",
        ),
        (
            "src/app/x.rs",
            "let row = db::entity::orders::Model {};",
            "rows stay in db",
        ),
        ("src/app/x.rs", "use tonic;", "only user of gRPC"),
        (
            "src/app.rs",
            "fn f(x: prost::bytes::Bytes) {}",
            "only user of gRPC",
        ),
        (
            "src/rpc/x.rs",
            "use crate::db::entity::plans;",
            "rows stay in db",
        ),
        (
            "src/db/x.rs",
            "use crate::{app::App, domain::OrderId};",
            "decides nothing",
        ),
        (
            "src/panel/x.rs",
            "use crate::db::Db;",
            "only the service it calls",
        ),
        (
            "src/worker/x.rs",
            "use reqwest::Client;",
            "only the two clients",
        ),
        (
            "src/rpc/x.rs",
            "Err(tonic::Status::not_found(\"x\"))",
            "makes Status::not_found",
        ),
        (
            "src/ops.rs",
            "let home = std::env::var_os(\"HOME\");",
            "belongs to config",
        ),
        (
            "gateway/src/x.rs",
            "use sea_orm::Database;",
            "gateway has no database",
        ),
        ("src/db/mod.rs", "", "never mod.rs"),
        ("src/x.rs", &"// line\n".repeat(501), "501 lines"),
        ("tests/it/x.rs", &"// line\n".repeat(801), "801 lines"),
        (
            "src/x.rs",
            &format!("fn long() {{\n{}}}\n", "    x();\n".repeat(80)),
            "fn long has 82",
        ),
    ] {
        let found = breaches(path, text).join("\n");
        assert!(
            found.contains(part),
            "{path}: {text:?} gave {found:?}, not {part:?}"
        );
    }
}

#[test]
fn a_source_that_does_not_introduce_itself_is_found() {
    let tree = Tree(BTreeMap::from(
        [
            ("src/mute.rs", "use std::fmt;"),
            ("src/told.rs", "//! Owns what is told.\nuse std::fmt;"),
            ("src/x/tests/mute.rs", "use super::*;"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned())),
    ));
    let found = undocumented(&tree);
    assert!(
        found.len() == 1 && found[0].starts_with("src/mute.rs:1:"),
        "{found:?}"
    );
}

#[test]
fn a_good_source_is_left_alone() {
    for (path, text) in [
        (
            "src/domain/x.rs",
            "//! Not tonic::Status.\n/* tokio::spawn */ const A: &str = \"db::x\";",
        ),
        (
            "src/domain/x.rs",
            "const A: &str = r#\"tonic::\"x\"::y\"#; const B: char = '\"';",
        ),
        (
            "src/domain/x.rs",
            "fn f<'a>(x: &'a str) -> Stripe { self.db(x) }",
        ),
        (
            "src/domain/x.rs",
            "#[cfg(test)]\nmod tests {\n    use tokio::time;\n}",
        ),
        (
            "src/app/x.rs",
            "use crate::{db::{self, orders}, domain::order::Status};\nStatus::parse(x)",
        ),
        ("src/app/x.rs", "domain::Error::not_found(Kind::Plan, id)"),
        ("src/rpc/status.rs", "Status::not_found(text)"),
        (
            "src/db/x.rs",
            "use super::{Error, entity::orders};\nuse crate::domain::{panel, Need};",
        ),
        ("src/config/x.rs", "match std::env::var(name) {}"),
        ("src/x.rs", &"// line\n".repeat(500)),
        ("migrations/src/x.rs", &"// line\n".repeat(800)),
        (
            "src/x.rs",
            "type F = fn(i32) -> i32;\ntrait T {\n    fn f();\n}",
        ),
    ] {
        let found = breaches(path, text);
        assert!(found.is_empty(), "{path}: {text:?} gave {found:?}");
    }
}

#[test]
fn test_files_are_told_from_what_ships() {
    let tree = Tree(BTreeMap::from(
        [
            (
                "src/panel.rs",
                "#[cfg(test)]\nmod recorded;\n#[cfg(test)]\npub(crate) mod tests;\nmod wire;",
            ),
            ("src/panel/recorded.rs", "use std::env;"),
            ("src/panel/tests/answers.rs", ""),
            ("src/panel/wire.rs", "#[cfg(test)]\nmod tests {\n}"),
            ("tests/it/main.rs", ""),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned())),
    ));
    let tests: Vec<String> = tree.test_files().into_iter().collect();
    assert_eq!(
        tests,
        [
            "src/panel/recorded.rs",
            "src/panel/tests/answers.rs",
            "tests/it/main.rs"
        ]
    );
}

#[test]
fn functions_are_measured() {
    let text = "fn a() {}\nimpl X {\n    async fn b(\n        x: &str,\n    ) -> Y {\n        \"}\"\n    }\n}";
    let measured = functions(&blanked(text));
    assert_eq!(measured, [("a".to_owned(), 1, 1), ("b".to_owned(), 3, 5)]);
}

#[test]
fn imports_are_taken_apart() {
    let text =
        "use a::{b, c::{self, d}, *};\nuse {x::Y, z};\nuse crate::f::{g as h};\nk::l(m::n::o());";
    let named: Vec<String> = paths(text)
        .into_iter()
        .map(|path| format!("{}:{}", path.line, path.segments.join("::")))
        .collect();
    let wanted = [
        "1:a::b",
        "1:a::c::self",
        "1:a::c::d",
        "2:x::Y",
        "2:z",
        "3:crate::f::g",
    ];
    for path in wanted.iter().chain(&["4:k::l", "4:m::n::o"]) {
        assert!(
            named.iter().any(|name| name == path),
            "{path} is not among {named:?}"
        );
    }
}
