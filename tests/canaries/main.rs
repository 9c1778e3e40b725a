//! Nothing secret and nothing of a customer is ever logged: a whole purchase, and all that
//! can go wrong with it, at TRACE, through the very layer that the service logs with.
//!
//! A binary of its own: what is logged is a matter of the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "tests fail by panicking; the harness is shared, and not all of it is used here"
)]

#[macro_use]
#[path = "../it/support"]
mod support {
    pub mod audited;
    #[macro_use]
    pub mod db;
    pub mod live;
    pub mod log_watch;
    pub mod postgres;
    pub mod sql;
    pub mod wait;
}

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
};

use prost::Message;
use sandbox::stripe::{Effect, Fault};
use spawnpoint::{
    rpc::proto,
    telemetry::{self, Format},
};
use tonic::{Code, Request};
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};
use uuid::Uuid;

use support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason, with_token},
    wait,
};

both_engines!(no_secret_and_nothing_of_a_customer_is_logged);

/// What was logged, by all tests of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn start() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let layer = telemetry::layer(Format::Json, "trace", log.clone());
            tracing_subscriber::registry().with(layer).init();
            log
        })
    }

    /// What the service and the gateway wrote: the stand-ins play others' machines.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        let ours = |line: &&str| !line.contains(r#""target":"sandbox"#);
        text.lines().filter(ours).map(str::to_owned).collect()
    }
}

/// Words that must be found nowhere, each with what it is.
struct Canaries {
    /// In whatever a customer wrote.
    word: String,
    others: Vec<(&'static str, String)>,
}

async fn no_secret_and_nothing_of_a_customer_is_logged(engine: Engine) {
    let log = Log::start();
    let live = Live::open(engine).await;
    let word = format!("canary{}", Uuid::new_v4().simple());
    let tokens = live.world.tokens.clone();
    let mut canaries = Canaries {
        word: word.clone(),
        others: vec![
            ("operator's token", tokens.operator),
            ("storefront's token", tokens.storefront),
            ("gateway's token", tokens.gateway),
            ("viewer's token", tokens.viewer),
            ("Stripe key", live.world.stripe.secret_key()),
            ("panel key", live.world.panel.key().to_owned()),
            ("webhook secret", sandbox::world::WEBHOOK_SECRET.to_owned()),
        ],
    };
    let order = buy(&live, &word).await;
    let server = live.world.panel.server(&order.id).unwrap();
    canaries
        .others
        .push(("server's secret", server.environment["RCON_PASS"].clone()));
    assert_eq!(
        server.environment["DESCRIPTION"],
        format!("{word} description")
    );
    let message = proto::RevealServerSecretsRequest {
        order_id: order.id.clone(),
    };
    let shown = live
        .provisioning()
        .reveal_server_secrets(live.operator(message))
        .await
        .unwrap();
    assert_eq!(
        shown.into_inner().environment,
        server.environment.into_iter().collect()
    );

    wrong_calls(&live, &word).await;
    wrong_events(&live, &word, &order).await;
    upstream_says_it(&live, &word).await;
    let metrics = format!("http://{}/metrics", live.world.cores[0].metrics_addr);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    live.close().await;

    // What is said at TRACE is found, or nothing below would prove anything.
    let control = Uuid::new_v4().to_string();
    tracing::trace!(control, "said on purpose");
    let lines = log.lines();
    // The log is whole: all that was done is in it.
    for wanted in [
        r#""level":"DEBUG""#,
        control.as_str(),
        r#""message":"next step""#,
        r#""method":"OrderService/CreateCheckoutSession""#,
        r#""message":"webhook stored""#,
        r#""code":"UNAUTHENTICATED""#,
        "serving",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(wanted)),
            "{wanted} is not in the log"
        );
    }
    let metrics = metrics.lines().map(str::to_owned);
    for line in lines.into_iter().chain(metrics) {
        assert!(!line.contains(&canaries.word), "of a customer: {line}");
        for (what, secret) in &canaries.others {
            assert!(!line.contains(secret.as_str()), "the {what}: {line}");
        }
    }
}

fn canary_cart(word: &str, user: Uuid) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        // Two users, two addresses.
        email: format!("{word}.{}@players.example", &user.simple().to_string()[..8]),
        first_name: format!("{word} first"),
        last_name: format!("{word} last"),
        plan_id: "rust-3gb".to_owned(),
        server_name: format!("{word} name"),
        environment: [
            ("DESCRIPTION".to_owned(), format!("{word} description")),
            ("WORLD_SEED".to_owned(), word.to_owned()),
        ]
        .into(),
        ..cart(user)
    }
}

async fn buy(live: &Live, word: &str) -> proto::Order {
    wait::until("the plan is sold", PATIENCE, || async {
        let ask = proto::CheckAvailabilityRequest {
            plan_id: "rust-3gb".to_owned(),
            region: "us-east".to_owned(),
            ..Default::default()
        };
        let told = live
            .catalog()
            .check_availability(live.operator(ask))
            .await
            .unwrap();
        told.into_inner().availability[0].available
    })
    .await;
    let order = live
        .checkout(canary_cart(word, Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
    live.pay(&order);
    live.wait_running(&order.id).await
}

/// Refusals repeat nothing of what was wrong.
async fn wrong_calls(live: &Live, word: &str) {
    let mut orders = live.orders();
    for token in [
        word.to_owned(),
        format!("spt_{word:A<43}"),
        format!("spt_{word}{word}"),
    ] {
        let request = with_token(proto::GetOrderRequest::default(), &token);
        let refused = orders.get_order(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    let mut request = with_token(
        proto::GetOrderRequest::default(),
        &live.world.tokens.storefront,
    );
    request
        .metadata_mut()
        .insert("x-spawnpoint-user", word.parse().unwrap());
    request
        .metadata_mut()
        .insert("traceparent", word.parse().unwrap());
    request
        .metadata_mut()
        .insert("x-other", word.parse().unwrap());
    assert_eq!(
        reason(&orders.get_order(request).await.unwrap_err()),
        "FIELD_INVALID"
    );

    let user = Uuid::new_v4();
    let good = canary_cart(word, user);
    let wrong = proto::CreateCheckoutSessionRequest {
        request_id: word.to_owned(),
        email: word.to_owned(),
        first_name: format!("{word}\0"),
        server_name: word.repeat(3),
        success_url: format!("https://{word}:{word}@shop.example/"),
        environment: [("WORLD_SEED".to_owned(), format!("{word}\0"))].into(),
        ..good.clone()
    };
    assert_eq!(
        reason(&live.checkout(wrong).await.unwrap_err()),
        "FIELD_INVALID"
    );
    let unfit = proto::CreateCheckoutSessionRequest {
        environment: [("WORLD_SIZE".to_owned(), word.to_owned())].into(),
        ..good.clone()
    };
    assert_eq!(
        reason(&live.checkout(unfit).await.unwrap_err()),
        "FIELD_INVALID"
    );
    // Text that is none: the bytes of the address are cut in a character.
    let mut bytes = good.encode_to_vec();
    bytes.extend([0x1a, 0x04, 0xff]);
    bytes.extend(&word.as_bytes()[..3]);
    let request = Request::new(bytes);
    let url = format!(
        "http://{}/spawnpoint.v1.OrderService/CreateCheckoutSession",
        live.world.grpc_addr
    );
    let mut frame = vec![0];
    frame.extend(
        u32::try_from(request.get_ref().len())
            .unwrap()
            .to_be_bytes(),
    );
    frame.extend(request.into_inner());
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    let answer = client
        .post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .bearer_auth(&live.world.tokens.operator)
        .body(frame)
        .send()
        .await
        .unwrap();
    let refused = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(reason(&refused), "MESSAGE_MALFORMED");
}

/// Events: applied, of another's session, ignored, broken, and forged at the gateway.
async fn wrong_events(live: &Live, word: &str, order: &proto::Order) {
    let event = |id: &str, kind: &str, session: &str| {
        serde_json::json!({
            "id": format!("evt_{id}"),
            "object": "event",
            "api_version": "2024-06-20",
            "created": 1_700_000_000,
            "livemode": false,
            "type": kind,
            "data": {"object": {
                "id": session,
                "object": "checkout.session",
                "client_reference_id": order.id,
                "customer_details": {"email": word, "name": word},
                "metadata": {"order_id": order.id, "note": word},
                "payment_status": "unpaid",
            }},
        })
        .to_string()
        .into_bytes()
    };
    let kind = "checkout.session.completed";
    let payloads = [
        (
            event("one", kind, &order.stripe_checkout_session_id),
            Code::Ok,
        ),
        (event("two", kind, "cs_another"), Code::Ok),
        (event("three", "customer.created", word), Code::Ok),
        (
            format!("{{\"id\":\"{word}\",").into_bytes(),
            Code::InvalidArgument,
        ),
        (
            format!("{{\"object\":\"{word}\"}}").into_bytes(),
            Code::InvalidArgument,
        ),
    ];
    for (payload, wanted) in payloads {
        let forged = reqwest::Client::new()
            .post(format!("http://{}/stripe-webhook", live.world.gateway))
            .header("stripe-signature", format!("t=1700000000,v1={word}"))
            .body(payload.clone());
        assert_eq!(forged.send().await.unwrap().status().as_u16(), 400);
        let message = proto::RecordStripeEventRequest {
            payload,
            receive_time: None,
        };
        let request = with_token(message, &live.world.tokens.gateway);
        let answer = live.orders().record_stripe_event(request).await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            wanted
        );
    }
}

/// Stripe and the panel repeat what they refuse.
async fn upstream_says_it(live: &Live, word: &str) {
    for status in [400, 401, 409, 500] {
        let error = serde_json::json!({"error": {
            "type": "invalid_request_error",
            "code": "email_invalid",
            "message": format!("Invalid email address: {word}@players.example"),
        }});
        let effect = Effect::Status {
            status,
            body: Some(error.to_string()),
        };
        let fault = live
            .world
            .stripe
            .inject(Fault::on("POST", "/v1/", effect).always());
        live.checkout(canary_cart(word, Uuid::new_v4()))
            .await
            .unwrap_err();
        assert!(live.world.stripe.fired(fault) > 0);
        live.world.stripe.clear_faults();
    }
    let body = serde_json::json!({ "errors": [{
        "code": "ValidationException",
        "status": "422",
        "detail": format!("The name {word} is not allowed."),
        "meta": {"source_field": "name", "rule": "string"},
    }]});
    let action = sandbox::panel::FaultAction::Status {
        status: 422,
        body: body.to_string(),
        content_type: None,
        headers: Vec::new(),
    };
    let fault = sandbox::panel::Fault::on("POST", "/servers", action).times(1);
    let fault = live.world.panel.inject(fault);
    let order = live
        .checkout(canary_cart(word, Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
    live.pay(&order);
    wait::until("the refused create is tried again", PATIENCE, || async {
        live.world.panel.fired(fault) > 0 && live.world.panel.server(&order.id).is_some()
    })
    .await;
}
