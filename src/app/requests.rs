//! `request_id`: the same caller, method and id with the same body makes
//! nothing new; with another body it is refused. Kept 72 hours, stored only
//! together with what the call made.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Caller, Error};
use crate::{
    db::{self, Tx, request_keys},
    domain::{self, SECOND_US},
};

/// Longer than Stripe's 24 h of idempotency and its 3 days of webhook retries.
const KEPT_US: i64 = 72 * 3600 * SECOND_US;

/// A call that can be repeated.
#[derive(Clone, Debug)]
pub struct Request {
    caller: String,
    method: &'static str,
    id: Uuid,
    body_sha256: String,
}

impl Request {
    /// `body` is a canonical form of everything but the id: maps sorted, so that
    /// two encodings of the same message hash alike.
    pub fn new(caller: &Caller, method: &'static str, id: Uuid, body: &[u8]) -> Self {
        Self {
            caller: caller.request_scope(),
            method,
            id,
            body_sha256: hex::encode(Sha256::digest(body)),
        }
    }

    /// The id of what an earlier call with this id made; a refusal where its body differs.
    pub async fn earlier(
        &self,
        connection: &impl db::Connection,
        now_us: i64,
    ) -> Result<Option<String>, Error> {
        let found =
            request_keys::find(connection, &self.caller, self.method, self.id, now_us).await?;
        match found {
            None => Ok(None),
            Some(key) if key.body_sha256 == self.body_sha256 => Ok(Some(key.resource_id)),
            Some(_) => Err(self.reused()),
        }
    }

    /// Stores what this call made. Call it in the transaction that makes it. Two
    /// calls at once meet on the key: the loser's transaction fails as a conflict
    /// on `request_keys` and [`Request::earlier`] answers its repeat.
    pub async fn remember(&self, tx: &Tx, resource_id: &str, now_us: i64) -> Result<(), Error> {
        let key = request_keys::Key {
            caller: self.caller.clone(),
            method: self.method.to_owned(),
            request_id: self.id,
            body_sha256: self.body_sha256.clone(),
            resource_id: resource_id.to_owned(),
            expires_us: now_us + KEPT_US,
        };
        Ok(request_keys::insert(tx, key, now_us).await?)
    }

    fn reused(&self) -> Error {
        domain::Error::Exists {
            reason: "REQUEST_ID_REUSED",
            message: "this request_id was used with another body".to_owned(),
            metadata: vec![("request_id", self.id.to_string())],
        }
        .into()
    }
}
