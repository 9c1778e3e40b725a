//! A running stand-in with a small catalogue, an HTTP client, and a receiver of webhooks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use reqwest::Method;
use sandbox::stripe::{Interval, PriceSpec, Promotion, RunningStripe, Stripe, StripeConfig};
use serde_json::Value;

/// The clock of tests starts here and stands still.
pub const START: i64 = 1_900_000_000;
pub const DAY: i64 = 86_400;
/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn config() -> StripeConfig {
    let mut euro = PriceSpec::recurring("price_euro", 900, Interval::Month, 1);
    euro.currency = "eur".to_owned();
    let mut old = PriceSpec::recurring("price_old", 900, Interval::Month, 1);
    old.active = false;
    let mut once = PriceSpec::recurring("price_setup", 500, Interval::Month, 1);
    once.interval = None;
    StripeConfig {
        prices: vec![
            PriceSpec::recurring("price_plan", 1200, Interval::Month, 1),
            PriceSpec::recurring("price_addon", 300, Interval::Month, 1),
            PriceSpec::recurring("price_half", 6000, Interval::Month, 6),
            euro,
            old,
            once,
        ],
        promotions: vec![Promotion {
            code: "TENOFF".to_owned(),
            percent_off: 10,
        }],
        start_at: Some(START),
        frozen: true,
        seed: Some(7),
        ..StripeConfig::default()
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn error(&self, field: &str) -> &str {
        self.body["error"][field].as_str().unwrap_or("")
    }

    pub fn ids(&self) -> Vec<String> {
        let rows = self.body["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub struct Shop {
    pub stripe: RunningStripe,
    pub http: reqwest::Client,
}

impl Shop {
    pub async fn open() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: StripeConfig) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stripe = Stripe::start(config, loopback()).await.unwrap();
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect)
            .build()
            .unwrap();
        Self { stripe, http }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.stripe.url());
        self.http
            .request(method, url)
            .bearer_auth(self.stripe.secret_key())
    }

    pub async fn get(&self, path: &str) -> Reply {
        read(self.request(Method::GET, path)).await
    }

    pub async fn get_as(&self, path: &str, version: &str) -> Reply {
        read(
            self.request(Method::GET, path)
                .header("Stripe-Version", version),
        )
        .await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        read(self.request(Method::POST, path).form(form)).await
    }

    pub async fn post_keyed(&self, path: &str, form: &[(&str, &str)], key: &str) -> Reply {
        read(
            self.request(Method::POST, path)
                .form(form)
                .header("Idempotency-Key", key),
        )
        .await
    }

    pub async fn control(&self, path: &str, body: Value) -> Reply {
        let url = format!("{}/_sandbox/{path}", self.stripe.url());
        read(self.http.post(url).json(&body)).await
    }

    /// Reads over HTTP without changing anything.
    pub async fn read_control(&self, path: &str) -> Value {
        let url = format!("{}/_sandbox/{path}", self.stripe.url());
        read(self.http.get(url)).await.body
    }

    /// Injects a fault over HTTP; the answer is its id.
    pub async fn fault(&self, fault: Value) -> u64 {
        let reply = self.control("faults", fault).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        reply.body["id"].as_u64().unwrap()
    }

    /// One of the counts of a fault, asked over HTTP.
    pub async fn count(&self, fault: u64, count: &str) -> u64 {
        let report = self.read_control(&format!("faults/{fault}")).await;
        report[count].as_u64().unwrap()
    }

    pub async fn fired(&self, fault: u64) -> u64 {
        self.count(fault, "fired").await
    }

    /// Waits until a count of a fault has come so far.
    pub async fn until(&self, fault: u64, count: &str, wanted: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(fault, count).await < wanted {
            assert!(Instant::now() < deadline, "{count} never was {wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An open session for one plan.
    pub async fn session(&self) -> String {
        let reply = self.post("/v1/checkout/sessions", &cart()).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        reply.id().to_owned()
    }
}

/// The smallest cart that can be bought.
pub fn cart() -> Vec<(&'static str, &'static str)> {
    vec![
        ("mode", "subscription"),
        ("line_items[0][price]", "price_plan"),
        ("line_items[0][quantity]", "1"),
        (
            "success_url",
            "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
        ),
        ("cancel_url", "https://shop.example/cart"),
        ("client_reference_id", "order-1"),
        ("metadata[order_id]", "order-1"),
        ("subscription_data[metadata][order_id]", "order-1"),
    ]
}

/// The cart with further or other fields.
pub fn cart_with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<(&'a str, &'a str)> = cart();
    form.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    form.extend(changes);
    form
}

pub async fn read(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    Reply {
        status,
        headers,
        body,
    }
}

/// Waits for a condition, and fails the test if it never holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A webhook as it arrived.
#[derive(Clone)]
pub struct Hook {
    pub signature: String,
    pub body: Vec<u8>,
}

impl Hook {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

#[derive(Clone, Default)]
struct Inbox {
    hooks: Arc<Mutex<Vec<Hook>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

/// An endpoint that keeps what it gets.
pub struct Receiver {
    pub url: String,
    inbox: Inbox,
}

impl Receiver {
    /// Answers with these statuses in turn, and then with 200.
    pub async fn answering(statuses: &[u16]) -> Self {
        let inbox = Inbox::default();
        inbox.answers.lock().unwrap().extend(statuses);
        let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inbox }
    }

    pub fn hooks(&self) -> Vec<Hook> {
        self.inbox.hooks.lock().unwrap().clone()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.hooks().iter().map(Hook::kind).collect()
    }
}

async fn take(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    inbox.hooks.lock().unwrap().push(Hook {
        signature,
        body: body.to_vec(),
    });
    let status = inbox.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}
