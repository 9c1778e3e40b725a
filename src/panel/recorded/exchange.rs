//! One recorded exchange: what was asked, and a panel that answers just so.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{Method, Request, Response};
use secrecy::SecretString;
use serde_json::Value;

use crate::panel::{
    Budget, Class, Error, HttpPanel, RateSeen, Settings, Transport,
    exchange::{Ask, KeySource, Link},
    sort::Call,
};

const BASE: &str = "http://panel.test";
const ROOT: &str = "/api/application/";

/// What was asked of the recorded panel.
pub(super) struct Exchange<'a> {
    method: &'a str,
    /// As it was sent, without the query.
    path: &'a str,
    /// Below the root of the API, decoded.
    route: Vec<String>,
    query: Vec<(String, String)>,
    /// The JSON that was sent, if it was JSON.
    pub(super) sent: &'a Value,
    /// The recorded answer.
    pub(super) response: &'a Value,
}

impl<'a> Exchange<'a> {
    /// An exchange of the Application API; other routes are not ours to read.
    pub(super) fn read(exchange: &'a Value) -> Option<Self> {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let path = request["path"].as_str()?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.trim_end_matches('/');
        let route = path.strip_prefix(ROOT)?.split('/').map(decoded).collect();
        let query = url::form_urlencoded::parse(query.as_bytes());
        Some(Self {
            method: request["method"].as_str()?,
            path,
            route,
            query: query.into_owned().collect(),
            sent: &request["body"],
            response,
        })
    }

    /// The kind of the call; suspending asks the node just as reinstalling does.
    pub(super) fn call(&self) -> Option<Call> {
        Some(match (self.method, self.route().as_slice()) {
            ("GET", _) => Call::Read,
            ("POST", ["users"]) => Call::CreateUser,
            ("PATCH", ["users", _]) => Call::UpdateUser,
            ("DELETE", ["users", _]) => Call::DeleteUser,
            ("POST", ["servers"]) => Call::CreateServer,
            ("PATCH", ["servers", _, "build" | "details"]) => Call::UpdateServer,
            ("POST", ["servers", _, "suspend" | "unsuspend" | "reinstall"]) => Call::ActOnServer,
            ("DELETE", ["servers", _] | ["servers", _, "force"]) => Call::DeleteServer,
            _ => return None,
        })
    }

    /// The HTTP method.
    pub(super) fn method(&self) -> &'a str {
        self.method
    }

    /// The path's parts below the root of the API.
    pub(super) fn route(&self) -> Vec<&str> {
        self.route.iter().map(String::as_str).collect()
    }

    /// The parameters, in their order.
    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        let pairs = self.query.iter();
        pairs.map(|(name, value)| (&**name, &**value)).collect()
    }

    /// The parameter of this name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The page that was asked for.
    pub(super) fn page(&self) -> u32 {
        self.parameter("page")
            .map_or(1, |number| number.parse().unwrap())
    }

    /// The recorded status.
    pub(super) fn status(&self) -> u16 {
        u16::try_from(self.response["status"].as_u64().unwrap()).unwrap()
    }

    /// Whether the answer is not the success that was asked for.
    pub(super) fn refused(&self) -> bool {
        !(200..300).contains(&self.status())
    }

    /// Makes the call by what all calls of the client share, and gives the body of a success.
    pub(super) async fn send(&self, call: Call, panel: &Arc<Recorded>) -> Result<Vec<u8>, Error> {
        let ask = Ask {
            call,
            method: Method::from_bytes(self.method.as_bytes()).unwrap(),
            template: "/recorded",
            path: &self.route(),
            query: &self.query(),
            body: self.sent.is_object().then(|| self.sent.to_string().into()),
            time_out: Duration::from_secs(10),
            begin_by: None,
        };
        panel.link().run(Class::Purchase, ask).await
    }
}

/// A part of a path as it was before it was encoded. No recorded one holds what a form means
/// otherwise: `&`, `=` and `+`.
fn decoded(part: &str) -> String {
    let names = url::form_urlencoded::parse(part.as_bytes());
    names.map(|(name, _)| name).collect()
}

/// Answers every request as it was recorded, and notes what it was asked and the budget told.
pub(super) struct Recorded {
    status: u16,
    headers: Vec<(String, String)>,
    content: String,
    asked: Mutex<Vec<(String, String)>>,
    seen: Mutex<Vec<RateSeen>>,
}

impl Recorded {
    /// A panel that has nothing but this answer to give.
    pub(super) fn answering(exchange: &Exchange<'_>) -> Arc<Self> {
        let response = exchange.response;
        let headers = response["headers"].as_object().unwrap().iter();
        let headers =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let content = match &response["body"] {
            Value::Null => response["body_text"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            body => body.to_string(),
        };
        Arc::new(Self {
            status: exchange.status(),
            headers: headers.collect(),
            content,
            asked: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    /// The client in front of it.
    pub(super) fn client(self: &Arc<Self>) -> HttpPanel {
        let settings = Settings::new(BASE.parse().unwrap(), key());
        let (transport, budget) = (Arc::clone(self), Arc::clone(self));
        HttpPanel::over(Box::new(transport), settings, budget).unwrap()
    }

    /// The way to it, as the client has one.
    fn link(self: &Arc<Self>) -> Link {
        let settings = Settings::new(BASE.parse().unwrap(), key());
        let (transport, budget) = (Arc::clone(self), Arc::clone(self));
        Link {
            transport: Box::new(transport),
            root: format!("{BASE}{ROOT}")
                .trim_end_matches('/')
                .parse()
                .unwrap(),
            key: settings.key,
            budget,
            body_max: settings.body_max,
        }
    }

    /// Sees that it was asked this often, and each time for what was recorded; gives what the
    /// budget was told each time.
    pub(super) fn heard(&self, exchange: &Exchange<'_>, times: usize) -> Vec<RateSeen> {
        let wanted = (exchange.method.to_owned(), exchange.path.to_owned());
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        assert_eq!(asked, vec![wanted; times]);
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        assert_eq!(
            seen.len(),
            times,
            "an answer that the budget was not told of"
        );
        seen
    }
}

#[async_trait]
impl Transport for Arc<Recorded> {
    async fn send(&self, request: Request) -> reqwest::Result<Response> {
        let asked = (
            request.method().to_string(),
            request.url().path().to_owned(),
        );
        self.asked.lock().unwrap().push(asked);
        let mut response = ::http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name.as_str(), value.as_str());
        }
        let body = reqwest::Body::from(self.content.clone());
        Ok(response.body(body).unwrap().into())
    }
}

#[async_trait]
impl Budget for Recorded {
    async fn take(&self, _: Class) -> Result<(), Duration> {
        Ok(())
    }

    async fn observe(&self, seen: RateSeen) {
        self.seen.lock().unwrap().push(seen);
    }
}

fn key() -> KeySource {
    Arc::new(|| SecretString::from("ptla_key"))
}
