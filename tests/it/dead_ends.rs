//! Orders that can never be delivered, each for another reason: with the shop's patience at an
//! end nothing is left of them, and nothing of that is silent where it fails as well.

use std::time::Duration;

use sandbox::{
    panel::{DaemonMode, Fault, FaultAction},
    stripe::{self, Effect, SubscriptionStatus},
    world::Options,
};
use serde_json::json;
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use uuid::Uuid;

use crate::support::{
    changes,
    db::Engine,
    live::{Live, PATIENCE, cart},
    sql, till, wait,
};

both_engines!(
    whatever_fails_for_good_leaves_nothing_behind,
    what_cannot_be_undone_is_shown_and_tried_again,
    a_subscription_that_stripe_does_not_end_keeps_its_server_till_it_does,
    what_a_used_server_is_refused_for_good_is_shown_and_done_later,
);

/// The egg of the game that is bought.
const PAPER: i64 = 39;
/// How long a paid order may be without a server.
const PATIENT: Duration = Duration::from_secs(3600);

fn policy(options: &mut Options) {
    options.set("REFUND_UNFULFILLABLE_AFTER_SECONDS", "3600");
    // Ten tries are soon over.
    options.set("RETRY_SECONDS", "0.05");
    // What is not asked for is not swept away either.
    options.set("SWEEP_SUBSCRIPTIONS_SECONDS", till::NEVER);
    options.set("SWEEP_PENDING_SECONDS", till::NEVER);
}

fn answer(status: u16, body: &str) -> FaultAction {
    FaultAction::Status {
        status,
        body: body.to_owned(),
        content_type: None,
        headers: Vec::new(),
    }
}

/// A step that fails whenever it is taken, and what the order shows of it.
#[derive(Clone, Copy, Debug)]
enum Failing {
    /// What Stripe shows as paid is not what was ordered.
    Billing,
    /// The panel has no such egg when the server is placed.
    Egg,
    /// The panel refuses to make the user's account.
    Owner,
    /// The panel refuses this very create.
    Create,
    /// Every node fails its creates.
    Nodes,
    /// The install fails, and its repetition too.
    Install,
}

impl Failing {
    const ALL: [Self; 6] = [
        Self::Billing,
        Self::Owner,
        Self::Create,
        Self::Nodes,
        Self::Install,
        // Nothing is sold after it.
        Self::Egg,
    ];

    /// Has it fail, and the order paid.
    async fn begin(self, live: &Live, order: &Order) {
        let panel = &live.world.panel;
        let refusal = json!({ "errors": [{
            "code": "ValidationException", "status": "422", "detail": "never",
            "meta": { "source_field": "environment.NEVER", "rule": "required" },
        }] });
        let refusal = answer(422, &refusal.to_string());
        match self {
            Self::Billing => {
                live.hold_webhooks();
                live.pay(order);
                let path = format!("/v1/checkout/sessions/{}", order.stripe_checkout_session_id);
                let expanded = format!("{path}?expand[]=line_items");
                let mut session = till::stripe_object(live, &expanded).await;
                session["amount_subtotal"] = json!(1);
                let body = Some(session.to_string());
                let wrong = Effect::Status { status: 200, body };
                let wrong = stripe::Fault::on("GET", &path, wrong).always();
                live.world.stripe.inject(wrong);
                live.release_webhooks();
                return;
            }
            Self::Egg => panel.remove_egg(PAPER),
            Self::Owner => drop(panel.inject(Fault::on("POST", "/users", refusal))),
            Self::Create => drop(panel.inject(Fault::on("POST", "/servers", refusal))),
            Self::Nodes => {
                panel.set_daemon(1, DaemonMode::Down);
                panel.set_daemon(2, DaemonMode::Down);
            }
            Self::Install => panel.fail_install(&order.id),
        }
        live.pay(order);
    }

    fn end(self, live: &Live) {
        let panel = &live.world.panel;
        panel.clear_faults();
        live.world.stripe.clear_faults();
        panel.set_daemon(1, DaemonMode::Ok);
        panel.set_daemon(2, DaemonMode::Ok);
    }

    /// What its customer and the operator see meanwhile.
    async fn shown(self, live: &Live, order: &Order) -> Order {
        match self {
            Self::Owner | Self::Create => live.wait_parked(&order.id, "PANEL_REJECTED").await,
            Self::Nodes => live.wait_for_reason(&order.id, "PANEL_UNAVAILABLE").await,
            Self::Install => live.wait_parked(&order.id, "INSTALL_FAILED").await,
            Self::Billing => live.wait_parked(&order.id, "BILLING_MISMATCH").await,
            Self::Egg => live.wait_parked(&order.id, "EGG_NOT_FOUND").await,
        }
    }
}

/// A paid order on which something fails from now on.
async fn failing(live: &Live, what: Failing) -> Order {
    let order = live.reserve(cart(Uuid::new_v4())).await;
    what.begin(live, &order).await;
    what.shown(live, &order).await;
    order
}

/// Room, ports, servers and subscriptions of an order that is over: none.
async fn assert_clean(live: &Live, order: &Order) {
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    for (what, query) in [
        (
            "room",
            format!("SELECT count(*) FROM holds WHERE order_id = {id}"),
        ),
        (
            "ports",
            format!("SELECT count(*) FROM allocations WHERE order_id = {id}"),
        ),
        (
            "a refund to make",
            format!("SELECT count(*) FROM refunds WHERE order_id = {id} AND done_us IS NULL"),
        ),
    ] {
        assert_eq!(sql::count(&live.store.db, &query).await, 0, "{what}");
    }
    assert_eq!(live.world.panel.server(&order.id), None);
    let own = live.subscription(order);
    let subscription = live.world.stripe.subscription(&own).unwrap();
    assert_eq!(subscription.status, SubscriptionStatus::Canceled);
    let refunds = live.world.stripe.refunds();
    let mut back = refunds
        .iter()
        .filter(|one| one.subscription.as_deref() == Some(&own));
    assert_eq!(back.next().map(|one| one.amount), Some(699));
    assert_eq!(back.next(), None, "once");
}

/// P-09.
async fn whatever_fails_for_good_leaves_nothing_behind(engine: Engine) {
    let live = Live::open_with(engine, policy).await;
    for what in Failing::ALL {
        let order = failing(&live, what).await;
        // Of what is not what was ordered nobody knows when it was paid: before its session ended.
        live.skip(2 * PATIENT);
        live.wait_order(&order.id, "it is given up", |order| {
            order.status() == OrderStatus::Canceled
                && matches!(
                    order.server_state(),
                    ServerState::None | ServerState::Deleted
                )
        })
        .await;
        if let Failing::Nodes = what {
            // Whether a create of theirs lands late is looked at for an hour.
            live.skip(PATIENT);
        }
        what.end(&live);
        wait::until("its room is free", PATIENCE, || async {
            live.hold(&order.id).await.is_none()
        })
        .await;
        wait::until("its payment went back", PATIENCE, || async {
            !live.world.stripe.refunds().is_empty()
        })
        .await;
        live.wait_until_unleased().await;
        assert_clean(&live, &order).await;
        let over = live.order(&order.id).await;
        // What was paid stays something else than what was ordered.
        let shown = match what {
            Failing::Billing => "BILLING_MISMATCH",
            _ => "",
        };
        assert_eq!(
            (over.error_reason.as_str(), over.attempts),
            (shown, 0),
            "{what:?}"
        );
    }
    live.close().await;
}

/// P-10: the server cannot be deleted and the payment cannot go back: both are shown, tried again,
/// the refund ever more seldom, and done once they can be.
async fn what_cannot_be_undone_is_shown_and_tried_again(engine: Engine) {
    let live = Live::open_with(engine, policy).await;
    let order = failing(&live, Failing::Install).await;
    let (panel, stripe) = (&live.world.panel, &live.world.stripe);
    let failing = json!({ "errors": [{
        "code": "QueryException", "status": "500", "detail": "its database host is away",
    }] });
    // As the panel itself answers, and no proxy before it.
    let failing = FaultAction::Status {
        status: 500,
        body: failing.to_string(),
        content_type: None,
        headers: vec![("x-ratelimit-limit".to_owned(), "240".to_owned())],
    };
    let stuck = Fault::on("DELETE", "/servers", failing);
    let stuck = panel.inject(stuck);
    let held = json!({ "error": {
        "type": "invalid_request_error", "code": "charge_disputed", "message": "disputed",
    }});
    let held = Effect::Status {
        status: 400,
        body: Some(held.to_string()),
    };
    let held = stripe.inject(stripe::Fault::on("POST", "/v1/refunds", held).always());
    live.skip(PATIENT);
    wait::until("both were tried", PATIENCE, || async {
        panel.fired(stuck) > 0 && stripe.fired(held) > 0
    })
    .await;
    let shown = live
        .wait_order(&order.id, "it is shown", |order| {
            order.waiting_reason == "PANEL_UNAVAILABLE"
        })
        .await;
    assert_eq!(shown.status(), OrderStatus::Canceled);
    assert!(shown.next_attempt_time.is_some(), "{shown:?}");
    let list = proto::ListOrdersRequest {
        status: OrderStatus::Canceled.into(),
        ..proto::ListOrdersRequest::default()
    };
    let mut client = live.orders();
    let listed = client.list_orders(live.viewer(list)).await.unwrap();
    let listed = listed.into_inner().orders;
    let found = listed.iter().find(|listed| listed.id == order.id);
    assert_eq!(found.unwrap().waiting_reason, "PANEL_UNAVAILABLE");
    let events = live.events(&order.id).await;
    let told = events
        .iter()
        .filter(|event| event.to.contains("charge_disputed"));
    assert_eq!(told.count(), 1, "said once, however often it is tried");
    for series in [
        "spawnpoint_refunds_failed_total",
        "spawnpoint_servers_withstood_total{step=\"Delete\"}",
    ] {
        assert!(live.counted(series).await >= 1.0, "no alarm: {series}");
    }
    let waiting = "spawnpoint_orders_waiting{reason=\"PANEL_UNAVAILABLE\"}";
    assert!(live.counted(waiting).await > 0.5, "no alarm: {waiting}");
    panel.remove_fault(stuck);
    stripe.remove_fault(held);
    till::provision(&live, &order.id).await.unwrap();
    live.wait_order(&order.id, "it is gone", |order| {
        order.server_state() == ServerState::Deleted
    })
    .await;
    wait::until("its payment went back", PATIENCE, || async {
        live.world.stripe.refunds().len() == 1 && live.hold(&order.id).await.is_none()
    })
    .await;
    live.wait_until_unleased().await;
    assert_clean(&live, &order).await;
    live.close().await;
}

/// P-10, for what ends first: nobody is charged on for a server that is gone, so one whose
/// subscription does not end stays, and shows why.
async fn a_subscription_that_stripe_does_not_end_keeps_its_server_till_it_does(engine: Engine) {
    let live = Live::open_with(engine, policy).await;
    let order = live.buy(Uuid::new_v4()).await;
    let refusal = json!({ "error": {
        "type": "invalid_request_error", "code": "resource_locked", "message": "locked",
    }});
    let refusal = Effect::Status {
        status: 400,
        body: Some(refusal.to_string()),
    };
    let refused = stripe::Fault::on("DELETE", "/v1/subscriptions/", refusal).always();
    let stripe = &live.world.stripe;
    let refused = stripe.inject(refused);
    changes::terminate(&live, &order.id).await;
    wait::until("it was tried more than once", PATIENCE, || async {
        stripe.fired(refused) >= 2
    })
    .await;
    let shown = live
        .wait_order(&order.id, "it is shown", |order| {
            order.waiting_reason == "STRIPE_UNAVAILABLE"
        })
        .await;
    assert_eq!(shown.status(), OrderStatus::Provisioned);
    wait::until("it is counted", PATIENCE, || async {
        live.counted("spawnpoint_cancels_refused_total").await >= 2.0
    })
    .await;
    let waiting = "spawnpoint_orders_waiting{reason=\"STRIPE_UNAVAILABLE\"}";
    assert!(live.counted(waiting).await > 0.5);
    assert!(live.world.panel.server(&order.id).is_some());
    stripe.remove_fault(refused);
    live.wait_order(&order.id, "it is gone", |order| {
        order.server_state() == ServerState::Deleted
    })
    .await;
    let own = live.subscription(&order);
    assert_eq!(
        stripe.subscription(&own).unwrap().status,
        SubscriptionStatus::Canceled
    );
    wait::until("nothing waits for it", PATIENCE, || async {
        live.counted(waiting).await < 0.5
    })
    .await;
    live.close().await;
}

/// What the panel is asked for a server that its customer uses.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The limits of a plan that is paid.
    Limits,
    /// That it stands still: it is not paid for.
    Suspension,
    /// That it goes on: it is paid again.
    GoingOn,
    /// That its install script runs again.
    Reinstall,
}

impl Wanted {
    const ALL: [Self; 4] = [
        Self::Limits,
        Self::Suspension,
        Self::GoingOn,
        Self::Reinstall,
    ];

    const fn call(self) -> (&'static str, &'static str) {
        match self {
            Self::Limits => ("PATCH", "/servers/{server}/build"),
            Self::Suspension => ("POST", "/servers/{server}/suspend"),
            Self::GoingOn => ("POST", "/servers/{server}/unsuspend"),
            Self::Reinstall => ("POST", "/servers/{server}/reinstall"),
        }
    }

    async fn begin(self, live: &Live, order: &Order) {
        let set = |status| {
            let own = live.subscription(order);
            let set = live.world.stripe.set_subscription_status(&own, status);
            set.unwrap();
        };
        match self {
            Self::Limits => {
                changes::ask(live, &order.id, "mc-4gb", &[]).await.unwrap();
            }
            Self::Suspension => set(SubscriptionStatus::Unpaid),
            Self::GoingOn => set(SubscriptionStatus::Active),
            Self::Reinstall => {
                changes::reinstall(live, &order.id).await.unwrap();
            }
        }
    }

    fn is_done(self, live: &Live, order: &Order) -> bool {
        let server = live.made(&order.id);
        match self {
            Self::Limits => server.memory == 4096,
            Self::Suspension => server.suspended,
            Self::GoingOn => !server.suspended,
            Self::Reinstall => {
                let (method, route) = self.call();
                live.world.panel.succeeded_route(method, route) == 1
            }
        }
    }
}

/// P-09, for what is there already: its customer keeps what they have, nothing is half done, and
/// once the panel takes it `ProvisionOrder` does it; but for a reinstall, which is asked for anew.
async fn what_a_used_server_is_refused_for_good_is_shown_and_done_later(engine: Engine) {
    let live = Live::open_with(engine, policy).await;
    let panel = &live.world.panel;
    let mut orders = Vec::new();
    for wanted in Wanted::ALL {
        let order = live.buy(Uuid::new_v4()).await;
        if let Wanted::GoingOn = wanted {
            Wanted::Suspension.begin(&live, &order).await;
            wait::until("it stands still", PATIENCE, || async {
                live.made(&order.id).suspended
            })
            .await;
            live.wait_until_unleased().await;
        }
        orders.push((wanted, order));
    }
    let refusal = json!({ "errors": [{
        "code": "ValidationException", "status": "422", "detail": "never",
        "meta": { "source_field": "limits.memory", "rule": "never" },
    }] });
    let refusal = answer(422, &refusal.to_string());
    let refused = Wanted::ALL.map(|wanted| {
        let (method, route) = wanted.call();
        panel.inject(Fault::on_route(method, route, refusal.clone()))
    });
    for (wanted, order) in &orders {
        wanted.begin(&live, order).await;
    }
    for ((wanted, order), refused) in orders.iter().zip(refused) {
        let shown = live.wait_parked(&order.id, "PANEL_REJECTED").await;
        assert_eq!(shown.status(), OrderStatus::Provisioned, "{wanted:?}");
        assert_eq!(panel.fired(refused), 10, "{wanted:?}");
        assert!(!wanted.is_done(&live, order), "{wanted:?}");
    }
    let parked = "spawnpoint_orders_parked{reason=\"PANEL_REJECTED\"}";
    assert!((live.counted(parked).await - 4.0).abs() < 0.1);
    live.wait_until_unleased().await;
    panel.clear_faults();
    for (wanted, order) in &orders {
        till::provision(&live, &order.id).await.unwrap();
        if let Wanted::Reinstall = wanted {
            // What it does to the customer's files is not done because somebody woke the order.
            wanted.begin(&live, order).await;
        }
        wait::until("it is done", PATIENCE, || async {
            wanted.is_done(&live, order)
        })
        .await;
        let done = live
            .wait_order(&order.id, "nothing is wrong", |order| {
                order.error_reason.is_empty() && order.server_state() != ServerState::Installing
            })
            .await;
        assert_eq!(done.status(), OrderStatus::Provisioned);
    }
    live.wait_until_unleased().await;
    assert!(live.counted(parked).await < 0.1);
    live.close().await;
}
