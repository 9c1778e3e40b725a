//! Calls that go wrong on demand.

use sandbox::stripe::{Effect, Fault};

use crate::support::{Shop, cart, until};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn a_fault_strikes_the_calls_it_was_told_to() {
    let shop = Shop::open().await;
    let down = Effect::Status {
        status: 503,
        body: Some("{\"busy\":true}".to_owned()),
    };
    let fault = shop
        .stripe
        .inject(Fault::on("GET", "/v1/prices", down).nth(2).times(2));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(shop.get("/v1/prices/price_plan").await.status);
        shop.post("/v1/customers", &[]).await;
    }
    assert_eq!(seen, [200, 503, 503, 200]);
    assert_eq!(shop.stripe.fired(fault), 2);
    assert_eq!(shop.stripe.count("GET", "/v1/prices"), 4);
    assert_eq!(shop.stripe.count("POST", "/v1/customers"), 4);

    let always = Fault::on("*", "/v1/", Effect::RateLimited { retry_after: 1 }).always();
    let always = shop.stripe.inject(always);
    assert_eq!(shop.get("/v1/events").await.status, 429);
    shop.stripe.clear_faults();
    assert_eq!(shop.get("/v1/events").await.status, 200);
    assert_eq!(shop.stripe.fired(always), 1, "counts outlive the fault");
}

#[tokio::test]
async fn a_connection_is_dropped_before_or_after_the_work() {
    for (effect, made) in [(Effect::DropBefore, 0), (Effect::DropAfter, 1)] {
        let shop = Shop::open().await;
        shop.stripe.inject(Fault::on("POST", SESSIONS, effect));
        let request = shop.request(reqwest::Method::POST, SESSIONS).form(&cart());
        let error = request
            .header("Idempotency-Key", "key-1")
            .send()
            .await
            .unwrap_err();
        assert!(
            !error.is_connect(),
            "the request had reached the server: {error:?}"
        );
        assert_eq!(shop.stripe.sessions().len(), made);
        assert_eq!(shop.stripe.calls()[0].status, 0);
        let retry = shop.post_keyed(SESSIONS, &cart(), "key-1").await;
        assert_eq!(retry.header("idempotent-replayed").is_some(), made == 1);
        assert_eq!(
            shop.stripe.sessions().len(),
            1,
            "a retry under the key finds the first one"
        );
    }
}

#[tokio::test]
async fn answers_can_be_unreadable_though_the_work_is_done() {
    for effect in [Effect::Garbage, Effect::Html, Effect::Truncated] {
        let shop = Shop::open().await;
        shop.stripe
            .inject(Fault::on("POST", SESSIONS, effect.clone()));
        let request = shop.request(reqwest::Method::POST, SESSIONS).form(&cart());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.bytes().await;
        match (&effect, &body) {
            (Effect::Truncated, body) => assert!(body.is_err(), "the body ends early"),
            (_, Ok(body)) => {
                assert!(serde_json::from_slice::<serde_json::Value>(body).is_err());
            }
            (_, Err(error)) => panic!("{error}"),
        }
        assert_eq!(shop.stripe.sessions().len(), 1, "{effect:?}");
    }
}

#[tokio::test]
async fn work_goes_on_when_the_caller_gives_up() {
    let shop = Shop::open().await;
    let slow = Fault::on("POST", "/v1/customers", Effect::Delay { millis: 60_000 });
    let fault = shop.stripe.inject(slow);
    let call = shop.request(reqwest::Method::POST, "/v1/customers").send();
    tokio::select! {
        answer = call => panic!("it was to be slow: {answer:?}"),
        () = until("the call is under way", || shop.stripe.fired(fault) == 1) => {}
    }
    // The call is dropped by now, and with it its connection.
    assert!(shop.stripe.events().is_empty());
    shop.stripe.clear_faults();
    until("the customer is made", || shop.stripe.events().len() == 1).await;
}

#[tokio::test]
async fn a_late_answer_comes_after_its_work() {
    let shop = Shop::open().await;
    let slow = Fault::on(
        "POST",
        "/v1/customers",
        Effect::DelayAnswer { millis: 60_000 },
    );
    shop.stripe.inject(slow);
    let call = shop.post("/v1/customers", &[]);
    let look = async {
        until("the work is done", || shop.stripe.events().len() == 1).await;
        assert_eq!(shop.stripe.calls()[0].status, 0, "the answer is still out");
        shop.stripe.clear_faults();
    };
    let (reply, ()) = tokio::join!(call, look);
    assert_eq!((reply.status, shop.stripe.calls()[0].status), (200, 200));
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_faults_are_cleared_or_the_server_stops() {
    let shop = Shop::open().await;
    let hang = Fault::on("GET", "/v1/prices", Effect::Hang { after_work: false });
    let fault = shop.stripe.inject(hang.always());
    let hung = tokio::spawn(shop.request(reqwest::Method::GET, "/v1/prices").send());
    until("the call hangs", || shop.stripe.fired(fault) == 1).await;
    assert!(!hung.is_finished());
    shop.stripe.clear_faults();
    assert!(hung.await.unwrap().is_err());

    let after = Fault::on("POST", SESSIONS, Effect::Hang { after_work: true });
    let fault = shop.stripe.inject(after);
    let hung = tokio::spawn(
        shop.request(reqwest::Method::POST, SESSIONS)
            .form(&cart())
            .send(),
    );
    until("the work is done", || shop.stripe.sessions().len() == 1).await;
    assert_eq!(shop.stripe.fired(fault), 1);
    tokio::time::timeout(crate::support::PATIENCE, shop.stripe.stop())
        .await
        .unwrap();
    assert!(hung.await.unwrap().is_err());
}
