//! The table of idempotency keys: what was asked under a key, and what was answered.
//!
//! A key belongs to one method, path and set of parameters for 24 hours.

use std::collections::HashMap;

use super::errors::Refusal;

/// How long an answer is kept, seconds of the sandbox clock.
const KEPT_FOR: i64 = 86_400;

/// A stored answer.
#[derive(Clone)]
pub(super) struct Stored {
    pub status: u16,
    pub body: String,
    /// The `Request-Id` of the first run.
    pub request_id: String,
}

struct Entry {
    asked: String,
    created: i64,
    answer: Option<Stored>,
}

/// All keys of the account.
#[derive(Default)]
pub(super) struct Keys {
    entries: HashMap<String, Entry>,
}

impl Keys {
    /// Claims a key. `Ok(None)`: run it; `Ok(Some)`: answer this instead.
    pub(super) fn begin(
        &mut self,
        key: &str,
        asked: &str,
        now: i64,
    ) -> Result<Option<Stored>, Refusal> {
        if key.is_empty() || key.len() > 255 {
            return Err(Refusal::invalid(
                "Idempotency keys must have 1 to 255 characters.",
            ));
        }
        if let Some(entry) = self.entries.get(key)
            && (entry.answer.is_none() || now - entry.created < KEPT_FOR)
        {
            return if entry.asked != asked {
                Err(Refusal::key_reused(key))
            } else if entry.answer.is_none() {
                Err(Refusal::key_in_use(key))
            } else {
                Ok(entry.answer.clone())
            };
        }
        let entry = Entry {
            asked: asked.to_owned(),
            created: now,
            answer: None,
        };
        self.entries.insert(key.to_owned(), entry);
        Ok(None)
    }

    /// Ends the run of a claimed key: keeps its answer, or forgets the key.
    pub(super) fn finish(&mut self, key: &str, answer: Option<Stored>) {
        match (answer, self.entries.get_mut(key)) {
            (Some(answer), Some(entry)) => entry.answer = Some(answer),
            (None, _) => {
                self.entries.remove(key);
            }
            (Some(_), None) => {}
        }
    }
}

/// One text for method, path and parameters; the order of parameters does not matter.
pub(super) fn fingerprint(method: &str, path: &str, pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = pairs.iter().collect();
    sorted.sort();
    format!("{method} {path} {sorted:?}")
}
