//! The house's rules on sources: who may name whom, and how big things may be.
//!
//! Direction: rpc -> app -> {domain, db, stripe, panel}; worker -> app -> the same.

use std::collections::BTreeSet;

use super::source::{Named, Tree, Word, blanked, functions, paths, shipped, words};

/// Longest file, and longest of tests, rows and schema steps.
const FILE_LINES: (usize, usize) = (500, 800);
/// Longest function that ships.
const FUNCTION_LINES: usize = 80;

/// Paths whose files may not name some words as the head of a path.
struct Ban {
    /// What is forbidden.
    words: &'static [&'static str],
    /// Where: any of these beginnings.
    inside: &'static [&'static str],
    /// But not here.
    except: &'static [&'static str],
    /// Told with each finding.
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &[
            "tonic",
            "prost",
            "prost_types",
            "sea_orm",
            "axum",
            "reqwest",
            "tokio",
            "hyper",
        ],
        inside: &["src/domain"],
        except: &[],
        why: "domain knows no framework",
    },
    Ban {
        words: &[
            "app", "db", "rpc", "stripe", "panel", "worker", "config", "boot", "ops",
        ],
        inside: &["src/domain"],
        except: &[],
        why: "domain knows no layer above it",
    },
    Ban {
        words: &["axum", "reqwest", "rpc", "worker", "config"],
        inside: &["src/app"],
        except: &[],
        why: "app knows no wire and nobody above it",
    },
    Ban {
        words: &["entity"],
        inside: &["src/"],
        except: &["src/db"],
        why: "rows stay in db: others get domain types",
    },
    Ban {
        words: &["app", "rpc", "worker", "stripe", "panel", "config"],
        inside: &["src/db"],
        except: &[],
        why: "db stores, it decides nothing and calls nobody",
    },
    Ban {
        words: &["app", "db", "rpc", "worker", "config"],
        inside: &["src/stripe", "src/panel"],
        except: &[],
        why: "a client knows only the service it calls",
    },
    Ban {
        words: &["rpc", "axum", "reqwest"],
        inside: &["src/worker"],
        except: &[],
        why: "the worker calls app's verbs, db and the clients",
    },
    Ban {
        words: &["worker"],
        inside: &["src/rpc"],
        except: &[],
        why: "a call stores facts; the worker takes the steps",
    },
    Ban {
        words: &["sea_orm", "sqlx", "sea_query"],
        inside: &["src/"],
        except: &["src/db"],
        why: "db is the only user of SeaORM",
    },
    Ban {
        words: &[
            "tonic",
            "tonic_health",
            "tonic_reflection",
            "tonic_types",
            "prost",
            "prost_types",
        ],
        inside: &["src/"],
        // The program that wires everything may name the transport.
        except: &["src/rpc", "src/boot"],
        why: "rpc is the only user of gRPC",
    },
    Ban {
        words: &["reqwest"],
        inside: &["src/"],
        except: &["src/stripe", "src/panel"],
        why: "only the two clients call out",
    },
    Ban {
        words: &["sea_orm", "sqlx", "migrations", "spawnpoint"],
        inside: &["gateway/"],
        except: &[],
        why: "the gateway has no database and no business rule",
    },
];

/// Constructors of `tonic::Status`: one file sorts refusals into codes.
const STATUS_MAKERS: &[&str] = &[
    "new",
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
    "with_details",
    "with_metadata",
    "with_details_and_metadata",
    "with_error_details",
    "with_error_details_vec",
    "from_error",
];

/// Every breach of a rule, as `path:line: what`.
pub fn findings(tree: &Tree) -> Vec<String> {
    let test_files = tree.test_files();
    let mut found = Vec::new();
    for (path, text) in &tree.0 {
        let blank = blanked(text);
        let is_test = test_files.contains(path);
        found.extend(sizes(path, text, is_test));
        if !is_test {
            let shipped = shipped(&blank);
            let words = words(shipped);
            found.extend(banned(path, &paths(shipped)));
            found.extend(status_makers(path, &words));
            found.extend(environment(path, &words));
            found.extend(long_functions(path, shipped));
        }
    }
    found
}

/// Files that ship without a word on what they own.
pub fn undocumented(tree: &Tree) -> Vec<String> {
    let test_files = tree.test_files();
    let mute = tree
        .0
        .iter()
        .filter(|(path, text)| !test_files.contains(*path) && !text.starts_with("//! "));
    mute.map(|(path, _)| format!("{path}:1: opens without `//!`: what does it own?"))
        .collect()
}

fn sizes(path: &str, text: &str, is_test: bool) -> Vec<String> {
    let mut found = Vec::new();
    let rows = path.contains("/entity/") || path.starts_with("migrations/");
    let limit = if is_test || rows {
        FILE_LINES.1
    } else {
        FILE_LINES.0
    };
    let lines = text.lines().count();
    if lines > limit {
        found.push(format!("{path}: {lines} lines, at most {limit}"));
    }
    if path.ends_with("/mod.rs") {
        found.push(format!(
            "{path}: modules are foo.rs beside foo/, never mod.rs"
        ));
    }
    found
}

fn banned(path: &str, paths: &[Named]) -> Vec<String> {
    let below = |folders: &[&str]| folders.iter().any(|folder| is_below(path, folder));
    let mut found = BTreeSet::new();
    for ban in BANS
        .iter()
        .filter(|ban| below(ban.inside) && !below(ban.except))
    {
        for named in paths {
            let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
            let head = match segments[..] {
                // Paths from the own module lead to no other layer.
                ["self" | "super", ..] | [] => None,
                ["crate", layer, ..] | [layer, ..] => Some(layer),
            };
            // Rows are reached in more than one way: `db::entity`, `db::{entity}`.
            let hit = head
                .into_iter()
                .chain(segments.contains(&"entity").then_some("entity"));
            for word in hit.filter(|word| ban.words.contains(word)) {
                found.insert(format!("{path}:{}: names {word}: {}", named.line, ban.why));
            }
        }
    }
    found.into_iter().collect()
}

/// `src/db` is `src/db.rs` and all below `src/db/`, not `src/dbx.rs`.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| folder.ends_with('/') || rest.starts_with('/') || rest == ".rs")
}

fn status_makers(path: &str, words: &[Word<'_>]) -> Vec<String> {
    if !path.starts_with("src/") || path == "src/rpc/status.rs" {
        return Vec::new();
    }
    let made = words.windows(2).filter(|pair| {
        pair[0].text == "Status"
            && pair[0].after.starts_with("::")
            && STATUS_MAKERS.contains(&pair[1].text)
            && pair[1].after.starts_with('(')
    });
    made.map(|pair| {
        let (line, maker) = (pair[0].line, pair[1].text);
        format!("{path}:{line}: makes Status::{maker}: only rpc/status.rs does")
    })
    .collect()
}

fn environment(path: &str, words: &[Word<'_>]) -> Vec<String> {
    let allowed = [
        "src/config",
        "src/main",
        "gateway/src/config",
        "gateway/src/main",
        "sandbox/",
    ];
    if allowed.iter().any(|folder| is_below(path, folder)) {
        return Vec::new();
    }
    let reads = words.windows(2).filter(|pair| {
        pair[1].text == "env" && pair[0].text == "std" && pair[0].after.starts_with("::")
    });
    reads
        .map(|pair| format!("{path}:{}: std::env belongs to config", pair[0].line))
        .collect()
}

fn long_functions(path: &str, shipped: &str) -> Vec<String> {
    let long = functions(shipped)
        .into_iter()
        .filter(|(.., lines)| *lines > FUNCTION_LINES);
    long.map(|(name, line, lines)| {
        format!("{path}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES}")
    })
    .collect()
}
