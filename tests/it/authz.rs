//! Who may call what: every method of the descriptor set, every role, and every way in
//! which a token can be wrong.

use prost::Message;
use spawnpoint::{
    app::{
        Role,
        authorize::{RULES, Rule},
        tokens,
    },
    rpc::proto,
};
use tonic::{Code, Request, Status, metadata::MetadataValue};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason, with_token},
    sql, wait,
    wire::{Api, Method, call, delimited},
};

both_engines!(
    every_method_lets_in_its_roles_and_nobody_else,
    every_wrong_token_gets_one_and_the_same_answer,
    nobody_is_an_operator_for_coming_first,
    an_order_is_paid_when_stripe_says_so_and_never_otherwise,
);

fn rule(method: &Method) -> &'static Rule {
    let found = RULES.iter().find(|rule| rule.method == method.label);
    found.unwrap_or_else(|| panic!("{} has no rule", method.label))
}

fn tokens_of(live: &Live) -> [(Role, String); 4] {
    let tokens = live.world.tokens.clone();
    [
        (Role::Operator, tokens.operator),
        (Role::Storefront, tokens.storefront),
        (Role::Gateway, tokens.gateway),
        (Role::Viewer, tokens.viewer),
    ]
}

/// An empty message with a token, and a user where one is named.
fn empty(token: &str, user: Option<&str>) -> Request<Vec<u8>> {
    let mut request = with_token(Vec::new(), token);
    if let Some(user) = user {
        request
            .metadata_mut()
            .insert("x-spawnpoint-user", user.parse().unwrap());
    }
    request
}

fn assert_refused(status: &Status, code: Code, wanted: &str, what: &str) {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (code, wanted),
        "{what}: {status:?}"
    );
}

async fn every_method_lets_in_its_roles_and_nobody_else(engine: Engine) {
    let live = Live::open(engine).await;
    // So that the feed has something to tell.
    live.reserve(cart(Uuid::new_v4())).await;
    let (api, channel, user) = (Api::read(), live.channel(), Uuid::new_v4().to_string());
    assert_eq!(api.methods.len(), RULES.len(), "one rule for each method");
    let mut calls = 0;
    for method in &api.methods {
        let rule = rule(method);
        for (role, token) in tokens_of(&live) {
            let what = format!("{} as {role}", method.label);
            let answer = call(&channel, &method.path, empty(&token, Some(&user))).await;
            calls += 1;
            if rule.roles.contains(&role) {
                let code = answer.err().map_or(Code::Ok, |status| status.code());
                let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
                let broken = matches!(code, Code::Internal | Code::Unknown | Code::Unavailable);
                assert!(!refused && !broken, "{what}: {code:?}");
            } else {
                let status = answer.expect_err(&what);
                assert_refused(&status, Code::PermissionDenied, "ROLE_FORBIDDEN", &what);
                let metadata = status.get_details_error_info().unwrap().metadata;
                assert_eq!(metadata["role"], role.to_string(), "{what}");
                assert_eq!(metadata["method"], method.label, "{what}");
            }
        }
        calls += storefront_must_name_its_user(&live, method, rule).await;
    }
    eprintln!("{calls} calls");
    assert!(calls > 200, "{calls}");
    live.close().await;
}

async fn storefront_must_name_its_user(live: &Live, method: &Method, rule: &Rule) -> usize {
    if !rule.roles.contains(&Role::Storefront) {
        return 0;
    }
    let (channel, token) = (live.channel(), &live.world.tokens.storefront);
    let what = &method.label;
    let unnamed = call(&channel, &method.path, empty(token, None)).await;
    if rule.user_scoped {
        let status = unnamed.expect_err(what);
        assert_refused(
            &status,
            Code::PermissionDenied,
            "USER_HEADER_REQUIRED",
            what,
        );
    } else {
        let code = unnamed.err().map_or(Code::Ok, |status| status.code());
        assert!(
            !matches!(code, Code::Unauthenticated | Code::PermissionDenied),
            "{what}"
        );
    }
    let id = Uuid::new_v4();
    let wrong = [
        "",
        "*",
        "1",
        &id.to_string().to_uppercase(),
        &format!("{{{id}}}"),
    ];
    for user in wrong {
        let status = call(&channel, &method.path, empty(token, Some(user))).await;
        let status = status.expect_err(what);
        assert_refused(&status, Code::InvalidArgument, "FIELD_INVALID", what);
    }
    let mut twice = empty(token, Some(&id.to_string()));
    let other = Uuid::new_v4().to_string().parse().unwrap();
    twice.metadata_mut().append("x-spawnpoint-user", other);
    let status = call(&channel, &method.path, twice).await.expect_err(what);
    assert_refused(&status, Code::InvalidArgument, "FIELD_INVALID", what);
    wrong.len() + 2
}

/// Finding 34: the service key was looked for anywhere in the header, and while it was
/// not configured every bearer token passed; any signed-in user could provision any order.
async fn every_wrong_token_gets_one_and_the_same_answer(engine: Engine) {
    let live = Live::open(engine).await;
    let (api, channel) = (Api::read(), live.channel());
    let db = &live.store.db;
    let good = live.world.tokens.operator.clone();
    let revoked = tokens::create(db, Role::Operator, "revoked", Some(1))
        .await
        .unwrap();
    assert!(tokens::revoke(db, "revoked").await.unwrap());
    let expired = tokens::create(db, Role::Operator, "expired", Some(1))
        .await
        .unwrap();
    let aged = sql::run(
        db,
        "UPDATE api_tokens SET expires_us = 1 WHERE name = 'expired'",
    )
    .await;
    assert_eq!(aged.unwrap(), 1);
    let hash = sql::texts(db, "SELECT sha256 FROM api_tokens ORDER BY id LIMIT 1").await;
    let mut headers: Vec<Vec<String>> = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {revoked}"),
        format!("Bearer {expired}"),
        format!("Bearer spt_{}", "A".repeat(43)),
        format!("Bearer {good}{good}"),
        format!("Bearer x{good}"),
        format!("Bearer {good}x"),
        format!("Bearer {}", &good[..46]),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer  {good}"),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {}", hash[0]),
        format!("Basic {good}"),
        format!("Token {good}"),
        good.clone(),
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoib3BlcmF0b3IifQ.".to_owned(),
        "Bearer ' OR '1'='1".to_owned(),
        format!("Bearer {}", "x".repeat(10_000)),
    ]
    .map(|header| vec![header])
    .to_vec();
    headers.push(Vec::new());
    // Two of them, both good: which one counts must not depend on who reads them.
    headers.push(vec![format!("Bearer {good}"), format!("Bearer {good}")]);
    let mut answers = Vec::new();
    for method in &api.methods {
        for header in &headers {
            let mut request = Request::new(Vec::new());
            for value in header {
                let value = MetadataValue::try_from(value).unwrap();
                request.metadata_mut().append("authorization", value);
            }
            let status = call(&channel, &method.path, request)
                .await
                .expect_err(&method.label);
            let what = format!("{} {header:?}", method.label);
            assert_refused(
                &status,
                Code::Unauthenticated,
                "UNAUTHENTICATED_TOKEN",
                &what,
            );
            answers.push((status.message().to_owned(), status.details().to_vec()));
        }
    }
    assert!(answers.len() >= 31 * 22, "{}", answers.len());
    answers.dedup();
    assert_eq!(answers.len(), 1, "one text for every cause: {answers:?}");
    // The scheme's case is no cause.
    let mut lower = Request::new(Vec::new());
    lower
        .metadata_mut()
        .insert("authorization", format!("bearer {good}").parse().unwrap());
    let listed = call(
        &channel,
        &api.method("CatalogService/ListPlans").path,
        lower,
    )
    .await;
    assert!(listed.is_ok(), "{listed:?}");
    live.close().await;
}

/// Finding 41: whoever called the admin function first became the administrator.
async fn nobody_is_an_operator_for_coming_first(engine: Engine) {
    let live = Live::open(engine).await;
    let (api, channel) = (Api::read(), live.channel());
    sql::run(&live.store.db, "DELETE FROM api_tokens")
        .await
        .unwrap();
    let invented = format!("spt_{}", "B".repeat(43));
    for method in &api.methods {
        for request in [Request::new(Vec::new()), empty(&invented, None)] {
            let status = call(&channel, &method.path, request)
                .await
                .expect_err(&method.label);
            assert_eq!(status.code(), Code::Unauthenticated, "{}", method.label);
        }
    }
    let tokens = sql::count(&live.store.db, "SELECT count(*) FROM api_tokens").await;
    assert_eq!(tokens, 0, "no call makes a token");
    live.close().await;
}

/// Finding 33: users wrote orders with status `paid` themselves, and the provisioning
/// function took a missing authorization header for the service's own: free servers.
async fn an_order_is_paid_when_stripe_says_so_and_never_otherwise(engine: Engine) {
    let live = Live::open(engine).await;
    let (api, channel, user) = (Api::read(), live.channel(), Uuid::new_v4());
    let token = &live.world.tokens.storefront;
    // Whatever else a client puts into its cart: `status = ORDER_STATUS_PAID` as field 99,
    // and a whole paid order as field 100.
    let mut bytes = cart(user).encode_to_vec();
    bytes.extend([0x98, 0x06, proto::OrderStatus::Paid as u8]);
    let paid = proto::Order {
        status: proto::OrderStatus::Paid.into(),
        ..proto::Order::default()
    };
    bytes.extend(delimited(100, &paid.encode_to_vec()));
    let mut request = with_token(bytes, token);
    request
        .metadata_mut()
        .insert("x-spawnpoint-user", user.to_string().parse().unwrap());
    let path = &api.method("OrderService/CreateCheckoutSession").path;
    let answer = call(&channel, path, request).await.unwrap();
    let answer = proto::CreateCheckoutSessionResponse::decode(&*answer).unwrap();
    let order = answer.order.unwrap();
    assert_eq!(order.status(), proto::OrderStatus::Pending);

    let provision = proto::ProvisionOrderRequest {
        order_id: order.id.clone(),
        request_id: String::new(),
    };
    let path = &api.method("ProvisioningService/ProvisionOrder").path;
    let bytes = provision.encode_to_vec();
    let unsigned = call(&channel, path, Request::new(bytes.clone()))
        .await
        .unwrap_err();
    assert_eq!(unsigned.code(), Code::Unauthenticated);
    let bought = call(&channel, path, with_token(bytes.clone(), token))
        .await
        .unwrap_err();
    assert_refused(
        &bought,
        Code::PermissionDenied,
        "ROLE_FORBIDDEN",
        "ProvisionOrder",
    );
    let forced = live
        .provisioning()
        .provision_order(live.operator(provision))
        .await;
    let forced = forced.unwrap_err();
    assert_refused(
        &forced,
        Code::FailedPrecondition,
        "ORDER_NOT_PAID",
        "ProvisionOrder",
    );

    // Not even an event that says so, recorded by the gateway itself.
    let reads = || live.world.stripe.count("GET", "/v1/checkout/sessions/");
    let before = reads();
    let event = paid_event(&order);
    let event = proto::RecordStripeEventRequest {
        payload: event,
        receive_time: None,
    };
    let recorded = with_token(event, &live.world.tokens.gateway);
    live.orders().record_stripe_event(recorded).await.unwrap();
    wait::until("Stripe was asked", PATIENCE, || async { reads() > before }).await;
    let unread = "SELECT count(*) FROM billing WHERE hints > hints_read";
    wait::until("its answer was taken", PATIENCE, || async {
        sql::count(&live.store.db, unread).await == 0
    })
    .await;
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Pending
    );
    assert_eq!(live.world.panel.count_route("POST", "/servers"), 0);
    assert_eq!(live.world.panel.servers(), Vec::new());
    live.close().await;
}

/// `checkout.session.completed`, paid, of this order's own session.
fn paid_event(order: &proto::Order) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "id": "evt_forged",
        "object": "event",
        "api_version": "2024-06-20",
        "created": 1_700_000_000,
        "livemode": false,
        "type": "checkout.session.completed",
        "data": {"object": {
            "id": order.stripe_checkout_session_id,
            "object": "checkout.session",
            "client_reference_id": order.id,
            "metadata": {"order_id": order.id},
            "mode": "subscription",
            "payment_status": "paid",
            "status": "complete",
            "subscription": "sub_forged",
        }},
    }))
    .unwrap()
}
