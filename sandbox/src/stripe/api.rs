//! The way of one API call: log, faults, key, version, idempotency, work, answer.
//!
//! The work runs in its own task, so that a caller who gives up does not undo what
//! was begun; only the way back (delays, hangs, cut connections) ends with the caller.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::answer::Answer;
use super::calls::Call;
use super::errors::Refusal;
use super::faults::Effect;
use super::form::Params;
use super::idempotency::{Stored, fingerprint};
use super::version::ApiVersion;
use super::world::{App, World};

const LARGEST_BODY: usize = 1 << 20;

/// What an endpoint is asked.
pub(super) struct Invocation {
    pub params: Params,
    pub version: ApiVersion,
    id: Option<String>,
}

impl Invocation {
    /// The id in the path.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// One operation of the API.
pub(super) type Endpoint = fn(&mut World, &Invocation) -> Result<Value, Refusal>;

/// A call as it came in.
struct Received {
    method: String,
    path: String,
    headers: HeaderMap,
    pairs: Vec<(String, String)>,
    /// A body that is not a form.
    foreign: bool,
    id: Option<String>,
}

/// A call that was let in.
struct Admitted {
    ticket: Ticket,
    ask: Invocation,
    key: Option<String>,
}

/// What the answer to a call has to know.
#[derive(Clone)]
struct Ticket {
    call: usize,
    request_id: String,
    effect: Option<Effect>,
    /// Ends its waiting when the faults are cleared; taken when the fault struck.
    unhang: CancellationToken,
}

/// Serves one call.
pub(super) async fn serve(
    app: App,
    run: Endpoint,
    id: Option<String>,
    request: Request,
) -> Response {
    let received = match read(id, request).await {
        Ok(received) => received,
        Err(refusal) => return Answer::refused(&refusal, "req_unread", false).into_response(),
    };
    let work = tokio::spawn(work(app.clone(), run, received));
    let Ok((ticket, answer)) = work.await else {
        return Answer::refused(&Refusal::internal(500), "req_broken", false).into_response();
    };
    way_back(&app, ticket, answer).await
}

async fn read(id: Option<String>, request: Request) -> Result<Received, Refusal> {
    let (parts, body) = request.into_parts();
    let too_large = |_| Refusal {
        status: 413,
        ..Refusal::invalid("Request body too large.")
    };
    let body = to_bytes(body, LARGEST_BODY).await.map_err(too_large)?;
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let kind = parts
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let foreign = !body.is_empty() && !form;
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query).into_owned().collect();
    if !foreign {
        pairs.extend(form_urlencoded::parse(&body).into_owned());
    }
    Ok(Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        pairs,
        foreign,
        id,
    })
}

async fn work(app: App, run: Endpoint, received: Received) -> (Ticket, Answer) {
    let admitted = app.world().admit(&received);
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(early) => return *early,
    };
    if let Some(Effect::Delay { millis }) = admitted.ticket.effect {
        wait(&app, &admitted.ticket, Some(millis)).await;
    }
    let answer = app.world().execute(run, &admitted);
    (admitted.ticket, answer)
}

/// Bends the finished answer as the fault wants it, and logs what the caller sees.
async fn way_back(app: &App, ticket: Ticket, answer: Answer) -> Response {
    let seen = match ticket.effect {
        Some(Effect::Garbage | Effect::Html | Effect::Truncated) => 200,
        Some(Effect::DropBefore | Effect::DropAfter | Effect::Hang { .. }) => 0,
        Some(
            Effect::Status { .. }
            | Effect::RateLimited { .. }
            | Effect::InternalError { .. }
            | Effect::Delay { .. }
            | Effect::DelayAnswer { .. },
        )
        | None => answer.status,
    };
    if let Some(Effect::DelayAnswer { millis }) = ticket.effect {
        wait(app, &ticket, Some(millis)).await;
    }
    if let Some(Effect::Hang { .. }) = ticket.effect {
        wait(app, &ticket, None).await;
    }
    if let Some(call) = app.world().calls.get_mut(ticket.call) {
        call.status = seen;
    }
    match ticket.effect {
        Some(Effect::DropBefore | Effect::DropAfter | Effect::Hang { .. }) => Answer::dropped(),
        Some(Effect::Garbage) => answer.garbage(),
        Some(Effect::Html) => answer.html(),
        Some(Effect::Truncated) => answer.truncated(),
        _ => answer.into_response(),
    }
}

/// Waits as long as it is told (`None`: for ever), or until the faults are cleared.
async fn wait(app: &App, ticket: &Ticket, millis: Option<u64>) {
    let time = async {
        match millis {
            Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = app.stop.cancelled() => {}
        () = ticket.unhang.cancelled() => {}
        () = time => {}
    }
}

impl World {
    /// Everything before the work. An early answer comes back as the error.
    fn admit(&mut self, received: &Received) -> Result<Admitted, Box<(Ticket, Answer)>> {
        self.tick();
        let header = |name: &str| {
            let value = received
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let key = header("idempotency-key").filter(|_| received.method == "POST");
        let ticket = Ticket {
            call: self.calls.len(),
            request_id: self.ids.make("req_"),
            effect: self.faults.strike(&received.method, &received.path),
            unhang: self.unhang.clone(),
        };
        self.calls.push(Call {
            method: received.method.clone(),
            path: received.path.clone(),
            status: 0,
            idempotency_key: header("idempotency-key"),
            replayed: false,
            version: header("stripe-version"),
            params: received.pairs.clone(),
        });
        if let Some(effect) = ticket
            .effect
            .as_ref()
            .filter(|effect| effect.instead_of_work())
        {
            let answer = Answer::instead(effect, &ticket.request_id, self.livemode);
            return Err(Box::new((ticket, answer)));
        }
        match self.let_in(received, key.as_deref()) {
            Ok(Entry::Run(ask)) => Ok(Admitted { ticket, ask, key }),
            Ok(Entry::Replay(stored)) => {
                if let Some(call) = self.calls.get_mut(ticket.call) {
                    call.replayed = true;
                }
                let answer = Answer::replay(&stored, &ticket.request_id, key.as_deref());
                Err(Box::new((ticket, answer)))
            }
            Err(refusal) => {
                let answer = Answer::refused(&refusal, &ticket.request_id, self.livemode);
                Err(Box::new((ticket, answer)))
            }
        }
    }

    fn let_in(&mut self, received: &Received, key: Option<&str>) -> Result<Entry, Refusal> {
        super::auth::check(&received.headers, &self.config.secret_key)?;
        let version = match received.headers.get("stripe-version") {
            Some(value) => ApiVersion::parse(value.to_str().unwrap_or_default())?,
            None => self.account_version.clone(),
        };
        if received.foreign {
            return Err(Refusal::invalid(
                "Invalid request (check that your POST content type is \
                 application/x-www-form-urlencoded).",
            ));
        }
        let params = Params::parse(received.pairs.clone())?;
        if let Some(key) = key {
            let asked = fingerprint(&received.method, &received.path, params.pairs());
            let now = self.now();
            if let Some(stored) = self.keys.begin(key, &asked, now)? {
                return Ok(Entry::Replay(stored));
            }
        }
        Ok(Entry::Run(Invocation {
            params,
            version,
            id: received.id.clone(),
        }))
    }

    /// The work itself, and what is kept of its answer.
    fn execute(&mut self, run: Endpoint, admitted: &Admitted) -> Answer {
        self.tick();
        let Admitted { ticket, ask, key } = admitted;
        self.request = Some((ticket.request_id.clone(), key.clone()));
        let result = match ticket.effect {
            Some(Effect::InternalError { after_work: false }) => Err(Refusal::internal(500)),
            Some(Effect::InternalError { after_work: true }) => {
                run(self, ask).and(Err(Refusal::internal(500)))
            }
            _ => run(self, ask),
        };
        self.request = None;
        let kept = match &result {
            Ok(_) => true,
            Err(refusal) if refusal.by_state => self.config.store_state_refusals,
            Err(refusal) => refusal.status >= 500,
        };
        let mut answer = match result {
            Ok(value) => Answer::done(&value, &ticket.request_id),
            Err(refusal) => Answer::refused(&refusal, &ticket.request_id, self.livemode),
        };
        answer.header("Stripe-Version", ask.version.as_str());
        if let Some(key) = key {
            answer.header("Idempotency-Key", key);
            let stored = Stored {
                status: answer.status,
                body: answer.body.clone(),
                request_id: ticket.request_id.clone(),
            };
            self.keys.finish(key, kept.then_some(stored));
        }
        answer
    }
}

/// How a call goes on after the checks.
enum Entry {
    Run(Invocation),
    Replay(Stored),
}
