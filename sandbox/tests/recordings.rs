//! Replays the recorded traffic of a real panel against the stand-in and compares the answers.
//!
//! Reads the folder named by `SPAWNPOINT_PANEL_RECORDINGS`; without it nothing is compared. Cases run
//! in the order in which they were recorded, because each goes on from the state the last one left.

#[cfg(test)]
#[path = "recordings/align.rs"]
mod align;
#[cfg(test)]
#[path = "recordings/case.rs"]
mod case;
#[cfg(test)]
#[path = "recordings/client.rs"]
mod client;
#[cfg(test)]
#[path = "recordings/compare.rs"]
mod compare;
#[cfg(test)]
#[path = "recordings/replay.rs"]
mod replay;
#[cfg(test)]
#[path = "recordings/special.rs"]
mod special;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Cases that must be among the recordings and must match.
const MANDATORY: [&str; 26] = [
    "users-create-ok",
    "users-create-duplicate-email",
    "users-create-duplicate-external-id",
    "users-create-empty-body",
    "users-external-ok",
    "users-external-404",
    "users-filter-email",
    "nodes-list",
    "allocations-list-page1",
    "allocations-list-filter",
    "nests-egg-view-include-variables",
    "servers-create-ok",
    "servers-create-ok-include",
    "servers-create-used-allocation",
    "servers-create-duplicate-external-id",
    "servers-create-missing-variable",
    "servers-create-repeat-exact",
    "servers-create-empty-body",
    "servers-external-ok-404",
    "servers-get-by-id",
    "servers-delete-ok",
    "servers-suspend-unsuspend-twice",
    "unknown-route",
    "auth-bad-token",
    "auth-none",
    "rate-limit-429",
];

/// Cases that are not compared exchange by exchange, with the reason: all deviations there are.
const DEVIATIONS: [(&str, &str); 6] = [
    ("race-same-allocation", WHO_WINS),
    ("race-same-external-id", WHO_WINS),
    ("race-same-user", WHO_WINS),
    ("race-additional-allocation", WHO_WINS),
    ("race-suspend", WHO_WINS),
    ("race-delete", WHO_WINS),
];
const WHO_WINS: &str = "who wins is chance: compared is how many win, what losers may hear, and how \
                        often the daemon is asked";
/// More than this would be another panel.
const MOST_DEVIATIONS: usize = 15;

/// Written past the test harness, which would keep it for failures only.
fn say(text: &str) {
    let line = format!("{text}\n");
    // Nobody is worse off if the terminal is gone.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_in_answers_like_the_recorded_panel() {
    let Some(folder) = std::env::var_os("SPAWNPOINT_PANEL_RECORDINGS") else {
        say("0 cases compared: SPAWNPOINT_PANEL_RECORDINGS is not set");
        return;
    };
    let cases = case::load(Path::new(&folder)).unwrap();
    assert!(
        !cases.is_empty(),
        "0 cases compared: no recordings in {}",
        folder.display()
    );
    let mut stage = replay::Stage::open().await;
    let mut compared = Vec::new();
    let mut wrong = String::new();
    for case in &cases {
        let differences = stage.play(case).await;
        if differences.is_empty() {
            compared.push(case.name.as_str());
        } else {
            writeln!(wrong, "{}:\n    {}", case.name, differences.join("\n    ")).unwrap();
        }
    }
    stage.close().await;
    say(&format!(
        "{} of {} recorded cases compared and equal; {} deviations by name",
        compared.len(),
        cases.len(),
        DEVIATIONS.len()
    ));
    for (name, reason) in DEVIATIONS {
        say(&format!("  {name}: {reason}"));
        let known = cases.iter().any(|case| case.name == name);
        assert!(known, "{name} is no recorded case");
    }
    // Whatever plays its exchanges at once must be named above.
    let at_once = cases.iter().filter(|case| replay::is_race(case)).count();
    assert_eq!(at_once, DEVIATIONS.len());
    assert!(DEVIATIONS.len() <= MOST_DEVIATIONS);
    assert!(wrong.is_empty(), "the stand-in differs:\n{wrong}");
    let missing: Vec<_> = MANDATORY
        .iter()
        .filter(|name| !compared.contains(name))
        .collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}
