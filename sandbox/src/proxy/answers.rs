//! Where the answer to something begins, in what the other side sends.

/// What a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speech {
    /// Any bytes: the next one is the answer.
    #[default]
    Plain,
    /// PostgreSQL: each request ends with one ReadyForQuery.
    Postgres,
    /// HTTP/2: the next HEADERS frame is the answer.
    Http2,
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// The type of an HTTP/2 frame that begins an answer.
const HEADERS: u8 = 1;

/// What a connection speaks, by the first bytes of its client.
pub(super) fn speech(first: &[u8]) -> Speech {
    if first.starts_with(HTTP2_PREFACE) {
        Speech::Http2
    } else if super::postgres::is_postgres(first) {
        Speech::Postgres
    } else {
        Speech::Plain
    }
}

/// Reads what one server sends.
#[derive(Default)]
pub(super) struct Answers {
    held: Vec<u8>,
    /// Bytes of the message under way that are still to come.
    rest: usize,
    /// PostgreSQL answers a request for encryption by one bare byte.
    encryption_told: bool,
    /// Answers that began (HTTP/2) or ended (PostgreSQL), or pieces (plain).
    pub(super) count: u64,
}

impl Answers {
    /// Takes what the server sent, and counts the answers in it.
    pub(super) fn push(&mut self, speech: Speech, bytes: &[u8]) {
        if speech == Speech::Plain {
            self.count += 1;
            return;
        }
        self.held.extend_from_slice(bytes);
        if speech == Speech::Postgres && !self.encryption_told {
            self.encryption_told = true;
            // 'S' would begin TLS, which is not looked into; a notice begins with 'N' too,
            // but never comes first.
            if matches!(self.held.first(), Some(b'N')) {
                self.held.drain(..1);
            }
        }
        while self.message(speech) {}
    }

    /// Takes one message off; false when its head is not whole yet.
    fn message(&mut self, speech: Speech) -> bool {
        let skipped = self.rest.min(self.held.len());
        self.held.drain(..skipped);
        self.rest -= skipped;
        let head = if speech == Speech::Http2 { 9 } else { 5 };
        if self.rest > 0 || self.held.len() < head {
            return false;
        }
        let head: Vec<u8> = self.held.drain(..head).collect();
        let length = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let answer = if speech == Speech::Http2 {
            self.rest = length(&head[..3]);
            head[3] == HEADERS
        } else {
            self.rest = length(&head[1..5]).saturating_sub(4);
            head[0] == b'Z'
        };
        self.count += u64::from(answer);
        true
    }
}
