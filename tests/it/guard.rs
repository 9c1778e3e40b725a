//! What only a sweep brings in is not done to a whole shop in a night: the guard of the sweep
//! `charges`, and how an operator lets it go on.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::stripe::SubscriptionStatus;
use spawnpoint::{
    db::{
        Db, Error,
        guards::{self, Asked, Verdict},
        sweeps,
    },
    domain::{
        OrderId,
        guard::{Act, CHARGES, WINDOW_US},
    },
    rpc::proto::{self, Order, ServerState},
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    changes::suspend,
    db::{Engine, TestDb},
    live::{Live, PATIENCE, reason, with_token},
    shop::Shop,
    sql, sweeps as swept, till, wait,
};

both_engines!(
    more_disputes_than_may_stop_servers_wait_for_an_operator,
    what_was_read_or_ordered_is_neither_counted_nor_held,
    a_release_is_done_once_by_operators_only,
    a_release_that_died_half_way_is_made_up_for,
    replicas_at_the_limit_let_no_more_pass,
    an_act_counts_once_and_for_an_hour,
    a_large_shop_lets_its_share_pass,
);

const HOUR: Duration = Duration::from_secs(3600);
/// So many pass in a small shop.
const MOST: usize = 5;
/// More than another hour would let pass.
const WAITING: usize = 6;
const ACTS: &str = "SELECT count(*) FROM guard_acts";
const HELD: &str = "SELECT count(*) FROM servers WHERE suspend_held_us IS NOT NULL";

async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set_all(&[("SWEEP_CHARGES_SECONDS", "0.2"), ("GRACE_DAYS", "0")]);
    })
    .await
}

fn dispute(live: &Live, order: &Order) {
    let stripe = &live.world.stripe;
    stripe
        .open_dispute(&order.stripe_sub_id, "fraudulent")
        .unwrap();
}

/// What ListSweeps shows of the guard.
async fn shown(live: &Live) -> String {
    swept::shown(live, CHARGES).await.guard
}

async fn release_as(
    live: &Live,
    token: &str,
    sweep: &str,
    request_id: Option<Uuid>,
) -> Result<proto::Sweep, Status> {
    let message = proto::ReleaseGuardRequest {
        sweep: sweep.to_owned(),
        request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
    };
    let mut client = live.provisioning();
    let answer = client.release_guard(with_token(message, token)).await?;
    Ok(answer.into_inner().sweep.unwrap())
}

async fn release(
    live: &Live,
    sweep: &str,
    request_id: Option<Uuid>,
) -> Result<proto::Sweep, Status> {
    release_as(live, &live.world.tokens.operator, sweep, request_id).await
}

/// Has the sweep be held, as if it had done too much.
async fn trip(live: &Live) {
    let held = "UPDATE sweeps SET guard = 'held' WHERE name = 'charges'";
    assert_eq!(sql::run(&live.store.db, held).await.unwrap(), 1);
}

async fn until_suspended(live: &Live, order: &Order) {
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended
    })
    .await;
}

async fn until_held(live: &Live, servers: i64) {
    wait::until("they are held", PATIENCE, || async {
        sql::count(&live.store.db, HELD).await == servers
    })
    .await;
}

fn stopped(live: &Live, orders: &[Order]) -> usize {
    let stopped = orders.iter().filter(|order| live.made(&order.id).suspended);
    stopped.count()
}

/// O-03: a bug of Stripe's, or somebody else's hand, disputes every payment of a shop. No more
/// servers stop than the guard lets pass, however long it takes until an operator looks; then
/// all do.
async fn more_disputes_than_may_stop_servers_wait_for_an_operator(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, MOST + WAITING).await;
    for order in &orders {
        dispute(&live, order);
    }
    until_held(&live, 6).await;
    let held = "spawnpoint_guard_holds_total{sweep=\"charges\"}";
    assert!(live.counted(held).await >= 6.0, "no alarm");
    wait::until("the others stand still", PATIENCE, || async {
        stopped(&live, &orders) == MOST
    })
    .await;
    let guard = shown(&live).await;
    assert!(guard.starts_with("held since 20"), "{guard}");
    let counted = "suspend was done 5 times since 20";
    assert!(guard.contains(counted), "{guard}");
    assert!(guard.contains("5 times within an hour (11 live"), "{guard}");
    live.wait_until_unleased().await;
    let mut noted = 0;
    for order in &orders {
        let events = live.events(&order.id).await;
        let waits = events.iter().filter(|event| event.to.contains("runs on"));
        noted += waits.count();
    }
    assert_eq!(noted, WAITING, "each says so once");
    // The hour passes by itself; whoever waits looks again, and asks nobody outside for it.
    let looks = live.world.panel.count_route("GET", "/servers/{server}");
    let last_held_us = sql::count(&live.store.db, "SELECT max(suspend_held_us) FROM servers").await;
    live.skip(2 * HOUR);
    let looked = format!("{HELD} AND suspend_held_us > {}", last_held_us + WINDOW_US);
    wait::until("they have looked again", PATIENCE, || async {
        sql::count(&live.store.db, &looked).await == 6
    })
    .await;
    live.wait_until_unleased().await;
    let looked = live.world.panel.count_route("GET", "/servers/{server}");
    assert_eq!(looked, looks);
    assert_eq!(stopped(&live, &orders), MOST);
    assert_eq!(shown(&live).await, guard);
    let released = release(&live, CHARGES, None).await.unwrap();
    assert_eq!(
        (released.name.as_str(), released.guard.as_str()),
        (CHARGES, "")
    );
    for order in &orders {
        until_suspended(&live, order).await;
    }
    assert_eq!(stopped(&live, &orders), MOST + WAITING);
    assert_eq!(sql::count(&live.store.db, HELD).await, 0);
    assert_eq!(shown(&live).await, "");
    let counted = format!("{ACTS} WHERE sweep IS NOT NULL");
    assert_eq!(sql::count(&live.store.db, &counted).await, 0, "a new hour");
    live.close().await;
}

async fn what_was_read_or_ordered_is_neither_counted_nor_held(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 4).await;
    let [disputed, ordered, unpaid, ended] = &orders[..] else {
        panic!("four");
    };
    trip(&live).await;
    dispute(&live, disputed);
    until_held(&live, 1).await;
    suspend(&live, &ordered.id).await;
    let stripe = &live.world.stripe;
    stripe
        .set_subscription_status(&unpaid.stripe_sub_id, SubscriptionStatus::Unpaid)
        .unwrap();
    stripe.cancel_subscription(&ended.stripe_sub_id).unwrap();
    for order in [ordered, unpaid, ended] {
        until_suspended(&live, order).await;
    }
    // Of the one that is held, its customer's wishes are Stripe's at once.
    let leaves = proto::CancelOrderRequest {
        order_id: disputed.id.clone(),
        at_period_end: true,
        ..proto::CancelOrderRequest::default()
    };
    let mut client = live.orders();
    client.cancel_order(live.operator(leaves)).await.unwrap();
    live.wait_order(&disputed.id, "its end is planned", |order| {
        order.cancel_time.is_some()
    })
    .await;
    assert!(!live.made(&disputed.id).suspended);
    // And an operator's word stops it whatever holds.
    suspend(&live, &disputed.id).await;
    until_suspended(&live, disputed).await;
    assert_eq!(sql::count(&live.store.db, ACTS).await, 0);
    assert_eq!(shown(&live).await, "held");
    live.close().await;
}

async fn a_release_is_done_once_by_operators_only(engine: Engine) {
    let live = open(engine).await;
    wait::until("the sweep had a turn", PATIENCE, || async {
        let ran = "SELECT count(*) FROM sweeps WHERE name = 'charges'";
        sql::count(&live.store.db, ran).await == 1
    })
    .await;
    trip(&live).await;
    let tokens = live.world.tokens.clone();
    for token in [&tokens.viewer, &tokens.storefront, &tokens.gateway] {
        let refused = release_as(&live, token, CHARGES, None).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::PermissionDenied, "ROLE_FORBIDDEN")
        );
    }
    let unknown = release(&live, "nobody", None).await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "SWEEP_NOT_FOUND")
    );
    for wrong in ["", "a\u{7}", &"a".repeat(65)] {
        let refused = release(&live, wrong, None).await.unwrap_err();
        assert_eq!(reason(&refused), "FIELD_INVALID");
    }
    assert_eq!(shown(&live).await, "held");

    let id = Some(Uuid::new_v4());
    assert_eq!(release(&live, CHARGES, id).await.unwrap().guard, "");
    trip(&live).await;
    // What the first call did is done, and what came after it is not its affair.
    assert_eq!(release(&live, CHARGES, id).await.unwrap().guard, "held");
    assert_eq!(shown(&live).await, "held");
    let other = release(&live, "profiles", id).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    let again = release(&live, CHARGES, Some(Uuid::new_v4())).await;
    assert_eq!(again.unwrap().guard, "");
    // One that is not held stays as it is, and so does what it has done.
    let orders = till::running(&live, 1).await;
    dispute(&live, &orders[0]);
    until_suspended(&live, &orders[0]).await;
    assert_eq!(release(&live, CHARGES, None).await.unwrap().guard, "");
    assert_eq!(sql::count(&live.store.db, ACTS).await, 1);
    assert_eq!(till::rows(&live, "guard_acts").await, 1);
    live.close().await;
}

/// The process died between the release and the wake-up of what waited: whoever calls again
/// wakes it, and without that it looks again by itself.
async fn a_release_that_died_half_way_is_made_up_for(engine: Engine) {
    let live = open(engine).await;
    let orders = till::running(&live, 2).await;
    for order in &orders {
        trip(&live).await;
        dispute(&live, order);
        until_held(&live, 1).await;
        live.wait_until_unleased().await;
        let released = "UPDATE sweeps SET guard = '' WHERE name = 'charges'";
        sql::run(&live.store.db, released).await.unwrap();
        if order.id == orders[0].id {
            assert_eq!(release(&live, CHARGES, None).await.unwrap().guard, "");
        } else {
            live.skip(HOUR / 4);
        }
        until_suspended(&live, order).await;
        assert_eq!(sql::count(&live.store.db, HELD).await, 0);
    }
    live.close().await;
}

fn asked(order: OrderId) -> Asked {
    Asked {
        sweep: CHARGES,
        act: Act::Suspend,
        order,
        told: false,
    }
}

/// Asks the guard. As the worker does, it waits again for a lock that was not to be had in time.
async fn pass(db: &Db, asked: Asked, now_us: i64) -> Verdict {
    loop {
        let passed = db.tx(|tx| async move { guards::pass(&tx, asked, now_us).await });
        match passed.await {
            Err(Error::Unavailable(_)) => {}
            other => return other.unwrap(),
        }
    }
}

async fn replicas_at_the_limit_let_no_more_pass(engine: Engine) {
    let test = TestDb::new(engine).await;
    let orders = Shop::open(&test.db).await.orders(24, i64::MAX).await;
    let replicas = [test.replica().await, test.replica().await];
    // Not even the sweep's row is there yet.
    let asks = orders.iter().zip(replicas.iter().cycle());
    let asks = asks.map(|(order, replica)| {
        let (replica, asked) = (replica.clone(), asked(*order));
        tokio::spawn(async move { pass(&replica, asked, 1).await })
    });
    let verdicts = join_all(asks.collect::<Vec<_>>()).await;
    let count = |wanted: Verdict| {
        let same = verdicts
            .iter()
            .filter(|verdict| *verdict.as_ref().unwrap() == wanted);
        same.count()
    };
    assert_eq!(count(Verdict::Passed), MOST);
    assert_eq!(count(Verdict::Tripped), 1, "said once");
    assert_eq!(count(Verdict::Held), orders.len() - MOST - 1);
    assert_eq!(sql::count(&test.db, ACTS).await, 5);
}

async fn an_act_counts_once_and_for_an_hour(engine: Engine) {
    let test = TestDb::new(engine).await;
    let orders = Shop::open(&test.db).await.orders(10, i64::MAX).await;
    let db = &test.db;
    for (at, order) in (1..).zip(&orders[..MOST]) {
        for _ in 0..2 {
            assert_eq!(pass(db, asked(*order), at).await, Verdict::Passed);
        }
    }
    // The oldest have left the hour: as many may follow.
    let later = WINDOW_US + 2;
    for order in &orders[5..7] {
        assert_eq!(pass(db, asked(*order), later).await, Verdict::Passed);
    }
    assert_eq!(sql::count(db, ACTS).await, 5, "what is old is gone");
    assert_eq!(pass(db, asked(orders[7]), later).await, Verdict::Tripped);
    // Held, it stays so whatever time it is; but for what has passed, or was told already.
    let much_later = 100 * WINDOW_US;
    assert_eq!(pass(db, asked(orders[7]), much_later).await, Verdict::Held);
    assert_eq!(sql::count(db, ACTS).await, 0);
    let told = Asked {
        told: true,
        ..asked(orders[6])
    };
    assert_eq!(pass(db, told, much_later).await, Verdict::Passed);
    assert_eq!(
        pass(db, asked(orders[6]), much_later).await,
        Verdict::Passed
    );
    assert_eq!(sql::count(db, ACTS).await, 1);
    let released = db.tx(|tx| async move {
        sweeps::lock(&tx, CHARGES).await?;
        assert!(guards::holds(&tx, CHARGES).await?);
        guards::release(&tx, CHARGES).await?;
        assert!(!guards::holds(&tx, CHARGES).await?);
        Ok::<_, Error>(())
    });
    released.await.unwrap();
    for order in &orders[..MOST] {
        assert_eq!(pass(db, asked(*order), much_later).await, Verdict::Passed);
    }
    assert_eq!(
        pass(db, asked(orders[8]), much_later).await,
        Verdict::Tripped
    );
}

async fn a_large_shop_lets_its_share_pass(engine: Engine) {
    let test = TestDb::new(engine).await;
    let orders = Shop::open(&test.db).await.orders(141, i64::MAX).await;
    let live = "UPDATE servers SET pterodactyl_server_id = (SELECT count(*) FROM servers others
        WHERE others.order_id < servers.order_id)";
    assert_eq!(sql::run(&test.db, live).await.unwrap(), 141);
    let gone = format!(
        "UPDATE servers SET deleted_us = 1 WHERE order_id = {}",
        sql::id(&test.db, orders[140].0)
    );
    assert_eq!(sql::run(&test.db, &gone).await.unwrap(), 1);
    // 5 % of 140.
    for order in &orders[..7] {
        assert_eq!(pass(&test.db, asked(*order), 1).await, Verdict::Passed);
    }
    assert_eq!(pass(&test.db, asked(orders[7]), 1).await, Verdict::Tripped);
    let guard = &sweeps::list(test.db.read()).await.unwrap()[0].guard;
    assert!(
        guard.contains("7 times within an hour (140 live"),
        "{guard}"
    );
}
