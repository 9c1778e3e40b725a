//! The header that signs a webhook. An input is the header's value, a line break and the
//! body; `@a` and `@b` in the header stand for the right signature under one of the two
//! secrets, which no fuzzer would find by itself.

use std::time::{Duration, UNIX_EPOCH};

use gateway::signature::{Rejection, SIGNATURE_HEADER, WebhookSecrets, verify};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

const SECRETS: [&str; 2] = ["whsec_first", "whsec_second"];
const RECEIVED: u64 = 1_700_000_000;
const TOLERANCE: u64 = 300;
/// Read apart from the gateway's own constant: a longer header is refused unread.
const LONGEST: usize = 4096;

/// Accepted if and only if one of the signatures is the HMAC that is computed here.
pub fn run(data: &[u8]) -> &'static str {
    let (head, body) = super::first_line(data);
    let header = signed(head, body);
    let Ok(value) = HeaderValue::from_bytes(&header) else {
        return "no header";
    };
    let mut headers = HeaderMap::new();
    headers.append(SIGNATURE_HEADER, value.clone());
    let outcome = check(&headers, body, &SECRETS.join(","));
    assert_eq!(outcome, check(&headers, body, &SECRETS.join(",")));
    assert_eq!(meaning(outcome), expected(&header, body), "{outcome:?}");

    if outcome.is_ok() {
        let longer = [body, b"\n"].concat();
        let other = check(&headers, &longer, &SECRETS.join(","));
        assert_eq!(other, Err(Rejection::SignatureWrong), "another body");
        let stranger = check(&headers, body, "whsec_third");
        assert_eq!(stranger, Err(Rejection::SignatureWrong), "another secret");
    }
    headers.append(SIGNATURE_HEADER, value);
    let twice = check(&headers, body, &SECRETS.join(","));
    assert_eq!(twice, Err(Rejection::HeaderRepeated));
    outcome.map_or_else(Rejection::reason, |_| "accepted")
}

fn check(headers: &HeaderMap, body: &[u8], secrets: &str) -> Result<i64, Rejection> {
    let secrets = WebhookSecrets::parse(secrets).unwrap();
    let received = UNIX_EPOCH + Duration::from_secs(RECEIVED);
    verify(
        headers,
        body,
        &secrets,
        received,
        Duration::from_secs(TOLERANCE),
    )
}

/// What matters of an outcome.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Accepted { age: i64 },
    WrongTime { authentic: bool },
    Refused,
}

fn meaning(outcome: Result<i64, Rejection>) -> Meaning {
    match outcome {
        Ok(age) => Meaning::Accepted { age },
        Err(Rejection::TooOld { authentic } | Rejection::TooNew { authentic }) => {
            Meaning::WrongTime { authentic }
        }
        Err(_) => Meaning::Refused,
    }
}

/// The rules once more, written down apart from the gateway.
fn expected(header: &[u8], body: &[u8]) -> Meaning {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    if header.len() > LONGEST || !header.iter().all(plain) {
        return Meaning::Refused;
    }
    let text = str::from_utf8(header).unwrap();
    let (mut times, mut signatures) = (Vec::new(), Vec::new());
    for item in text.split(',') {
        match item.split_once('=') {
            Some(("t", time)) => times.push(time),
            Some(("v1", signature)) => signatures.push(signature),
            Some(_) => {}
            None => return Meaning::Refused,
        }
    }
    let digest = |text: &&str| {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    signatures.retain(digest);
    let [time] = times[..] else {
        return Meaning::Refused;
    };
    let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = time.parse::<i64>().ok().filter(|_| digits) else {
        return Meaning::Refused;
    };
    if signatures.is_empty() {
        return Meaning::Refused;
    }
    let right = SECRETS.map(|secret| signature(secret, time.as_bytes(), body));
    let authentic = signatures.iter().any(|one| right.iter().any(|r| r == one));
    let age = i64::try_from(RECEIVED).unwrap().saturating_sub(seconds);
    if age.unsigned_abs() > TOLERANCE {
        Meaning::WrongTime { authentic }
    } else if authentic {
        Meaning::Accepted { age }
    } else {
        Meaning::Refused
    }
}

/// The header with `@a` and `@b` replaced, over the first `t` that it has.
fn signed(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut items = head.split(|byte| *byte == b',');
    let time = items.find_map(|item| item.strip_prefix(b"t="));
    let time = time.unwrap_or_default();
    let mut header = Vec::with_capacity(head.len());
    let mut rest = head;
    while let Some((first, tail)) = rest.split_first() {
        let secret = match (first, tail.first()) {
            (b'@', Some(b'a')) => SECRETS[0],
            (b'@', Some(b'b')) => SECRETS[1],
            _ => {
                header.push(*first);
                rest = tail;
                continue;
            }
        };
        header.extend(signature(secret, time, body).into_bytes());
        rest = &tail[1..];
    }
    header
}

/// HMAC-SHA256 by its definition, in lower-case hex.
fn signature(secret: &str, time: &[u8], body: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut key = [0_u8; BLOCK];
    key[..secret.len()].copy_from_slice(secret.as_bytes());
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(time)
        .chain_update(b".")
        .chain_update(body)
        .finalize();
    let outer = Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize();
    hex::encode(outer)
}
