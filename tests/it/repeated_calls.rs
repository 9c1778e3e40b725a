//! Calls that change one order, sent twice: a repeat makes nothing new, also once others have
//! changed the order since; and an id is of one call alone.

use sandbox::stripe::{Effect, Fault};
use spawnpoint::rpc::proto::{self, Order, OrderStatus, ServerState};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(
    a_repeat_does_not_undo_what_came_after_it,
    a_repeat_of_an_end_is_answered_after_the_end,
    a_request_id_is_of_one_call_alone,
    what_cannot_be_done_now_is_refused,
);

/// Delivered by people.
const ADDON: &str = "discord-integration";

/// A call that changes one order, with all that is in it beside the order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verb {
    Cancel { at_period_end: bool },
    Resume,
    ChangePlan(&'static str),
    Rename(&'static str),
    Complete(&'static str),
    Provision,
    Suspend(&'static str),
    Unsuspend(&'static str),
    Reinstall,
    Terminate(&'static str),
}

/// Sends a call, as an operator.
async fn call(live: &Live, verb: &Verb, order_id: &str, id: Uuid) -> Result<Order, Status> {
    let (mut orders, mut provisioning) = (live.orders(), live.provisioning());
    let (order_id, request_id) = (order_id.to_owned(), id.to_string());
    // Every answer holds the order as it is then.
    macro_rules! send {
        ($client:ident.$method:ident($message:ident $(, $field:ident = $value:expr)*)) => {{
            let message = proto::$message { order_id, request_id, $($field: $value),* };
            $client.$method(live.operator(message)).await?.into_inner().order
        }};
    }
    let text = |text: &str| text.to_owned();
    let order = match *verb {
        Verb::Cancel { at_period_end: at } => {
            send!(orders.cancel_order(CancelOrderRequest, at_period_end = at))
        }
        Verb::Resume => send!(orders.resume_order(ResumeOrderRequest)),
        Verb::ChangePlan(plan) => send!(orders.change_plan(
            ChangePlanRequest,
            plan_id = text(plan),
            addon_ids = vec![text(ADDON)]
        )),
        Verb::Rename(name) => {
            send!(orders.rename_server(RenameServerRequest, server_name = text(name)))
        }
        Verb::Complete(addon) => {
            send!(orders.complete_manual_addon(CompleteManualAddonRequest, addon_id = text(addon)))
        }
        Verb::Provision => send!(provisioning.provision_order(ProvisionOrderRequest)),
        Verb::Suspend(note) => {
            send!(provisioning.suspend_server(SuspendServerRequest, note = text(note)))
        }
        Verb::Unsuspend(note) => {
            send!(provisioning.unsuspend_server(UnsuspendServerRequest, note = text(note)))
        }
        Verb::Reinstall => send!(provisioning.reinstall_server(ReinstallServerRequest)),
        Verb::Terminate(note) => {
            send!(provisioning.terminate_server(TerminateServerRequest, note = text(note)))
        }
    };
    Ok(order.expect("an answer holds the order"))
}

/// A server with an add-on that people deliver.
async fn running(live: &Live) -> Order {
    let wanted = proto::CreateCheckoutSessionRequest {
        addon_ids: vec![ADDON.to_owned()],
        ..cart(Uuid::new_v4())
    };
    live.buy_cart(wanted).await
}

/// What callers see of an order that a verb may change.
fn shown(order: &Order) -> (String, String, Option<i64>, ServerState, OrderStatus, bool) {
    (
        order.server_name.clone(),
        order.plan_id.clone(),
        order.cancel_time.map(|time| time.seconds),
        order.server_state(),
        order.status(),
        order.manual_addons.iter().all(|addon| addon.done),
    )
}

/// Waits until nothing is left to be done for an order, and nothing on its way to it.
async fn at_rest(live: &Live, order: &Order) -> Order {
    till::delivered(live).await;
    let id = sql::id(&live.store.db, order.id.parse().unwrap());
    wait::until("nothing is left to be done", PATIENCE, || async {
        let now_us = live.world.cores[0].app.db.now().await.unwrap();
        let rests = format!(
            "SELECT count(*) FROM orders
                JOIN servers ON servers.order_id = orders.id
                JOIN billing ON billing.order_id = orders.id
                WHERE orders.id = {id} AND lease_owner IS NULL
                    AND (due_us IS NULL OR due_us > {now_us}) AND (hints = hints_read OR orders.status = 'canceled')
                    AND reinstall_us IS NULL AND reinstall_sent_us IS NULL
                    AND respec_us IS NULL AND rename_us IS NULL
                    AND observed_status <> 'installing'"
        );
        sql::count(&live.store.db, &rests).await == 1
    })
    .await;
    let now = live.order(&order.id).await;
    let state = now.server_state();
    assert!(state != ServerState::Installing, "{now:?}");
    now
}

/// What was written to Stripe and the panel so far.
fn writes(live: &Live) -> usize {
    let panel = live.world.panel.calls();
    let stripe = live.world.stripe.calls();
    panel.iter().filter(|call| call.method != "GET").count()
        + stripe.iter().filter(|call| call.method != "GET").count()
}

/// Each is done, then undone or overtaken by another call, then sent again.
async fn a_repeat_does_not_undo_what_came_after_it(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    for (verb, after) in [
        (Verb::Suspend("a"), Verb::Unsuspend("b")),
        (Verb::Unsuspend("c"), Verb::Suspend("d")),
        (Verb::Provision, Verb::Unsuspend("e")),
        (Verb::Rename("Another"), Verb::Rename("The Last")),
        (Verb::ChangePlan("mc-4gb"), Verb::ChangePlan("mc-8gb")),
        (
            Verb::Cancel {
                at_period_end: true,
            },
            Verb::Resume,
        ),
        (Verb::Complete(ADDON), Verb::Rename("The Very Last")),
        (
            Verb::Reinstall,
            Verb::Cancel {
                at_period_end: true,
            },
        ),
        (
            Verb::Resume,
            Verb::Cancel {
                at_period_end: true,
            },
        ),
    ] {
        let id = Uuid::new_v4();
        call(&live, &verb, &order.id, id).await.unwrap();
        at_rest(&live, &order).await;
        call(&live, &after, &order.id, Uuid::new_v4())
            .await
            .unwrap();
        let before = at_rest(&live, &order).await;
        let written = writes(&live);
        let again = call(&live, &verb, &order.id, id).await.unwrap();
        assert_eq!(shown(&again), shown(&before), "{verb:?}");
        assert_eq!(again.version, before.version, "{verb:?}");
        let now = at_rest(&live, &order).await;
        assert_eq!(shown(&now), shown(&before), "{verb:?}");
        assert_eq!(writes(&live), written, "{verb:?}");
    }
    let last = live.order(&order.id).await;
    assert_eq!(
        (last.server_name.as_str(), last.plan_id.as_str()),
        ("The Very Last", "mc-8gb")
    );
    assert!(last.cancel_time.is_some(), "the last word stands");
    let reinstalls = live
        .world
        .panel
        .count_route("POST", "/servers/{server}/reinstall");
    assert_eq!(reinstalls, 1);
    live.close().await;
}

/// What is over refuses every call but the repeat of one that was taken.
async fn a_repeat_of_an_end_is_answered_after_the_end(engine: Engine) {
    let live = Live::open(engine).await;
    let (order, other) = (running(&live).await, running(&live).await);
    let now = Verb::Cancel {
        at_period_end: false,
    };
    let (renamed, ended) = (Uuid::new_v4(), Uuid::new_v4());
    call(&live, &Verb::Rename("Before"), &order.id, renamed)
        .await
        .unwrap();
    call(&live, &now, &order.id, ended).await.unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    let terminated = Uuid::new_v4();
    let verb = Verb::Terminate("over");
    call(&live, &verb, &other.id, terminated).await.unwrap();
    live.wait_order(&other.id, "it is gone", |order| {
        order.server_state() == ServerState::Deleted
    })
    .await;
    live.wait_until_unleased().await;
    for (verb, id, of) in [
        (Verb::Rename("Before"), renamed, &order),
        (now.clone(), ended, &order),
        (verb.clone(), terminated, &other),
    ] {
        let again = call(&live, &verb, &of.id, id).await.unwrap();
        assert_eq!(again.status(), OrderStatus::Canceled, "{verb:?}");
    }
    for verb in [
        now,
        Verb::Resume,
        Verb::ChangePlan("mc-4gb"),
        Verb::Rename("After"),
        Verb::Complete(ADDON),
        Verb::Provision,
        Verb::Suspend(""),
        Verb::Unsuspend(""),
        verb,
    ] {
        for id in [Uuid::new_v4(), terminated] {
            let refused = call(&live, &verb, &other.id, id).await;
            let Err(status) = refused else {
                assert_eq!(id, terminated, "{verb:?} was taken");
                assert_eq!(verb, Verb::Terminate("over"));
                continue;
            };
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "ORDER_ENDED"),
                "{verb:?}"
            );
        }
    }
    live.close().await;
}

/// G-09: the same id with another body, or for another order.
async fn a_request_id_is_of_one_call_alone(engine: Engine) {
    let live = Live::open(engine).await;
    let (order, other) = (running(&live).await, running(&live).await);
    for (verb, changed) in [
        (Verb::Rename("One"), Some(Verb::Rename("Two"))),
        (
            Verb::Complete(ADDON),
            Some(Verb::Complete("extra-database")),
        ),
        (Verb::Provision, None),
        (Verb::ChangePlan("mc-4gb"), Some(Verb::ChangePlan("mc-8gb"))),
        (Verb::Suspend("a"), Some(Verb::Suspend("b"))),
        (Verb::Unsuspend("a"), Some(Verb::Unsuspend("b"))),
        (Verb::Reinstall, None),
        (
            Verb::Cancel {
                at_period_end: true,
            },
            Some(Verb::Cancel {
                at_period_end: false,
            }),
        ),
        (Verb::Resume, None),
        (Verb::Terminate("a"), Some(Verb::Terminate("b"))),
    ] {
        let id = Uuid::new_v4();
        call(&live, &verb, &order.id, id).await.unwrap();
        let before = at_rest(&live, &order).await;
        let same_for_other = Some((verb.clone(), &other));
        for (verb, of) in changed
            .map(|changed| (changed, &order))
            .into_iter()
            .chain(same_for_other)
        {
            let refused = call(&live, &verb, &of.id, id).await.unwrap_err();
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::AlreadyExists, "REQUEST_ID_REUSED"),
                "{verb:?}"
            );
        }
        assert_eq!(live.order(&order.id).await.version, before.version);
    }
    let untouched = live.order(&other.id).await;
    assert_eq!(shown(&untouched), shown(&other));
    live.close().await;
}

/// Each with its reason, and nothing of it is kept.
async fn what_cannot_be_done_now_is_refused(engine: Engine) {
    let live = Live::open(engine).await;
    let unpaid = live.reserve(cart(Uuid::new_v4())).await;
    let order = running(&live).await;
    for (verb, of, wanted) in [
        (Verb::Resume, &unpaid, "NOT_CANCELING"),
        (Verb::ChangePlan("mc-4gb"), &unpaid, "SERVER_NOT_READY"),
        (Verb::Provision, &unpaid, "ORDER_NOT_PAID"),
        (Verb::Reinstall, &unpaid, "SERVER_BUSY"),
        (Verb::Resume, &order, "NOT_CANCELING"),
    ] {
        let refused = call(&live, &verb, &of.id, Uuid::new_v4()).await;
        assert_eq!(reason(&refused.unwrap_err()), wanted, "{verb:?}");
    }
    // An operator may stop what is not there yet: it is delivered, and stands still.
    call(&live, &Verb::Suspend("wait"), &unpaid.id, Uuid::new_v4())
        .await
        .unwrap();
    live.pay(&unpaid);
    live.wait_order(&unpaid.id, "it stands still", |order| {
        order.server_state() == ServerState::Suspended
    })
    .await;
    assert!(live.made(&unpaid.id).suspended);
    call(&live, &Verb::Unsuspend(""), &unpaid.id, Uuid::new_v4())
        .await
        .unwrap();
    live.wait_running(&unpaid.id).await;

    // An end that is on its way to Stripe is not taken back.
    till::delivered(&live).await;
    live.wait_until_unleased().await;
    let away = Fault::on("DELETE", "/v1/subscriptions", Effect::DropBefore);
    let fault = live.world.stripe.inject(away.always());
    let now = Verb::Cancel {
        at_period_end: false,
    };
    call(&live, &now, &order.id, Uuid::new_v4()).await.unwrap();
    for (verb, wanted) in [
        (Verb::Resume, "NOT_CANCELING"),
        (Verb::ChangePlan("mc-4gb"), "SERVER_NOT_READY"),
    ] {
        let refused = call(&live, &verb, &order.id, Uuid::new_v4()).await;
        assert_eq!(reason(&refused.unwrap_err()), wanted, "{verb:?}");
    }
    // Nor does a later wish for its period make it less.
    let later = Verb::Cancel {
        at_period_end: true,
    };
    call(&live, &later, &order.id, Uuid::new_v4())
        .await
        .unwrap();
    wait::until("Stripe was asked", PATIENCE, || async {
        live.world.stripe.fired(fault) > 0
    })
    .await;
    live.world.stripe.clear_faults();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    live.close().await;
}
