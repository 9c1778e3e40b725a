//! A client that sends exactly what it is told: a usual one would add headers of its own.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    pub(crate) fn remaining(&self) -> Option<i64> {
        self.header("x-ratelimit-remaining")?.parse().ok()
    }

    /// The codes of the errors in it.
    pub(crate) fn codes(&self) -> Vec<String> {
        let body = self.json().unwrap_or_default();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| Some(error["code"].as_str()?.to_owned()))
            .collect()
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

/// Opens a connection and sends the request; the answer can be read or given up.
pub(crate) async fn begin(addr: SocketAddr, message: &Message) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n",
        message.method, message.target
    );
    for (name, value) in &message.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = message.body.as_deref().unwrap_or_default();
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(addr: SocketAddr, message: &Message) -> Answer {
    let mut stream = begin(addr, message).await;
    let mut raw = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw))
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8(raw).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}
