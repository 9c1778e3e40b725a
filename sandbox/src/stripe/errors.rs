//! Refusals: what is answered instead of an object, in the shape of Stripe's errors.
//!
//! A refusal also says whether the request had begun to act, because only then
//! is the answer kept under its idempotency key.

use serde_json::{Map, Value, json};

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stripe's `type`.
    pub kind: &'static str,
    /// Stripe's `code`.
    pub code: Option<&'static str>,
    /// The text for people.
    pub message: String,
    /// The parameter it is about.
    pub param: Option<String>,
    /// Whether stored objects were looked at, not the parameters alone.
    pub(super) by_state: bool,
}

impl Refusal {
    /// A 400 about the request's own text.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            by_state: false,
        }
    }

    /// Names the code.
    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Names the parameter.
    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Marks a refusal that came from looking at objects.
    pub(super) fn by_state(mut self) -> Self {
        self.by_state = true;
        self
    }

    /// A parameter names an object that does not exist.
    pub(super) fn no_such(object: &str, id: &str, param: impl Into<String>) -> Self {
        Self::invalid(format!("No such {object}: '{id}'"))
            .code("resource_missing")
            .param(param)
            .by_state()
    }

    /// The path names an object that does not exist.
    pub(super) fn not_found(object: &str, id: &str) -> Self {
        Self {
            status: 404,
            ..Self::no_such(object, id, "id")
        }
    }

    /// A required parameter is absent.
    pub(super) fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        Self::invalid(format!("Missing required param: {param}."))
            .code("parameter_missing")
            .param(param)
    }

    /// A part of Stripe that exists but is not played here; better said than faked.
    pub(super) fn not_simulated(what: &str) -> Self {
        Self::invalid(format!("This stand-in does not simulate {what}.")).param(what)
    }

    /// A key that is absent or wrong.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self {
            status: 401,
            ..Self::invalid(message)
        }
    }

    /// A path or method that is not served.
    pub(super) fn unknown_url(method: &str, path: &str) -> Self {
        Self {
            status: 404,
            ..Self::invalid(format!(
                "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs."
            ))
        }
    }

    /// The key was used with other parameters or on another path.
    pub(super) fn key_reused(key: &str) -> Self {
        Self {
            kind: "idempotency_error",
            ..Self::invalid(format!(
                "Keys for idempotent requests can only be used with the same parameters they were \
                 first used with. Try using a key other than '{key}' if you meant to execute a \
                 different request."
            ))
        }
    }

    /// The first request with this key is still running.
    pub(super) fn key_in_use(key: &str) -> Self {
        Self {
            status: 409,
            ..Self::invalid(format!(
                "There is currently another in-progress request using this Idempotency Key \
                 ('{key}'). Please try again later."
            ))
            .code("idempotency_key_in_use")
        }
    }

    /// Too many requests.
    pub(super) fn rate_limited() -> Self {
        Self {
            status: 429,
            ..Self::invalid("Request rate limit exceeded.").code("rate_limit")
        }
    }

    /// The object is locked by another call.
    pub(super) fn lock_timeout() -> Self {
        Self {
            status: 429,
            ..Self::invalid(
                "This object cannot be accessed right now, because another request is using it.",
            )
            .code("lock_timeout")
        }
    }

    /// Something broke on Stripe's side.
    pub(super) fn internal(status: u16) -> Self {
        Self {
            status,
            kind: "api_error",
            ..Self::invalid("An unknown error occurred on our side.")
        }
    }

    /// The body Stripe would send.
    pub(super) fn body(&self, request_id: &str, livemode: bool) -> Value {
        let mut error = Map::new();
        let mode = if livemode { "" } else { "test/" };
        error.insert("type".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message));
        error.insert(
            "request_log_url".into(),
            json!(format!(
                "https://dashboard.stripe.com/{mode}logs/{request_id}"
            )),
        );
        if let Some(code) = self.code {
            let page = code.replace('_', "-");
            error.insert("code".into(), json!(code));
            error.insert(
                "doc_url".into(),
                json!(format!("https://stripe.com/docs/error-codes/{page}")),
            );
        }
        if let Some(param) = &self.param {
            error.insert("param".into(), json!(param));
        }
        json!({ "error": error })
    }
}
