//! What bodies may cost the real program in memory. The peak is the system's own
//! count of it, so nothing that was given back in between is missed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::process::{Program, signed_now};
use crate::support::*;

/// Senders at the same time.
const SENDERS: u64 = 16;
/// What one sender may cost, in KiB.
const PER_SENDER_KIB: u64 = 2 << 10;
/// What the allocator may keep for itself beyond that, in KiB.
const SLACK_KIB: u64 = 4 << 10;
const CAP: usize = 1 << 20;
const HUGE: usize = 100_000_000;
/// What a sender writes at a time; as a chunk, `10000` in hex.
const PIECE: usize = 0x10000;
/// Bytes that leave a sender before the answer is there: what is thrown away, and
/// what lies in the buffers of both sockets.
const TAKEN: usize = 32 << 20;
/// Far below the ten seconds that a body may take.
const EARLY: Duration = Duration::from_secs(8);

/// A line of `/proc/PID/status`, in KiB.
fn status_kib(program: &Program, line: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let value = text.lines().find_map(|row| row.strip_prefix(line)).unwrap();
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Sends a head and then `length` bytes of nothing, as far as they are taken; tells
/// the answer and how many bytes had left by then.
async fn pour(addr: SocketAddr, head: String, chunked: bool, length: usize) -> (Reply, usize) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut piece = vec![b'x'; PIECE];
    if chunked {
        piece = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
    }
    let mut sent = 0;
    let pouring = async {
        let mut taken = write.write_all(head.as_bytes()).await.is_ok();
        while taken && sent < length {
            taken = write.write_all(&piece).await.is_ok();
            sent += PIECE;
        }
        std::future::pending::<()>().await
    };
    let mut answer = Vec::new();
    let reading = async {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = read.read(&mut bytes).await {
            answer.extend_from_slice(&bytes[..count]);
        }
    };
    let both = async {
        tokio::select! {
            () = pouring => {}
            () = reading => {}
        }
    };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    assert!(ended.is_ok(), "neither an answer nor an end");
    (Reply::parse(&answer), sent)
}

fn head(framing: &str) -> String {
    format!(
        "POST /stripe-webhook HTTP/1.1\r\nHost: g\r\nStripe-Signature: t=1,v1=0\r\n{framing}\r\n\r\n"
    )
}

/// All senders pour at once; each is refused early.
async fn refuse_all(addr: SocketAddr, framing: &str, length: usize) {
    let began = Instant::now();
    let chunked = framing.starts_with("Transfer-Encoding");
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(pour(addr, head(framing), chunked, length));
    }
    while let Some(done) = senders.join_next().await {
        let (reply, sent) = done.unwrap();
        assert_eq!(reply.status, 413, "{framing}, {length}");
        assert!(sent <= TAKEN, "{framing}: {sent} bytes were taken");
    }
    assert!(began.elapsed() < EARLY, "{framing}: {:?}", began.elapsed());
}

/// All senders send the same body at once under these headers.
async fn send_all(addr: SocketAddr, headers: &[(&str, &str)], body: &[u8], status: u16) {
    let replies = (0..SENDERS).map(|_| post(addr, headers, body));
    for reply in futures_util::future::join_all(replies).await {
        assert_eq!(reply.status, status, "{headers:?}");
    }
}

fn gzip_of_nothing(length: usize) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..length / 100_000 {
        packer.write_all(&[0; 100_000]).unwrap();
    }
    packer.finish().unwrap()
}

async fn start(core: &FakeCore, folder: &std::path::Path) -> Program {
    Program::start(folder, |command| {
        command
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("SPAWNPOINT_TOKEN", TOKEN)
            .env("SPAWNPOINT_URL", format!("http://{}", core.addr));
    })
    .await
}

/// W-12: a body of 1 MiB and a byte, of 100 MB, one without a length, one that would
/// unpack to 100 MB, and kinds that are not JSON: each is refused early, and the real
/// program grows by no more than 2 MiB for each sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_costs_the_program_more_than_two_mebibytes() {
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = start(&core, folder.path()).await;
    let addr = program.addr;
    // The first connections pay for what every program pays once.
    let fine = signed_now(SECRET, EVENT);
    send_all(addr, &[("Stripe-Signature", &fine)], EVENT, 200).await;
    let known = core.calls().len();
    let before = status_kib(&program, "VmRSS:");

    for length in [CAP + 1, HUGE] {
        refuse_all(addr, &format!("Content-Length: {length}"), length).await;
    }
    for length in [CAP + 1, HUGE] {
        refuse_all(addr, "Transfer-Encoding: chunked", length).await;
    }
    assert_eq!(core.calls().len(), known, "none of it reached the core");

    core.behave(Behaviour::Fail(Code::InvalidArgument));
    let bomb = gzip_of_nothing(HUGE);
    assert!(bomb.len() < CAP / 2, "{} bytes are no bomb", bomb.len());
    for (kind, body) in [
        ("application/json", bomb.as_slice()),
        (
            "application/x-www-form-urlencoded",
            b"id=evt_1&object=event",
        ),
        ("text/html", b"<html></html>"),
    ] {
        let right = signed_now(SECRET, body);
        for (signature, reaches) in [("t=1,v1=0", 0), (right.as_str(), SENDERS)] {
            let calls = core.calls().len();
            let headers = [
                ("Stripe-Signature", signature),
                ("Content-Type", kind),
                ("Content-Encoding", "gzip"),
            ];
            send_all(addr, &headers, body, 400).await;
            let seen = core.calls().split_off(calls);
            assert_eq!(seen.len() as u64, reaches, "{kind}");
            // As it came: nothing is unpacked on the way either.
            assert!(seen.iter().all(|call| call.message.payload == body));
        }
    }

    let peak = status_kib(&program, "VmHWM:");
    let grown = peak.saturating_sub(before);
    eprintln!("W-12: {SENDERS} senders at once: {before} KiB at rest, peak {peak} KiB");
    assert!(
        grown <= SENDERS * PER_SENDER_KIB + SLACK_KIB,
        "grown by {grown} KiB for {SENDERS} senders"
    );
    core.behave(Behaviour::Store);
    send_all(addr, &[("Stripe-Signature", &fine)], EVENT, 200).await;
}

/// W-12: the largest body that is taken is held twice: as it comes and as it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_bodies_are_handed_on_within_four_mebibytes() {
    let core = FakeCore::start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = start(&core, folder.path()).await;
    let fine = signed_now(SECRET, EVENT);
    send_all(program.addr, &[("Stripe-Signature", &fine)], EVENT, 200).await;
    let before = status_kib(&program, "VmRSS:");
    let full = vec![b'x'; CAP];
    let signature = signed_now(SECRET, &full);
    for _ in 0..4 {
        send_all(
            program.addr,
            &[("Stripe-Signature", &signature)],
            &full,
            200,
        )
        .await;
    }
    let peak = status_kib(&program, "VmHWM:");
    let grown = peak.saturating_sub(before);
    eprintln!("W-12: {SENDERS} bodies of 1 MiB at once: {before} KiB at rest, peak {peak} KiB");
    assert!(
        grown <= SENDERS * 2 * PER_SENDER_KIB + SLACK_KIB,
        "grown by {grown} KiB for {SENDERS} senders"
    );
}
