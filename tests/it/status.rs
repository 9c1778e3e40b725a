//! Status as it is stored: computed from the facts in one place, with an event for
//! each visible change and one version for each transaction that made one.

use std::{future::Future, sync::Arc};

use futures_util::future::join_all;
use spawnpoint::{
    db::{
        Db, Error, Tx,
        billing::{self, Read, SessionRead, SubscriptionRead},
        order_events,
        orders::{self, Progress},
        servers::{self, Known, Observed},
    },
    domain::{
        OrderId,
        order::{ErrorReason, Facts, WaitingReason, visible::Event},
    },
};
use tokio::sync::Barrier;

use crate::support::{
    db::{Engine, TestDb},
    shop::{BIG, Shop, note},
    sql,
};

both_engines!(
    a_purchase_passes_through_every_status,
    the_first_rule_that_holds_wins,
    a_change_of_nothing_is_no_event,
    a_failed_change_leaves_nothing,
    changes_at_once_are_one_after_the_other,
);

/// One change as every writer makes it: lock, write, seal.
async fn change<F, Fut>(db: &Db, id: OrderId, body: F) -> Result<Facts, Error>
where
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<(), Error>>,
{
    let (body, note) = (&body, &note());
    db.tx(|tx| async move {
        let now_us = db.now_in(&tx).await?;
        let locked = orders::lock(&tx, id).await?.expect("the order exists");
        body(tx.clone()).await?;
        orders::seal(&tx, locked, note, now_us).await
    })
    .await
}

fn read(session: &str, payment: &str, subscription: Option<&str>) -> Read {
    Read {
        hints_read: 0,
        session: Some(SessionRead {
            status: session.to_owned(),
            payment_status: payment.to_owned(),
            expires_us: 5,
            url: None,
            customer_id: Some("cus_1".to_owned()),
            subscription_id: subscription.map(|_| "sub_1".to_owned()),
        }),
        subscription: subscription.map(|status| SubscriptionRead {
            status: status.to_owned(),
            current_period_end_us: Some(9),
            cancel_at_us: None,
            ended_at_us: None,
            past_due_since_us: None,
            suspend_since_us: None,
            collection_paused: false,
        }),
        confirmed: payment == "paid",
        read_us: 7,
    }
}

fn observed(status: &str) -> Observed {
    Observed {
        status: status.to_owned(),
        name: "x".to_owned(),
        memory_mb: 1,
        disk_mb: 1,
        cpu: 1,
    }
}

fn stuck(error: Option<ErrorReason>, waiting: Option<WaitingReason>) -> Progress {
    Progress {
        waiting,
        error: error.map(|reason| (reason, "why".to_owned())),
        attempts: 0,
    }
}

/// What the tests change of an order.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Open,
    Paid,
    Expired,
    Ended,
    Attempt,
    Created,
    Installing,
    Running,
    Broken,
    Deleted,
    Parked,
    Unparked,
}

/// Stores a read, by which nothing is to go back.
async fn heard(tx: &Tx, id: OrderId, read: &Read) -> Result<(), Error> {
    assert_eq!(billing::set_read(tx, id, read).await?.paid_late, None);
    Ok(())
}

async fn store(db: &Db, id: OrderId, node: i32, fact: Fact) -> Facts {
    let changed = change(db, id, |tx| async move {
        match fact {
            Fact::Open => billing::set_session(&tx, id, "cs_1", Some("https://x"), 5, "open").await,
            Fact::Paid => heard(&tx, id, &read("complete", "paid", Some("active"))).await,
            Fact::Expired => heard(&tx, id, &read("expired", "unpaid", None)).await,
            Fact::Ended => heard(&tx, id, &read("complete", "paid", Some("canceled"))).await,
            Fact::Attempt => servers::set_attempt(&tx, id, 1, node, &"request").await,
            Fact::Created => {
                let known = Known {
                    panel_id: 7,
                    identifier: "abc".to_owned(),
                    uuid: "u".to_owned(),
                    owner_id: 1,
                    egg_id: 3,
                    node_id: Some(node),
                };
                servers::set_created(&tx, id, &known, 6).await
            }
            Fact::Installing => {
                servers::set_observed(&tx, id, &observed("installing"), false, 7).await
            }
            Fact::Running => servers::set_observed(&tx, id, &observed(""), true, 8).await,
            Fact::Broken => {
                servers::set_observed(&tx, id, &observed("install_failed"), false, 8).await
            }
            Fact::Deleted => servers::set_deleted(&tx, id, 9).await,
            Fact::Parked => {
                orders::set_progress(&tx, id, &stuck(Some(ErrorReason::Internal), None)).await
            }
            Fact::Unparked => orders::set_progress(&tx, id, &stuck(None, None)).await,
        }
    });
    changed
        .await
        .unwrap_or_else(|error| panic!("{fact:?}: {error:?}"))
}

/// Status and server state as they stand in the row.
async fn stored(db: &Db, id: OrderId) -> String {
    let id = sql::id(db, id.0);
    let query = format!("SELECT status || ' ' || server_state FROM orders WHERE id = {id}");
    sql::texts(db, &query).await.remove(0)
}

async fn events(db: &Db, id: OrderId) -> Vec<Event> {
    order_events::list(db.read(), id, None, 1_000)
        .await
        .expect("events")
}

async fn a_purchase_passes_through_every_status(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let (node, id) = (shop.node(BIG).await, shop.order().await);
    assert_eq!(stored(&test.db, id).await, "pending none");
    let mut version = 1;
    for (fact, expected) in [
        (Fact::Open, "pending none"),
        (Fact::Paid, "paid none"),
        (Fact::Attempt, "provisioning none"),
        (Fact::Created, "provisioned installing"),
        (Fact::Running, "provisioned running"),
        // What fails on a server that ever ran does not take it from its customer.
        (Fact::Parked, "provisioned running"),
        (Fact::Unparked, "provisioned running"),
        (Fact::Ended, "canceled running"),
        (Fact::Deleted, "canceled deleted"),
    ] {
        let facts = store(&test.db, id, node, fact).await;
        version += 1;
        assert_eq!(stored(&test.db, id).await, expected, "{fact:?}");
        assert_eq!(
            facts.order.version, version,
            "{fact:?}: one version per change"
        );
        assert_eq!(
            format!("{} {}", facts.order.status, facts.order.server_state),
            expected
        );
        let again = orders::find(test.db.read(), id).await.unwrap().unwrap();
        assert_eq!(again, facts, "{fact:?}: what is answered is what is stored");
    }
    let copied = format!(
        "SELECT stripe_sub_id || ' ' || pterodactyl_server_id || ' ' || pterodactyl_server_identifier
            || ' ' || CASE WHEN node_id = {node} THEN 'there' ELSE 'elsewhere' END FROM orders"
    );
    assert_eq!(sql::texts(&test.db, &copied).await, ["sub_1 7 abc there"]);

    // The events of each field lead from value to value, without a break.
    let told = events(&test.db, id).await;
    let mut last: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
    for event in &told {
        let before = last.insert(&event.what, &event.to).unwrap_or_else(|| {
            if event.what == "server_state" {
                "none"
            } else {
                ""
            }
        });
        assert_eq!(event.from, before, "{event:?}");
        assert_ne!(event.from, event.to, "{event:?}");
        assert_eq!(
            (event.actor.as_str(), event.cause.as_str()),
            ("test", "Test")
        );
    }
    let of = |what: &str| -> Vec<&str> {
        told.iter()
            .filter(|event| event.what == what)
            .map(|event| event.to.as_str())
            .collect()
    };
    assert_eq!(
        of("status"),
        ["pending", "paid", "provisioning", "provisioned", "canceled"]
    );
    assert_eq!(of("server_state"), ["installing", "running", "deleted"]);
    assert_eq!(of("error_reason"), ["INTERNAL", ""]);
    assert_eq!(of("stripe_sub_id"), ["sub_1"]);
}

async fn the_first_rule_that_holds_wins(engine: Engine) {
    use Fact::{
        Attempt, Broken, Created, Deleted, Ended, Expired, Installing, Open, Paid, Parked, Running,
        Unparked,
    };
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let node = shop.node(BIG).await;
    let cases: &[(&[Fact], &str)] = &[
        (&[Parked], "error none"),
        (&[Parked, Expired], "canceled none"),
        (&[Open, Expired], "canceled none"),
        (&[Open, Attempt], "pending none"),
        (&[Attempt, Paid], "provisioning none"),
        (&[Paid, Parked], "error none"),
        (&[Paid, Parked, Unparked], "paid none"),
        (&[Paid, Attempt, Parked], "error none"),
        (&[Paid, Attempt, Ended], "canceled none"),
        (
            &[Paid, Attempt, Created, Installing],
            "provisioned installing",
        ),
        (
            &[Paid, Attempt, Created, Broken],
            "provisioned install_failed",
        ),
        // It never ran: nobody can use it.
        (
            &[Paid, Attempt, Created, Broken, Parked],
            "error install_failed",
        ),
        (
            &[Paid, Attempt, Created, Running, Parked, Ended],
            "canceled running",
        ),
        (
            &[Paid, Attempt, Created, Running, Deleted],
            "provisioning deleted",
        ),
        (
            &[Paid, Attempt, Created, Running, Deleted, Parked],
            "error deleted",
        ),
        // Once confirmed, a later "unpaid" of the session does not unpay it.
        (&[Paid, Open], "paid none"),
    ];
    for (facts, expected) in cases {
        let id = shop.order().await;
        for fact in *facts {
            // Panel and Stripe ids are unique: each case ends before the next begins.
            store(&test.db, id, node, *fact).await;
        }
        assert_eq!(stored(&test.db, id).await, *expected, "{facts:?}");
        clear_ids(&test.db).await;
    }
}

/// Lets the next order have the same ids at Stripe and at the panel.
async fn clear_ids(db: &Db) {
    for statement in [
        "UPDATE billing SET session_id = NULL, subscription_id = NULL",
        "UPDATE orders SET stripe_sub_id = NULL, pterodactyl_server_id = NULL",
        "UPDATE servers SET deleted_us = NULL, pterodactyl_server_id = NULL",
    ] {
        sql::run(db, statement).await.expect("ids can be cleared");
    }
}

async fn a_change_of_nothing_is_no_event(engine: Engine) {
    let test = TestDb::new(engine).await;
    let shop = Shop::open(&test.db).await;
    let (node, id) = (shop.node(BIG).await, shop.order().await);
    let first = store(&test.db, id, node, Fact::Paid).await;
    let told = events(&test.db, id).await;
    let again = store(&test.db, id, node, Fact::Paid).await;
    assert_eq!(
        (again.order.version, again.order.updated_us),
        (2, first.order.updated_us)
    );
    assert_eq!(events(&test.db, id).await, told);
    // A fact that nobody sees is none either.
    let hint = change(&test.db, id, |tx| async move {
        billing::add_hint(&tx, id, Some(3)).await
    });
    assert_eq!(hint.await.unwrap().order.version, 2);
    assert_eq!(events(&test.db, id).await, told);
}

async fn a_failed_change_leaves_nothing(engine: Engine) {
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.order().await;
    let before = orders::find(test.db.read(), id).await.unwrap();
    let failed = change(&test.db, id, |tx| async move {
        billing::set_read(&tx, id, &read("complete", "paid", Some("active"))).await?;
        orders::set_progress(&tx, id, &stuck(Some(ErrorReason::Internal), None)).await?;
        Err(Error::ClaimLost)
    });
    assert!(matches!(failed.await, Err(Error::ClaimLost)));
    assert_eq!(orders::find(test.db.read(), id).await.unwrap(), before);
    assert_eq!(events(&test.db, id).await.len(), 1);
}

async fn changes_at_once_are_one_after_the_other(engine: Engine) {
    const CHANGES: i32 = 24;
    let test = TestDb::new(engine).await;
    let id = Shop::open(&test.db).await.order().await;
    let (one, other) = (test.replica().await, test.replica().await);
    let barrier = Arc::new(Barrier::new(24));
    let changes = (0..CHANGES).map(|number| {
        let db = if number % 2 == 0 {
            one.clone()
        } else {
            other.clone()
        };
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            barrier.wait().await;
            loop {
                let added = change(&db, id, |tx| async move {
                    let facts = orders::find(&*tx, id).await?.expect("the order exists");
                    let attempts = facts.order.attempts + 1;
                    orders::set_progress(
                        &tx,
                        id,
                        &Progress {
                            attempts,
                            ..stuck(None, None)
                        },
                    )
                    .await
                });
                match added.await {
                    Err(Error::Unavailable(_)) => {}
                    other => return other.expect("a change can be stored"),
                }
            }
        })
    });
    join_all(changes.collect::<Vec<_>>())
        .await
        .into_iter()
        .for_each(|done| {
            done.expect("no panic");
        });
    let facts = orders::find(test.db.read(), id).await.unwrap().unwrap();
    assert_eq!(
        (facts.order.attempts, facts.order.version),
        (CHANGES, i64::from(CHANGES) + 1)
    );
    let told = events(&test.db, id).await;
    let counted: Vec<String> = told
        .into_iter()
        .filter(|event| event.what == "attempts")
        .map(|event| event.to)
        .collect();
    assert_eq!(
        counted,
        (1..=CHANGES)
            .map(|count| count.to_string())
            .collect::<Vec<_>>()
    );
}
