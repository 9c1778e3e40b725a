//! The account's key, as a bearer token or as the user of Basic authentication.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::errors::Refusal;

/// Refuses a call without the right key. The key itself is not repeated in the answer.
pub(super) fn check(headers: &HeaderMap, secret_key: &str) -> Result<(), Refusal> {
    let header = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some(given) = header.and_then(given_key) else {
        return Err(Refusal::unauthorized(
            "You did not provide an API key. Send it in the Authorization header, as a bearer \
             token or as the user of HTTP Basic authentication.",
        ));
    };
    if bool::from(given.as_bytes().ct_eq(secret_key.as_bytes())) {
        Ok(())
    } else {
        Err(Refusal::unauthorized("Invalid API Key provided."))
    }
}

fn given_key(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.split(':')
        .next()
        .filter(|user| !user.is_empty())
        .map(str::to_owned)
}
