//! `request_id`: a repeated call makes nothing new.

use std::sync::Arc;

use futures_util::future::join_all;
use spawnpoint::{
    app::{Caller, Error, Role, requests::Request},
    db::{self, Db, order_events},
    domain::{OrderId, UserId},
};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{
    db::{Engine, TestDb},
    shop::{Shop, note},
    sql,
};

both_engines!(
    the_same_call_is_answered_from_the_first,
    another_body_is_refused,
    callers_methods_and_ids_are_apart,
    a_key_is_forgotten_after_72_hours,
    a_failed_call_leaves_no_key,
    twenty_calls_at_once_make_one_thing,
);

const METHOD: &str = "CatalogService/CreatePlan";
const HOUR: i64 = 3_600_000_000;
const NOW: i64 = 1_000 * HOUR;

fn caller(role: Role) -> Caller {
    Caller {
        role,
        user: None,
        trace_id: "0".to_owned(),
    }
}

fn request(id: Uuid, body: &str) -> Request {
    Request::new(&caller(Role::Operator), METHOD, id, body.as_bytes())
}

async fn remember(db: &Db, request: &Request, resource: &str, now_us: i64) -> Result<(), Error> {
    db.tx(|tx| async move { request.remember(&tx, resource, now_us).await })
        .await
}

async fn earlier(db: &Db, request: &Request, now_us: i64) -> Option<String> {
    request
        .earlier(db.read(), now_us)
        .await
        .expect("the same body")
}

async fn the_same_call_is_answered_from_the_first(engine: Engine) {
    let test = TestDb::new(engine).await;
    let first = request(Uuid::from_u128(1), "body");
    assert_eq!(earlier(&test.db, &first, NOW).await, None);
    remember(&test.db, &first, "mc-2gb", NOW).await.unwrap();
    let again = request(Uuid::from_u128(1), "body");
    assert_eq!(
        earlier(&test.db, &again, NOW + 1).await.as_deref(),
        Some("mc-2gb")
    );
}

async fn another_body_is_refused(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Uuid::from_u128(1);
    remember(&test.db, &request(id, "body"), "mc-2gb", NOW)
        .await
        .unwrap();
    let refused = request(id, "Body").earlier(test.db.read(), NOW).await;
    let Err(Error::Refused(refusal)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.reason(), "REQUEST_ID_REUSED");
    // Nothing of either body is kept: only its hash.
    let kept = sql::texts(&test.db, "SELECT body_sha256 FROM request_keys").await;
    assert_eq!(
        kept,
        ["230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"]
    );
}

async fn callers_methods_and_ids_are_apart(engine: Engine) {
    let test = TestDb::new(engine).await;
    let (id, body) = (Uuid::from_u128(1), "body".as_bytes());
    remember(&test.db, &request(id, "body"), "mc-2gb", NOW)
        .await
        .unwrap();
    let mut on_behalf = caller(Role::Storefront);
    on_behalf.user = Some(UserId(Uuid::from_u128(7)));
    for other in [
        Request::new(&caller(Role::Viewer), METHOD, id, body),
        Request::new(&on_behalf, METHOD, id, body),
        Request::new(
            &caller(Role::Operator),
            "CatalogService/CreateAddon",
            id,
            body,
        ),
        Request::new(&caller(Role::Operator), METHOD, Uuid::from_u128(2), body),
    ] {
        assert_eq!(earlier(&test.db, &other, NOW).await, None, "{other:?}");
        remember(&test.db, &other, "its own", NOW).await.unwrap();
    }
    assert_eq!(
        sql::count(&test.db, "SELECT count(*) FROM request_keys").await,
        5
    );
}

async fn a_key_is_forgotten_after_72_hours(engine: Engine) {
    let test = TestDb::new(engine).await;
    let old = request(Uuid::from_u128(1), "body");
    remember(&test.db, &old, "old", NOW).await.unwrap();
    assert!(earlier(&test.db, &old, NOW + 72 * HOUR - 1).await.is_some());
    let later = NOW + 72 * HOUR;
    let other_body = request(Uuid::from_u128(1), "other");
    assert_eq!(earlier(&test.db, &other_body, later).await, None);
    remember(&test.db, &other_body, "new", later).await.unwrap();
    assert_eq!(
        earlier(&test.db, &other_body, later).await.as_deref(),
        Some("new")
    );

    remember(&test.db, &request(Uuid::from_u128(2), "body"), "old", NOW)
        .await
        .unwrap();
    let pruned = db::request_keys::prune(test.db.read(), later, 9)
        .await
        .unwrap();
    assert_eq!(pruned, 1, "only what has expired goes");
    assert_eq!(
        earlier(&test.db, &other_body, later).await.as_deref(),
        Some("new")
    );
}

async fn a_failed_call_leaves_no_key(engine: Engine) {
    let test = TestDb::new(engine).await;
    let request = &request(Uuid::from_u128(1), "body");
    let failed: Result<(), Error> = test
        .db
        .tx(|tx| async move {
            request.remember(&tx, "half-made", NOW).await?;
            Err(Error::Internal("after the key".to_owned()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(earlier(&test.db, request, NOW).await, None);
}

/// One call as every verb makes it: look, make, remember; look again after a lost race.
async fn call(db: &Db, request: &Request, order: OrderId, mine: &str) -> Result<String, Error> {
    let note = &note();
    for _ in 0..20 {
        let made = db
            .tx(|tx| async move {
                if let Some(earlier) = request.earlier(&*tx, NOW).await? {
                    return Ok(earlier);
                }
                order_events::remark(&tx, order, mine, note, NOW).await?;
                request.remember(&tx, mine, NOW).await?;
                Ok::<_, Error>(mine.to_owned())
            })
            .await;
        match made {
            Err(Error::Store(db::Error::Unavailable(_))) => {}
            Err(Error::Store(error)) if error.conflicts_on("request_keys") => {}
            other => return other,
        }
    }
    panic!("the store stayed unavailable");
}

async fn twenty_calls_at_once_make_one_thing(engine: Engine) {
    let test = TestDb::new(engine).await;
    let order = Shop::open(&test.db).await.order().await;
    let (one, other) = (test.replica().await, test.replica().await);
    let barrier = Arc::new(Barrier::new(20));
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let db = if number % 2 == 0 {
                one.clone()
            } else {
                other.clone()
            };
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                let request = request(Uuid::from_u128(1), "body");
                call(&db, &request, order, &format!("thing-{number}")).await
            })
        })
        .collect();
    let answers: Vec<String> = join_all(calls)
        .await
        .into_iter()
        .map(|answer| answer.unwrap().unwrap())
        .collect();
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let made = "SELECT to_value FROM order_events WHERE what = 'note'";
    assert_eq!(sql::texts(&test.db, made).await, [answers[0].clone()]);
}
