//! The way of a request from the wire to the panel and back, with the faults that lie on it.
//!
//! The panel's work runs in a task of its own: a client that hangs up does not stop it, as PHP would
//! not notice either.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::gate::{Answer, Arrival, answer};
use super::state::Shared;
use super::{control, list_faults, own_words};
use crate::faults::{Asked, FaultAction, FaultId, StandIn, Strike, carry_out};
use crate::serving::{self, dropped};

const MAX_BODY: usize = 4 << 20;

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let service = move |peer, request| respond(Arc::clone(&shared), peer, request);
    serving::serve(listener, stop, service).await;
}

async fn respond(shared: Arc<Shared>, peer: IpAddr, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), MAX_BODY).await else {
        return dropped();
    };
    let header = |name| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let method = parts.method.as_str().to_owned();
    if path.starts_with(control::PREFIX) {
        return control::answer(&shared, &method, &path, &body).into_response();
    }
    let (sequence, strike) = {
        let mut state = shared.lock();
        let sequence = state.log.begin(&method, &path, &query);
        let strike = state.faults.strike(&Asked {
            method: &method,
            path: &path,
            query: &query,
            body: &body,
        });
        let word = strike
            .as_ref()
            .map(|strike| strike.action.word().to_owned());
        state.log.update(sequence, |call| call.fault = word);
        (sequence, strike)
    };
    let arrival = Arrival {
        sequence,
        method,
        path,
        query,
        host: header("host").unwrap_or_else(|| "localhost".to_owned()),
        authorization: header("authorization"),
        accept: header("accept"),
        content_type: header("content-type"),
        peer,
        body: body.to_vec(),
        strike: strike.clone(),
    };
    let work = work(Arc::clone(&shared), arrival);
    match strike {
        None => crate::faults::run(work)
            .await
            .map_or_else(dropped, Answer::into_response),
        Some(strike) => carry_out(Stage(shared), strike, || work).await,
    }
}

/// Does the work and logs its status.
async fn work(shared: Arc<Shared>, mut arrival: Arrival) -> Option<Answer> {
    let bent = arrival
        .strike
        .as_ref()
        .map(|strike| strike.action.clone())
        .filter(FaultAction::bends_list);
    let asked = match &bent {
        Some(_) if arrival.method == "GET" => list_faults::widen(&mut arrival),
        _ => None,
    };
    let answered = answer(&shared, &arrival).await;
    let status = answered.as_ref().map(|(_, status)| *status);
    shared
        .lock()
        .log
        .update(arrival.sequence, |call| call.status = status);
    let (answer, _) = answered?;
    Some(match (bent, asked) {
        (Some(action), Some(asked)) => list_faults::bend(&action, &asked, answer),
        _ => answer,
    })
}

/// The panel as the course of a struck call sees it.
#[derive(Clone)]
struct Stage(Arc<Shared>);

impl StandIn for Stage {
    fn own_words(&self, action: &FaultAction) -> Answer {
        let limit = self.0.lock().rate.limit;
        own_words::reply(action, Some(limit))
    }

    async fn landing(&self, strike: &Strike) {
        let clock = &self.0.clock;
        strike.landing(|| clock.milliseconds(), clock.moved()).await;
    }

    fn landed(&self, id: FaultId) {
        self.0.lock().faults.landed(id);
    }
}
