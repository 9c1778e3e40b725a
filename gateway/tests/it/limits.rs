//! What one sender may take: bytes, time, connections.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::effort::runs;
use crate::support::http::{read_to_close, request};
use crate::support::*;

const SHORT: Duration = Duration::from_millis(200);
/// Far above `SHORT`, far below the time-outs that are not under test.
const SOON: Duration = Duration::from_secs(4);

fn chunked(body: &[u8], signature: &str) -> Vec<u8> {
    let mut bytes = format!(
        "POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\
         Stripe-Signature: {signature}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for part in body.chunks(10_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// W-12: one byte over the cap, with and without a declared length.
#[tokio::test]
async fn the_cap_is_exact_declared_or_chunked() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let cap = 1 << 20;
    let full = vec![b'x'; cap];
    assert_eq!(gateway.webhook(&full, &signed(&full)).await.status, 200);
    assert_eq!(
        exchange(gateway.addr, &chunked(&full, &signed(&full)))
            .await
            .status,
        200
    );
    assert_eq!(core.calls()[1].message.payload.len(), cap);

    let over = vec![b'x'; cap + 1];
    let declared = gateway.webhook(&over, &signed(&over)).await;
    assert_eq!(
        (declared.status, declared.body.as_str()),
        (413, "body too large\n")
    );
    assert_eq!(
        exchange(gateway.addr, &chunked(&over, &signed(&over)))
            .await
            .status,
        413
    );
    // A sender that writes all before it reads gets its answer too.
    let triple = vec![b'x'; 3 * cap];
    let headers = [("Stripe-Signature", signed(&triple))];
    let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    for bytes in [
        request("POST", "/stripe-webhook", &headers, &triple),
        chunked(&triple, &signed(&triple)),
    ] {
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        for part in bytes.chunks(16384) {
            stream
                .write_all(part)
                .await
                .expect("the gateway still listens");
            // Gives the gateway, on the same thread, its chance to hang up.
            tokio::task::yield_now().await;
        }
        assert_eq!(Reply::parse(&read_to_close(&mut stream).await).status, 413);
    }
    // The size is judged before the signature.
    assert_eq!(gateway.webhook(&over, "t=1").await.status, 413);
    assert_eq!(core.calls().len(), 2);
}

/// W-12: 100 MB announced is refused without one byte of it.
#[tokio::test]
async fn a_huge_body_is_refused_before_it_is_sent() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    let head = b"POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n\
                 Content-Length: 104857600\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let reply = Reply::parse(&read_to_close(&mut stream).await);
    assert_eq!(
        (reply.status, reply.header("connection")),
        (413, Some("close"))
    );
}

/// W-12: a body without a length and without an end.
#[tokio::test]
async fn an_endless_chunked_body_is_cut_off() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    let head = b"POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&[b'x'; 0x10000]);
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0_usize;
    let writing = async {
        while stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, writing).await.is_ok(),
        "still reading"
    );
    // What was taken: the cap, what is thrown away, and socket buffers.
    assert!(sent < 32 << 20, "{sent} bytes taken");
    assert_eq!(gateway.deliver().await.status, 200);
}

/// W-13: a head may take five seconds in all, however it dribbles.
#[tokio::test]
async fn slow_heads_are_cut_off_even_when_they_dribble() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |config| config.limits.header_timeout = SHORT).await;
    for first in [&b""[..], b"POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nX: "] {
        let began = Instant::now();
        let stream = TcpStream::connect(gateway.addr).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        write.write_all(first).await.unwrap();
        let dribble = async {
            while write.write_all(b"P").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut nowhere = tokio::io::sink();
        let closed = tokio::io::copy(&mut read, &mut nowhere);
        tokio::select! {
            () = dribble => {}
            _ = closed => {}
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    // A connection that says nothing at all.
    let began = Instant::now();
    let mut silent = TcpStream::connect(gateway.addr).await.unwrap();
    read_to_close(&mut silent).await;
    assert!(
        began.elapsed() >= SHORT / 2 && began.elapsed() < SOON,
        "{:?}",
        began.elapsed()
    );
}

/// W-13: a body may take ten seconds in all, however it dribbles.
#[tokio::test]
async fn a_slow_body_gets_408_even_when_it_dribbles() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |config| config.limits.body_timeout = SHORT).await;
    let whole = request(
        "POST",
        "/stripe-webhook",
        &[("Stripe-Signature", &signed(EVENT))],
        EVENT,
    );
    let (head, body) = whole.split_at(whole.len() - EVENT.len());
    let began = Instant::now();
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(head).await.unwrap();
    let dribble = async {
        for byte in body {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dribble => {}
        seen = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer) => drop(seen),
    }
    assert_eq!(Reply::parse(&answer).status, 408);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(core.calls().len(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let whole = request(
        "POST",
        "/stripe-webhook",
        &[("Stripe-Signature", &signed(EVENT))],
        EVENT,
    );
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let reply = Reply::parse(&read_to_close(&mut stream).await);
    assert_ne!(reply.status, 200);
    assert_eq!(gateway.deliver().await.status, 200);
    assert_eq!(core.calls().len(), 1);
}

/// W-13: senders that hold a connection each, half of them in the head and half in the
/// body; good requests are served all the while.
#[tokio::test]
async fn slow_senders_do_not_delay_a_good_one() {
    let senders = runs(200, 2_000);
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let mut slow = Vec::new();
    for index in 0..senders {
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        let head: &[u8] = if index % 2 == 0 {
            b"POST /stripe-webhook HTTP/1.1\r\nHo"
        } else {
            b"POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nContent-Length: 90\r\n\r\n{"
        };
        stream.write_all(head).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let sent = Instant::now();
        assert_eq!(gateway.deliver().await.status, 200);
        slowest = slowest.max(sent.elapsed());
    }
    eprintln!("W-13: {senders} slow senders, slowest good answer {slowest:?}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(gateway.metric("gateway_connections").await >= f64::from(senders / 2));
}

#[tokio::test]
async fn beyond_the_connection_limit_senders_wait_their_turn() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |config| {
        config.limits.max_connections = 2;
        config.limits.header_timeout = SHORT;
    })
    .await;
    let _held = [
        TcpStream::connect(gateway.addr).await.unwrap(),
        TcpStream::connect(gateway.addr).await.unwrap(),
    ];
    let began = Instant::now();
    assert_eq!(gateway.deliver().await.status, 200);
    // It was served once a silent connection had been cut off.
    assert!(
        began.elapsed() >= SHORT / 2 && began.elapsed() < SOON,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn oversized_and_malformed_heads_are_refused() {
    let core = FakeCore::start().await;
    let gateway = Gateway::start(core.addr, |_| {}).await;
    let padding = "y".repeat(100_000);
    let headers = [("Stripe-Signature", signed(EVENT)), ("X-Padding", padding)];
    let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let reply = post(gateway.addr, &headers, EVENT).await;
    assert!(matches!(reply.status, 0 | 431), "{}", reply.status);
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
        b"GARBAGE\r\n\r\n",
    ] {
        assert!(matches!(
            exchange(gateway.addr, nonsense).await.status,
            0 | 400
        ));
    }
    let smuggled = b"POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\
                     Content-Length: 6\r\n\r\nhello!";
    assert!(matches!(
        exchange(gateway.addr, smuggled).await.status,
        0 | 400
    ));
    assert_eq!(core.calls().len(), 0);
}
