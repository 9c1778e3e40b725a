//! Who may call at all: API tokens. Only a token's SHA-256 is ever stored; the
//! token itself is shown once, when it is made.
//!
//! What a role may do is `authorize`'s. Tokens are made and ended on the
//! command line only, so nothing here asks who the caller is.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{App, Error, Role};
use crate::{
    db::{self, Db, tokens},
    domain::{self, MINUTE_US, error::Violations},
};

/// What every token starts with, so that scanners for leaked secrets find it.
pub const PREFIX: &str = "spt_";

const RANDOM_BYTES: usize = 32;
/// Prefix and 32 bytes of base64url.
const TOKEN_CHARS: usize = 47;
const NAME_CHARS: usize = 64;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const MAX_DAYS: u32 = 3650;
/// `last_used` tells whether a token is still needed, so a minute is fine enough.
const USE_NOTED_EVERY_US: i64 = MINUTE_US;
/// How long a revoked token may still pass: the price of not asking the store on every call.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Shops have a handful of tokens; beyond this, the memory is started afresh.
const REMEMBERED_TOKENS: usize = 1024;

type Hash = [u8; 32];

/// A token as it is shown: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Unique, chosen by its maker.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_us: i64,
    /// When it ends by itself.
    pub expires_us: Option<i64>,
    /// When it was ended.
    pub revoked_us: Option<i64>,
    /// About when it was last used.
    pub last_used_us: Option<i64>,
}

/// Makes a token and returns it: the only time that it can be read.
pub async fn create(
    db: &Db,
    role: Role,
    name: &str,
    expires_days: Option<u32>,
) -> Result<String, Error> {
    let mut violations = Violations::default();
    let sane = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARS
        && !name.chars().any(char::is_control);
    violations.require(
        sane,
        "name",
        "must have 1 to 64 characters, none of them control",
    );
    violations.require(
        role != Role::Customer,
        "role",
        "must be operator, storefront, gateway or viewer: customers sign in at the shop",
    );
    violations.require(
        expires_days.is_none_or(|days| (1..=MAX_DAYS).contains(&days)),
        "expires_days",
        "must be between 1 and 3650",
    );
    violations.finish()?;
    let token = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM_BYTES]>())
    );
    let sha256 = hex::encode(Sha256::digest(&token));
    let sha256 = &sha256;
    let stored = db
        .tx(|tx| async move {
            let now_us = db.now_in(&tx).await?;
            let row = tokens::Token {
                id: App::new_id(now_us),
                name: name.to_owned(),
                sha256: sha256.clone(),
                role: role.to_string(),
                created_us: now_us,
                expires_us: expires_days.map(|days| now_us + i64::from(days) * DAY_US),
                revoked_us: None,
                last_used_us: None,
            };
            Ok::<_, Error>(tokens::insert(&tx, row).await?)
        })
        .await;
    match stored {
        Ok(()) => Ok(token),
        Err(Error::Store(error)) if error.conflicts_on("name") => Err(domain::Error::Exists {
            reason: "RESOURCE_EXISTS",
            message: format!("a token named {name} exists, or existed: choose another name"),
            metadata: vec![("name", name.to_owned())],
        }
        .into()),
        Err(error) => Err(error),
    }
}

/// All tokens, oldest first.
pub async fn list(db: &Db) -> Result<Vec<Info>, Error> {
    tokens::list(db.read())
        .await?
        .into_iter()
        .map(info)
        .collect()
}

/// Ends a token; `false` where none has this name. Takes effect within seconds.
pub async fn revoke(db: &Db, name: &str) -> Result<bool, Error> {
    db.tx(|tx| async move {
        let now_us = db.now_in(&tx).await?;
        Ok(tokens::mark_revoked(&tx, name, now_us).await?)
    })
    .await
}

fn info(row: tokens::Token) -> Result<Info, Error> {
    let role = role(&row)?;
    Ok(Info {
        name: row.name,
        role,
        created_us: row.created_us,
        expires_us: row.expires_us,
        revoked_us: row.revoked_us,
        last_used_us: row.last_used_us,
    })
}

fn role(row: &tokens::Token) -> Result<Role, Error> {
    let role = Role::parse(&row.role).filter(|role| *role != Role::Customer);
    role.ok_or_else(|| db::Error::Corrupt(format!("role of token {}", row.name)).into())
}

/// Tells the role of a token. Remembers good answers for a few seconds.
#[derive(Debug)]
pub struct Tokens {
    db: Db,
    remembered: RwLock<HashMap<Hash, Known>>,
    remembered_for: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    role: Role,
    until: Instant,
}

impl Tokens {
    /// Remembers a good answer for five seconds.
    pub fn new(db: Db) -> Self {
        Self::with_memory(db, REMEMBERED)
    }

    /// As [`Tokens::new`], with another time. For tests.
    pub fn with_memory(db: Db, remembered_for: Duration) -> Self {
        Self {
            db,
            remembered: RwLock::default(),
            remembered_for,
        }
    }

    /// The role of a token, or the one refusal for all that is wrong with it.
    pub async fn resolve(&self, token: &str) -> Result<Role, Error> {
        // What cannot be a token is neither hashed nor asked for.
        if !has_form(token) {
            return Err(domain::Error::Unauthenticated.into());
        }
        let hash: Hash = Sha256::digest(token).into();
        if let Some(role) = self.recall(&hash) {
            return Ok(role);
        }
        let text = hex::encode(hash);
        let row = tokens::find_by_hash(self.db.read(), &text).await?;
        let row = row.filter(|row| bool::from(row.sha256.as_bytes().ct_eq(text.as_bytes())));
        let row = row.ok_or(domain::Error::Unauthenticated)?;
        let now_us = self.db.now().await?;
        let left_us = row
            .expires_us
            .map_or(i64::MAX, |expires_us| expires_us - now_us);
        if row.revoked_us.is_some() || left_us <= 0 {
            return Err(domain::Error::Unauthenticated.into());
        }
        let role = role(&row)?;
        self.remember(hash, role, left_us);
        self.note_use(&row, now_us);
        Ok(role)
    }

    fn recall(&self, hash: &Hash) -> Option<Role> {
        let remembered = self
            .remembered
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let known = remembered.get(hash).copied()?;
        (known.until > Instant::now()).then_some(known.role)
    }

    fn remember(&self, hash: Hash, role: Role, left_us: i64) {
        let left = Duration::from_micros(u64::try_from(left_us).unwrap_or_default());
        let until = Instant::now() + self.remembered_for.min(left);
        let mut remembered = self
            .remembered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_TOKENS {
            remembered.clear();
        }
        remembered.insert(hash, Known { role, until });
    }

    /// Off the call's path: a use that could not be noted is no reason to refuse a call.
    fn note_use(&self, row: &tokens::Token, now_us: i64) {
        let since_us = now_us - USE_NOTED_EVERY_US;
        if row.last_used_us.is_some_and(|last_us| last_us >= since_us) {
            return;
        }
        let (db, id) = (self.db.clone(), row.id);
        tokio::spawn(async move {
            if let Err(error) = tokens::mark_used(&db, id, now_us, since_us).await {
                tracing::debug!(%error, "the use of a token was not noted");
            }
        });
    }
}

fn has_form(token: &str) -> bool {
    token.len() == TOKEN_CHARS
        && token.strip_prefix(PREFIX).is_some_and(|random| {
            random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests;
