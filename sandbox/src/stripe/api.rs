//! The way of one API call: log, faults, key, version, idempotency, work, answer.
//!
//! The work runs in its own task, so that a caller who gives up does not undo what
//! was begun; only the way back (delays, hangs, cut connections) ends with the caller.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use url::form_urlencoded;

use super::answer::Answer;
use super::calls::Call;
use super::errors::Refusal;
use super::form::Params;
use super::idempotency::{Stored, fingerprint};
use super::list_faults;
use super::version::ApiVersion;
use super::world::{App, World};
use crate::faults::{
    self, Asked, FaultAction, FaultId, Moment, StandIn, Strike, carry_out, instead,
};
use crate::serving::{Reply, dropped};

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
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    pairs: Vec<(String, String)>,
    /// A body that is not a form.
    foreign: bool,
    id: Option<String>,
}

impl Received {
    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }

    fn key(&self) -> Option<String> {
        self.header("idempotency-key")
            .filter(|_| self.method == "POST")
    }
}

/// What the answer to a call has to know.
#[derive(Clone)]
struct Ticket {
    /// Its place in the log.
    call: usize,
    request_id: String,
    key: Option<String>,
    strike: Option<Strike>,
    /// The strike was counted when the call came in.
    counted: bool,
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
        Err(refusal) => {
            return Reply::from(Answer::refused(&refusal, "req_unread", false)).into_response();
        }
    };
    let ticket = app.world().ticket(&received);
    let work = work(app.clone(), run, received, ticket.clone());
    let response = match ticket.strike.clone() {
        None => faults::run(work)
            .await
            .map_or_else(dropped, Reply::into_response),
        Some(strike) => {
            let till = Till {
                app: app.clone(),
                ticket: ticket.clone(),
            };
            tokio::select! {
                response = carry_out(till, strike, || work) => response,
                // The server stops, and with it every wait.
                () = app.stop.cancelled() => dropped(),
            }
        }
    };
    if let Some(call) = app.world().calls.get_mut(ticket.call) {
        let closed = crate::serving::closes(&response);
        call.status = if closed {
            0
        } else {
            response.status().as_u16()
        };
    }
    response
}

async fn read(id: Option<String>, request: Request) -> Result<Received, Refusal> {
    let (parts, body) = request.into_parts();
    let too_large = |_| Refusal {
        status: 413,
        ..Refusal::invalid("Request body too large.")
    };
    let body = to_bytes(body, LARGEST_BODY).await.map_err(too_large)?;
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let kind = parts
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let foreign = !body.is_empty() && !form;
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    if !foreign {
        pairs.extend(form_urlencoded::parse(&body).into_owned());
    }
    Ok(Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query,
        headers: parts.headers,
        body: body.to_vec(),
        pairs,
        foreign,
        id,
    })
}

/// Lets the call in and does what it asks. Nothing if a fault closes the connection in the middle.
async fn work(app: App, run: Endpoint, mut received: Received, ticket: Ticket) -> Option<Reply> {
    let strike = ticket.strike.as_ref();
    let bent = strike
        .map(|strike| strike.action.clone())
        .filter(|action| action.bends_list() && received.method == "GET");
    if let Some(action) = &bent {
        list_faults::rewind(action, &mut received.pairs);
    }
    let entered = app.world().enter(&received, &ticket);
    let ask = match entered {
        Ok(Entry::Run(ask)) => ask,
        Ok(Entry::Replay(answer)) => return Some(answer.into()),
        Err(refusal) => return Some(app.world().refuse(&refusal, &ticket).into()),
    };
    if let Some(strike) = strike.filter(|strike| strike.when == Moment::BeforeCommit) {
        app.world().faults.reached(strike.id);
        let ends = match &strike.action {
            FaultAction::Delay { milliseconds } => {
                strike.rest(*milliseconds).await;
                false
            }
            FaultAction::Hang { milliseconds } => {
                strike.rest(*milliseconds).await;
                true
            }
            // Kept under the key, and so part of the work.
            FaultAction::InternalError => false,
            action => !action.bends_answer(),
        };
        if ends {
            app.world().forget(&ticket);
            return instead(&strike.action, |action| {
                app.world().own_words(action, &ticket)
            });
        }
    }
    let answer: Reply = app.world().execute(run, &ask, &ticket).into();
    Some(match bent {
        Some(action) => list_faults::bend(&action, answer),
        None => answer,
    })
}

/// The till as the course of a struck call sees it.
#[derive(Clone)]
struct Till {
    app: App,
    ticket: Ticket,
}

impl StandIn for Till {
    fn own_words(&self, action: &FaultAction) -> Reply {
        self.app.world().own_words(action, &self.ticket)
    }

    async fn landing(&self, strike: &Strike) {
        let moved = std::sync::Arc::clone(&self.app.world().moved);
        let clock = || self.app.world().clock.milliseconds();
        strike.landing(clock, &moved).await;
    }

    fn landed(&self, id: FaultId) {
        self.app.world().faults.landed(id);
    }
}

/// How a call goes on after the checks.
enum Entry {
    Run(Invocation),
    Replay(Answer),
}

impl World {
    /// Logs a call and says what strikes it.
    fn ticket(&mut self, received: &Received) -> Ticket {
        self.tick();
        let mut strike = self.faults.strike(&Asked {
            method: &received.method,
            path: &received.path,
            query: &received.query,
            body: &received.body,
        });
        let counted = strike
            .as_ref()
            .is_some_and(|strike| strike.when == Moment::AfterWork);
        if let Some(strike) = &mut strike {
            // Nobody is told of what Stripe writes, and an error of its own is kept under the key.
            strike.when = match (&strike.action, strike.when) {
                (FaultAction::InternalError, Moment::AfterWork) => Moment::AfterCommit,
                (FaultAction::InternalError, moment) => moment,
                (_, Moment::AfterCommit) => {
                    self.faults.reached(strike.id);
                    Moment::AfterWork
                }
                (_, moment) => moment,
            };
        }
        let ticket = Ticket {
            call: self.calls.len(),
            request_id: self.ids.make("req_"),
            key: received.key(),
            strike,
            counted,
        };
        self.calls.push(Call {
            method: received.method.clone(),
            path: received.path.clone(),
            status: 0,
            idempotency_key: received.header("idempotency-key"),
            replayed: false,
            version: received.header("stripe-version"),
            params: received.pairs.clone(),
        });
        ticket
    }

    fn own_words(&self, action: &FaultAction, ticket: &Ticket) -> Reply {
        let key = ticket.key.as_deref();
        Answer::own_words(action, key, &ticket.request_id, self.livemode).into()
    }

    fn refuse(&self, refusal: &Refusal, ticket: &Ticket) -> Answer {
        Answer::refused(refusal, &ticket.request_id, self.livemode)
    }

    /// The checks before the work.
    fn enter(&mut self, received: &Received, ticket: &Ticket) -> Result<Entry, Refusal> {
        self.tick();
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
        if let Some(key) = &ticket.key {
            let asked = fingerprint(&received.method, &received.path, params.pairs());
            let now = self.now();
            if let Some(stored) = self.keys.begin(key, &asked, now)? {
                if let Some(call) = self.calls.get_mut(ticket.call) {
                    call.replayed = true;
                }
                let answer = Answer::replay(&stored, &ticket.request_id, Some(key));
                return Ok(Entry::Replay(answer));
            }
        }
        Ok(Entry::Run(Invocation {
            params,
            version,
            id: received.id.clone(),
        }))
    }

    /// A call that was begun and is not kept.
    fn forget(&mut self, ticket: &Ticket) {
        if let Some(key) = &ticket.key {
            self.keys.finish(key, None);
        }
    }

    /// The work itself, and what is kept of its answer.
    fn execute(&mut self, run: Endpoint, ask: &Invocation, ticket: &Ticket) -> Answer {
        self.tick();
        self.request = Some((ticket.request_id.clone(), ticket.key.clone()));
        let broken = ticket.strike.as_ref().and_then(|strike| {
            let own = strike.action == FaultAction::InternalError;
            own.then_some((strike.id, strike.when))
        });
        let result = match broken {
            Some((_, Moment::BeforeCommit)) => Err(Refusal::internal(500)),
            Some((id, Moment::AfterCommit)) => {
                if !ticket.counted {
                    self.faults.reached(id);
                }
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
            Err(refusal) => self.refuse(&refusal, ticket),
        };
        answer.header("Stripe-Version", ask.version.as_str());
        if let Some(key) = &ticket.key {
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
