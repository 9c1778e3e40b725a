//! The way of a request into the panel, in the panel's own order of checks, and out again.
//!
//! Maintenance, route, key, JSON, two factors, address, request limit, row, administrator, right,
//! handler. What fails before the limit is not charged and tells nothing about it.

mod dispatch;

use std::net::IpAddr;

use serde_json::Value;

use super::auth::{KeyKind, KeySpec, authenticate, bearer};
use super::context::{Context, Reply};
use super::errors::{Failure, Refusal, html_page, redirect_page};
use super::include::Includes;
use super::input::{is_json, leading_integer, parse_body, parse_query, text};
use super::own_words;
use super::routes::{Endpoint, Found, Route, find};
use super::state::{Outage, Shared, State};
use crate::faults::{Strike, instead};
pub(crate) use crate::serving::Reply as Answer;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Its place in the call log.
    pub sequence: usize,
    pub method: String,
    pub path: String,
    pub query: String,
    pub host: String,
    pub authorization: Option<String>,
    pub accept: Option<String>,
    pub content_type: Option<String>,
    pub peer: IpAddr,
    pub body: Vec<u8>,
    /// The fault it ran into.
    pub strike: Option<Strike>,
}

impl Arrival {
    fn wants_json(&self) -> bool {
        self.accept.as_deref().is_some_and(is_json)
    }

    /// The path as messages and links name it.
    fn plain_path(&self) -> &str {
        self.path.trim_matches('/')
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.host)
    }
}

/// A request that may reach its handler.
enum Admitted {
    /// OPTIONS on a known path.
    Methods(Vec<&'static str>),
    Handler(Endpoint, Box<Context>),
}

/// The limit and what remains of it, once a request was counted.
type Charge = Option<(u32, u32)>;

/// Answers a request, and says with which status its work ended; nothing if the panel's worker
/// died over it.
pub(crate) async fn answer(shared: &Shared, arrival: &Arrival) -> Option<(Answer, u16)> {
    let _worker = shared.workers.take().await;
    let mut charge = None;
    let mut ended = None;
    let admitted = admit(&mut shared.lock(), shared, arrival, &mut charge);
    let handled = match admitted {
        Ok(Admitted::Methods(methods)) => return Some((preflight(&methods), 200)),
        Ok(Admitted::Handler(endpoint, ctx)) => {
            dispatch::dispatch(shared, endpoint, &ctx, arrival).await
        }
        Err(refusal) => Err(refusal.into()),
    };
    let mut answer = match handled {
        Ok(Reply::Json(status, body)) => Answer::json(status, &body),
        Ok(Reply::NoContent) => Answer {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        },
        Err(Failure::Refused(refusal)) => refused(&refusal, arrival),
        Err(Failure::WorkerKilled) => return None,
        Err(Failure::Struck(action)) => {
            // Whatever the caller is told, the work has failed.
            ended = Some(500);
            instead(&action, |action| own_words::reply(action, None))?
        }
    };
    if let Some((limit, remaining)) = charge {
        answer.push("X-RateLimit-Limit", limit.to_string());
        answer.push("X-RateLimit-Remaining", remaining.to_string());
    }
    answer.push("Cache-Control", "no-cache, private");
    let ended = ended.unwrap_or(answer.status);
    Some((answer, ended))
}

fn preflight(methods: &[&str]) -> Answer {
    let mut answer = Answer::new(200, "text/html; charset=UTF-8", "");
    answer.push("Allow", methods.join(","));
    answer.push("Vary", "Access-Control-Request-Method");
    answer
}

fn refused(refusal: &Refusal, arrival: &Arrival) -> Answer {
    let root = arrival.base_url();
    let redirect = match refusal.status {
        401 if !refusal.redirects => Some(format!("{root}/auth/login")),
        _ => refusal.redirects.then_some(root),
    };
    let html = "text/html; charset=UTF-8";
    let mut answer = match redirect {
        _ if arrival.wants_json() => Answer::json(refusal.status, &refusal.body()),
        Some(location) => {
            let mut answer = Answer::new(302, html, redirect_page(&location));
            answer.push("Location", location);
            answer
        }
        None => Answer::new(refusal.status, html, html_page(refusal.status)),
    };
    for (name, value) in &refusal.headers {
        answer.push(name, value);
    }
    answer
}

fn admit(
    state: &mut State,
    shared: &Shared,
    arrival: &Arrival,
    charge: &mut Charge,
) -> Result<Admitted, Refusal> {
    match state.outage {
        Some(Outage::Maintenance) => {
            return Err(Refusal::new(503, "HttpException", "Service Unavailable"));
        }
        Some(Outage::Cache) => return Err(Refusal::internal("ConnectionException")),
        _ => {}
    }
    let (route, params) = match find(&arrival.method, &arrival.path) {
        Found::Route(route, params) => (route, params),
        Found::OtherMethods(methods) if arrival.method == "OPTIONS" => {
            return Ok(Admitted::Methods(methods));
        }
        Found::OtherMethods(methods) => {
            return Err(Refusal::wrong_method(
                &arrival.method,
                arrival.plain_path(),
                &methods,
            ));
        }
        Found::Nothing => return Err(Refusal::missing_route(arrival.plain_path())),
    };
    state.log.update(arrival.sequence, |call| {
        call.template = Some(route.template)
    });
    let now = shared.clock.now();
    let query = Value::Object(parse_query(&arrival.query));
    let mut ctx = Context {
        now,
        base_url: arrival.base_url(),
        path: arrival.path.trim_end_matches('/').to_owned(),
        grants: super::auth::Grants::ALL,
        includes: Includes::parse(query.get("include")),
        query,
        body: Value::Null,
        ids: Vec::new(),
        params,
        strike: arrival.strike.clone(),
    };
    if route.endpoint != Endpoint::InstallReport {
        let key = authorise(state, arrival, route, now)?;
        ctx.grants = key.effective_grants();
        ctx.body = Value::Object(parse_body(arrival.content_type.as_deref(), &arrival.body)?);
        throttle(state, arrival, &key, (now, charge))?;
        log_request(state, arrival, route, &ctx);
        ctx.ids = bind(state, route, &ctx.params).ok_or_else(Refusal::missing_model)?;
        permit(state, route, &key)?;
    } else {
        ctx.body = Value::Object(parse_body(arrival.content_type.as_deref(), &arrival.body)?);
    }
    Ok(Admitted::Handler(route.endpoint, Box::new(ctx)))
}

/// The key of the request. With the database down even a look at a key fails.
fn authorise(
    state: &State,
    arrival: &Arrival,
    route: &Route,
    now: time::OffsetDateTime,
) -> Result<KeySpec, Refusal> {
    let token = bearer(arrival.authorization.as_deref());
    if token.is_some() && state.outage == Some(Outage::Database) {
        return Err(Refusal::internal("QueryException"));
    }
    let key = authenticate(&state.keys, token, now).ok_or_else(Refusal::unauthenticated)?;
    if route.endpoint == Endpoint::ClientApi {
        return Err(match key.kind {
            KeyKind::Application => Refusal::denied(
                "You are attempting to use an application API key on an endpoint that requires a \
                 client API key.",
            ),
            // The customers' own API is no part of this stand-in.
            KeyKind::Account => Refusal::missing_route(arrival.plain_path()),
        });
    }
    Ok(key.clone())
}

/// Two factors, address, then the request limit of the key's owner.
fn throttle(
    state: &mut State,
    arrival: &Arrival,
    key: &KeySpec,
    (now, charge): (time::OffsetDateTime, &mut Charge),
) -> Result<(), Refusal> {
    if state.outage == Some(Outage::TwoFactorRequired) {
        return Err(Refusal::new(
            400,
            "TwoFactorAuthRequiredException",
            "Two-factor authentication is required on this account in order to access this \
             endpoint.",
        ));
    }
    if !key.allowed_ips.is_empty() && !key.allowed_ips.contains(&arrival.peer) {
        let peer = arrival.peer;
        return Err(Refusal::denied(format!(
            "This IP address ({peer}) does not have permission to access the API using these \
             credentials."
        )));
    }
    let owner = state
        .users
        .get(&key.user)
        .ok_or_else(Refusal::unauthenticated)?
        .uuid;
    let remaining = state.rate.hit(owner, now)?;
    *charge = Some((state.rate.limit, remaining));
    state
        .log
        .update(arrival.sequence, |call| call.charged = true);
    Ok(())
}

fn log_request(state: &mut State, arrival: &Arrival, route: &Route, ctx: &Context) {
    let external_id = match route.endpoint {
        Endpoint::CreateServer | Endpoint::CreateUser => text(ctx.field("external_id")),
        Endpoint::ViewServerExternal | Endpoint::ViewUserExternal => ctx.params.first().cloned(),
        _ => None,
    };
    let body = Some(&ctx.body).filter(|body| body.as_object().is_some_and(|map| !map.is_empty()));
    state.log.update(arrival.sequence, |call| {
        call.external_id = external_id;
        call.body = body.cloned();
    });
}

/// The rows a path names; an egg must belong to its nest and a port to its node.
fn bind(state: &State, route: &Route, params: &[String]) -> Option<Vec<i64>> {
    let names = route
        .template
        .split('/')
        .filter(|part| part.starts_with('{'));
    let mut ids: Vec<i64> = Vec::new();
    for (name, param) in names.zip(params) {
        let id = leading_integer(param);
        let parent = ids.last().copied();
        let found = match name {
            "{user}" => state.users.contains_key(&id),
            "{server}" => state.servers.contains_key(&id),
            "{node}" => state.nodes.contains_key(&id),
            "{location}" => state.locations.contains_key(&id),
            "{nest}" => state.nests.contains_key(&id),
            "{egg}" => state
                .eggs
                .get(&id)
                .is_some_and(|egg| Some(egg.nest_id) == parent),
            "{allocation}" => state
                .allocations
                .get(&id)
                .is_some_and(|row| Some(row.node_id) == parent),
            _ => continue,
        };
        if !found {
            return None;
        }
        ids.push(id);
    }
    Some(ids)
}

fn permit(state: &State, route: &Route, key: &KeySpec) -> Result<(), Refusal> {
    if !state
        .users
        .get(&key.user)
        .is_some_and(|user| user.root_admin)
    {
        return Err(Refusal::denied(
            "This account does not have permission to access the API.",
        ));
    }
    let grants = key.effective_grants();
    let allowed = if route.writes() {
        grants.can_write(route.resource)
    } else {
        grants.can_read(route.resource)
    };
    if allowed {
        Ok(())
    } else {
        Err(Refusal::denied("This action is unauthorized."))
    }
}
