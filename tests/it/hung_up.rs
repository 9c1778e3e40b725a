//! Callers that hang up in the middle of a checkout, wherever that is: nothing was made,
//! or an order that the same request finds; and no session that nobody knows of.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use sandbox::stripe::{Effect, Fault};
use spawnpoint::{
    app::{Caller, Error, Role, checkout},
    db::profiles::Told,
    domain::{
        UserId,
        catalog::{ItemType, Term},
    },
    probe::{Moment, Probe, Struck},
    rpc::proto::{self, CreateCheckoutSessionRequest},
};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    effort,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    sql, till, wait,
};

both_engines!(
    a_checkout_left_at_any_await_made_nothing_or_an_order_to_be_found,
    a_stream_reset_during_a_call_of_stripe_made_nothing_or_an_order_to_be_found,
);

const SESSIONS: &str = "/v1/checkout/sessions";
/// More awaits than any checkout has.
const TOO_MANY: usize = 2_000;
/// More than a session's time and the grace after it.
const PAST_ITS_TIME: Duration = Duration::from_secs(38 * 60);

/// One more await at each end of a transaction: a commit is where it matters most.
#[derive(Debug)]
struct Pauses;

#[async_trait::async_trait]
impl Probe for Pauses {
    async fn at(&self, _: Moment) -> Result<(), Struck> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// A call that its caller leaves once it was polled so often.
struct Left<F> {
    call: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Left<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls = self.polls.saturating_sub(1);
        match self.call.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// What the RPC makes of the message.
fn command(cart: &CreateCheckoutSessionRequest) -> checkout::Command {
    checkout::Command {
        request_id: cart.request_id.parse().unwrap(),
        told: Told {
            user_id: UserId(cart.user_id.parse().unwrap()),
            email: cart.email.clone(),
            email_verified: cart.email_verified,
            first_name: cart.first_name.clone(),
            last_name: cart.last_name.clone(),
        },
        plan_id: cart.plan_id.clone(),
        item_type: ItemType::Game,
        term: Term::Monthly,
        region: cart.region.clone(),
        server_name: cart.server_name.clone(),
        addon_ids: Vec::new(),
        environment: BTreeMap::new(),
        referral_code: String::new(),
        success_url: cart.success_url.clone(),
        cancel_url: cart.cancel_url.clone(),
    }
}

/// The verb itself, left after so many polls; `None` where it was left.
async fn left_after(
    live: &Live,
    cart: &CreateCheckoutSessionRequest,
    polls: usize,
) -> Option<Result<checkout::Opened, Error>> {
    let app = Arc::clone(&live.world.cores[0].app);
    let command = command(cart);
    let caller = Caller {
        role: Role::Storefront,
        user: Some(command.told.user_id),
        trace_id: "0".repeat(32),
    };
    let call = async move {
        let answer_by = tokio::time::Instant::now() + PATIENCE;
        checkout::create_checkout_session(&app, &caller, &command, answer_by).await
    };
    Left {
        call: Box::pin(call),
        polls,
    }
    .await
}

/// The user's only order, if there is one.
async fn order_of(live: &Live, cart: &CreateCheckoutSessionRequest) -> Option<proto::Order> {
    let message = proto::ListOrdersRequest {
        user_id: cart.user_id.clone(),
        ..proto::ListOrdersRequest::default()
    };
    let answer = live.orders().list_orders(live.operator(message)).await;
    let mut orders = answer.unwrap().into_inner().orders;
    assert!(orders.len() <= 1, "{orders:?}");
    orders.pop()
}

/// Nothing half-made: whatever one row belongs to has all its rows.
async fn assert_whole(live: &Live) -> i64 {
    let orders = till::rows(live, "orders").await;
    for table in ["billing", "servers", "request_keys"] {
        assert_eq!(till::rows(live, table).await, orders, "{table}");
    }
    orders
}

/// Every session at Stripe is the only one of its order, and its order knows it.
async fn assert_tracked(live: &Live) {
    let sessions = live.world.stripe.sessions();
    for session in &sessions {
        let order = live
            .order(session.client_reference_id.as_ref().unwrap())
            .await;
        assert_eq!(order.stripe_checkout_session_id, session.id);
    }
    let orders = usize::try_from(till::rows(live, "orders").await).unwrap();
    assert_eq!(sessions.len(), orders, "one session for each order");
    for path in [SESSIONS, "/v1/customers"] {
        let mut asked = BTreeMap::new();
        for call in till::stripe_calls(live, "POST", path) {
            let first = asked
                .entry(call.idempotency_key.clone())
                .or_insert_with(|| call.params.clone());
            assert_eq!(*first, call.params, "one key, one body");
            assert!(call.status < 400 || call.status == 409, "{call:?}");
        }
        assert_eq!(asked.len(), orders, "one key for each order and user");
    }
}

/// G-08: the caller is gone at each await of CreateCheckout in turn: after one poll, after
/// two, until one is patient enough. Each time there is either nothing or one order with
/// all its parts, and the same request finds it; nobody's request is opened by the worker.
async fn a_checkout_left_at_any_await_made_nothing_or_an_order_to_be_found(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.probe = Some(Arc::new(Pauses));
        options.catalog = options
            .catalog
            .replace("max_ram_gb = 64", "max_ram_gb = 9999");
        options.catalog = options
            .catalog
            .replace("max_disk_gb = 1000", "max_disk_gb = 99999");
    })
    .await;
    let ip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
    let rounds = effort::runs(2, 40);
    if rounds > 2 {
        let ports = 26_000..=29_999;
        live.world.panel.add_allocations(EAST.0, ip, ports.clone());
        live.skip(Duration::from_secs(301));
        wait::until("the ports are known", PATIENCE, || async {
            live.ports(EAST.1, "free").await.len() > ports.len()
        })
        .await;
    }
    let (mut made, mut nothing) = (0, 0);
    let mut round = 0;
    while round < rounds || (made == 0 && round < 20) {
        round += 1;
        let (before, after) = leave_at_each_await(&live).await;
        nothing += before;
        made += after;
    }
    eprintln!("left {nothing} times before the commit and {made} times after it");
    assert!(nothing > 5 && made > 0, "{nothing} before, {made} after");
    let orders = assert_whole(&live).await;
    assert_eq!(till::rows(&live, "holds").await, orders);

    // What nobody asks for again is opened by the worker, and ends by its time.
    live.skip(Duration::from_secs(16));
    wait::until("every order has its session", PATIENCE, || async {
        let open = "SELECT count(*) FROM billing WHERE session_id IS NOT NULL";
        sql::count(&live.store.db, open).await == orders
    })
    .await;
    assert_tracked(&live).await;
    live.world.stripe.advance(PAST_ITS_TIME);
    live.skip(PAST_ITS_TIME);
    wait::until("nothing is held any more", PATIENCE, || async {
        till::rows(&live, "holds").await == 0
    })
    .await;
    assert_eq!(live.world.panel.count("POST", "/"), 0);
    live.close().await;
}

/// Leaves a call after one poll, the next after two, until one is patient enough. Tells how
/// often nothing had been made by then, and how often an order.
async fn leave_at_each_await(live: &Live) -> (usize, usize) {
    let (mut nothing, mut made) = (0, 0);
    for polls in 1..TOO_MANY {
        let mut ended = false;
        let cart = cart(Uuid::new_v4());
        let answer = left_after(live, &cart, polls).await;
        let found = order_of(live, &cart).await;
        match &answer {
            Some(answer) => {
                let id = answer.as_ref().unwrap().facts.order.id.to_string();
                assert_eq!(found.as_ref().unwrap().id, id);
                ended = true;
            }
            None if found.is_some() => made += 1,
            None => nothing += 1,
        }
        // Every other caller comes back; of the rest nothing is heard any more.
        if polls % 2 == 0 || ended {
            let again = live.reserve(cart.clone()).await;
            if let Some(found) = found {
                assert_eq!(again.id, found.id, "left after {polls} polls");
            }
            assert!(!again.checkout_url.is_empty());
        }
        if ended {
            return (nothing, made);
        }
    }
    panic!("no checkout needs {TOO_MANY} polls");
}

/// G-08, over the wire: the client resets its stream while the service waits for Stripe.
async fn a_stream_reset_during_a_call_of_stripe_made_nothing_or_an_order_to_be_found(
    engine: Engine,
) {
    let live = Live::open(engine).await;
    let stripe = &live.world.stripe;
    for (method, path, is_made) in [
        ("GET", "/v1/prices", false),
        ("POST", "/v1/customers", true),
        ("POST", SESSIONS, true),
    ] {
        let slow = Effect::Delay { millis: 60_000 };
        let fault = stripe.inject(Fault::on(method, path, slow));
        let cart = cart(Uuid::new_v4());
        tokio::select! {
            answer = live.checkout(cart.clone()) => panic!("{path}: {answer:?}"),
            () = wait::until("Stripe is asked", PATIENCE, || async {
                stripe.fired(fault) == 1
            }) => {}
        }
        let found = order_of(&live, &cart).await;
        assert_eq!(found.is_some(), is_made, "{path}");
        if let Some(found) = &found {
            assert_eq!(found.stripe_checkout_session_id, "");
        }
        // Stripe comes to itself: what was begun goes on without its caller.
        stripe.clear_faults();
        if let Some(found) = &found {
            live.wait_order(&found.id, "its session is open", |order| {
                !order.checkout_url.is_empty()
            })
            .await;
            assert_eq!(stripe.fired(fault), 1);
        }
        let again = live.reserve(cart.clone()).await;
        assert!(found.is_none_or(|found| found.id == again.id));
        assert_whole(&live).await;
    }
    assert_eq!(till::rows(&live, "orders").await, 3);
    assert_tracked(&live).await;
    assert_eq!(till::stripe_calls(&live, "POST", SESSIONS).len(), 3);
    live.close().await;
}
