//! The inbox as operators use it: what came, what became of it, and one more try.

use std::{sync::Arc, time::Duration};

use sandbox::stripe::ApiVersion;
use serde_json::json;
use spawnpoint::{
    rpc::proto::{self, Order, StripeEvent},
    worker::{ByHand, Settings},
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    sql, till,
};

both_engines!(
    events_are_listed_by_what_became_of_them,
    an_event_is_replayed_and_has_no_second_effect,
    an_event_that_failed_is_tried_again,
    an_event_of_an_order_that_cannot_be_read_is_kept,
    payloads_are_kept_for_ninety_days,
);

async fn list(live: &Live, message: proto::ListStripeEventsRequest) -> Vec<StripeEvent> {
    let mut message = message;
    let (mut events, mut client) = (Vec::new(), live.orders());
    loop {
        let answer = client
            .list_stripe_events(live.viewer(message.clone()))
            .await;
        let answer = answer.unwrap().into_inner();
        events.extend(answer.events);
        if answer.next_page_token.is_empty() {
            return events;
        }
        message.page_token = answer.next_page_token;
    }
}

async fn replay(live: &Live, event_id: &str) -> Result<StripeEvent, Status> {
    let message = proto::ReplayStripeEventRequest {
        event_id: event_id.to_owned(),
    };
    let answer = live
        .orders()
        .replay_stripe_event(live.operator(message))
        .await?;
    Ok(answer.into_inner().event.unwrap())
}

async fn bought(live: &Live) -> Order {
    let order = live.purchase(cart(Uuid::new_v4())).await;
    let order = live.wait_running(&order.id).await;
    till::delivered(live).await;
    live.wait_until_unleased().await;
    order
}

/// An event of the order's session under this id, about another session.
async fn misnamed(live: &Live, order: &Order, id: &str) {
    let session = &order.stripe_checkout_session_id;
    let told = till::event_about(live, "checkout.session.completed", session);
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    let mut event = live.world.stripe.event_json(&told.id, &version).unwrap();
    event["id"] = json!(id);
    event["data"]["object"]["id"] = json!("cs_test_other");
    // A payment of it would go back.
    event["data"]["object"]["payment_status"] = json!("unpaid");
    assert_eq!(till::send_webhook(live, &event).await, 200);
}

async fn events_are_listed_by_what_became_of_them(engine: Engine) {
    let live = Live::open(engine).await;
    let (one, other) = (bought(&live).await, bought(&live).await);
    misnamed(&live, &one, "evt_misnamed").await;
    let everything = list(&live, proto::ListStripeEventsRequest::default()).await;
    let rows = till::rows(&live, "stripe_events").await;
    assert_eq!(everything.len(), usize::try_from(rows).unwrap());
    assert_eq!(everything[0].id, "evt_misnamed", "the last one first");
    let received = everything.iter().map(|event| {
        let time = event.receive_time.unwrap();
        (time.seconds, time.nanos, event.id.clone())
    });
    assert!(received.collect::<Vec<_>>().is_sorted_by(|a, b| a > b));
    // In pages of two it is the same.
    let paged = proto::ListStripeEventsRequest {
        page_size: 2,
        ..Default::default()
    };
    assert_eq!(list(&live, paged).await, everything);
    let narrowed = |change: &dyn Fn(&mut proto::ListStripeEventsRequest)| {
        let mut message = proto::ListStripeEventsRequest::default();
        change(&mut message);
        message
    };
    let failed = list(&live, narrowed(&|it| it.state = "failed".to_owned())).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].id.as_str(), failed[0].order_id.as_str()),
        ("evt_misnamed", one.id.as_str())
    );
    assert_ne!(failed[0].last_error, "");
    let about = list(&live, narrowed(&|it| it.order_id = other.id.clone())).await;
    assert!(about.len() >= 3 && about.iter().all(|event| event.order_id == other.id));
    let kind = "invoice.paid";
    let paid = list(&live, narrowed(&|it| it.r#type = kind.to_owned())).await;
    assert_eq!(paid.len(), 2);
    let at = everything[0].receive_time;
    let later = list(&live, narrowed(&|it| it.receive_time_from = at)).await;
    assert_eq!(later.len(), 1);
    let before = list(&live, narrowed(&|it| it.receive_time_before = at)).await;
    assert_eq!(before.len(), everything.len() - 1);
    let bad = narrowed(&|it| it.state = "seen".to_owned());
    let status = live
        .orders()
        .list_stripe_events(live.viewer(bad))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "FIELD_INVALID");
    live.close().await;
}

async fn an_event_is_replayed_and_has_no_second_effect(engine: Engine) {
    let live = Live::open(engine).await;
    let order = bought(&live).await;
    let session = &order.stripe_checkout_session_id;
    let told = till::event_about(&live, "checkout.session.completed", session);
    let hints = till::hints(&live, &order.id).await;
    let replayed = replay(&live, &told.id).await.unwrap();
    assert_eq!(
        (
            replayed.state.as_str(),
            replayed.source.as_str(),
            replayed.attempts
        ),
        ("applied", "replay", 2)
    );
    assert_eq!(till::hints(&live, &order.id).await, hints + 1);
    live.wait_until_unleased().await;
    let now = live.order(&order.id).await;
    assert_eq!(now.status(), order.status());
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 1);
    let unknown = replay(&live, "evt_unknown").await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "EVENT_NOT_FOUND")
    );
    live.close().await;
}

async fn an_event_that_failed_is_tried_again(engine: Engine) {
    let live = Live::open(engine).await;
    let order = bought(&live).await;
    misnamed(&live, &order, "evt_misnamed").await;
    let hints = till::hints(&live, &order.id).await;
    for attempts in 2..4 {
        let replayed = replay(&live, "evt_misnamed").await.unwrap();
        assert_eq!(
            (replayed.state.as_str(), replayed.attempts),
            ("failed", attempts)
        );
        assert_eq!(replayed.order_id, order.id);
    }
    assert_eq!(till::hints(&live, &order.id).await, hints);
    live.close().await;
}

/// The row of its order cannot be read for a while: the events about it are kept, and applied once
/// it can. Nobody else's wait for that.
async fn an_event_of_an_order_that_cannot_be_read_is_kept(engine: Engine) {
    // Both sweeps run when the test has them run.
    let live = Live::open_with(engine, |options| {
        options.set("SWEEP_CHARGES_SECONDS", till::NEVER);
        options.set("SWEEP_EVENTS_SECONDS", till::NEVER);
    })
    .await;
    let (order, other) = (bought(&live).await, bought(&live).await);
    let (db, stripe) = (&live.store.db, &live.world.stripe);
    let id = sql::id(db, order.id.parse().unwrap());
    let addons = format!("SELECT CAST(addons AS text) FROM orders WHERE id = {id}");
    let addons = sql::texts(db, &addons).await.concat();
    let set = async |text: &str| {
        let set = format!("UPDATE orders SET addons = '{text}' WHERE id = {id}");
        sql::run(db, &set).await.unwrap();
    };
    let payment = stripe.payment(&order.stripe_sub_id).unwrap();
    let told = till::event_about(&live, "invoice.paid", &payment.invoice.unwrap());
    let version = ApiVersion::parse(ApiVersion::NEW).unwrap();
    let mut event = stripe.event_json(&told.id, &version).unwrap();
    event["id"] = json!("evt_unreadable");
    set("7").await;
    assert_eq!(till::send_webhook(&live, &event).await, 200);
    let state = till::inbox(&live, "evt_unreadable").await.unwrap();
    assert!(
        state.starts_with("failed:stored value is unreadable"),
        "{state}"
    );
    // About money, and asked for before the other's.
    let disputes = [&order, &other].map(|order| {
        stripe
            .open_dispute(&order.stripe_sub_id, "fraudulent")
            .unwrap()
    });
    till::delivered(&live).await;
    let [disputed, others] =
        disputes.map(|id| till::event_about(&live, "charge.dispute.created", &id).id);
    let hand = ByHand::new(Arc::clone(&live.world.cores[0].app), Settings::default());
    hand.sweep_one("charges").await.unwrap();
    let state = till::inbox(&live, &disputed).await.unwrap();
    assert!(
        state.starts_with("failed:stored value is unreadable"),
        "{state}"
    );
    assert_eq!(till::inbox(&live, &others).await.unwrap(), "applied:");
    set(&addons).await;
    live.skip(Duration::from_secs(301));
    hand.sweep_one("stripe_events").await.unwrap();
    hand.sweep_one("charges").await.unwrap();
    for event in ["evt_unreadable", &disputed] {
        assert_eq!(till::inbox(&live, event).await.unwrap(), "applied:");
    }
    live.close().await;
}

/// What a customer told Stripe is not kept for ever; what came and what became of it is.
async fn payloads_are_kept_for_ninety_days(engine: Engine) {
    let live = Live::open(engine).await;
    let order = bought(&live).await;
    let all = list(&live, proto::ListStripeEventsRequest::default()).await;
    let with_payload = "SELECT count(*) FROM stripe_events WHERE length(payload) > 0";
    let count = async || sql::count(&live.store.db, with_payload).await;
    let before = count().await;
    assert_eq!(before, i64::try_from(all.len()).unwrap());
    let app = &live.world.cores[0].app;
    let hand = ByHand::new(Arc::clone(app), Settings::default());
    let day = Duration::from_secs(24 * 3600);
    till::move_core(&live, 89 * day);
    hand.sweep_one("payloads").await.unwrap();
    assert_eq!(count().await, before);
    till::move_core(&live, 2 * day);
    hand.sweep_one("payloads").await.unwrap();
    assert_eq!(count().await, 0);
    let kept = list(&live, proto::ListStripeEventsRequest::default()).await;
    assert_eq!(kept, all);
    let session = &order.stripe_checkout_session_id;
    let told = till::event_about(&live, "checkout.session.completed", session);
    let gone = replay(&live, &told.id).await.unwrap_err();
    assert_eq!(reason(&gone), "EVENT_NOT_FOUND");
    // A later one is forgotten in its own time.
    misnamed(&live, &order, "evt_later").await;
    hand.sweep_one("payloads").await.unwrap();
    assert_eq!(count().await, 1);
    live.close().await;
}
