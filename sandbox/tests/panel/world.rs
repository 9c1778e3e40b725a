//! A running stand-in and a client that calls it with its key.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::{Client, Method, StatusCode};
use sandbox::panel::{Panel, PanelConfig, RunningPanel};
use serde_json::{Value, json};

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
