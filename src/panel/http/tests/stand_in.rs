//! A scripted panel on a socket: says what it is told, notes what it was asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
pub(super) enum Script {
    /// Answers and keeps the connection.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Writes these bytes and closes.
    Raw(String),
    /// Writes these bytes, then a space now and then for as long as anyone listens.
    Drip(String),
    /// Waits until the other side gives up.
    Hang,
}

type Play = Arc<dyn Fn(&Received) -> Script + Send + Sync>;

/// The server; it ends with the value.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl StandIn {
    pub(super) async fn start(play: impl Fn(&Received) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, connections) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let (play, notes, count): (Play, Arc<Mutex<_>>, _) =
            (Arc::new(play), Arc::clone(&log), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(socket, Arc::clone(&play), Arc::clone(&notes)));
            }
        });
        Self {
            address,
            log,
            connections,
            task,
        }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn targets(&self) -> Vec<String> {
        self.received()
            .into_iter()
            .map(|request| request.target)
            .collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: TcpStream, play: Play, log: Arc<Mutex<Vec<Received>>>) {
    let mut stream = BufReader::new(socket);
    while let Some(request) = receive(&mut stream).await {
        let script = play(&request);
        log.lock().unwrap().push(request);
        let written = match script {
            Script::Answer(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                stream
                    .write_all(format!("{text}\r\n{body}").as_bytes())
                    .await
            }
            Script::Raw(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
            Script::Drip(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                return;
            }
            Script::Hang => {
                let _ = stream.read(&mut [0]).await;
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let (start, headers) = lines.split_first()?;
    let mut start = start.split(' ').map(str::to_owned);
    let (method, target) = (start.next()?, start.next()?);
    let headers = headers.iter().filter_map(|line| line.split_once(": "));
    let headers = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Received {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
