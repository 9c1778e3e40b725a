//! How the Stripe client is set up: where Stripe is, whose key is shown, how long a call
//! may take and how often it is tried.
//!
//! Checks that can be made without a call are made here, before the first one. Knows
//! nothing of environment variables or files: a key comes from a function, so that a
//! secret that was replaced on disk is used from the next request on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// Gives the secret key of the moment; asked before every request, so it must be cheap.
pub type KeySource = Arc<dyn Fn() -> SecretString + Send + Sync>;

/// Gives a number from 0 to 1 that spreads the retries of many callers.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A [`KeySource`] for a key that never changes.
pub fn fixed_key(key: SecretString) -> KeySource {
    Arc::new(move || key.clone())
}

/// Everything [`super::HttpStripe`] has to be told.
#[derive(Clone)]
pub struct Settings {
    /// `https://api.stripe.com`, or a stand-in; https except on loopback.
    pub base: Url,
    /// The secret or restricted key.
    pub key: KeySource,
    /// Bound of one request, from connect to the last byte.
    pub timeout: Duration,
    /// Bound of one call with all its retries and pauses.
    pub deadline: Duration,
    /// How often a call is tried in all; at least 1.
    pub attempts: u32,
    /// Longest pause before the first retry; doubles with each further one.
    pub backoff_base: Duration,
    /// Longest pause before any retry that Stripe did not ask for itself.
    pub backoff_cap: Duration,
    /// Picks the pause between half and all of what the backoff says.
    pub jitter: Jitter,
}

impl Settings {
    /// The defaults of production for this base and key.
    pub fn new(base: Url, key: KeySource) -> Self {
        Self {
            base,
            key,
            timeout: Duration::from_secs(15),
            deadline: Duration::from_secs(20),
            attempts: 3,
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(5),
            jitter: Arc::new(rand::random::<f64>),
        }
    }

    /// Names the first thing that cannot work; also called by `HttpStripe::new`.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_base()?;
        mode_of(&(self.key)()).ok_or(SettingsError::Key)?;
        if self.attempts == 0 {
            return Err(SettingsError::Limit("at least one attempt is needed"));
        }
        if self.timeout.is_zero() || self.deadline.is_zero() {
            return Err(SettingsError::Limit(
                "time-out and deadline must not be zero",
            ));
        }
        Ok(())
    }

    /// Whether the base is this machine: plain HTTP is allowed there, and no proxy is asked.
    pub(super) fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    fn check_base(&self) -> Result<(), SettingsError> {
        let base = &self.base;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(SettingsError::Base("it must be an http or https URL"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(SettingsError::Base(
                "it must not hold a user name or password",
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(SettingsError::Base("it must not have a query or fragment"));
        }
        if base.scheme() == "http" && !self.is_loopback() {
            return Err(SettingsError::Insecure);
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base", &self.base.as_str())
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Why a client cannot be built from these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The base is not something we can call.
    #[error("the Stripe base URL cannot be used: {0}")]
    Base(&'static str),
    /// Plain HTTP to another machine would show the key to the network.
    #[error("the Stripe base URL must be https, except on loopback")]
    Insecure,
    /// Not a key that may make these calls, or one whose mode cannot be told.
    #[error(
        "the Stripe key must begin with sk_test_, rk_test_, sk_live_ or rk_live_ \
         (a publishable key or a signing secret does not work here)"
    )]
    Key,
    /// A bound that allows no call at all.
    #[error("the Stripe client's limits cannot work: {0}")]
    Limit(&'static str),
    /// The HTTP client could not be made, as a rule for want of CA certificates.
    #[error("the HTTP client for Stripe could not be built")]
    Client(#[source] reqwest::Error),
}

/// Whether the key is of the live mode; `None` where it is no secret or restricted key.
pub(super) fn mode_of(key: &SecretString) -> Option<bool> {
    let key = key.expose_secret().trim();
    let live = ["sk_live_", "rk_live_"]
        .iter()
        .any(|prefix| key.starts_with(prefix));
    let test = ["sk_test_", "rk_test_"]
        .iter()
        .any(|prefix| key.starts_with(prefix));
    let sendable = key.bytes().all(|byte| byte.is_ascii_graphic());
    (sendable && (live || test)).then_some(live)
}

/// The `Authorization` header, marked so that nothing prints or indexes it. `None` where
/// the key is of another mode than `livemode` or is no key at all.
pub(super) fn authorization(key: &SecretString, livemode: bool) -> Option<HeaderValue> {
    if mode_of(key) != Some(livemode) {
        return None;
    }
    let text = SecretString::from(format!("Bearer {}", key.expose_secret().trim()));
    let mut header = HeaderValue::from_str(text.expose_secret()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base: &str, key: &str) -> Settings {
        Settings::new(
            Url::parse(base).unwrap(),
            fixed_key(SecretString::from(key)),
        )
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        let good = [
            "https://api.stripe.com",
            "https://api.stripe.com/",
            "https://mock.example/prefix/",
            "http://127.0.0.1:12111",
            "http://127.9.9.9",
            "http://[::1]:12111",
            "http://localhost:12111",
            "http://stripe.localhost",
        ];
        for base in good {
            assert!(settings(base, "sk_test_1").check().is_ok(), "{base}");
        }
        let insecure = [
            "http://api.stripe.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://notlocalhost",
        ];
        for base in insecure {
            let error = settings(base, "sk_test_1").check().unwrap_err();
            assert!(matches!(error, SettingsError::Insecure), "{base}: {error}");
        }
        let unusable = [
            "ftp://127.0.0.1",
            "mailto:a@b.c",
            "https://user@api.stripe.com",
            "https://:secret@api.stripe.com",
            "https://api.stripe.com?x=1",
            "https://api.stripe.com#x",
        ];
        for base in unusable {
            let error = settings(base, "sk_test_1").check().unwrap_err();
            assert!(matches!(error, SettingsError::Base(_)), "{base}: {error}");
            assert!(!error.to_string().contains("secret@"));
        }
    }

    #[test]
    fn the_key_says_its_mode_and_foreign_keys_are_refused() {
        let rows = [
            ("sk_live_1", Some(true)),
            ("rk_live_1", Some(true)),
            ("sk_test_1", Some(false)),
            ("rk_test_1", Some(false)),
            ("  sk_test_1\n", Some(false)),
            ("pk_live_1", None),
            ("whsec_1", None),
            ("", None),
            ("sk_live", None),
            ("sk_test_a\nb", None),
            ("sk_test_\u{e9}", None),
        ];
        for (key, mode) in rows {
            assert_eq!(mode_of(&SecretString::from(key)), mode, "{key:?}");
            let check = settings("https://api.stripe.com", key).check();
            assert_eq!(check.is_ok(), mode.is_some(), "{key:?}");
        }
    }

    #[test]
    fn the_header_is_trimmed_sensitive_and_of_one_mode() {
        let key = SecretString::from("sk_test_1\n");
        let header = authorization(&key, false).unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer sk_test_1");
        assert!(header.is_sensitive());
        assert!(authorization(&key, true).is_none());
    }

    #[test]
    fn limits_that_allow_no_call_are_refused_and_nothing_prints_the_key() {
        let mut none = settings("https://api.stripe.com", "sk_test_topsecret");
        none.attempts = 0;
        assert!(matches!(none.check(), Err(SettingsError::Limit(_))));
        let mut hasty = settings("https://api.stripe.com", "sk_test_topsecret");
        hasty.deadline = Duration::ZERO;
        assert!(matches!(hasty.check(), Err(SettingsError::Limit(_))));
        assert!(!format!("{hasty:?}").contains("topsecret"));
        let drawn = (hasty.jitter)();
        assert!((0.0..1.0).contains(&drawn));
    }
}
