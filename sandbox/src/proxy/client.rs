//! Reads what a client sends, as it goes by: which bytes go on, and where the rule that
//! waits cuts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    answers::{Answers, Speech, speech},
    postgres::Frontend,
    rules::{Cut, Rules},
};

/// Longer than any pattern that is looked for.
const TAIL: usize = 1_024;

/// What both directions know of a connection.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) speech: Speech,
    pub(super) answers: Answers,
    /// Requests of PostgreSQL so far, each answered by one ReadyForQuery.
    requests: u64,
    /// Set when the answer is to be lost: close when so many answers have come.
    pub(super) doomed: Option<u64>,
}

/// What one client has sent so far.
#[derive(Default)]
pub(super) struct Client {
    begun: bool,
    tail: Vec<u8>,
    frontend: Frontend,
    /// The statement to cut after was sent; its batch ends with the next Sync.
    closing: bool,
}

impl Client {
    /// Sorts a piece: what of it goes on now, and whether the connection is cut then.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        shared: &Mutex<Shared>,
        rules: &Rules,
    ) -> (Vec<u8>, Option<Cut>) {
        let mut shared = lock(shared);
        if !self.begun {
            self.begun = true;
            shared.speech = speech(piece);
        }
        let found = rules.chunk(&self.tail, piece);
        if let Some((at, cut)) = found {
            // Part of a message may have been kept until it is whole.
            let kept = self.frontend.take_held();
            if cut == Cut::BeforeForward {
                return ([&kept, &piece[..at]].concat(), Some(cut));
            }
            // One answer more than those to whatever is under way.
            shared.doomed = Some(match shared.speech {
                Speech::Postgres => shared.requests + 1,
                Speech::Plain | Speech::Http2 => shared.answers.count + 1,
            });
            return ([&kept, piece].concat(), Some(cut));
        }
        self.tail.extend_from_slice(piece);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        if shared.speech == Speech::Postgres {
            self.messages(piece, &mut shared, rules)
        } else {
            (piece.to_vec(), None)
        }
    }

    fn messages(
        &mut self,
        piece: &[u8],
        shared: &mut Shared,
        rules: &Rules,
    ) -> (Vec<u8>, Option<Cut>) {
        let mut whole = Vec::with_capacity(piece.len());
        self.frontend.push(piece);
        while let Some(message) = self.frontend.next() {
            if let Some(sql) = &message.statement {
                match rules.statement(sql) {
                    None => {}
                    Some(Cut::BeforeForward) => return (whole, Some(Cut::BeforeForward)),
                    Some(Cut::AfterForward) => self.closing = true,
                }
            }
            whole.extend_from_slice(&message.bytes);
            if message.asks_for_ready {
                shared.requests += 1;
                if self.closing {
                    shared.doomed = Some(shared.requests);
                    return (whole, Some(Cut::AfterForward));
                }
            }
        }
        (whole, None)
    }
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
