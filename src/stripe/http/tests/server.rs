//! A scripted HTTP server: plays one act per request and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What to do with one request.
#[derive(Clone)]
pub enum Act {
    /// Answer and keep the connection.
    Reply(Vec<u8>),
    /// Answer, which may be a part, and close.
    ReplyAndClose(Vec<u8>),
    /// Close without a word.
    Close,
    /// Say nothing, but keep the connection.
    Hang,
}

/// An answer with a JSON body and further headers.
pub fn json(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    Act::Reply(message(
        status,
        headers,
        "application/json",
        body.as_bytes(),
        body.len(),
    ))
}

/// An answer with an HTML body.
pub fn html(status: u16) -> Act {
    let body = b"<html><body>someone@example.com</body></html>";
    Act::Reply(message(status, &[], "text/html", body, body.len()))
}

/// A JSON answer that claims its whole length and ends in the middle.
pub fn cut(status: u16, body: &str) -> Act {
    let half = &body.as_bytes()[..body.len() / 2];
    Act::ReplyAndClose(message(status, &[], "application/json", half, body.len()))
}

fn message(
    status: u16,
    headers: &[(&str, &str)],
    kind: &str,
    body: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Request-Id: req_{status}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counts connections from 1.
    pub connection: usize,
    /// `GET /v1/...`.
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone)]
pub struct Server {
    pub base: Url,
    acts: Arc<Mutex<VecDeque<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Listens on a free port; after the last act it answers 418 to everything.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            base: Url::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            seen: Arc::default(),
        };
        tokio::spawn(server.clone().accept(listener));
        server
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn accept(self, listener: TcpListener) {
        let mut connection = 0;
        while let Ok((stream, _)) = listener.accept().await {
            connection += 1;
            tokio::spawn(self.clone().serve(stream, connection));
        }
    }

    async fn serve(self, mut stream: TcpStream, connection: usize) {
        while let Some(seen) = receive(&mut stream, connection).await {
            self.seen.lock().unwrap().push(seen);
            let act = self.acts.lock().unwrap().pop_front();
            match act.unwrap_or_else(|| json(418, &[], "{}")) {
                Act::Reply(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::ReplyAndClose(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                    return;
                }
                Act::Close => return,
                Act::Hang => std::future::pending().await,
            }
        }
    }
}

async fn receive(stream: &mut TcpStream, connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen {
        connection,
        line,
        headers,
        body,
        at: Instant::now(),
    })
}
