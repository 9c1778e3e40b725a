//! Pages of every List: sizes within bounds, and tokens that only continue the
//! very list they came from.
//!
//! A token holds the id of the last row seen, which its owner has seen anyway,
//! and a checksum over that id and the scope: method, filters, and the user for
//! lists that are a user's. So another filter, another user or a changed
//! character is told as PAGE_TOKEN_INVALID instead of giving a wrong page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::domain::{self, Violation};

/// Rows of a page whose size was not asked for.
pub const DEFAULT_SIZE: u64 = 50;
/// Rows of a page at most; larger wishes get this.
pub const MAX_SIZE: u64 = 500;

const CHECKSUM_BYTES: usize = 16;
/// Longer than any token we make: ids are at most 191 bytes.
const MAX_TOKEN_CHARS: usize = 512;

/// Which rows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many; read one more to learn whether another page follows.
    pub limit: u64,
    /// The last row of the page before.
    pub after: Option<String>,
}

/// Reads `page_size` and `page_token`. `scope` names the list: method, filters,
/// and the user where the list is a user's.
pub fn read(page_size: i32, page_token: &str, scope: &[&str]) -> Result<Page, domain::Error> {
    let limit = match u64::try_from(page_size) {
        Ok(0) => DEFAULT_SIZE,
        Ok(size) => size.min(MAX_SIZE),
        Err(_) => {
            return Err(domain::Error::Invalid(vec![Violation {
                field: "page_size".to_owned(),
                problem: "must not be negative".to_owned(),
            }]));
        }
    };
    if page_token.is_empty() {
        return Ok(Page { limit, after: None });
    }
    let after = open(page_token, scope).ok_or_else(|| domain::Error::BadRequest {
        reason: "PAGE_TOKEN_INVALID",
        message: "page_token is not one of this list: repeat the call that gave it with the same \
                  filters, or start without a token"
            .to_owned(),
        metadata: vec![("field", "page_token".to_owned())],
    })?;
    Ok(Page {
        limit,
        after: Some(after),
    })
}

/// The token of the page that follows the row with `last_id`; empty at the end of the list.
pub fn next(scope: &[&str], last_id: Option<&str>) -> String {
    let Some(last_id) = last_id else {
        return String::new();
    };
    let mut bytes = checksum(scope, last_id).to_vec();
    bytes.extend_from_slice(last_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(token: &str, scope: &[&str]) -> Option<String> {
    if token.len() > MAX_TOKEN_CHARS {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (seal, last_id) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    let last_id = std::str::from_utf8(last_id).ok()?;
    (seal == checksum(scope, last_id)).then(|| last_id.to_owned())
}

fn checksum(scope: &[&str], last_id: &str) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new_with_prefix(b"spawnpoint page 1");
    // Lengths keep ["ab", "c"] and ["a", "bc"] apart.
    for part in scope.iter().chain([&last_id]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update((scope.len() as u64).to_be_bytes());
    let mut seal = [0; CHECKSUM_BYTES];
    seal.copy_from_slice(&hash.finalize()[..CHECKSUM_BYTES]);
    seal
}

#[cfg(test)]
mod tests;
