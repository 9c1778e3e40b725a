//! What the panel answers when it refuses: the errors array, its codes and fixed texts, and the
//! forms for callers that did not ask for JSON.

use serde_json::{Value, json};

use crate::faults::FaultAction;

pub(crate) const GENERIC: &str =
    "An unexpected error was encountered while processing this request, please try again.";
const MISSING_MODEL: &str = "The requested resource could not be found on the server.";
const NO_CONNECTION: &str =
    "Could not establish a connection to the machine running this server. Please try again.";

/// One element of the errors array.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub code: &'static str,
    pub detail: String,
    /// Field and failed rule, for validation errors only.
    pub source: Option<(String, &'static str)>,
}

/// A refusal: one status, one or more items.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub status: u16,
    pub items: Vec<Item>,
    /// Validation and display errors turn into a redirect for callers that did not ask for JSON.
    pub redirects: bool,
    pub headers: Vec<(&'static str, String)>,
}

/// Why a handler did not answer with success.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Refused(Refusal),
    /// The PHP worker died in the middle: the connection closes without an answer.
    WorkerKilled,
    /// A fault ended the work in the middle and answers in its place.
    Struck(FaultAction),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        let items = vec![Item {
            code,
            detail: detail.into(),
            source: None,
        }];
        Self {
            status,
            items,
            redirects: false,
            headers: Vec::new(),
        }
    }

    /// An error meant for people, which the panel sends back to the page it came from.
    pub(crate) fn display(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            redirects: true,
            ..Self::new(status, code, detail)
        }
    }

    pub(crate) fn validation(errors: Vec<(String, &'static str, String)>) -> Self {
        let items = errors
            .into_iter()
            .map(|(field, rule, detail)| Item {
                code: "ValidationException",
                detail,
                source: Some((field, rule)),
            })
            .collect();
        Self {
            status: 422,
            items,
            redirects: true,
            headers: Vec::new(),
        }
    }

    pub(crate) fn missing_model() -> Self {
        Self::new(404, "NotFoundHttpException", MISSING_MODEL)
    }

    pub(crate) fn missing_route(path: &str) -> Self {
        let detail = format!("The route {path} could not be found.");
        Self::new(404, "NotFoundHttpException", detail)
    }

    pub(crate) fn wrong_method(method: &str, path: &str, allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        let detail = format!(
            "The {method} method is not supported for route {path}. Supported methods: {allowed}."
        );
        let mut refusal = Self::new(405, "MethodNotAllowedHttpException", detail);
        refusal.headers.push(("Allow", allowed));
        refusal
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(401, "AuthenticationException", "Unauthenticated.")
    }

    pub(crate) fn denied(detail: impl Into<String>) -> Self {
        Self::new(403, "AccessDeniedHttpException", detail)
    }

    pub(crate) fn internal(code: &'static str) -> Self {
        Self::new(500, code, GENERIC)
    }

    /// The model's own check on save, which a lost race runs into.
    pub(crate) fn model_check(model: &str, field: &str) -> Self {
        let label = field.replace('_', " ");
        let fields = json!({ field: [format!("The {label} has already been taken.")] });
        let detail = format!("Could not save {model}[]: failed to validate data: {fields}");
        Self::new(500, "DataValidationException", detail)
    }

    pub(crate) fn daemon(status: u16, said: Option<&str>, request_id: &str) -> Self {
        let detail = match (status, said) {
            (504, None) => NO_CONNECTION.to_owned(),
            (400..=499, said) => {
                let said = said.unwrap_or("unknown error");
                format!("An error occurred on the remote host: {said}. (request id: {request_id})")
            }
            _ => format!(
                "There was an error while communicating with the machine running this server. \
                 This error has been logged, please try again. (code: {status}) \
                 (request_id: {request_id})"
            ),
        };
        Self::display(status, "DaemonConnectionException", detail)
    }

    pub(crate) fn body(&self) -> Value {
        let status = self.status.to_string();
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                let mut error =
                    json!({ "code": item.code, "status": status, "detail": item.detail });
                if let Some((field, rule)) = &item.source {
                    error["meta"] = json!({ "source_field": field, "rule": rule });
                }
                error
            })
            .collect();
        json!({ "errors": items })
    }
}

/// The error page of a caller that did not ask for JSON.
pub(crate) fn html_page(status: u16) -> String {
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Server Error",
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>{title}</title></head>\n<body><p>{status} {title}</p></body>\n</html>\n"
    )
}

/// The page that goes with a redirect.
pub(crate) fn redirect_page(location: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"UTF-8\" />\
         <meta http-equiv=\"refresh\" content=\"0;url='{location}'\" />\
         <title>Redirecting to {location}</title></head>\n\
         <body>Redirecting to <a href=\"{location}\">{location}</a>.</body>\n</html>\n"
    )
}
