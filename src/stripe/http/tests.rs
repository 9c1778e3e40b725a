mod disputes;
mod errors;
mod log;
mod money;
mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Instant;

use secrecy::SecretString;

use super::*;
use crate::stripe::settings::fixed_key;
use log::Log;
use server::{Act, Seen, Server, cut, html, json};

const CUSTOMER: &str = r#"{"id":"cus_1","object":"customer","livemode":false}"#;
const SESSION: &str = r#"{"id":"cs_test_1","object":"checkout.session","status":"open",
    "payment_status":"unpaid","expires_at":1800000000,"created":1799998000,"livemode":false,
    "url":"https://checkout.stripe.com/c/pay/cs_test_1"}"#;
const NO_SUCH: &str = r#"{"error":{"type":"invalid_request_error","code":"resource_missing",
    "param":"session","message":"No such checkout.session: 'cs_1' of someone@example.com"}}"#;

fn quick(base: &Url) -> Settings {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another test of the process may have been first; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut settings = Settings::new(base.clone(), fixed_key(SecretString::from("sk_test_abc")));
    settings.backoff_base = Duration::from_millis(2);
    settings
}

fn client(server: &Server) -> HttpStripe {
    HttpStripe::new(quick(&server.base)).unwrap()
}

fn form() -> Form {
    let pairs = [
        ("email", "someone@example.com"),
        ("metadata[user_id]", "7"),
        ("name", "Zo\u{eb} & co"),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

async fn create(server: &Server) -> (Result<Customer, Error>, Vec<Seen>) {
    let result = client(server).create_customer(&form(), "cus:7").await;
    (result, server.seen())
}

#[tokio::test]
async fn a_post_carries_version_key_form_and_nothing_else_of_ours() {
    let server = Server::start([json(200, &[], CUSTOMER)]).await;
    let (result, seen) = create(&server).await;
    let customer = result.unwrap();
    assert_eq!((customer.id.as_str(), customer.livemode), ("cus_1", false));
    let [post] = seen.as_slice() else {
        unreachable!("{seen:?}")
    };
    assert_eq!(post.line, "POST /v1/customers");
    assert_eq!(post.header("authorization"), Some("Bearer sk_test_abc"));
    assert_eq!(post.header("stripe-version"), Some(API_VERSION));
    assert_eq!(post.header("idempotency-key"), Some("cus:7"));
    assert_eq!(
        post.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(post.header("accept"), Some("application/json"));
    assert!(
        post.header("user-agent")
            .unwrap()
            .starts_with("spawnpoint/")
    );
    assert_eq!(
        String::from_utf8(post.body.clone()).unwrap(),
        "email=someone%40example.com&metadata%5Buser_id%5D=7&name=Zo%C3%AB+%26+co"
    );
}

#[tokio::test]
async fn every_call_goes_to_its_own_path() {
    let subscription = r#"{"id":"sub_1","status":"active","livemode":false}"#;
    let price = r#"{"id":"price_1","active":true,"livemode":false,"currency":"eur"}"#;
    let page = format!(r#"{{"object":"list","has_more":true,"data":[{SESSION},{SESSION}]}}"#);
    let known = r#"{"id":"cus_1","livemode":false,"metadata":{"user_id":"7"}}"#;
    let customers = format!(r#"{{"data":[{known},{CUSTOMER}],"has_more":false}}"#);
    let answers = [
        SESSION,
        SESSION,
        SESSION,
        &page,
        &page,
        subscription,
        price,
        &customers,
        known,
    ];
    let server = Server::start(answers.map(|body| json(200, &[], body))).await;
    let stripe = client(&server);
    stripe.create_session(&form(), "o-1").await.unwrap();
    stripe.session("cs?a#b%&c").await.unwrap();
    stripe.expire_session("cs_test_1", "exp:1").await.unwrap();
    let filter = SessionFilter {
        customer: Some("cus_1".to_owned()),
        status: Some("open".to_owned()),
        subscription: Some("sub_1".to_owned()),
        created_gte: Some(1_700_000_000),
    };
    let listed = stripe.sessions(&filter, Some("cs_0")).await.unwrap();
    assert_eq!((listed.data.len(), listed.has_more), (2, true));
    let all = SessionFilter::default();
    stripe.sessions(&all, None).await.unwrap();
    stripe.subscription("sub_1").await.unwrap();
    stripe.price("price_1").await.unwrap();
    let found = stripe.customers("a+b@c.de").await.unwrap();
    let users: Vec<_> = found.into_iter().map(|found| found.user_id).collect();
    assert_eq!(users, [Some("7".to_owned()), None]);
    let form = vec![("name".to_owned(), String::new())];
    stripe.update_customer("cus_1", &form, "p:1").await.unwrap();
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /v1/checkout/sessions",
            "GET /v1/checkout/sessions/cs%3Fa%23b%25&c?expand%5B%5D=line_items",
            "POST /v1/checkout/sessions/cs_test_1/expire",
            "GET /v1/checkout/sessions?limit=100&customer=cus_1&status=open\
             &subscription=sub_1&created%5Bgte%5D=1700000000&starting_after=cs_0",
            "GET /v1/checkout/sessions?limit=100",
            "GET /v1/subscriptions/sub_1",
            "GET /v1/prices/price_1",
            "GET /v1/customers?limit=100&email=a%2Bb%40c.de",
            "POST /v1/customers/cus_1",
        ]
    );
    assert_eq!(seen[8].header("idempotency-key"), Some("p:1"));
    assert_eq!(seen[8].body, b"name=");
    assert_eq!(seen[2].header("idempotency-key"), Some("exp:1"));
    assert!(seen[2].body.is_empty());
    assert_eq!(seen[1].header("idempotency-key"), None, "a read has no key");
    let connections: Vec<_> = seen.iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1; 9], "one connection serves all calls");
}

#[tokio::test]
async fn lines_that_a_session_does_not_show_are_asked_for() {
    let line = r#"{"price":{"id":"price_1"},"quantity":1}"#;
    let cut = format!(
        r#"{},"line_items":{{"data":[{line}],"has_more":true}}}}"#,
        SESSION.strip_suffix('}').unwrap()
    );
    let all = format!(r#"{{"data":[{line},{line}],"has_more":false}}"#);
    let server = Server::start([cut, all].map(|body| json(200, &[], &body))).await;
    let session = client(&server).session("cs_test_1").await.unwrap();
    assert_eq!(session.lines.unwrap().len(), 2);
    assert_eq!(
        server.seen()[1].line,
        "GET /v1/checkout/sessions/cs_test_1/line_items?limit=100"
    );
}

#[tokio::test]
async fn a_base_with_a_path_is_kept_in_front() {
    let server = Server::start([json(200, &[], SESSION)]).await;
    let base = server.base.join("/mock/stripe/").unwrap();
    HttpStripe::new(quick(&base))
        .unwrap()
        .session("cs_1")
        .await
        .unwrap();
    assert!(
        server.seen()[0]
            .line
            .starts_with("GET /mock/stripe/v1/checkout/sessions/cs_1?")
    );
}

#[tokio::test]
async fn what_cannot_be_an_id_or_a_key_is_never_sent() {
    let server = Server::start([]).await;
    let stripe = client(&server);
    for id in ["", "..", "a/b", "a b", "cs_\u{e9}", "cs_\r\nx: y"] {
        assert!(
            matches!(stripe.session(id).await, Err(Error::NotFound { .. })),
            "{id:?}"
        );
        assert!(matches!(
            stripe.expire_session(id, "k").await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            stripe.subscription(id).await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            stripe.price(id).await,
            Err(Error::NotFound { .. })
        ));
    }
    for key in ["", "two words", "line\nbreak", &"k".repeat(256)] {
        let refused = stripe.create_customer(&form(), key).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{key:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn every_retry_repeats_key_and_body_byte_for_byte() {
    let in_use = r#"{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}"#;
    for first in [
        json(500, &[], "{}"),
        html(502),
        json(409, &[], in_use),
        json(424, &[], "{}"),
        json(429, &[], "{}"),
        cut(200, CUSTOMER),
        cut(400, NO_SUCH),
        json(200, &[], &CUSTOMER[..CUSTOMER.len() - 9]),
        Act::Close,
    ] {
        let server = Server::start([first.clone(), first, json(200, &[], CUSTOMER)]).await;
        let (result, seen) = create(&server).await;
        assert_eq!(result.unwrap().id, "cus_1");
        assert_eq!(seen.len(), 3);
        for retry in &seen[1..] {
            assert_eq!(retry.line, seen[0].line);
            assert_eq!(retry.body, seen[0].body);
            assert_eq!(retry.header("idempotency-key"), Some("cus:7"));
        }
    }
}

#[tokio::test]
async fn stripe_itself_may_forbid_or_order_a_retry() {
    let (yes, no) = (
        [("Stripe-Should-Retry", "true")],
        [("Stripe-Should-Retry", "false")],
    );
    let replayed = [
        ("Stripe-Should-Retry", "true"),
        ("Idempotent-Replayed", "true"),
    ];
    let odd = [("Stripe-Should-Retry", "maybe")];
    let table = [
        (json(500, &no, "{}"), 1),
        (json(409, &no, "{}"), 1),
        (json(429, &no, "{}"), 1),
        (json(400, &yes, NO_SUCH), 3),
        (json(404, &yes, NO_SUCH), 3),
        (json(500, &replayed, "{}"), 3),
        (json(500, &odd, "{}"), 3),
    ];
    for (act, tries) in table {
        let server = Server::start(vec![act; tries]).await;
        let (result, seen) = create(&server).await;
        assert!(result.is_err());
        assert_eq!(seen.len(), tries);
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let limited = json(429, &[("Retry-After", "1")], NO_SUCH);
    let server = Server::start([limited, json(200, &[], CUSTOMER)]).await;
    let (result, seen) = create(&server).await;
    result.unwrap();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_retry_after_past_the_deadline_is_handed_to_the_caller_at_once() {
    for (header, said) in [("30", 30), ("86400", 60), ("soon", 5)] {
        let server = Server::start([json(429, &[("Retry-After", header)], NO_SUCH)]).await;
        let mut settings = quick(&server.base);
        settings.attempts = if header == "soon" { 1 } else { 3 };
        let stripe = HttpStripe::new(settings).unwrap();
        let started = Instant::now();
        let error = stripe.price("price_1").await.unwrap_err();
        let Error::RateLimited { after } = error else {
            unreachable!("{error}")
        };
        assert_eq!(after, Duration::from_secs(said));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn silence_ends_with_the_time_out_and_means_unknown() {
    let halfway = Act::Reply(b"HTTP/1.1 200 X\r\nContent-Length: 50\r\n\r\n{\"id\":".to_vec());
    for (act, in_body) in [(Act::Hang, false), (halfway, true)] {
        let server = Server::start([act.clone(), act]).await;
        let mut settings = quick(&server.base);
        settings.timeout = Duration::from_millis(500);
        settings.attempts = 2;
        let stripe = HttpStripe::new(settings).unwrap();
        let error = stripe.create_customer(&form(), "k").await.unwrap_err();
        match error {
            Error::Unknown {
                status: None,
                replayed: false,
                ..
            } => assert!(!in_body),
            Error::Garbage { .. } => assert!(in_body),
            other => unreachable!("{other:?}"),
        }
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_connection_that_never_came_about_is_unreachable() {
    // Bound, so that nobody else gets the port, but never listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refusing = closed.local_addr().unwrap().port();
    let slamming = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slammed = slamming.local_addr().unwrap().port();
    tokio::spawn(async move { while slamming.accept().await.is_ok() {} });
    // Waits for a plain request, so it never answers a handshake.
    let server = Server::start([]).await;
    let silent = server.base.port().unwrap();
    let bases = [
        format!("http://127.0.0.1:{refusing}"),
        format!("https://127.0.0.1:{slammed}"),
        format!("https://127.0.0.1:{silent}"),
    ];
    for base in bases {
        let mut settings = quick(&Url::parse(&base).unwrap());
        settings.timeout = Duration::from_secs(2);
        settings.attempts = 1;
        let error = HttpStripe::new(settings)
            .unwrap()
            .price("price_secret")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Unreachable(Some(_))),
            "{base}: {error:?}"
        );
        assert!(!format!("{error:?}").contains("price_secret"));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start([]).await;
    let elsewhere = server.base.join("/elsewhere").unwrap();
    for status in [301, 302, 303, 307, 308] {
        let other = Server::start([json(status, &[("Location", elsewhere.as_str())], "{}")]).await;
        let (result, seen) = create(&other).await;
        let error = result.unwrap_err();
        assert!(
            matches!(&error, Error::Garbage { what, .. } if what.contains("30")),
            "{error}"
        );
        assert_eq!(seen.len(), 1);
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_body_is_read_up_to_the_cap_and_no_further() {
    let padded = |length: usize| {
        let frame = r#"{"id":"cus_1","livemode":false,"pad":""}"#.len();
        format!(
            r#"{{"id":"cus_1","livemode":false,"pad":"{}"}}"#,
            "x".repeat(length - frame)
        )
    };
    let largest = padded(MAX_BODY);
    assert_eq!(largest.len(), MAX_BODY);
    let server = Server::start([json(200, &[], &largest)]).await;
    create(&server).await.0.unwrap();

    let honest = json(200, &[], &padded(MAX_BODY + 1));
    // No length given, and no end in sight.
    let mut endless = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..(MAX_BODY / 65_536 + 1) {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend_from_slice(&[b' '; 65_536]);
        endless.extend_from_slice(b"\r\n");
    }
    for act in [honest, Act::Reply(endless)] {
        let server = Server::start([act]).await;
        let (result, seen) = create(&server).await;
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Garbage { what, .. } if what.contains("too large")));
        assert_eq!(seen.len(), 1, "a longer try would be no shorter");
    }
}

#[tokio::test]
async fn the_key_is_asked_for_anew_and_one_of_the_other_mode_is_not_sent() {
    let server = Server::start([json(200, &[], CUSTOMER), json(200, &[], CUSTOMER)]).await;
    let (rolled, wrong) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut settings = quick(&server.base);
    settings.key = {
        let (rolled, wrong) = (rolled.clone(), wrong.clone());
        Arc::new(move || {
            SecretString::from(
                match (wrong.load(Ordering::SeqCst), rolled.load(Ordering::SeqCst)) {
                    (true, _) => "sk_live_oops",
                    (false, true) => "sk_test_new\n",
                    (false, false) => "sk_test_old",
                },
            )
        })
    };
    let stripe = HttpStripe::new(settings).unwrap();
    assert!(!stripe.livemode());
    assert!(!format!("{stripe:?}").contains("sk_test"));
    stripe.create_customer(&form(), "k1").await.unwrap();
    rolled.store(true, Ordering::SeqCst);
    stripe.create_customer(&form(), "k2").await.unwrap();
    wrong.store(true, Ordering::SeqCst);
    let error = stripe.create_customer(&form(), "k3").await.unwrap_err();
    assert!(
        matches!(error, Error::KeyRefused { status: 0, .. }),
        "{error:?}"
    );
    let seen = server.seen();
    let shown: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("authorization").unwrap())
        .collect();
    assert_eq!(shown, ["Bearer sk_test_old", "Bearer sk_test_new"]);
}

#[tokio::test]
async fn livemode_is_read_from_the_key_and_bad_settings_build_nothing() {
    let base = Url::parse("https://api.stripe.com").unwrap();
    let mut settings = quick(&base);
    settings.key = fixed_key(SecretString::from("rk_live_1"));
    assert!(HttpStripe::new(settings.clone()).unwrap().livemode());
    settings.base = Url::parse("http://api.stripe.com").unwrap();
    let error = HttpStripe::new(settings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Stripe base URL must be https, except on loopback"
    );
}

#[tokio::test]
async fn one_line_is_logged_per_request_and_nothing_that_is_not_ours_to_tell() {
    let ok = || json(200, &[], CUSTOMER);
    let server = Server::start([html(500), ok(), json(404, &[], NO_SUCH)]).await;
    let stripe = client(&server);
    let (log, guards) = Log::start();
    stripe.create_customer(&form(), "idem-key-7").await.unwrap();
    stripe.session("cs_secret").await.unwrap_err();
    drop(guards);
    let calls = log.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    for (line, parts) in calls.iter().zip([
        [
            "method=POST",
            "path=\"/v1/customers\"",
            "status=500",
            "attempt=1",
            "req_500",
        ],
        [
            "method=POST",
            "path=\"/v1/customers\"",
            "status=200",
            "attempt=2",
            "req_200",
        ],
        [
            "method=GET",
            "path=\"/v1/checkout/sessions/{id}\"",
            "status=404",
            "attempt=1",
            "req_404",
        ],
    ]) {
        assert!(line.starts_with("DEBUG"), "{line}");
        assert!(line.contains("elapsed_ms="), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part} in {line}");
        }
        for secret in ["sk_test", "idem-key", "someone", "cs_secret", "html"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    // The HTTP stack logs too, below debug; what we hand it must not show the key there.
    assert!(!log.all().join("\n").contains("sk_test_abc"));
}
