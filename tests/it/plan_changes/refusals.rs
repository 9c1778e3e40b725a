//! Changes that are refused, repeated, or come too late for the last room.

use spawnpoint::rpc::proto;
use tonic::Code;
use uuid::Uuid;

use super::{delivered, fields, held, running, updates};
use crate::support::{
    changes::ask,
    db::Engine,
    live::{Live, cart, reason},
    till::{NEVER, catalog_with},
};

both_engines!(
    what_cannot_be_is_refused_and_changes_nothing,
    a_repeat_changes_nothing_more,
    the_last_room_is_held_for_one_of_two,
);

async fn what_cannot_be_is_refused_and_changes_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let before = live.order(&order.id).await;
    for (plan, addons, wanted) in [
        ("no-such-plan", &[][..], "PLAN_NOT_FOUND"),
        ("mc-4gb", &["no-such-addon"], "ADDON_NOT_FOUND"),
        ("mc-16gb", &[], "PLAN_INACTIVE"),
        ("terraria-2gb", &[], "PLAN_INCOMPATIBLE"),
        ("mc-1gb", &[], "DISK_SHRINK"),
    ] {
        let refused = ask(&live, &order.id, plan, addons).await.unwrap_err();
        assert_eq!(reason(&refused), wanted, "{plan}");
    }
    let nothing = proto::ChangePlanRequest {
        order_id: "x".to_owned(),
        plan_id: "No Plan".to_owned(),
        addon_ids: vec!["a".to_owned(), "a".to_owned()],
        request_id: String::new(),
    };
    let mut client = live.orders();
    let refused = client.change_plan(live.operator(nothing)).await;
    assert_eq!(
        fields(&refused.unwrap_err()),
        ["addon_ids[1]", "order_id", "plan_id", "request_id"]
    );
    // One that is not paid yet, one that stands still, and one that nobody pays for any more.
    let unpaid = live.checkout(cart(Uuid::new_v4())).await.unwrap();
    let unpaid = unpaid.order.unwrap();
    let refused = ask(&live, &unpaid.id, "mc-4gb", &[]).await.unwrap_err();
    assert_eq!(reason(&refused), "SERVER_NOT_READY");
    live.world
        .stripe
        .fail_payment(&order.stripe_sub_id)
        .unwrap();
    live.wait_order(&order.id, "it is past due", |order| {
        order.subscription_status == "past_due"
    })
    .await;
    let refused = ask(&live, &order.id, "mc-4gb", &[]).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "SERVER_NOT_READY")
    );
    let after = live.order(&order.id).await;
    assert_eq!(
        (&before.plan_id, &before.price),
        (&after.plan_id, &after.price)
    );
    assert_eq!(held(&live, &order).await, "2/20/1");
    assert_eq!(updates(&live), 0);
    live.close().await;
}

async fn a_repeat_changes_nothing_more(engine: Engine) {
    let live = Live::open(engine).await;
    let order = running(&live).await;
    let user = order.user_id.parse().unwrap();
    let request = |plan: &str, addons: &[&str]| proto::ChangePlanRequest {
        order_id: order.id.clone(),
        plan_id: plan.to_owned(),
        addon_ids: addons.iter().map(|id| (*id).to_owned()).collect(),
        request_id: order.id.clone(),
    };
    let call = async |message, user| {
        let mut client = live.orders();
        client.change_plan(live.storefront(message, user)).await
    };
    let addons = ["extra-port", "extra-vcpu"];
    call(request("mc-4gb", &addons), user).await.unwrap();
    live.wait_order(&order.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    let turned = ["extra-vcpu", "extra-port"];
    let again = call(request("mc-4gb", &turned), user).await.unwrap();
    assert_eq!(again.into_inner().order.unwrap().plan_id, "mc-4gb");
    let other = call(request("mc-8gb", &[]), user).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    let stranger = call(request("mc-8gb", &[]), Uuid::new_v4()).await;
    assert_eq!(reason(&stranger.unwrap_err()), "ORDER_NOT_FOUND");
    delivered(&live, &order, 4096, "4/40/3").await;
    // What it has already is no change.
    ask(&live, &order.id, "mc-4gb", &turned).await.unwrap();
    let now = live.order(&order.id).await;
    assert_eq!(now.pending_plan_id, "");
    assert_eq!(updates(&live), 1);
    live.close().await;
}

/// P-21 for changes of plan: two servers on a node that has room for one of them to grow.
async fn the_last_room_is_held_for_one_of_two(engine: Engine) {
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_SUBSCRIPTIONS_SECONDS", NEVER);
        options.catalog = catalog_with(&[("max_ram_gb = 64", "max_ram_gb = 8")]);
    })
    .await;
    // 8 GB less 2 of the machine's own: two of 2 GB, and 2 GB are left.
    let (one, other) = (running(&live).await, running(&live).await);
    let (first, second) = tokio::join!(
        ask(&live, &one.id, "mc-4gb", &[]),
        ask(&live, &other.id, "mc-4gb", &[])
    );
    let (winner, loser, refusal) = match (first, second) {
        (Ok(_), Err(refusal)) => (&one, &other, refusal),
        (Err(refusal), Ok(_)) => (&other, &one, refusal),
        both => panic!("{both:?}"),
    };
    assert_eq!(reason(&refusal), "NO_CAPACITY");
    live.wait_order(&winner.id, "it is paid", |order| order.plan_id == "mc-4gb")
        .await;
    delivered(&live, winner, 4096, "4/40/2").await;
    assert_eq!(held(&live, loser).await, "2/20/1");
    live.close().await;
}
