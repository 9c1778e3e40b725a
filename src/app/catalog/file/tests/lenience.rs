//! What a plan says of its own about bills and disputes, in the file.

use super::*;
use crate::domain::dispute::DisputePolicy;

#[tokio::test]
async fn every_fault_of_what_a_plan_says_of_its_own_is_told_in_words() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let before = state(&db).await;
    let days = |most: u32| format!("must be from 0 to {most}");
    let (whole, out) = ("must be a whole number", "is out of bounds");
    for (grace, retention, disputes, problems) in [
        (
            "-1",
            "-1",
            "\"\"",
            [&*days(365), &*days(3650), "must be suspend or ignore"],
        ),
        (
            "366",
            "3651",
            "\"Ignore\"",
            [&*days(365), &*days(3650), "must be suspend or ignore"],
        ),
        (
            "9999999999",
            "-9999999999",
            "false",
            [out, out, "must be a text"],
        ),
        (
            "\"3\"",
            "7.0",
            "[\"ignore\"]",
            [whole, whole, "must be a text"],
        ),
    ] {
        let text = SMALL
            .replace("grace_days = 0", &format!("grace_days = {grace}"))
            .replace(
                "retention_days = 30",
                &format!("retention_days = {retention}"),
            )
            .replace("disputes = \"ignore\"", &format!("disputes = {disputes}"));
        let Err(ApplyError::Faults(mut faults)) = apply(&db, &text).await else {
            panic!("{text} was applied");
        };
        faults.sort();
        let told = faults.iter().map(|fault| (&*fault.key, &*fault.problem));
        let [grace, retention, disputes] = problems;
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("plans.rust-6gb.disputes", disputes),
                ("plans.rust-6gb.grace_days", grace),
                ("plans.rust-6gb.retention_days", retention),
            ]
        );
    }
    assert_eq!(state(&db).await, before);
}

/// A row of the file is the whole row: what a plan no longer says of its own is the shop's again.
#[tokio::test]
async fn what_a_plan_says_of_its_own_is_stored_and_taken_back() {
    let db = testing::open().await;
    apply(&db, SMALL).await.unwrap();
    let own = |shop: &Catalog, index: usize| {
        let plan = &shop.plans[index];
        (plan.grace_days, plan.retention_days, plan.disputes)
    };
    let shop = state(&db).await;
    let ignores = Some(DisputePolicy::Ignore);
    assert_eq!(own(&shop, 0), (None, None, None));
    assert_eq!(own(&shop, 1), (Some(0), Some(30), ignores));
    let silent = SMALL
        .replace("grace_days = 0\n", "")
        .replace("disputes = \"ignore\"\n", "");
    assert_eq!(all(apply(&db, &silent).await.unwrap().plans), (0, 1, 1));
    assert_eq!(own(&state(&db).await, 1), (None, Some(30), None));
}
