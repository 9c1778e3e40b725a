//! What is proven, and where: the cases of the fault catalogue, each named by the doc
//! comment of a test that runs. The table is read from the sources, so that it cannot be
//! older than they are: `cargo test --test it proofs:: -- --nocapture` prints it.

mod named;

use std::{collections::BTreeMap, sync::OnceLock};

use crate::support::source::Tree;
use named::{Proof, Proofs};

/// Sources that may hold tests; fuzz targets are not there in every checkout.
const FOLDERS: [&str; 6] = ["src", "tests", "gateway", "sandbox", "migrations", "fuzz"];

/// What has to be proven: cases of the catalogue, bugs of the shop's earlier lives, and the
/// create that lands late.
const CASES: [&str; 82] = [
    "P-01",
    "P-02",
    "P-03",
    "P-04",
    "P-05",
    "P-06",
    "P-07",
    "P-08",
    "P-09",
    "P-10",
    "P-11",
    "P-12",
    "P-13",
    "P-16",
    "P-17",
    "P-18",
    "P-19",
    "P-20",
    "P-21",
    "P-23",
    "P-24",
    "P-25",
    "P-26",
    "P-27",
    "P-29",
    "P-30",
    "W-01",
    "W-02",
    "W-03",
    "W-04",
    "W-05",
    "W-06",
    "W-07",
    "W-08",
    "W-09",
    "W-11",
    "W-12",
    "W-14",
    "W-15",
    "W-16",
    "W-17",
    "W-18",
    "D-01",
    "D-02",
    "D-03",
    "D-04",
    "D-05",
    "D-06",
    "D-07",
    "D-08",
    "D-09",
    "G-05",
    "G-08",
    "G-09",
    "G-10",
    "O-02",
    "O-03",
    "finding 2",
    "finding 8",
    "finding 9",
    "finding 10",
    "finding 11",
    "finding 12",
    "finding 13",
    "finding 14",
    "finding 15",
    "finding 16",
    "finding 19",
    "finding 23",
    "finding 27",
    "finding 29",
    "finding 30",
    "finding 36",
    "finding 39",
    "finding 48",
    "finding 60",
    "late create",
    // Proven along the way, and not to be lost again.
    "finding 21",
    "finding 22",
    "finding 24",
    "finding 26",
    "finding 31",
];

/// How many cases each part of the catalogue has.
const CATALOGUE: [(&str, u32); 5] = [("P", 30), ("W", 18), ("D", 9), ("G", 12), ("O", 6)];

fn ours() -> &'static Proofs {
    static READ: OnceLock<Proofs> = OnceLock::new();
    READ.get_or_init(|| {
        let root = tests::root();
        let folders = FOLDERS.into_iter();
        let folders: Vec<&str> = folders.filter(|name| root.join(name).is_dir()).collect();
        Proofs::read(&Tree::read(root, &folders))
    })
}

#[test]
fn every_case_is_proven_by_a_test_that_names_it() {
    let proofs = ours();
    let mut table: BTreeMap<&str, Vec<&Proof>> = BTreeMap::new();
    for case in CASES {
        table.insert(case, proofs.of(case));
    }
    for (case, proofs) in &table {
        for proof in proofs {
            let said = proof.said_of(case);
            eprintln!("{case} | {said} | {}::{}", proof.path, proof.name);
        }
    }
    let unproven: Vec<_> = table
        .iter()
        .filter(|(_, proofs)| proofs.is_empty())
        .map(|(case, _)| *case)
        .collect();
    assert!(unproven.is_empty(), "no test names {unproven:?}");
}

#[test]
fn what_a_test_names_is_in_the_catalogue() {
    let known = |case: &str| {
        CATALOGUE.iter().any(|(part, cases)| {
            let number = case
                .strip_prefix(part)
                .and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|number| {
                number
                    .parse()
                    .is_ok_and(|number: u32| (1..=*cases).contains(&number))
            })
        })
    };
    let proofs = ours();
    let strange: Vec<_> = proofs
        .tests
        .iter()
        .flat_map(|proof| proof.cases.iter().map(move |case| (case, &proof.name)))
        .filter(|(case, _)| case.as_bytes()[1] == b'-' && !known(case))
        .collect();
    assert!(strange.is_empty(), "no such cases: {strange:?}");
}

#[test]
fn what_claims_to_prove_a_case_runs() {
    let proofs = ours();
    assert!(
        proofs.idle.is_empty(),
        "they begin with the name of a case, and no test runs them: {:#?}",
        proofs.idle
    );
}

/// The reader itself: what counts as a proof, and what only looks like one.
#[test]
fn only_tests_that_run_count() {
    let sources = [
        (
            "tests/it/main.rs",
            "mod support;\nmod run;\nmod deep;\n// mod forgotten;\n",
        ),
        (
            "tests/it/support.rs",
            "macro_rules! twice { ($($name:ident),+) => { $(#[tokio::test] async fn $name() {})+ } }\n\
             macro_rules! other { () => {} }",
        ),
        (
            "tests/it/run.rs",
            "twice!(listed);\nother!(unlisted);\n\
             /// P-01, P-02: two at once.\n/// Findings 3, 14 and 23: and three more.\n\
             async fn listed(engine: Engine) {}\n\
             /// P-03: nobody runs it.\nasync fn unlisted() {}\n\
             /// A helper of P-04.\nfn helper() {}\n\
             /// P-05: plain.\n#[test]\nfn plain() { let text = \"/// P-06: no\"; }\n\
             // P-07: no doc comment.\n#[test]\nfn silent() {}\n\
             /// The late create, and finding 30.\n#[tokio::test(flavor = \"multi_thread\")]\n\
             #[ignore]\nasync fn ignored() {}\n\
             /// W-09: a script runs it.\n#[test]\n#[ignore = \"alone\"]\nfn lent() {}\n",
        ),
        ("tests/it/deep.rs", "mod below;\n"),
        (
            "tests/it/deep/below.rs",
            "/// Says much,\n/// late create among it; W-08.\n#[tokio::test]\nasync fn deep() {}\n",
        ),
        (
            "tests/it/forgotten.rs",
            "/// D-01: in no binary.\n#[test]\nfn lost() {}\n",
        ),
    ];
    let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let proofs = Proofs::read(&Tree(sources.into()));
    let names = |case: &str| -> Vec<String> {
        let found = proofs.of(case);
        found.iter().map(|proof| proof.name.clone()).collect()
    };
    for case in ["P-01", "P-02", "finding 3", "finding 14", "finding 23"] {
        assert_eq!(names(case), ["listed"], "{case}");
    }
    for case in [
        "P-03",
        "W-09",
        "P-04",
        "P-06",
        "P-07",
        "D-01",
        "finding 30",
        "finding 2",
    ] {
        assert_eq!(names(case), [""; 0], "{case}");
    }
    assert_eq!(names("P-05"), ["plain"]);
    assert_eq!(names("W-08"), ["deep"]);
    assert_eq!(names("late create"), ["deep"]);
    let listed = proofs.of("P-01")[0];
    assert_eq!(listed.said_of("P-01"), "P-01, P-02: two at once.");
    let third = "Findings 3, 14 and 23: and three more.";
    assert_eq!(listed.said_of("finding 23"), third);
    let idle: Vec<&str> = proofs.idle.iter().map(|proof| &*proof.name).collect();
    assert_eq!(idle, ["lost", "unlisted", "ignored"]);
}
