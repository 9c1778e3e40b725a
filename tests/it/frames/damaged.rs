//! Damage that nobody thought of: messages, frames and connections with random changes.

use std::{sync::Mutex, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status, transport::Channel};

use super::{framed, plain_client, posted};
use crate::support::{
    db::Engine,
    effort,
    live::{Live, reason, with_token},
    sound::Sound,
    wire::{Answer, Api, Method, call, delimited},
};

#[path = "../../fuzz/mutate.rs"]
mod mutate;

use mutate::{Mutator, Random};

/// Calls at once.
const AT_ONCE: usize = 8;
/// No answer and no end of a connection takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// What begins every connection of HTTP/2, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// G-05: sound messages of every method with random damage, and frames and connections with
/// more of it: each is served, or refused with a reason that blames nobody else, and the
/// connection of others lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_damage_to_a_message_breaks_anything() {
    let live = Live::open(Engine::Sqlite).await;
    let (api, mut sound) = (Api::read(), Sound::stock(&live).await);
    let seed = effort::seed(1);
    let whole: Vec<(&Method, Vec<u8>)> = api
        .methods
        .iter()
        .map(|method| (method, sound.request(&method.label)))
        .collect();

    let (messages, refused) = damaged_messages(&live, &whole, seed).await;
    let frames = damaged_frames(&live, seed).await;
    let connections = damaged_connections(&live, seed).await;
    eprintln!(
        "{messages} messages from seed {seed}, {refused} refused; {frames} frames, \
         {connections} connections"
    );
    assert!(0 < refused && refused < messages, "{refused} of {messages}");

    let plans = with_token(Vec::new(), &live.world.tokens.operator);
    let path = "/spawnpoint.v1.CatalogService/ListPlans";
    call(&live.channel(), path, plans).await.unwrap();
    live.close().await;
}

/// A client gives a connection up on which it dropped a thousand answers that were still coming,
/// as those of watches are here.
const MESSAGES_A_CHANNEL: u32 = 5_000;

async fn damaged_messages(live: &Live, whole: &[(&Method, Vec<u8>)], seed: u64) -> (usize, usize) {
    let seeds: Vec<[Vec<u8>; 1]> = whole.iter().map(|(_, bytes)| [bytes.clone()]).collect();
    // Wire types, lengths past the end, numbers of ten bytes, text that is none.
    let words: Vec<Vec<u8>> = [
        &b"\x0a\x00"[..],
        b"\x0b",
        b"\x0c",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0d\x00\x00\x00\x00",
        b"\x09\x00\x00\x00\x00\x00\x00\x00\x80",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xfa\xff\xff\xff\x0f\x01x",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let words = [
        words,
        vec![delimited(3, &delimited(2, &delimited(1, b"x")))],
    ]
    .concat();
    let total = effort::runs(1_500, 1_000_000);
    let mutators: Vec<Mutex<Mutator>> = (seed..)
        .zip(&seeds)
        .map(|(seed, own)| Mutex::new(Mutator::new(Random::new(seed), own, &words)))
        .collect();
    let token = &live.world.tokens.operator;
    let channels: Vec<Channel> = (0..=total / MESSAGES_A_CHANNEL)
        .map(|_| live.new_channel())
        .collect();
    let refused = stream::iter(0..total)
        .map(|number| {
            let place = number as usize % whole.len();
            let (method, _) = &whole[place];
            let bytes = mutators[place].lock().unwrap().next().to_vec();
            let channel = channels[(number / MESSAGES_A_CHANNEL) as usize].clone();
            async move {
                let answer = call(&channel, &method.path, with_token(bytes.clone(), token)).await;
                usize::from(is_refused(
                    &answer,
                    &format!("{} {bytes:02x?}", method.label),
                ))
            }
        })
        .buffer_unordered(AT_ONCE)
        .fold(0, async |sum, refused| sum + refused)
        .await;
    (total as usize, refused)
}

/// Whether it was refused, and then as a caller's own mistake or a rule of the shop.
fn is_refused(answer: &Answer, what: &str) -> bool {
    let Err(status) = answer else { return false };
    assert_blames_the_caller(status, what);
    true
}

fn assert_blames_the_caller(status: &Status, what: &str) {
    let expected = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Unimplemented
    );
    assert!(expected && !reason(status).is_empty(), "{what}: {status:?}");
}

/// Prefixes and lengths that do not fit, on one connection that carries all of them.
async fn damaged_frames(live: &Live, seed: u64) -> u32 {
    let message = delimited(1, b"mc-2gb");
    let seeds = [
        framed(&message, message.len()),
        framed(&[], 0),
        [
            framed(&message, message.len()),
            framed(&message, message.len()),
        ]
        .concat(),
    ];
    let words = [
        b"\x00\x00\x00\x00".to_vec(),
        b"\x01\xff\xff\xff\xff".to_vec(),
    ];
    let mut mutator = Mutator::new(Random::new(seed), &seeds, &words);
    let client = plain_client();
    let total = effort::runs(200, 20_000);
    for _ in 0..total {
        let frame = mutator.next().to_vec();
        let answer = posted(&client, live, frame.clone(), None).await;
        assert_eq!(answer.status(), 200, "{frame:02x?}");
        if let Some(status) = Status::from_header_map(answer.headers()) {
            assert_blames_the_caller(&status, &format!("{frame:02x?}"));
        }
    }
    total
}

/// Connections of HTTP/2 that go wrong: each ends, and nobody else's does.
async fn damaged_connections(live: &Live, seed: u64) -> u32 {
    let ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let headers = b"\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84";
    let seeds = [
        PREFACE.to_vec(),
        [PREFACE, ping, headers].concat(),
        [PREFACE, headers, ping].concat(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03".to_vec(),
    ];
    let words = [ping.to_vec(), headers.to_vec(), b"\xff\xff\xff".to_vec()];
    let mut mutator = Mutator::new(Random::new(seed), &seeds, &words);
    let total = effort::runs(50, 5_000);
    for _ in 0..total {
        let bytes = mutator.next().to_vec();
        let mut stream = TcpStream::connect(live.world.grpc_addr).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {bytes:02x?}");
    }
    total
}
