//! `STRIPE_*`: which Stripe, and with whose key.

use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{
    SecretSource,
    reader::{Reader, Secret},
};

/// Stripe.
#[derive(Clone, Debug)]
pub struct Stripe {
    /// A secret or restricted key.
    pub secret_key: SecretSource,
    /// Stripe, or a stand-in on this machine.
    pub api_base: Url,
}

const KEY: &str = "STRIPE_SECRET_KEY";
const BASE: &str = "STRIPE_API_BASE";
const KEY_HINT: &str = "a key of Stripe's dashboard that starts with sk_test_, rk_test_, sk_live_ \
     or rk_live_; or name a file in STRIPE_SECRET_KEY_FILE";

impl Stripe {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let secret_key = reader.secret(KEY);
        match &secret_key {
            Secret::Absent => reader.fault(KEY, "is missing", KEY_HINT),
            Secret::Given(key) if !is_key(key.get().expose_secret()) => {
                reader.fault(KEY, "is no secret key of Stripe", KEY_HINT);
            }
            Secret::Given(_) | Secret::Broken => {}
        }
        let api_base = reader.url(BASE).unwrap_or_else(stripe_itself);
        if api_base.scheme() != "https" && !is_loopback(&api_base) {
            let hint = "the key would cross the network in the clear; use https";
            reader.fault(BASE, "is plain http to another machine", hint);
        }
        Self {
            secret_key: secret_key.or_stand_in(),
            api_base,
        }
    }
}

fn is_key(key: &str) -> bool {
    ["sk_test_", "rk_test_", "sk_live_", "rk_live_"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn stripe_itself() -> Url {
    #[expect(clippy::expect_used, reason = "a constant; a test parses it")]
    Url::parse("https://api.stripe.com").expect("a valid URL")
}

/// Whether the address is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
