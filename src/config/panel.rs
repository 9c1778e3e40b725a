//! `PANEL_*` and `PTERO*`: the panel, under either of its two names; and what is done there by
//! force.

use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::{
    SecretSource,
    reader::{Reader, Secret},
};

/// The panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Where customers log in, and the API below it.
    pub url: Url,
    /// An application key.
    pub key: SecretSource,
    /// Requests a minute; without it the panel's own headers tell.
    pub rate_limit: Option<u32>,
    /// Creates in flight over all replicas: more only makes nodes slow.
    pub max_creates: u32,
    /// As `max_creates`, for one node.
    pub max_creates_per_node: u32,
    /// How long an ended order's server may withstand its deletion before it is deleted by
    /// force; none: for ever.
    pub force_delete_after: Option<Duration>,
}

const URLS: [&str; 2] = ["PANEL_URL", "PTERODACTYL_URL"];
const KEYS: [&str; 2] = ["PTERO_APP_KEY", "PTERODACTYL_API_KEY"];

impl Panel {
    /// The usual limits for the panel at `url`.
    pub fn at(url: Url, key: SecretSource) -> Self {
        Self {
            url,
            key,
            rate_limit: None,
            max_creates: 4,
            max_creates_per_node: 2,
            force_delete_after: None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let url = read_url(reader);
        let key = read_key(reader);
        let defaults = Self::at(url, key);
        let rate_limit = reader.number("PANEL_RATE_LIMIT", 0, 0..=100_000);
        let max_creates = reader.number("PANEL_MAX_CREATES", defaults.max_creates, 1..=64);
        let max_creates_per_node = reader.number(
            "PANEL_MAX_CREATES_PER_NODE",
            defaults.max_creates_per_node,
            1..=64,
        );
        let rate_limit = (rate_limit > 0).then_some(rate_limit);
        Self {
            rate_limit,
            max_creates,
            max_creates_per_node,
            force_delete_after: read_force(reader),
            ..defaults
        }
    }
}

/// What is deleted by force is not deleted by a slip: an hour at least.
fn read_force(reader: &mut Reader<'_>) -> Option<Duration> {
    const NAME: &str = "FORCE_DELETE_AFTER_SECONDS";
    let after = reader.patience(NAME)?;
    if after < Duration::from_secs(3600) {
        reader.fault(
            NAME,
            format!("is {}", after.as_secs_f64()),
            "must be 0, or an hour at least",
        );
    }
    Some(after)
}

fn read_url(reader: &mut Reader<'_>) -> Url {
    let given = URLS.map(|name| (reader.text(name).is_some(), reader.url(name)));
    let [(first_set, first), (second_set, second)] = given;
    if let (Some(first), Some(second)) = (&first, &second)
        && first.as_str().trim_end_matches('/') != second.as_str().trim_end_matches('/')
    {
        let hint = "they are two names of one setting: remove one";
        reader.fault(URLS[0], format!("differs from {}", URLS[1]), hint);
    }
    if !first_set && !second_set {
        let hint = format!(
            "the address of the panel, as in a browser; {} is the same",
            URLS[1]
        );
        reader.fault(URLS[0], "is missing", hint);
    }
    first.or(second).unwrap_or_else(stand_in)
}

fn read_key(reader: &mut Reader<'_>) -> SecretSource {
    let key = match KEYS.map(|name| reader.secret(name)) {
        [Secret::Given(first), Secret::Given(second)] => {
            if first.get().expose_secret() != second.get().expose_secret() {
                let hint = "they are two names of one setting: remove one";
                reader.fault(KEYS[0], format!("differs from {}", KEYS[1]), hint);
            }
            Secret::Given(first)
        }
        [Secret::Absent, other] | [other, _] => other,
    };
    match &key {
        Secret::Absent => {
            let hint = format!(
                "an application key of the panel (ptla_...); {} is the same",
                KEYS[1]
            );
            reader.fault(KEYS[0], "is missing", hint);
        }
        Secret::Given(key) => check_key(reader, key.get().expose_secret()),
        Secret::Broken => {}
    }
    key.or_stand_in()
}

fn check_key(reader: &mut Reader<'_>, key: &str) {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.fault(
            KEYS[0],
            "has characters that no key has",
            "copy it again, in one line",
        );
    } else if key.starts_with("ptlc_") {
        let hint = "make one under Admin, Application API";
        reader.fault(KEYS[0], "is a client key, not an application key", hint);
    }
}

/// Never used: a fault was noted where it stands in.
fn stand_in() -> Url {
    #[expect(clippy::expect_used, reason = "a constant; a test parses it")]
    Url::parse("http://localhost").expect("a valid URL")
}
