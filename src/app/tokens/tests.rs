use std::time::Duration;

use tempfile::TempDir;

use super::{DAY_US, Tokens, create, list, revoke};
use crate::{
    app::{Error, Role},
    db::{Db, connect::Options},
    domain,
};

async fn store() -> (TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        url: format!("sqlite://{}", folder.path().join("test.db").display()),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
    };
    let db = Db::open(&options).await.unwrap();
    db.migrate().await.unwrap();
    (folder, db)
}

fn is_refused(result: Result<Role, Error>) -> bool {
    matches!(result, Err(Error::Refused(domain::Error::Unauthenticated)))
}

#[tokio::test]
async fn a_token_tells_its_role_and_is_not_stored() {
    let (_folder, db) = store().await;
    let tokens = Tokens::new(db.clone());
    for role in [
        Role::Operator,
        Role::Storefront,
        Role::Gateway,
        Role::Viewer,
    ] {
        let token = create(&db, role, role.as_str(), None).await.unwrap();
        let token = token.as_str();
        assert!(
            token.starts_with("spt_") && token.len() == 47,
            "{}",
            token.len()
        );
        for _ in 0..2 {
            assert_eq!(tokens.resolve(token).await.unwrap(), role);
        }
        let rows = crate::db::tokens::list(db.read()).await.unwrap();
        assert!(
            rows.iter()
                .all(|row| !format!("{row:?}").contains(&token[4..]))
        );
    }
}

#[tokio::test]
async fn every_wrong_token_gets_the_same_answer() {
    let (_folder, db) = store().await;
    let tokens = Tokens::with_memory(db.clone(), Duration::ZERO);
    let good = create(&db, Role::Storefront, "shop", Some(1))
        .await
        .unwrap();
    let unknown = format!("spt_{}", "A".repeat(43));
    let huge = format!("spt_{}", "A".repeat(1 << 20));
    let quote = format!("spt_{}'", "A".repeat(42));
    let other_prefix = good.replace("spt_", "sps_");
    for bad in [
        "",
        "spt_",
        &unknown,
        &huge,
        &quote,
        &good[..46],
        &other_prefix,
        &good.to_uppercase(),
    ] {
        assert!(
            is_refused(tokens.resolve(bad).await),
            "{} characters",
            bad.len()
        );
    }
    assert!(tokens.resolve(&good).await.is_ok());
    db.shift_clock(DAY_US);
    assert!(is_refused(tokens.resolve(&good).await), "expired");
}

#[tokio::test]
async fn a_revoked_token_is_refused_once_it_is_forgotten() {
    let (_folder, db) = store().await;
    let token = create(&db, Role::Storefront, "shop", None).await.unwrap();
    let remembering = Tokens::with_memory(db.clone(), Duration::from_secs(3600));
    let asking = Tokens::with_memory(db.clone(), Duration::ZERO);
    assert!(remembering.resolve(&token).await.is_ok());
    assert!(asking.resolve(&token).await.is_ok());

    assert!(revoke(&db, "shop").await.unwrap());
    assert!(
        remembering.resolve(&token).await.is_ok(),
        "still remembered"
    );
    assert!(is_refused(asking.resolve(&token).await));

    let first = list(&db).await.unwrap()[0].revoked_us;
    db.shift_clock(DAY_US);
    assert!(revoke(&db, "shop").await.unwrap(), "again is fine");
    assert_eq!(
        list(&db).await.unwrap()[0].revoked_us,
        first,
        "the first time counts"
    );
    assert!(!revoke(&db, "nobody").await.unwrap());
}

#[tokio::test]
async fn a_name_is_taken_once_and_bounded() {
    let (_folder, db) = store().await;
    create(&db, Role::Viewer, "shop", None).await.unwrap();
    let Err(Error::Refused(taken)) = create(&db, Role::Operator, "shop", None).await else {
        panic!("the name is taken");
    };
    assert_eq!(taken.reason(), "RESOURCE_EXISTS");
    for (name, role, days) in [
        ("", Role::Viewer, None),
        (" ", Role::Viewer, None),
        ("a\nb", Role::Viewer, None),
        (&*"x".repeat(65), Role::Viewer, None),
        ("who", Role::Customer, None),
        ("when", Role::Viewer, Some(0)),
        ("later", Role::Viewer, Some(3651)),
    ] {
        let Err(Error::Refused(domain::Error::Invalid(violations))) =
            create(&db, role, name, days).await
        else {
            panic!("{name:?} must be refused");
        };
        assert_eq!(violations.len(), 1);
    }
    assert!(
        create(&db, Role::Viewer, &"\u{FC}".repeat(64), Some(3650))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_use_is_noted_at_most_once_a_minute() {
    let (_folder, db) = store().await;
    let token = create(&db, Role::Gateway, "shop", None).await.unwrap();
    let tokens = Tokens::with_memory(db.clone(), Duration::ZERO);
    let noted = |after: Option<i64>| {
        let db = db.clone();
        async move {
            for _ in 0..200 {
                let last = list(&db).await.unwrap()[0].last_used_us;
                if last > after {
                    return last;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("no use was noted");
        }
    };
    tokens.resolve(&token).await.unwrap();
    let first = noted(None).await;
    db.shift_clock(59 * crate::domain::SECOND_US);
    tokens.resolve(&token).await.unwrap();
    db.shift_clock(2 * crate::domain::SECOND_US);
    tokens.resolve(&token).await.unwrap();
    let second = noted(first).await;
    assert!(
        second.unwrap() - first.unwrap() > crate::domain::MINUTE_US,
        "the one within a minute"
    );
}
