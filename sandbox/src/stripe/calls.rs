//! The log of API calls, which tests count and read.

use serde::Serialize;

/// One call of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Status as the caller saw it; 0 while it runs, or if no answer was sent.
    pub status: u16,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Whether the answer was the stored one of an earlier call.
    pub replayed: bool,
    /// `Stripe-Version`.
    pub version: Option<String>,
    /// Decoded parameters in the order sent.
    pub params: Vec<(String, String)>,
}

impl Call {
    /// The value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}
