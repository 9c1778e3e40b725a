//! The control plane goes away in mid-provision and comes back: nothing is lost, and
//! nothing is made twice.

use std::time::Duration;

use sandbox::{
    audit::Invariant,
    panel::{DaemonMode, Fault, FaultAction},
    stripe::SubscriptionStatus,
};
use spawnpoint::{boot::Mode, rpc::proto};
use uuid::Uuid;

use crate::support::{
    changes,
    db::Engine,
    live::{Live, PATIENCE, cart},
    provisioning::EAST,
    sql, sweeps, till, wait,
};

both_engines!(
    a_restart_during_the_create_makes_one_server,
    a_restart_while_in_doubt_adopts_the_server,
    what_happened_meanwhile_is_found_after_a_restart,
    a_restored_backup_makes_nothing_twice,
    a_plan_that_was_changed_after_the_backup_has_ways_out,
    what_was_stopped_or_deleted_after_the_backup_is_found,
    a_day_away_is_caught_up_with,
);

async fn restart(live: &mut Live) {
    live.world.stop_cores().await;
    live.world.start_core(Mode::All).await.unwrap();
}

async fn assert_one_server(live: &Live, order_id: &str) {
    let order = live.wait_running(order_id).await;
    assert_eq!(
        (live.creates(order_id).len(), live.tries(&order.id).await),
        (1, 0)
    );
    assert_eq!(live.world.panel.servers().len(), 1);
    assert_eq!(order.pterodactyl_server_id, live.made(order_id).id);
    let believed = live.events(order_id).await;
    let believed = believed
        .iter()
        .filter(|event| event.what == "pterodactyl_server_id");
    assert_eq!(believed.count(), 1);
}

async fn a_restart_during_the_create_makes_one_server(engine: Engine) {
    let mut live =
        Live::open_with(engine, |options| options.install = Duration::from_secs(2)).await;
    let panel = &live.world.panel;
    let slow = DaemonMode::Slow {
        wait: Duration::from_millis(800),
        method: Some("POST".to_owned()),
    };
    panel.set_daemon(EAST.0, slow);
    let order = live.purchase(cart(Uuid::new_v4())).await;
    wait::until("the row is there", PATIENCE, || async {
        panel.server(&order.id).is_some()
    })
    .await;
    restart(&mut live).await;
    // And once more while it installs.
    live.wait_for_reason(&order.id, "INSTALLING").await;
    restart(&mut live).await;
    assert_one_server(&live, &order.id).await;
    live.close().await;
}

/// D-09: the database is set back to before the purchase was paid. The payment is found at Stripe,
/// account and server are found on the panel by our ids, and nothing is made a second time.
async fn a_restored_backup_makes_nothing_twice(engine: Engine) {
    let mut live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.reserve(cart(user)).await;
    live.wait_until_unleased().await;
    live.world.stop_cores().await;
    live.store.back_up().await;
    live.world.start_core(Mode::All).await.unwrap();
    live.pay(&order);
    let delivered = live.wait_running(&order.id).await;
    live.wait_until_unleased().await;

    live.world.stop_cores().await;
    live.store.restore().await;
    let forgotten = "SELECT count(*) FROM orders WHERE status = 'pending'";
    assert_eq!(sql::count(&live.store.db, forgotten).await, 1);
    live.world.start_core(Mode::All).await.unwrap();
    let found = live.wait_running(&order.id).await;
    assert_eq!(found.pterodactyl_server_id, delivered.pterodactyl_server_id);
    assert_eq!(live.made(&order.id).id, found.pterodactyl_server_id);
    assert_eq!(live.world.panel.servers().len(), 1);
    assert_eq!(live.panel_users(user).len(), 1);
    assert_eq!(live.world.stripe.subscriptions().len(), 1);
    let creates = live.creates(&order.id);
    let made = creates
        .iter()
        .filter(|call| call.status.is_some_and(|status| status < 300));
    assert_eq!(made.count(), 1, "{creates:?}");
    assert!(live.world.stripe.refunds().is_empty());
    live.close_expecting(&[Invariant::I6], RESTORED).await;
}

/// Sets the store back to its backup.
async fn set_back(live: &mut Live) {
    live.wait_until_unleased().await;
    live.world.stop_cores().await;
    live.store.restore().await;
    live.world.start_core(Mode::All).await.unwrap();
}

/// Takes a backup that later changes are not in.
async fn back_up(live: &mut Live) {
    live.wait_until_unleased().await;
    till::delivered(live).await;
    live.world.stop_cores().await;
    live.store.back_up().await;
    live.world.start_core(Mode::All).await.unwrap();
}

const RESTORED: &str = "what was acknowledged since the backup is not in it";

/// D-09: the shop sold a larger plan since the backup. It is seen, and an operator says what it is
/// to be: the larger one, for which nothing is charged again, or the one before.
async fn a_plan_that_was_changed_after_the_backup_has_ways_out(engine: Engine) {
    let mut live = Live::open(engine).await;
    let kept = live.buy(Uuid::new_v4()).await;
    let undone = live.buy(Uuid::new_v4()).await;
    back_up(&mut live).await;
    let more = ["extra-database"];
    for (order, plan, addons) in [(&kept, "mc-4gb", &[][..]), (&undone, "mc-2gb", &more)] {
        changes::ask(&live, &order.id, plan, addons).await.unwrap();
        live.wait_order(&order.id, "it is paid", |order| {
            order.plan_id == plan && order.addons == addons
        })
        .await;
    }
    wait::until("the servers have their limits", PATIENCE, || async {
        live.made(&kept.id).memory == 4096
            && live.made(&undone.id).databases > live.made(&kept.id).databases
    })
    .await;
    set_back(&mut live).await;
    sweeps::look(&live, "subscriptions").await;
    for (order, price) in [
        (&kept, "price_test_mc_4gb_monthly"),
        (&undone, "price_test_extra_database_monthly"),
    ] {
        let seen = live
            .wait_order(&order.id, "it is seen", |order| {
                order.error_reason == "PLAN_MISMATCH"
            })
            .await;
        assert_eq!((seen.plan_id.as_str(), seen.addons.len()), ("mc-2gb", 0));
        assert!(seen.error_message.contains(price), "{}", seen.error_message);
        assert_eq!(seen.status(), proto::OrderStatus::Provisioned);
    }
    let stripe = &live.world.stripe;
    let told = stripe.count("POST", "/v1/subscriptions/");
    let paid = stripe.payment(&kept.stripe_sub_id).unwrap().payment_intent;
    changes::ask(&live, &kept.id, "mc-4gb", &[]).await.unwrap();
    let now = live
        .wait_order(&kept.id, "it has its plan", |order| {
            order.plan_id == "mc-4gb" && order.error_reason.is_empty()
        })
        .await;
    assert_eq!(now.pending_plan_id, "");
    live.wait_until_unleased().await;
    assert_eq!(stripe.count("POST", "/v1/subscriptions/"), told);
    let paid_last = stripe.payment(&kept.stripe_sub_id).unwrap().payment_intent;
    assert_eq!(paid_last, paid, "nothing is charged again");
    assert_eq!(live.made(&kept.id).memory, 4096);
    let hold = live.hold(&kept.id).await;
    assert_eq!(hold.map(|(_, need)| need.ram_gb), Some(4));

    changes::ask(&live, &undone.id, "mc-2gb", &[])
        .await
        .unwrap();
    live.wait_order(&undone.id, "it is as it was", |order| {
        order.error_reason.is_empty() && order.pending_plan_id.is_empty()
    })
    .await;
    wait::until("the server has its limits", PATIENCE, || async {
        live.made(&undone.id).databases == live.made(&kept.id).databases
    })
    .await;
    assert_eq!(stripe.count("POST", "/v1/subscriptions/"), told + 1);
    let items = stripe
        .subscription(&live.subscription(&undone))
        .unwrap()
        .items;
    assert_eq!(items, [("price_test_mc_2gb_monthly".to_owned(), 1)]);
    live.close_expecting(&[Invariant::I6], RESTORED).await;
}

/// D-09: since the backup one was stopped and paid again, one only stopped, and one deleted. What
/// Stripe says is found by a look at its list, what the panel shows by a look at its servers.
async fn what_was_stopped_or_deleted_after_the_backup_is_found(engine: Engine) {
    let mut live = Live::open(engine).await;
    let paid = live.buy(Uuid::new_v4()).await;
    let unpaid = live.buy(Uuid::new_v4()).await;
    let gone = live.buy(Uuid::new_v4()).await;
    back_up(&mut live).await;
    let set = |live: &Live, order: &proto::Order, status| {
        let own = live.subscription(order);
        live.world.stripe.set_subscription_status(&own, status)
    };
    for order in [&paid, &unpaid] {
        set(&live, order, SubscriptionStatus::Unpaid).unwrap();
        live.wait_order(&order.id, "it stands still", |order| {
            order.server_state() == proto::ServerState::Suspended
        })
        .await;
    }
    changes::terminate(&live, &gone.id).await;
    live.wait_order(&gone.id, "it is deleted", |order| {
        order.server_state() == proto::ServerState::Deleted
    })
    .await;
    live.wait_until_unleased().await;
    till::delivered(&live).await;
    till::deliver_webhooks(&live, false);
    set(&live, &paid, SubscriptionStatus::Active).unwrap();
    let deletes = live.world.panel.count_route("DELETE", "/servers/{server}");
    set_back(&mut live).await;
    assert_eq!(
        live.order(&gone.id).await.server_state(),
        proto::ServerState::Running
    );
    sweeps::look(&live, "subscriptions").await;
    let over = live
        .wait_order(&gone.id, "its end is found", |order| {
            order.server_state() == proto::ServerState::Deleted
        })
        .await;
    assert_eq!(over.status(), proto::OrderStatus::Canceled);
    live.wait_until_unleased().await;
    assert!(live.hold(&gone.id).await.is_none());
    assert_eq!(
        live.world.panel.count_route("DELETE", "/servers/{server}"),
        deletes
    );
    live.wait_order(&unpaid.id, "it still stands still", |order| {
        order.server_state() == proto::ServerState::Suspended
            && !order.suspension_reasons.is_empty()
    })
    .await;
    sweeps::look(&live, "servers").await;
    for order in [&paid, &unpaid] {
        let now = live.order(&order.id).await;
        assert_eq!(now.server_state(), proto::ServerState::Suspended);
    }
    // Paid by now; nobody here knows who stopped them, so an operator says it.
    set(&live, &unpaid, SubscriptionStatus::Active).unwrap();
    sweeps::look(&live, "subscriptions").await;
    live.wait_order(&unpaid.id, "nothing here keeps it stopped", |order| {
        order.suspension_reasons.is_empty()
    })
    .await;
    live.wait_until_unleased().await;
    for order in [&paid, &unpaid] {
        assert!(live.made(&order.id).suspended);
        changes::unsuspend(&live, &order.id).await;
        live.wait_running(&order.id).await;
        assert!(!live.made(&order.id).suspended);
    }
    // Nor is it in it that an operator had one deleted at once.
    let lost = [Invariant::I6, Invariant::I8];
    live.close_expecting(&lost, RESTORED).await;
}

/// O-02: the control plane is away for a day, and nobody takes Stripe's events. What Stripe says by
/// then is done, and nothing else: neither to who owes for a day, nor to who has paid meanwhile.
async fn a_day_away_is_caught_up_with(engine: Engine) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mut live = Live::open(engine).await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(live.buy(Uuid::new_v4()).await);
    }
    let [untouched, ended, owing, paid] = orders.as_slice() else {
        unreachable!("four were bought");
    };
    let own = live.subscription(paid);
    live.world.stripe.fail_payment(&own).unwrap();
    let is = |order: &proto::Order, status: &str| order.subscription_status == status;
    live.wait_order(&paid.id, "it is past due", |order| is(order, "past_due"))
        .await;
    live.wait_until_unleased().await;
    till::delivered(&live).await;
    live.world.stop_cores().await;
    till::deliver_webhooks(&live, false);
    let stripe = &live.world.stripe;
    stripe
        .set_subscription_status(&own, SubscriptionStatus::Active)
        .unwrap();
    stripe
        .cancel_subscription(&live.subscription(ended))
        .unwrap();
    stripe.fail_payment(&live.subscription(owing)).unwrap();
    stripe.advance(DAY);
    live.world.start_core(Mode::All).await.unwrap();
    live.skip(DAY);
    sweeps::look(&live, "stripe_events").await;
    live.wait_order(&ended.id, "its end is found", |order| {
        order.status() == proto::OrderStatus::Canceled
            && order.server_state() == proto::ServerState::Suspended
    })
    .await;
    for (order, status) in [(untouched, "active"), (owing, "past_due"), (paid, "active")] {
        let now = live
            .wait_order(&order.id, "what Stripe says is known", |order| {
                is(order, status)
            })
            .await;
        assert_eq!(now.server_state(), proto::ServerState::Running);
    }
    live.wait_until_unleased().await;
    let panel = &live.world.panel;
    let suspends = panel.count_route("POST", "/servers/{server}/suspend");
    assert_eq!((suspends, panel.servers().len()), (1, 4));
    live.close().await;
}

async fn a_restart_while_in_doubt_adopts_the_server(engine: Engine) {
    let mut live = Live::open_with(engine, |options| {
        options.set("SETTLE_SECONDS", "2");
    })
    .await;
    let fault = Fault::on("POST", "/servers", FaultAction::Drop)
        .after_work()
        .times(1);
    let fault = live.world.panel.inject(fault);
    let order = live.purchase(cart(Uuid::new_v4())).await;
    live.wait_for_reason(&order.id, "OUTCOME_UNKNOWN").await;
    restart(&mut live).await;
    assert_one_server(&live, &order.id).await;
    assert_eq!(live.world.panel.fired(fault), 1);
    live.close().await;
}

/// Finding 4: with the webhook lost there was nothing to find the payment by.
async fn what_happened_meanwhile_is_found_after_a_restart(engine: Engine) {
    let mut live = Live::open(engine).await;
    let order = live.reserve(cart(Uuid::new_v4())).await;
    live.world.stop_cores().await;
    let mut switches = live.world.stripe.webhooks();
    switches.enabled = false;
    live.world.stripe.set_webhooks(switches);
    live.pay(&order);
    live.world.start_core(Mode::All).await.unwrap();
    assert_one_server(&live, &order.id).await;
    let events = live.events(&order.id).await;
    let paid = events
        .iter()
        .find(|event| event.what == "status" && event.from == "pending");
    assert_ne!(paid.unwrap().to, "canceled");
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Provisioned
    );
    live.close().await;
}
