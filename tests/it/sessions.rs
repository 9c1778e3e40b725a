//! Sessions and what they hold: one per purchase however often it is asked for, and at
//! most three open ones per user.

use std::cell::RefCell;

use futures_util::future::join_all;
use sandbox::stripe::{Effect, Fault, SessionStatus, SessionView};
use spawnpoint::rpc::proto::{
    CreateCheckoutSessionRequest, CreateCheckoutSessionResponse, Order, OrderStatus,
};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    till, wait,
};

both_engines!(
    one_request_id_is_one_order_however_often_it_comes,
    a_request_id_belongs_to_one_cart_of_one_user,
    the_same_cart_gets_the_open_session,
    a_fourth_session_ends_the_oldest,
    a_session_paid_while_it_is_ended_is_delivered,
    many_carts_at_once_leave_three_sessions,
    one_customer_holds_room_in_a_dozen_unpaid_orders_at_most,
);

/// Where sessions are opened.
const SESSIONS: &str = "/v1/checkout/sessions";

fn named(user: Uuid, name: &str) -> CreateCheckoutSessionRequest {
    CreateCheckoutSessionRequest {
        server_name: name.to_owned(),
        ..cart(user)
    }
}

async fn bought(live: &Live, cart: CreateCheckoutSessionRequest) -> Order {
    live.checkout(cart).await.unwrap().order.unwrap()
}

/// As [`bought`], once the worker has nothing more to do than wait for the payment.
async fn waiting(live: &Live, cart: CreateCheckoutSessionRequest) -> Order {
    let order = bought(live, cart).await;
    live.wait_order(&order.id, "it waits for its payment", |order| {
        order.waiting_reason == "AWAITING_PAYMENT"
    })
    .await
}

/// As a client does that is told to come back: the same request again.
async fn checked_out(
    live: &Live,
    cart: &CreateCheckoutSessionRequest,
) -> CreateCheckoutSessionResponse {
    let answer = RefCell::new(None);
    wait::until("the cart is taken", PATIENCE, || async {
        match live.checkout(cart.clone()).await {
            Ok(opened) => answer.replace(Some(opened)).is_none(),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                false
            }
        }
    })
    .await;
    answer.into_inner().unwrap()
}

/// G-09: one request id, fifty times at once while Stripe is slow, then once more after
/// success: one order, one answer, one call of Stripe.
async fn one_request_id_is_one_order_however_often_it_comes(engine: Engine) {
    let live = Live::open(engine).await;
    let wanted = cart(Uuid::new_v4());
    let before = till::remaining(&live, "mc-2gb", "us-east").await;
    let slow = Effect::Delay { millis: 500 };
    let fault = live
        .world
        .stripe
        .inject(Fault::on("POST", "/v1/", slow).times(2));
    let opened = join_all((0..50).map(|_| checked_out(&live, &wanted))).await;
    assert_eq!(live.world.stripe.fired(fault), 2);
    for path in ["/v1/customers", "/v1/checkout/sessions"] {
        assert_eq!(till::stripe_calls(&live, "POST", path).len(), 1, "{path}");
    }
    let first = opened[0].order.as_ref().unwrap();
    for again in &opened {
        assert_eq!(again.order.as_ref().unwrap().id, first.id);
        assert_eq!(again.checkout_url, first.checkout_url);
        assert_eq!(again.expire_time, first.hold_expire_time);
    }
    for table in [
        "orders",
        "billing",
        "servers",
        "holds",
        "profiles",
        "request_keys",
    ] {
        assert_eq!(till::rows(&live, table).await, 1, "{table}");
    }
    assert_eq!(live.world.stripe.sessions().len(), 1);
    assert_eq!(
        till::remaining(&live, "mc-2gb", "us-east").await,
        before - 1
    );

    // The state of now, not of the first answer.
    live.pay(first);
    live.wait_running(&first.id).await;
    let again = live.checkout(wanted).await.unwrap();
    assert_eq!(again.order.unwrap().status(), OrderStatus::Provisioned);
    assert_eq!((again.checkout_url.as_str(), again.expire_time), ("", None));
    assert_eq!(live.world.stripe.sessions().len(), 1);
    assert_eq!(live.world.panel.servers().len(), 1);
    live.close().await;
}

/// G-09, with another body.
async fn a_request_id_belongs_to_one_cart_of_one_user(engine: Engine) {
    let live = Live::open(engine).await;
    let wanted = cart(Uuid::new_v4());
    let order = waiting(&live, wanted.clone()).await;
    let before = till::made(&live).await;
    for other in [
        CreateCheckoutSessionRequest {
            server_name: "Another".to_owned(),
            ..wanted.clone()
        },
        CreateCheckoutSessionRequest {
            plan_id: "mc-4gb".to_owned(),
            ..wanted.clone()
        },
        CreateCheckoutSessionRequest {
            email_verified: false,
            ..wanted.clone()
        },
        CreateCheckoutSessionRequest {
            environment: [("SERVER_JARFILE".to_owned(), "x.jar".to_owned())].into(),
            ..wanted.clone()
        },
    ] {
        let status = live.checkout(other).await.unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    }
    assert_eq!(till::made(&live).await, before);

    // Another user's request of the same id is another request.
    let other = CreateCheckoutSessionRequest {
        request_id: wanted.request_id.clone(),
        ..cart(Uuid::new_v4())
    };
    assert_ne!(bought(&live, other).await.id, order.id);
    live.close().await;
}

async fn the_same_cart_gets_the_open_session(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let first = CreateCheckoutSessionRequest {
        addon_ids: ids(&["extra-port", "extra-vcpu"]),
        ..cart(user)
    };
    let order = waiting(&live, first.clone()).await;
    let before = till::made(&live).await;
    let again = CreateCheckoutSessionRequest {
        addon_ids: ids(&["extra-vcpu", "extra-port"]),
        request_id: Uuid::new_v4().to_string(),
        ..first
    };
    let opened = live.checkout(again.clone()).await.unwrap();
    assert_eq!(opened.checkout_url, order.checkout_url);
    assert_eq!(opened.order.unwrap().id, order.id);
    // Nothing but the second request id was stored.
    let mut after = till::made(&live).await;
    for count in &mut after {
        if count.0 == "request keys" {
            count.1 -= 1;
        }
    }
    assert_eq!(after, before);

    // Six at once, each with an id of its own: one order, one session.
    let sessions = live.world.stripe.sessions().len();
    let other = Uuid::new_v4();
    let opened = join_all((0..6).map(|_| live.checkout(cart(other)))).await;
    let ids: Vec<String> = opened
        .into_iter()
        .map(|opened| opened.unwrap().order.unwrap().id)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(live.world.stripe.sessions().len(), sessions + 1);

    // Less than two minutes are left: too little to pay in, so a new one is opened.
    till::move_core(&live, std::time::Duration::from_secs(33 * 60 + 5));
    let late = CreateCheckoutSessionRequest {
        request_id: Uuid::new_v4().to_string(),
        ..again
    };
    let opened = bought(&live, late).await;
    assert_ne!(opened.id, order.id);
    assert_ne!(opened.checkout_url, order.checkout_url);
    live.close().await;
}

async fn a_fourth_session_ends_the_oldest(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let mut orders = Vec::new();
    for (name, left) in [("one", all - 1), ("two", all - 2), ("three", all - 3)] {
        orders.push(bought(&live, named(user, name)).await);
        assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, left);
    }
    // Another user's sessions do not count.
    bought(&live, named(Uuid::new_v4(), "other")).await;
    orders.push(bought(&live, named(user, "four")).await);

    let ended = live
        .wait_order(&orders[0].id, "the oldest has ended", |order| {
            order.status() == OrderStatus::Canceled
        })
        .await;
    assert_eq!(ended.checkout_url, "");
    let session = live
        .world
        .stripe
        .session(&orders[0].stripe_checkout_session_id)
        .unwrap();
    assert_eq!(session.status, SessionStatus::Expired);
    // Four of this user less the ended one, and one of the other.
    till::wait_remaining(&live, "mc-2gb", "us-east", all - 4).await;
    for order in &orders[1..] {
        assert_eq!(live.order(&order.id).await.status(), OrderStatus::Pending);
        let session = live
            .world
            .stripe
            .session(&order.stripe_checkout_session_id)
            .unwrap();
        assert_eq!(session.status, SessionStatus::Open);
    }
    let path = format!(
        "/v1/checkout/sessions/{}/expire",
        ended.stripe_checkout_session_id
    );
    assert_eq!(till::stripe_calls(&live, "POST", &path).len(), 1);
    // What has ended is not handed out again.
    let again = bought(&live, named(user, "one")).await;
    assert_ne!(again.id, orders[0].id);
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    live.close().await;
}

async fn a_session_paid_while_it_is_ended_is_delivered(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.webhooks = false;
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await;
    let user = Uuid::new_v4();
    let oldest = bought(&live, named(user, "one")).await;
    for name in ["two", "three"] {
        bought(&live, named(user, name)).await;
    }
    // Paid, but we do not know it yet.
    live.pay(&oldest);
    bought(&live, named(user, "four")).await;
    let done = live.wait_running(&oldest.id).await;
    assert_eq!(done.subscription_status, "active");
    assert!(live.world.panel.server(&oldest.id).is_some());
    live.close().await;
}

async fn many_carts_at_once_leave_three_sessions(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let all = till::remaining(&live, "mc-2gb", "us-east").await;
    let carts = (0..8).map(|n| live.checkout(named(user, &format!("world {n}"))));
    let opened = join_all(carts).await;
    let orders: Vec<Order> = opened
        .into_iter()
        .map(|opened| opened.unwrap().order.unwrap())
        .collect();
    till::wait_remaining(&live, "mc-2gb", "us-east", all - 3).await;
    wait::until("five have ended", PATIENCE, || async {
        let sessions = live.world.stripe.sessions();
        let open = |session: &&SessionView| session.status == SessionStatus::Open;
        sessions.len() == 8 && sessions.iter().filter(open).count() == 3
    })
    .await;
    let mut canceled = 0;
    for order in &orders {
        let status = live.order(&order.id).await.status();
        canceled += usize::from(status == OrderStatus::Canceled);
    }
    assert_eq!(canceled, 5);
    assert_eq!(till::rows(&live, "holds").await, 3);
    live.close().await;
}

/// While Stripe is away nothing is given back, and each cart would hold more: one customer
/// must not fill a region meanwhile, and others still may buy.
async fn one_customer_holds_room_in_a_dozen_unpaid_orders_at_most(engine: Engine) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    let user = Uuid::new_v4();
    // Prices are known and the customer is; sessions are not opened any more.
    let first = waiting(&live, named(user, "first")).await;
    let away = stripe.inject(Fault::on("POST", SESSIONS, Effect::DropBefore).always());
    let refused = async |user: Uuid, name: &str| {
        let refused = live.checkout(named(user, name)).await;
        reason(&refused.unwrap_err())
    };
    let names: Vec<_> = (1..12).map(|number| format!("world {number}")).collect();
    for some in names.chunks(4) {
        let answers = join_all(some.iter().map(|name| refused(user, name))).await;
        assert!(
            answers.iter().all(|reason| reason == "STRIPE_UNAVAILABLE"),
            "{answers:?}"
        );
    }
    assert_eq!(till::rows(&live, "holds").await, 12);
    let limited = live.checkout(named(user, "one more")).await.unwrap_err();
    assert_eq!(limited.code(), Code::ResourceExhausted);
    assert_eq!(reason(&limited), "RATE_LIMITED");
    assert!(limited.get_details_retry_info().is_some());
    assert_eq!(till::rows(&live, "holds").await, 12, "nothing was made");
    let other = Uuid::new_v4();
    assert_eq!(refused(other, "theirs").await, "STRIPE_UNAVAILABLE");
    assert!(stripe.fired(away) > 12);

    // Once Stripe is back, all but the last three are ended, and the customer buys.
    stripe.clear_faults();
    live.wait_order(&first.id, "the oldest has ended", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    wait::until("room is given back", PATIENCE, || async {
        till::rows(&live, "holds").await <= 5
    })
    .await;
    let order = bought(&live, named(user, "at last")).await;
    live.pay(&order);
    live.wait_running(&order.id).await;
    live.close().await;
}
