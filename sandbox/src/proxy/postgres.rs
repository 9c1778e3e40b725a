//! The client's half of PostgreSQL's protocol, as far as its statements can be seen.
//!
//! It splits the stream into whole messages, and remembers which text a prepared
//! statement and a portal stand for, because an execution names only the portal.

use std::collections::HashMap;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const VERSION_3: u32 = 3;

/// A whole message of a client.
pub(super) struct Message {
    /// All of its bytes.
    pub(super) bytes: Vec<u8>,
    /// The text it runs, where it runs one.
    pub(super) statement: Option<String>,
    /// Whether the server answers it with ReadyForQuery.
    pub(super) asks_for_ready: bool,
}

/// Reads what one client sends.
#[derive(Default)]
pub(super) struct Frontend {
    held: Vec<u8>,
    started: bool,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
}

/// Whether a connection that begins with these bytes is one of PostgreSQL.
pub(super) fn is_postgres(first: &[u8]) -> bool {
    let code = |at: usize| {
        let bytes = first.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    match (code(0), code(4)) {
        (Some(length), Some(code)) => {
            (8..10_000).contains(&length)
                && (code == SSL_REQUEST || code == GSS_REQUEST || code >> 16 == VERSION_3)
        }
        _ => false,
    }
}

impl Frontend {
    /// Takes more bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Gives up looking: what is not a whole message yet.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The next whole message, if it is there.
    pub(super) fn next(&mut self) -> Option<Message> {
        let head = usize::from(self.started);
        let length = self.held.get(head..head + 4)?.try_into().ok()?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let whole = head + length.max(4);
        if self.held.len() < whole {
            return None;
        }
        let bytes: Vec<u8> = self.held.drain(..whole).collect();
        if !self.started {
            let code = bytes.get(4..6).unwrap_or_default();
            self.started = code == [0, 3];
            return Some(Message {
                bytes,
                statement: None,
                asks_for_ready: self.started,
            });
        }
        let (kind, body) = (bytes[0], &bytes[5..]);
        let statement = self.read(kind, body);
        Some(Message {
            statement,
            asks_for_ready: matches!(kind, b'Q' | b'S'),
            bytes,
        })
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        let mut parts = body.split(|byte| *byte == 0);
        let mut part = || parts.next().unwrap_or_default();
        match kind {
            b'Q' => Some(text(part())),
            b'P' => {
                let (name, sql) = (part().to_vec(), text(part()));
                self.statements.insert(name, sql);
                None
            }
            b'B' => {
                let portal = part().to_vec();
                let sql = self.statements.get(part()).cloned().unwrap_or_default();
                self.portals.insert(portal, sql);
                None
            }
            b'E' => Some(self.portals.get(part()).cloned().unwrap_or_default()),
            _ => None,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
