//! WatchOrder: the order at once, then each change, and an end that tells why.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use spawnpoint::rpc::proto::{self, OrderStatus, ServerState};
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
};

both_engines!(
    a_watch_tells_the_order_now_and_each_change,
    a_watch_ends_when_nothing_will_change_any_more,
    a_watch_ends_with_a_reason_when_the_service_stops,
    a_reader_that_does_not_read_delays_nobody,
    one_version_shows_one_order,
);

type Watch = Streaming<proto::WatchOrderResponse>;

async fn watch(live: &Live, order: &proto::Order, user: Uuid) -> Watch {
    let message = proto::WatchOrderRequest {
        order_id: order.id.clone(),
    };
    live.orders()
        .watch_order(live.storefront(message, user))
        .await
        .unwrap()
        .into_inner()
}

/// The next message; `None` at a good end.
async fn next(watch: &mut Watch) -> Option<proto::Order> {
    let next = tokio::time::timeout(PATIENCE, watch.message())
        .await
        .expect("a message in time");
    next.unwrap().map(|message| message.order.unwrap())
}

async fn a_watch_tells_the_order_now_and_each_change(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    let mut watch = watch(&live, &order, user).await;
    let first = next(&mut watch).await.unwrap();
    assert_eq!(
        (&first.id, first.status(), &first.checkout_url),
        (&order.id, OrderStatus::Pending, &order.checkout_url)
    );
    // Another order's changes are none of this one.
    live.buy(Uuid::new_v4()).await;
    live.pay(&order);
    let mut seen = vec![first];
    loop {
        let order = next(&mut watch).await.expect("the order is not over");
        let before = seen.last().unwrap();
        assert!(
            order.version > before.version,
            "{} {}",
            before.version,
            order.version
        );
        assert_eq!(order.id, before.id);
        let done = order.server_state() == ServerState::Running;
        seen.push(order);
        if done {
            break;
        }
    }
    let last = seen.last().unwrap();
    assert_eq!(last.status(), OrderStatus::Provisioned);
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!(
        (
            last.pterodactyl_server_id,
            &last.pterodactyl_server_identifier
        ),
        (server.id, &server.identifier),
        "the whole resource"
    );
    let mut statuses: Vec<OrderStatus> = seen.iter().map(proto::Order::status).collect();
    statuses.dedup();
    assert!(statuses.is_sorted(), "{statuses:?}");
    // A watch that begins late begins with what is.
    let mut late = self::watch(&live, &order, user).await;
    assert!(next(&mut late).await.unwrap().version >= last.version);
    live.close().await;
}

async fn a_watch_ends_when_nothing_will_change_any_more(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    let mut watch = watch(&live, &order, user).await;
    assert_eq!(
        next(&mut watch).await.unwrap().status(),
        OrderStatus::Pending
    );
    live.world
        .stripe
        .expire(&order.stripe_checkout_session_id)
        .unwrap();
    let mut last = None;
    while let Some(order) = next(&mut watch).await {
        last = Some(order);
    }
    let last = last.expect("a change before the end");
    assert_eq!(
        (last.status(), last.server_state()),
        (OrderStatus::Canceled, ServerState::None)
    );
    // And at once for one that is over already.
    let mut over = self::watch(&live, &order, user).await;
    // When it is looked at next is no change of an order: the watch may have ended before.
    let shown = |mut order: proto::Order| {
        order.next_attempt_time = None;
        order
    };
    assert_eq!(shown(next(&mut over).await.unwrap()), shown(last));
    assert_eq!(next(&mut over).await, None);
    live.close().await;
}

async fn a_watch_ends_with_a_reason_when_the_service_stops(engine: Engine) {
    let mut live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    let mut watch = watch(&live, &order, user).await;
    assert_eq!(next(&mut watch).await.unwrap().id, order.id);
    let stop = tokio::time::timeout(Duration::from_secs(20), live.world.stop_cores());
    let (stopped, ended) = tokio::join!(stop, async {
        loop {
            match tokio::time::timeout(PATIENCE, watch.message())
                .await
                .expect("an end in time")
            {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a good end would say that the order is over"),
                Err(status) => return status,
            }
        }
    });
    stopped.expect("an open watch does not hold the service");
    assert_eq!(
        (ended.code(), reason(&ended).as_str()),
        (Code::Unavailable, "SHUTTING_DOWN"),
        "{ended:?}"
    );
    live.close().await;
}

async fn a_reader_that_does_not_read_delays_nobody(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    // Opened, and then not read while everything happens.
    let mut slow = Vec::new();
    for _ in 0..8 {
        slow.push(watch(&live, &order, user).await);
    }
    live.pay(&order);
    let done = live.wait_running(&order.id).await;
    for watch in &mut slow {
        let mut version = 0;
        while version < done.version {
            let order = next(watch).await.expect("the order is not over");
            assert!(
                order.version > version,
                "versions are skipped, never repeated"
            );
            version = order.version;
        }
    }
    live.close().await;
}

/// What one version shows never changes: the parts of an order are read as of one moment.
async fn one_version_shows_one_order(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    let running = AtomicBool::new(true);
    let look = async || {
        let mut seen = Vec::new();
        while running.load(Ordering::Relaxed) {
            seen.push(live.order(&order.id).await);
            let list = live.operator(proto::ListOrdersRequest::default());
            seen.extend(
                live.orders()
                    .list_orders(list)
                    .await
                    .unwrap()
                    .into_inner()
                    .orders,
            );
        }
        seen
    };
    let sell = async {
        live.pay(&order);
        live.wait_running(&order.id).await;
        running.store(false, Ordering::Relaxed);
    };
    let (one, two, three, ()) = tokio::join!(look(), look(), look(), sell);
    let mut shown: BTreeMap<i64, proto::Order> = BTreeMap::new();
    let mut looks = 0;
    for mut order in one.into_iter().chain(two).chain(three) {
        // When the worker looks next is no change of the order.
        order.next_attempt_time = None;
        let version = order.version;
        let first = shown.entry(version).or_insert_with(|| order.clone());
        assert_eq!(*first, order, "version {version}");
        looks += 1;
    }
    assert!(shown.len() > 4, "{} versions in {looks} looks", shown.len());
    live.close().await;
}
