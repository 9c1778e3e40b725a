//! From gRPC codes to HTTP, and the routes beside the webhook.

use tonic::Code;

use crate::support::http::request;
use crate::support::*;

/// Every code there is, its answer, and whether it is an alarm.
const TABLE: [(Code, u16, bool); 16] = [
    (Code::InvalidArgument, 400, false),
    (Code::ResourceExhausted, 503, false),
    (Code::Unavailable, 503, false),
    (Code::DeadlineExceeded, 503, false),
    (Code::Unauthenticated, 503, true),
    (Code::PermissionDenied, 503, true),
    (Code::Internal, 503, true),
    (Code::Cancelled, 503, true),
    (Code::Unknown, 503, true),
    (Code::NotFound, 503, true),
    (Code::AlreadyExists, 503, true),
    (Code::FailedPrecondition, 503, true),
    (Code::Aborted, 503, true),
    (Code::OutOfRange, 503, true),
    (Code::Unimplemented, 503, true),
    (Code::DataLoss, 503, true),
];

#[tokio::test]
async fn each_code_has_its_answer_and_its_alarm() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    for (index, (code, status, alarm)) in TABLE.into_iter().enumerate() {
        core.behave(Behaviour::Fail(code));
        let reply = gateway.deliver().await;
        assert_eq!(reply.status, status, "{code:?}");
        assert_eq!(core.calls().len(), index + 1, "one call, never repeated");
        assert_eq!(
            reply.header("retry-after").is_some(),
            status == 503,
            "{code:?}"
        );
        assert!(!reply.body.contains("words of the core"), "{code:?}");
        let name = gateway::upstream::code_name(code);
        let calls = format!("gateway_upstream_calls_total{{code=\"{name}\"}}");
        assert_eq!(gateway.metric(&calls).await, 1.0, "{code:?}");
        let alarms = format!("gateway_alarms_total{{cause=\"upstream_{name}\"}}");
        assert_eq!(
            gateway.metric(&alarms).await,
            f64::from(u8::from(alarm)),
            "{code:?}"
        );
    }
    core.behave(Behaviour::StoreAgain);
    assert_eq!(gateway.deliver().await.status, 200);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let signature = signed(EVENT);
    let headers = [("Stripe-Signature", signature.as_str())];
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let bytes = request(method, "/stripe-webhook", &headers, EVENT);
        let reply = exchange(gateway.addr, &bytes).await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    for path in ["/healthz", "/readyz"] {
        let reply = exchange(gateway.addr, &request("POST", path, &[], b"")).await;
        assert_eq!(reply.status, 405, "{path}");
    }
    for path in ["/", "/stripe-webhook/", "/metrics", "/stripe-webhook/x"] {
        let reply = exchange(gateway.addr, &request("POST", path, &headers, EVENT)).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    assert_eq!(core.calls().len(), 0);
}

#[tokio::test]
async fn a_query_string_and_keep_alive_are_fine() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let signature = signed(EVENT);
    let headers = [("Stripe-Signature", signature.as_str())];
    let kept = request("POST", "/stripe-webhook?x=1", &headers, EVENT);
    let kept = String::from_utf8(kept)
        .unwrap()
        .replace("Connection: close\r\n", "");
    let last = request("POST", "/stripe-webhook", &headers, EVENT);
    let both = [kept.as_bytes(), &last].concat();
    let reply = exchange(gateway.addr, &both).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.body.matches("HTTP/1.1 200 OK").count(),
        1,
        "the second answer"
    );
    assert_eq!(core.calls().len(), 2);
}
