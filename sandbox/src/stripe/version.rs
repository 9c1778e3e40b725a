//! The `Stripe-Version` a request, an account or a webhook endpoint speaks.
//!
//! Only two changes matter to what is rendered here: basil (2025-03-31) moved
//! periods and links, dahlia (2026-03-25) renamed the modes of the page.

use super::errors::Refusal;

/// The first version that renders the new paths.
const BASIL: &str = "2025-03-31";
/// The first version that says `hosted_page` instead of `hosted`.
const DAHLIA: &str = "2026-03-25";

/// A version such as `2026-07-29.dahlia` or `2024-06-20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersion(String);

impl ApiVersion {
    /// The last version of the old rendering.
    pub const OLD: &'static str = "2025-02-24.acacia";
    /// A version of the new rendering.
    pub const NEW: &'static str = "2026-07-29.dahlia";

    /// Reads a version; anything that is not a date with an optional name is refused.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (date, name) = text.split_once('.').unwrap_or((text, "x"));
        let parts: Vec<&str> = date.split('-').collect();
        let dated = matches!(parts.as_slice(), [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2)
            && date.chars().all(|c| c.is_ascii_digit() || c == '-');
        if dated && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::invalid(format!(
                "Invalid Stripe API version: {text}"
            )))
        }
    }

    /// One of the versions named here.
    pub(super) fn named(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Whether objects are rendered with the paths of basil and later.
    pub fn is_new(&self) -> bool {
        self.date() >= BASIL
    }

    /// How this version calls Stripe's own page.
    pub(super) fn hosted(&self) -> &'static str {
        if self.date() >= DAHLIA {
            "hosted_page"
        } else {
            "hosted"
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn date(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}
