use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{Cut, Mode, Proxy};

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for loopback to have carried it if it were carried.
const QUIET: Duration = Duration::from_millis(100);

/// Answers every piece by `answer`, and tells what it got. Both end with the test.
async fn server(answer: &'static [u8]) -> (Proxy, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut piece = vec![0; 65_536];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    let _ = tell.send(piece[..count].to_vec());
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
                let _ = tell.send(Vec::new());
            });
        }
    });
    (Proxy::start(addr).await.unwrap(), told)
}

async fn client(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let read = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
    read.expect("in time").unwrap();
    bytes
}

/// Whether the connection was closed, with nothing more on it.
async fn closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset closes it too.
    let _ = ended.expect("closed in time");
    rest.is_empty()
}

/// Everything that the server got until a client was gone.
async fn got(told: &mut mpsc::UnboundedReceiver<Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = timeout(PATIENCE, told.recv()).await.expect("in time") {
        if piece.is_empty() {
            break;
        }
        all.extend(piece);
    }
    all
}

#[tokio::test]
async fn passes_and_is_cut() {
    let (proxy, _told) = server(b"pong").await;
    let mut stream = client(&proxy).await;
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut stream, 4).await, b"pong");
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.client_bytes(), 4);
    proxy.cut();
    assert!(closed(&mut stream).await);
    let mut next = client(&proxy).await;
    next.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut next, 4).await, b"pong");
    assert_eq!(proxy.accepted(), 2);
    assert_eq!(proxy.fired(), 0, "no rule did it");
}

#[tokio::test]
async fn refuses_old_and_new_connections_until_it_passes_again() {
    let (proxy, _told) = server(b"pong").await;
    let mut old = client(&proxy).await;
    old.write_all(b"ping").await.unwrap();
    read(&mut old, 4).await;
    proxy.set(Mode::Refuse);
    assert!(closed(&mut old).await);
    assert!(closed(&mut client(&proxy).await).await);
    proxy.set(Mode::Pass);
    let mut new = client(&proxy).await;
    new.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut new, 4).await, b"pong");
}

#[tokio::test]
async fn holds_everything_back_and_lets_it_go() {
    let (proxy, _told) = server(b"pong").await;
    let mut old = client(&proxy).await;
    old.write_all(b"ping").await.unwrap();
    read(&mut old, 4).await;
    proxy.set(Mode::Blackhole);
    let mut new = client(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"ping").await.unwrap();
        let answer = timeout(QUIET, stream.read_u8()).await;
        assert!(answer.is_err(), "neither bytes nor an end");
    }
    proxy.set(Mode::Pass);
    for stream in [&mut old, &mut new] {
        assert_eq!(read(stream, 4).await, b"pong");
    }
}

#[tokio::test]
async fn stranded_connections_stay_silent_and_new_ones_do_not() {
    let (proxy, mut told) = server(b"pong").await;
    let mut old = client(&proxy).await;
    old.write_all(b"ping").await.unwrap();
    read(&mut old, 4).await;
    assert_eq!(told.recv().await.unwrap(), b"ping");
    proxy.strand();
    old.write_all(b"lost").await.unwrap();
    let answer = timeout(QUIET, old.read_u8()).await;
    assert!(answer.is_err(), "neither bytes nor an end");
    let mut new = client(&proxy).await;
    new.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut new, 4).await, b"pong");
    assert_eq!(told.recv().await.unwrap(), b"ping");
}

#[tokio::test]
async fn delays_and_drips() {
    let (proxy, _told) = server(b"pong").await;
    let mut stream = client(&proxy).await;
    proxy.set(Mode::Delay(QUIET));
    let began = Instant::now();
    stream.write_all(b"ping").await.unwrap();
    read(&mut stream, 4).await;
    assert!(began.elapsed() >= 2 * QUIET, "there and back");

    proxy.set(Mode::Drip {
        bytes: 1,
        every: QUIET / 2,
    });
    let began = Instant::now();
    stream.write_all(b"ping").await.unwrap();
    read(&mut stream, 4).await;
    assert!(began.elapsed() >= 4 * QUIET / 2, "four bytes at least");
}

#[tokio::test]
async fn new_connections_go_to_the_new_target() {
    let (proxy, _old) = server(b"old!").await;
    let (other, _new) = server(b"new!").await;
    let mut stream = client(&proxy).await;
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut stream, 4).await, b"old!");
    proxy.retarget(other.addr());
    let mut next = client(&proxy).await;
    next.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut next, 4).await, b"new!");
}

#[tokio::test]
async fn cuts_after_so_many_bytes() {
    let (proxy, mut told) = server(b"").await;
    proxy.cut_after_client_bytes(6);
    let mut stream = client(&proxy).await;
    stream.write_all(b"0123").await.unwrap();
    stream.write_all(b"4567").await.unwrap();
    assert!(closed(&mut stream).await);
    assert_eq!(got(&mut told).await, b"012345");
    assert_eq!(proxy.fired(), 1);
}

#[tokio::test]
async fn cuts_where_a_pattern_is_sent_for_the_nth_time() {
    let (proxy, mut told) = server(b"").await;
    proxy.cut_when_client_sends("word", 2, Cut::BeforeForward);
    let mut stream = client(&proxy).await;
    stream.write_all(b"a word, the wo").await.unwrap();
    // The pattern is spread over two pieces.
    while proxy.client_bytes() < 14 {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"rd and more").await.unwrap();
    assert!(closed(&mut stream).await);
    assert_eq!(got(&mut told).await, b"a word, the wo");
    assert_eq!(proxy.fired(), 1);
}

#[tokio::test]
async fn the_work_is_done_and_the_answer_lost() {
    let (proxy, mut told) = server(b"done").await;
    let mut stream = client(&proxy).await;
    stream.write_all(b"first").await.unwrap();
    read(&mut stream, 4).await;
    proxy.cut_when_client_sends("second", 1, Cut::AfterForward);
    stream.write_all(b"the second").await.unwrap();
    assert!(closed(&mut stream).await, "without any of the answer");
    assert_eq!(got(&mut told).await, b"firstthe second");
    assert_eq!(proxy.fired(), 1);
}

/// A server's SETTINGS, then the HEADERS of an answer.
const HTTP2_ANSWER: &[u8] = &[
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS, empty
    0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, // HEADERS of stream 1: status 200
];

#[tokio::test]
async fn an_answer_of_http2_begins_with_its_headers() {
    let (proxy, _told) = server(HTTP2_ANSWER).await;
    let mut stream = client(&proxy).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read(&mut stream, HTTP2_ANSWER.len()).await, HTTP2_ANSWER);
    proxy.cut_when_client_sends("order", 1, Cut::AfterForward);
    stream.write_all(b"an order").await.unwrap();
    assert!(closed(&mut stream).await);
    assert_eq!(proxy.fired(), 1);
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0me\0\0";
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

fn prepared(sql: &str) -> Vec<u8> {
    let parse = message(b'P', format!("s1\0{sql}\0\0\0").as_bytes());
    let bind = message(b'B', b"\0s1\0\0\0\0\0\0\0");
    let execute = message(b'E', b"\0\0\0\0\0");
    [parse, bind, execute, message(b'S', b"")].concat()
}

#[tokio::test]
async fn cuts_before_a_statement() {
    let (proxy, mut told) = server(b"").await;
    let mut stream = client(&proxy).await;
    proxy.cut_at_statement(2, Cut::BeforeForward, |sql| sql.contains("orders"));
    let first = [
        startup(),
        message(b'Q', b"BEGIN\0"),
        prepared("INSERT INTO orders"),
    ]
    .concat();
    stream.write_all(&first).await.unwrap();
    // One that is not whole stays with the proxy.
    let second = message(b'Q', b"UPDATE orders\0");
    stream.write_all(&second[..9]).await.unwrap();
    while proxy.client_bytes() < (first.len() + 9) as u64 {
        tokio::task::yield_now().await;
    }
    stream.write_all(&second[9..]).await.unwrap();
    assert!(closed(&mut stream).await);
    assert_eq!(got(&mut told).await, first);
    let seen = ["BEGIN", "INSERT INTO orders", "UPDATE orders"];
    assert_eq!(proxy.take_statements(), seen);
    assert!(proxy.take_statements().is_empty());
    assert_eq!(proxy.fired(), 1);
}

/// Answers each request but the one that is held back, as PostgreSQL does.
#[tokio::test]
async fn commits_and_loses_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = client(&proxy).await;
    proxy.cut_at_commit(1, Cut::AfterForward);
    stream.write_all(&startup()).await.unwrap();
    stream
        .write_all(&message(b'Q', b"SELECT 1\0"))
        .await
        .unwrap();
    stream.write_all(&message(b'Q', b"COMMIT\0")).await.unwrap();

    let (mut far, _) = listener.accept().await.unwrap();
    let sent = startup().len() + message(b'Q', b"SELECT 1\0").len();
    let commit = message(b'Q', b"COMMIT\0");
    let mut all = vec![0; sent + commit.len()];
    far.read_exact(&mut all).await.unwrap();
    assert!(all.ends_with(&commit));
    let gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gone);
    let waiting = tokio::spawn(async move {
        assert!(closed(&mut stream).await, "no part of an answer");
        seen.store(true, Ordering::SeqCst);
    });
    // The answers to what came before are none to the COMMIT.
    let ready = message(b'Z', b"I");
    far.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat())
        .await
        .unwrap();
    far.write_all(&ready).await.unwrap();
    let early = timeout(QUIET, far.read_u8()).await;
    assert!(early.is_err() && !gone.load(Ordering::SeqCst));
    far.write_all(&[message(b'C', b"COMMIT\0"), ready].concat())
        .await
        .unwrap();
    timeout(PATIENCE, waiting).await.expect("closed").unwrap();
    assert_eq!(proxy.fired(), 1);
}
