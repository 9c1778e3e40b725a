//! Events that are not this shop's, and bodies that are no events at all.

use sandbox::{stripe::ApiVersion, world::WEBHOOK_SECRET};
use serde_json::{Value, json};
use spawnpoint::rpc::proto::{Order, OrderStatus, RecordStripeEventRequest};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason, with_token},
    sql, till, wait,
};

both_engines!(
    an_event_that_is_not_ours_changes_nothing,
    what_is_no_event_is_refused,
);

/// A shop that hears of payments from webhooks alone.
async fn open(engine: Engine) -> Live {
    Live::open_with(engine, |options| {
        options.set("SWEEP_PENDING_SECONDS", till::NEVER);
    })
    .await
}

async fn pending(live: &Live) -> Order {
    live.checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap()
}

/// A completed session of an order, as an event of its own.
fn event(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "id": id,
        "object": "event",
        "api_version": ApiVersion::NEW,
        "created": till::now(),
        "livemode": false,
        "type": "checkout.session.completed",
        "data": {"object": {
            "id": "cs_test_elsewhere",
            "object": "checkout.session",
            "status": "complete",
            "payment_status": "paid",
            "client_reference_id": null,
            "subscription": "sub_elsewhere",
            "metadata": {},
        }},
    });
    change(&mut event);
    event
}

/// W-06: completed for an order that nobody knows, with somebody else's metadata, of the
/// other mode, of another session: answered 200, stored, counted, and without effect.
async fn an_event_that_is_not_ours_changes_nothing(engine: Engine) {
    let live = open(engine).await;
    let order = pending(&live).await;
    let of_order = |event: &mut Value| {
        event["data"]["object"]["metadata"]["order_id"] = json!(order.id);
        event["data"]["object"]["id"] = json!(order.stripe_checkout_session_id);
    };
    let unknown = Uuid::new_v4().to_string();
    // As ours are named: the store may be a backup that is older than this order.
    let lost = till::lost_order(1).to_string();
    let cases = [
        // Stripe accounts are shared: this one is some other shop's.
        (event("evt_foreign", |_| {}), "ignored:"),
        (
            event("evt_label", |event| {
                event["data"]["object"]["metadata"]["order_id"] = json!("A-1042");
            }),
            "ignored:",
        ),
        (
            event("evt_unknown", |event| {
                event["data"]["object"]["metadata"]["order_id"] = json!(unknown);
            }),
            "ignored:",
        ),
        (
            event("evt_lost", |event| {
                event["data"]["object"]["metadata"]["order_id"] = json!(lost);
            }),
            "ignored:it names an order that is not in the store",
        ),
        (
            event("evt_other_session", |event| {
                event["data"]["object"]["metadata"]["order_id"] = json!(order.id);
            }),
            "failed:it is about another session or subscription than the order's",
        ),
        (
            event("evt_live", |event| {
                of_order(event);
                event["livemode"] = json!(true);
            }),
            "ignored:",
        ),
        (
            event("evt_type", |event| {
                of_order(event);
                event["type"] = json!("checkout.session.dreamt_of");
            }),
            "ignored:",
        ),
        (
            event("evt_odd", |event| event["data"] = json!([1, 2])),
            "ignored:",
        ),
    ];
    let waits = |order: &Order| order.waiting_reason == "AWAITING_PAYMENT";
    let stored = live.wait_order(&order.id, "it waits", waits).await.version;
    let ignored = "spawnpoint_stripe_events_total{state=\"ignored\"}";
    let failed = "spawnpoint_stripe_events_total{state=\"failed\"}";
    let before = (live.counted(ignored).await, live.counted(failed).await);
    let whys = ["type", "livemode", "not_ours", "no_such_order"];
    let whys = whys.map(|why| format!("spawnpoint_stripe_events_ignored_total{{why=\"{why}\"}}"));
    let mut counted = Vec::new();
    for series in &whys {
        counted.push(live.counted(series).await);
    }
    for (event, state) in &cases {
        let id = event["id"].as_str().unwrap();
        assert_eq!(
            till::send_webhook(&live, event).await,
            200,
            "{id} is on disk"
        );
        assert_eq!(
            till::inbox(&live, id).await.as_deref(),
            Some(*state),
            "{id}"
        );
    }
    assert_eq!(till::hints(&live, &order.id).await, 0);
    assert!(live.counted(ignored).await >= before.0 + 7.0);
    for ((series, before), least) in whys.iter().zip(counted).zip([1.0, 1.0, 4.0, 1.0]) {
        assert!(live.counted(series).await >= before + least, "{series}");
    }
    assert!(live.counted(failed).await >= before.1 + 1.0);
    let now = live.order(&order.id).await;
    assert_eq!((now.status(), now.version), (OrderStatus::Pending, stored));
    // Nothing was believed: the session itself says that it is not paid.
    assert_eq!(
        till::send_webhook(&live, &event("evt_forged", of_order)).await,
        200
    );
    assert_eq!(
        till::inbox(&live, "evt_forged").await.as_deref(),
        Some("applied:")
    );
    wait::until("Stripe was asked", PATIENCE, || async {
        let id = sql::id(&live.store.db, order.id.parse().unwrap());
        let read = format!("SELECT hints_read FROM billing WHERE order_id = {id}");
        sql::count(&live.store.db, &read).await == 1
    })
    .await;
    assert_eq!(live.order(&order.id).await.status(), OrderStatus::Pending);
    assert_eq!(live.world.panel.count_route("POST", "/users"), 0);
    live.close().await;
}

/// W-16: a thin event, and what is no event at all, is refused and leaves nothing; thin
/// ones have a counter of their own, because a person has to set up the right endpoint.
async fn what_is_no_event_is_refused(engine: Engine) {
    let live = open(engine).await;
    let thin_events = "spawnpoint_stripe_thin_events_total";
    let before = live.counted(thin_events).await;
    let thin = json!({
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-22T10:00:00.000Z",
        "related_object": {"id": "sub_1", "type": "subscription"},
    });
    let nameless = event("evt_x", |event| event["id"] = json!("sub_1"));
    let modeless = event("evt_y", |event| event["livemode"] = Value::Null);
    for (body, reason_of) in [
        (thin.to_string().into_bytes(), "EVENT_THIN"),
        (b"{\"id\": \"evt_cut\", \"obj".to_vec(), "EVENT_MALFORMED"),
        (b"\xff\xfe".to_vec(), "EVENT_MALFORMED"),
        (Vec::new(), "EVENT_MALFORMED"),
        (b"[]".to_vec(), "EVENT_MALFORMED"),
        (nameless.to_string().into_bytes(), "EVENT_MALFORMED"),
        (modeless.to_string().into_bytes(), "EVENT_MALFORMED"),
    ] {
        let message = RecordStripeEventRequest {
            payload: body.clone(),
            receive_time: None,
        };
        let request = with_token(message, &live.world.tokens.gateway);
        let status = live
            .orders()
            .record_stripe_event(request)
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, reason_of)
        );
        let signature = sandbox::stripe::sign(WEBHOOK_SECRET, till::now(), &body);
        assert_eq!(
            till::send_signed(&live, body, &signature).await,
            400,
            "{reason_of}"
        );
    }
    assert_eq!(till::rows(&live, "stripe_events").await, 0);
    assert!(live.counted(thin_events).await >= before + 2.0);
    live.close().await;
}
