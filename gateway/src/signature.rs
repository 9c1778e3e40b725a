//! Stripe's webhook signature: reads the header, checks the time window, checks the HMAC.
//!
//! Works on the raw bytes of the body and knows nothing of HTTP routes, JSON or
//! the core. `v1` is the lower-case hex of HMAC-SHA256 over `t`, a dot and the
//! body, keyed with the whole signing secret as text. While a secret is being
//! rolled the header carries one `v1` per active secret, so any of them may
//! match any secret configured here. Every secret and every `v1` is always
//! compared, in constant time: the time taken depends on lengths only.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

/// A longer header is refused unread; room for some fifty signatures.
const HEADER_LIMIT_BYTES: usize = 4096;

/// The signing secrets of one endpoint: one, or several during rotation.
pub struct WebhookSecrets(Vec<Hmac<Sha256>>);

impl WebhookSecrets {
    /// Reads secrets separated by commas or line breaks; blanks around each are dropped.
    pub fn parse(text: &str) -> Result<Self, String> {
        let secrets: Vec<&str> = text
            .split([',', '\n', '\r'])
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .collect();
        if secrets.is_empty() {
            return Err("holds no secret".to_owned());
        }
        let mut keyed = Vec::with_capacity(secrets.len());
        for secret in secrets {
            if secret.contains(char::is_whitespace) {
                return Err("a secret must not contain blanks; separate them by commas".to_owned());
            }
            if ["sk_", "rk_", "pk_"]
                .iter()
                .any(|prefix| secret.starts_with(prefix))
            {
                return Err(
                    "is an API key; the endpoint's signing secret is needed (whsec_...)".to_owned(),
                );
            }
            let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                .map_err(|_| "holds a secret that cannot be a key".to_owned())?;
            keyed.push(mac);
        }
        Ok(Self(keyed))
    }

    /// How many secrets are accepted.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({} hidden)", self.0.len())
    }
}

/// Why a request was not accepted as Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// No signature header.
    HeaderMissing,
    /// More than one signature header.
    HeaderRepeated,
    /// Not a list of `key=value`.
    HeaderMalformed,
    /// No `t`.
    TimestampMissing,
    /// `t` is not a plain number of seconds.
    TimestampInvalid,
    /// More than one `t`.
    TimestampRepeated,
    /// No well-formed `v1`.
    SignatureMissing,
    /// Signed too long before it arrived. `authentic`: the signature itself is right.
    TooOld {
        /// The HMAC matches: a replay, or one of the clocks is wrong.
        authentic: bool,
    },
    /// Signed too far after it arrived. `authentic`: the signature itself is right.
    TooNew {
        /// The HMAC matches: one of the clocks is wrong.
        authentic: bool,
    },
    /// No `v1` belongs to this body and a secret of ours.
    SignatureWrong,
}

impl Rejection {
    /// The word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::HeaderMissing => "header_missing",
            Self::HeaderRepeated => "header_repeated",
            Self::HeaderMalformed => "header_malformed",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampInvalid => "timestamp_invalid",
            Self::TimestampRepeated => "timestamp_repeated",
            Self::SignatureMissing => "signature_missing",
            Self::TooOld { .. } => "timestamp_too_old",
            Self::TooNew { .. } => "timestamp_too_new",
            Self::SignatureWrong => "signature_wrong",
        }
    }

    /// Whether only the time was wrong: a skewed clock or a replay, never a stranger.
    pub fn is_authentic(self) -> bool {
        matches!(
            self,
            Self::TooOld { authentic: true } | Self::TooNew { authentic: true }
        )
    }
}

/// Accepts a request whose header signs `body` with one of `secrets`, at most
/// `tolerance` before or after `received`. Returns how many seconds passed
/// between signing and arrival.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &WebhookSecrets,
    received: SystemTime,
    tolerance: Duration,
) -> Result<i64, Rejection> {
    let header = Header::parse(only_value(headers)?)?;
    let age = unix_seconds(received).saturating_sub(header.timestamp);
    let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
    // Computed for a stale request too: its answer is the same 400, but a right
    // signature at a wrong time is what tells an operator of a skewed clock.
    let authentic = header.matches(secrets, body);
    if age > tolerance {
        Err(Rejection::TooOld { authentic })
    } else if age < -tolerance {
        Err(Rejection::TooNew { authentic })
    } else if authentic {
        Ok(age)
    } else {
        Err(Rejection::SignatureWrong)
    }
}

fn only_value(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(SIGNATURE_HEADER).iter();
    let value = values.next().ok_or(Rejection::HeaderMissing)?;
    if values.next().is_some() {
        return Err(Rejection::HeaderRepeated);
    }
    if value.len() > HEADER_LIMIT_BYTES {
        return Err(Rejection::HeaderMalformed);
    }
    value.to_str().map_err(|_| Rejection::HeaderMalformed)
}

fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    }
}

/// What one header says.
#[derive(Debug)]
struct Header<'a> {
    timestamp: i64,
    /// `t` as written: the signature covers the text, not the number.
    timestamp_text: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Header<'a> {
    fn parse(value: &'a str) -> Result<Self, Rejection> {
        let mut timestamp_text = None;
        let mut signatures = Vec::new();
        for item in value.split(',') {
            let (scheme, content) = item.split_once('=').ok_or(Rejection::HeaderMalformed)?;
            match scheme {
                "t" if timestamp_text.is_some() => return Err(Rejection::TimestampRepeated),
                "t" => timestamp_text = Some(content),
                // A v1 that is no digest equals nothing; another one may still match.
                "v1" => signatures.extend(digest(content)),
                // v0 is Stripe's test scheme, the rest is not invented yet.
                _ => {}
            }
        }
        let timestamp_text = timestamp_text.ok_or(Rejection::TimestampMissing)?;
        let timestamp = seconds(timestamp_text).ok_or(Rejection::TimestampInvalid)?;
        if signatures.is_empty() {
            return Err(Rejection::SignatureMissing);
        }
        Ok(Self {
            timestamp,
            timestamp_text,
            signatures,
        })
    }

    fn matches(&self, secrets: &WebhookSecrets, body: &[u8]) -> bool {
        let mut found = Choice::from(0);
        for secret in &secrets.0 {
            let mut mac = secret.clone();
            mac.update(self.timestamp_text.as_bytes());
            mac.update(b".");
            mac.update(body);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            for signature in &self.signatures {
                found |= expected.ct_eq(signature);
            }
        }
        found.into()
    }
}

/// Plain digits only: no sign, no blank, no fraction.
fn seconds(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Stripe writes lower case; one spelling per digest leaves no room for variants.
fn digest(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

#[cfg(test)]
mod tests;
