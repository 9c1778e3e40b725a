//! A running stand-in and a client that calls it with its key.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use sandbox::panel::{Panel, PanelConfig, RunningPanel};
use serde_json::{Value, json};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A panel and a client with its key.
pub(crate) struct World {
    pub panel: RunningPanel,
    pub client: Client,
}

impl World {
    pub(crate) async fn start(config: PanelConfig) -> Self {
        // A second test of this process finds the provider installed, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let panel = Panel::start(config, addr).await.unwrap();
        let redirects = reqwest::redirect::Policy::none();
        let client = Client::builder().redirect(redirects).build().unwrap();
        Self { panel, client }
    }

    pub(crate) async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        let url = format!("{}/api/application{path}", self.panel.url());
        let request = self
            .client
            .request(method, url)
            .bearer_auth(self.panel.key());
        let request = request.header("Accept", "application/json");
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        self.try_call(method, path, body).await.unwrap()
    }

    /// A control call that must be understood.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn try_control(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("{}/_sandbox/{path}", self.panel.url());
        let request = self.client.request(method, url).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn post_control(&self, path: &str, body: Value) -> Value {
        self.control(Method::POST, path, body).await
    }

    /// Injects a fault over HTTP; the answer is its id.
    pub(crate) async fn fault(&self, fault: Value) -> u64 {
        self.post_control("faults", fault).await["id"]
            .as_u64()
            .unwrap()
    }

    /// One of the counts of a fault, asked over HTTP.
    pub(crate) async fn count(&self, fault: u64, count: &str) -> u64 {
        let path = format!("faults/{fault}");
        let report = self.control(Method::GET, &path, Value::Null).await;
        report[count].as_u64().unwrap()
    }

    pub(crate) async fn fired(&self, fault: u64) -> u64 {
        self.count(fault, "fired").await
    }

    /// Waits until a count of a fault has come so far.
    pub(crate) async fn until(&self, fault: u64, count: &str, wanted: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(fault, count).await < wanted {
            assert!(Instant::now() < deadline, "{count} never was {wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn create(&self, body: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/servers", Some(body)).await
    }
}

pub(crate) fn minecraft(external_id: &str, port: i64) -> Value {
    json!({
        "external_id": external_id, "name": "a server", "user": 1, "egg": 39,
        "docker_image": "ghcr.io/pterodactyl/yolks:java_17", "startup": "java -jar server.jar",
        "environment": {
            "SERVER_JARFILE": "server.jar", "MINECRAFT_VERSION": "latest",
            "BUILD_NUMBER": "latest", "DL_PATH": "",
        },
        "limits": { "memory": 2048, "swap": 0, "disk": 10_240, "io": 500, "cpu": 100 },
        "feature_limits": { "databases": 0, "allocations": 1, "backups": 0 },
        "allocation": { "default": port },
    })
}

pub(crate) fn code(body: &Value) -> &str {
    body["errors"][0]["code"].as_str().unwrap_or_default()
}
