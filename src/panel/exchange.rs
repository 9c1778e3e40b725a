//! One request to the panel and what came back.
//!
//! Owns the connections, the key's header, the rate budget's two questions, the
//! size cap and the log line. Knows what kind of call it carries, never its meaning.
//! The log names a path template, status and time; no address, query or body, but for
//! how an answer begins that is not JSON at all: it tells whose page it is.

use std::{
    error::Error as StdError,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::{
    Client, Method, Request, Response,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    },
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Budget, Class, Error, RateSeen, Trouble,
    sort::{Answer, Call, sort},
};

/// Gives the panel's key; asked before every request, so that it can be rotated.
pub type KeySource = Arc<dyn Fn() -> SecretString + Send + Sync>;

/// How a request reaches the panel: over the network, or answered on the spot by whoever
/// has answers and no panel.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends it, and gives the answer as soon as its head is there.
    async fn send(&self, request: Request) -> reqwest::Result<Response>;
}

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Request) -> reqwest::Result<Response> {
        self.execute(request).await
    }
}

/// The way to one panel: shared by all clones of the client.
pub(super) struct Link {
    pub(super) transport: Box<dyn Transport>,
    /// `.../api/application`, without a slash at the end.
    pub(super) root: Url,
    pub(super) key: KeySource,
    pub(super) budget: Arc<dyn Budget>,
    pub(super) body_max: usize,
}

/// One request, but for what every request carries.
pub(super) struct Ask<'a> {
    pub(super) call: Call,
    pub(super) method: Method,
    /// The path without its values, for the log.
    pub(super) template: &'static str,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Vec<u8>>,
    /// For all of it, from the connection to the last byte of the answer.
    pub(super) time_out: Duration,
    /// Not sent later than this: the caller's right to send it ends.
    pub(super) begin_by: Option<Instant>,
}

/// Why a body is not there as a whole.
enum Lost {
    TooLong,
    BrokenOff,
}

/// How much is logged of an answer that is not JSON.
const SHOWN: usize = 200;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

impl Link {
    /// Sends it, unless the budget forbids, and gives the body of a success.
    pub(super) async fn run(&self, class: Class, ask: Ask<'_>) -> Result<Vec<u8>, Error> {
        let (call, begin_by) = (ask.call, ask.begin_by);
        let line = Line {
            method: ask.method.clone(),
            template: ask.template,
        };
        let request = self.request(ask)?;
        if let Err(after) = self.budget.take(class).await {
            line.held_back(after);
            return Err(Error::RateLimited { after });
        }
        let started = Instant::now();
        if begin_by.is_some_and(|begin_by| begin_by < started) {
            // The budget took its time.
            return Err(Error::RateLimited {
                after: Duration::ZERO,
            });
        }
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => {
                let sorted = never_answered(call, &error);
                line.unanswered(started, error);
                return Err(sorted);
            }
        };
        let status = response.status().as_u16();
        let mut seen = RateSeen {
            limit: number(response.headers(), &LIMIT),
            remaining: number(response.headers(), &REMAINING),
            retry_after: None,
        };
        let retry_after = number(response.headers(), &RETRY_AFTER).map(Duration::from_secs);
        let content = self.content(response).await;
        line.answered(started, status, seen.remaining);
        if let Ok(content) = &content
            && foreign(content)
        {
            line.foreign(status, content);
        }

        let charged = seen.limit.is_some() || seen.remaining.is_some();
        let sorted = |content: &[u8]| {
            sort(
                call,
                &Answer {
                    status,
                    charged,
                    retry_after,
                    content,
                },
            )
        };
        let outcome = match content {
            Ok(content) if call.succeeds_with(status) => Ok(content),
            Ok(content) => Err(sorted(&content)),
            // The status was the whole answer.
            Err(_) if call.succeeds_with(status) && call.wants_no_body() => Ok(Vec::new()),
            Err(Lost::TooLong) if call.succeeds_with(status) => Err(Error::Garbage {
                what: format!("body above {} bytes", self.body_max),
            }),
            Err(Lost::TooLong) => Err(sorted(b"")),
            Err(Lost::BrokenOff) => Err(call.broken_off(status)),
        };
        if let Err(Error::RateLimited { after }) = &outcome {
            seen.retry_after = Some(*after);
        }
        self.budget.observe(seen).await;
        outcome
    }

    fn request(&self, ask: Ask<'_>) -> Result<Request, Error> {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut request = Request::new(ask.method, url);
        *request.timeout_mut() = Some(ask.time_out);
        let headers = request.headers_mut();
        // Anything else, `*/*` included, turns the panel's errors into redirects and pages.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, self.bearer()?);
        if let Some(body) = ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        Ok(request)
    }

    /// A key that is empty or cannot stand in a header would be refused: not sent at all.
    fn bearer(&self) -> Result<HeaderValue, Error> {
        let refused = Error::NotDone {
            trouble: Trouble::KeyRefused,
        };
        let key = (self.key)();
        let key = key.expose_secret().trim();
        if key.is_empty() {
            return Err(refused);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| refused)?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn content(&self, mut response: Response) -> Result<Vec<u8>, Lost> {
        let announced = response.content_length().unwrap_or_default();
        let announced = usize::try_from(announced).map_err(|_| Lost::TooLong)?;
        if announced > self.body_max {
            return Err(Lost::TooLong);
        }
        let mut content = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|_| Lost::BrokenOff)? {
            if content.len() + chunk.len() > self.body_max {
                return Err(Lost::TooLong);
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content)
    }
}

/// Whether it cannot even be the beginning of a panel's answer, whose JSON may hold secrets.
fn foreign(content: &[u8]) -> bool {
    let first = content.trim_ascii_start().first();
    first.is_some_and(|byte| !matches!(byte, b'{' | b'['))
}

/// No status at all: was the request on its way already?
fn never_answered(call: Call, error: &reqwest::Error) -> Error {
    if error.is_connect() {
        Error::NotDone {
            trouble: Trouble::Unreachable,
        }
    } else if error.is_builder() {
        Error::NotDone {
            trouble: Trouble::Failing,
        }
    } else {
        call.doubtful(Trouble::NoAnswer)
    }
}

fn number<T: FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The log of one call.
struct Line {
    method: Method,
    template: &'static str,
}

impl Line {
    fn held_back(&self, after: Duration) {
        let Self { method, template } = self;
        tracing::debug!(%method, path = template, ?after, "panel call held back by the budget");
    }

    fn unanswered(&self, started: Instant, error: reqwest::Error) {
        let Self { method, template } = self;
        let elapsed_ms = started.elapsed().as_millis();
        // An address in the error would hold the query, and with it an e-mail.
        let error = Chain(error.without_url());
        tracing::debug!(%method, path = template, elapsed_ms, %error, "panel call unanswered");
    }

    fn answered(&self, started: Instant, status: u16, remaining: Option<u32>) {
        let Self { method, template } = self;
        let elapsed_ms = started.elapsed().as_millis();
        tracing::debug!(%method, path = template, status, elapsed_ms, remaining, "panel call");
    }

    fn foreign(&self, status: u16, content: &[u8]) {
        let Self { method, template } = self;
        let begins = content[..content.len().min(SHOWN)].escape_ascii();
        tracing::warn!(%method, path = template, status, %begins, "not the panel's JSON");
    }
}

/// An error with its causes: the first line alone says "error sending request".
struct Chain(reqwest::Error);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
