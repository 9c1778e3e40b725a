//! Who calls: turns headers into an [`Caller`] before any handler runs.
//!
//! Reads the bearer token, the user on whose behalf a storefront calls and the
//! trace id; what the role may do is the table in `app::authorize`. Every way in
//! which a token can be wrong gives one and the same answer, and neither tokens
//! nor users are logged here.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use tonic::Request;

use crate::{
    app::{self, Caller, Role, tokens::Tokens},
    domain::{self, UserId, Violation, ids::parse_uuid},
};

/// The header in which a storefront names its user.
pub const USER_HEADER: HeaderName = HeaderName::from_static("x-spawnpoint-user");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const SCHEME: &str = "bearer ";

/// Knows how to find the caller of a request.
#[derive(Clone, Debug)]
pub struct Auth {
    tokens: Arc<Tokens>,
    insecure_loopback: bool,
}

impl Auth {
    /// With `insecure_loopback`, a call without a token is the operator's; only
    /// for an address that other machines cannot reach.
    pub fn new(tokens: Arc<Tokens>, insecure_loopback: bool) -> Self {
        Self {
            tokens,
            insecure_loopback,
        }
    }

    /// The caller of a request with these headers.
    pub async fn find(&self, headers: &HeaderMap, trace_id: String) -> Result<Caller, app::Error> {
        let role = match bearer(headers)? {
            Some(token) => self.tokens.resolve(token).await?,
            None if self.insecure_loopback => Role::Operator,
            None => return Err(domain::Error::Unauthenticated.into()),
        };
        // An operator acts in its own name: the header would only hide what it may see.
        let user = if role == Role::Storefront {
            named_user(headers)?
        } else {
            None
        };
        Ok(Caller {
            role,
            user,
            trace_id,
        })
    }
}

/// The caller that the door found; a call that came round the door has none.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, app::Error> {
    let found = request.extensions().get::<Caller>().cloned();
    found.ok_or_else(|| domain::Error::Unauthenticated.into())
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, domain::Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Two headers: which one counts must not depend on who reads them.
    if values.next().is_some() {
        return Err(domain::Error::Unauthenticated);
    }
    let text = value.to_str().map_err(|_| domain::Error::Unauthenticated)?;
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(Some(token)),
        _ => Err(domain::Error::Unauthenticated),
    }
}

fn named_user(headers: &HeaderMap) -> Result<Option<UserId>, domain::Error> {
    let mut values = headers.get_all(USER_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let user = value.to_str().ok().and_then(parse_uuid);
    match (user, values.next()) {
        (Some(user), None) => Ok(Some(UserId(user))),
        _ => Err(domain::Error::Invalid(vec![Violation {
            field: USER_HEADER.as_str().to_owned(),
            problem: "must be one bare lower-case UUID".to_owned(),
        }])),
    }
}

/// The trace that the call belongs to: the caller's own, else a new one.
pub fn trace_id(headers: &HeaderMap) -> String {
    let sent = headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok());
    sent.and_then(trace_of)
        .map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), str::to_owned)
}

/// Reads the trace id of a W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_of(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let sound = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2)
        // Later versions may append parts; version 00 has exactly four.
        && (version != "00" || parts.next().is_none());
    sound.then_some(trace)
}

#[cfg(test)]
mod tests;
