//! What Stripe and the panel say when they fail stays with the operator: callers get our
//! own reasons and words.

use prost::Message;
use sandbox::{panel, stripe};
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
};

both_engines!(
    callers_never_read_what_stripe_said,
    callers_never_read_what_the_panel_said,
);

const SECRET: &str = "db01.internal refused mysql://root@10.0.0.7";

fn assert_own_words(status: &Status, code: Code, wanted: &str) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (code, wanted),
        "{status:?}"
    );
    assert_quiet(status);
}

fn assert_quiet(status: &Status) {
    let details = String::from_utf8_lossy(status.details()).into_owned();
    let metadata = format!("{:?}", status.metadata());
    for said in [status.message(), &details, &metadata] {
        assert!(
            !said.contains("internal refused") && !said.contains("10.0.0.7"),
            "{said}"
        );
    }
}

/// Finding 46: error bodies passed on what Stripe and the panel had said.
async fn callers_never_read_what_stripe_said(engine: Engine) {
    let live = Live::open(engine).await;
    let error = |kind: &str, code: &str, param: &str| {
        let (message, doc_url) = (SECRET, SECRET);
        let error = serde_json::json!({
            "type": kind, "code": code, "param": param, "message": message, "doc_url": doc_url,
        });
        Some(serde_json::json!({ "error": error }).to_string())
    };
    let invalid = |param: &str| error("invalid_request_error", "resource_missing", param);
    let refusals = [
        (
            400,
            invalid("line_items[0][price]"),
            Code::FailedPrecondition,
            "STRIPE_PRICE_INVALID",
        ),
        (
            401,
            error("invalid_request_error", "", ""),
            Code::Unavailable,
            "STRIPE_UNAVAILABLE",
        ),
        (
            500,
            error("api_error", "", ""),
            Code::Unavailable,
            "STRIPE_UNAVAILABLE",
        ),
        (
            502,
            Some(format!("<html>{SECRET}</html>")),
            Code::Unavailable,
            "STRIPE_UNAVAILABLE",
        ),
    ];
    for (status, body, code, wanted) in refusals {
        let effect = stripe::Effect::Status { status, body };
        let fault = stripe::Fault::on("POST", "/v1/checkout/sessions", effect).always();
        let fault = live.world.stripe.inject(fault);
        let refused = live.checkout(cart(Uuid::new_v4())).await.unwrap_err();
        assert_own_words(&refused, code, wanted);
        assert!(live.world.stripe.fired(fault) > 0);
        live.world.stripe.clear_faults();
    }
    // A parameter of our own making: a fault of the shop, whatever it is called.
    let effect = stripe::Effect::Status {
        status: 400,
        body: invalid("expires_at"),
    };
    let fault = stripe::Fault::on("POST", "/v1/checkout/sessions", effect).always();
    live.world.stripe.inject(fault);
    assert_quiet(&live.checkout(cart(Uuid::new_v4())).await.unwrap_err());
    let shown = everything_shown(&live).await;
    assert!(
        !shown.contains("internal refused"),
        "orders and events: {shown}"
    );
    live.close().await;
}

/// Finding 46, of the panel; and of a topology that was shown to customers.
async fn callers_never_read_what_the_panel_said(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy(user).await;
    let error = serde_json::json!({ "errors": [
        {"code": "HttpException", "status": "500", "detail": SECRET},
    ]});
    for status in [400, 401, 403, 422, 500, 503] {
        let action = panel::FaultAction::Status {
            status,
            body: error.to_string(),
            content_type: None,
            headers: Vec::new(),
        };
        let fault = live
            .world
            .panel
            .inject(panel::Fault::on("GET", "/servers", action));
        let message = proto::RevealServerSecretsRequest {
            order_id: order.id.clone(),
        };
        let request = live.storefront(message, user);
        let refused = live
            .provisioning()
            .reveal_server_secrets(request)
            .await
            .unwrap_err();
        assert_own_words(&refused, Code::Unavailable, "PANEL_UNAVAILABLE");
        assert!(live.world.panel.fired(fault) > 0, "{status}");
        live.world.panel.clear_faults();
    }
    // A create that the panel refuses for good is told to the customer in our own words.
    let body = serde_json::json!({ "errors": [{
        "code": "ValidationException", "status": "422", "detail": SECRET,
        "meta": {"source_field": "name", "rule": "string"},
    }]});
    let action = panel::FaultAction::Status {
        status: 422,
        body: body.to_string(),
        content_type: None,
        headers: Vec::new(),
    };
    let fault = live
        .world
        .panel
        .inject(panel::Fault::on("POST", "/servers", action));
    let cart = proto::CreateCheckoutSessionRequest {
        server_name: "Two".to_owned(),
        ..cart(user)
    };
    let second = live.checkout(cart).await.unwrap().order.unwrap();
    live.pay(&second);
    live.wait_order(&second.id, "a try is counted", |order| order.attempts > 0)
        .await;
    assert!(live.world.panel.fired(fault) > 0);
    let shown = everything_shown(&live).await;
    assert!(
        !shown.contains("internal refused"),
        "orders and events: {shown}"
    );
    // Who buys is not told how big the machines are, nor which there are.
    let nodes = live.storefront(proto::ListNodesRequest::default(), user);
    let refused = live.provisioning().list_nodes(nodes).await.unwrap_err();
    assert_own_words(&refused, Code::PermissionDenied, "ROLE_FORBIDDEN");
    live.close().await;
}

/// Every order with every event, as an operator reads them.
async fn everything_shown(live: &Live) -> String {
    let list = live.operator(proto::ListOrdersRequest::default());
    let orders = live.orders().list_orders(list).await.unwrap().into_inner();
    let mut shown = String::from_utf8_lossy(&orders.encode_to_vec()).into_owned();
    for order in orders.orders {
        let list = proto::ListOrderEventsRequest {
            order_id: order.id,
            ..Default::default()
        };
        let events = live
            .orders()
            .list_order_events(live.operator(list))
            .await
            .unwrap();
        shown.push_str(&String::from_utf8_lossy(
            &events.into_inner().encode_to_vec(),
        ));
    }
    shown
}
