//! What a handler gets to know of a request, and what it gives back.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::auth::Grants;
use super::errors::{Failure, Refusal};
use super::include::Includes;
use super::state::Shared;
use super::validate::Form;
use crate::faults::{FaultAction, Moment, Strike};

/// A request that passed every gate.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub now: OffsetDateTime,
    /// `http://host`, for the links in answers.
    pub base_url: String,
    /// The path as sent, for links to other pages.
    pub path: String,
    pub grants: Grants,
    pub query: Value,
    pub body: Value,
    pub includes: Includes,
    /// The ids of the rows that the path names, in order.
    pub ids: Vec<i64>,
    /// The placeholders of the path, decoded.
    pub params: Vec<String>,
    /// The fault the request ran into.
    pub strike: Option<Strike>,
}

impl Context {
    /// The first row the path names; the gate made sure that it exists.
    pub(crate) fn id(&self) -> i64 {
        self.ids.first().copied().unwrap_or_default()
    }

    /// An inner moment of the work has come: a fault that waits for it strikes now.
    pub(crate) async fn reach(&self, shared: &Shared, moment: Moment) -> Result<(), Failure> {
        let Some(strike) = self.strike.as_ref().filter(|strike| strike.when == moment) else {
            return Ok(());
        };
        shared.lock().faults.reached(strike.id);
        match &strike.action {
            FaultAction::Delay { milliseconds } => {
                strike.rest(*milliseconds).await;
                Ok(())
            }
            FaultAction::Hang { milliseconds } => {
                strike.rest(*milliseconds).await;
                Err(Failure::WorkerKilled)
            }
            FaultAction::Drop => Err(Failure::WorkerKilled),
            action if action.bends_answer() => Ok(()),
            action => Err(Failure::Struck(action.clone())),
        }
    }

    pub(crate) fn form(&self) -> Form<'_> {
        Form::new(&self.body)
    }

    pub(crate) fn field(&self, path: &str) -> Option<&Value> {
        super::input::lookup(&self.body, path)
    }
}

/// A successful answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(u16, Value),
    NoContent,
}

pub(crate) type Handled = Result<Reply, Failure>;

pub(crate) fn ok(body: Value) -> Handled {
    Ok(Reply::Json(200, body))
}

pub(crate) fn item(object: &str, attributes: Map<String, Value>) -> Value {
    json!({ "object": object, "attributes": attributes })
}

pub(crate) fn list(data: Vec<Value>) -> Value {
    json!({ "object": "list", "data": data })
}

pub(crate) fn missing() -> Failure {
    Refusal::missing_model().into()
}
