//! Ids that must not be mixed up: bare lower-case UUIDs on the wire.

use std::fmt;

use uuid::Uuid;

/// An order: also the panel's `external_id` of its server and Stripe's `client_reference_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub Uuid);

/// A user of the identity provider: also the panel's `external_id` of their account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

impl OrderId {
    /// Whether it looks like one of ours, which are of version 7: other shops of a shared account
    /// name their orders by UUIDs too, mostly random ones.
    pub fn may_be_ours(self) -> bool {
        self.0.get_version_num() == 7
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Reads a bare lower-case UUID of 36 characters. Other spellings of the same id
/// are refused, so that an id has one form wherever it is compared as text.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (id.as_hyphenated().encode_lower(&mut buffer) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::parse_uuid;

    #[test]
    fn only_one_spelling_is_read() {
        let good = "0192f0c1-2f3a-7c4d-9e5f-0123456789ab";
        assert!(parse_uuid(good).is_some());
        for bad in [
            "",
            "0192F0C1-2F3A-7C4D-9E5F-0123456789AB",
            "0192f0c12f3a7c4d9e5f0123456789ab",
            "{0192f0c1-2f3a-7c4d-9e5f-0123456789ab}",
            "urn:uuid:0192f0c1-2f3a-7c4d-9e5f-0123456789ab",
            " 0192f0c1-2f3a-7c4d-9e5f-0123456789ab",
        ] {
            assert!(parse_uuid(bad).is_none(), "{bad:?}");
        }
    }
}
