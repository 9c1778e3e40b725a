//! How callers change an order: its row is locked, what is another's is absent, a repeated
//! request changes nothing, and what was changed is computed, recorded and told in the same
//! transaction.

use std::{future::Future, sync::Arc};

use uuid::Uuid;

use crate::{
    app::{App, Caller, Error, requests::Request},
    db::{
        Tx,
        orders::{self, Note, leases},
    },
    domain::{self, OrderId, error::Kind, order::Facts},
};

/// A call that changes one order.
pub(in crate::app) struct Change<'a> {
    /// Who calls.
    caller: &'a Caller,
    /// `Service/Method`.
    method: &'static str,
    /// Which order.
    id: OrderId,
    /// The call's `request_id`, if it has one.
    request_id: Option<Uuid>,
    /// What else is in the call, in a canonical form: a repeat must be the same.
    body: &'a [u8],
}

impl<'a> Change<'a> {
    /// What a call asks for.
    pub fn new(
        caller: &'a Caller,
        method: &'static str,
        id: OrderId,
        request_id: Option<Uuid>,
        body: &'a [u8],
    ) -> Self {
        Self {
            caller,
            method,
            id,
            request_id,
            body,
        }
    }

    /// Runs `body` under the order's lock, unless an earlier call with this `request_id` did,
    /// and answers the order as it is then. The worker looks at it at once.
    pub async fn make<F, Fut>(self, app: &Arc<App>, body: F) -> Result<Facts, Error>
    where
        F: Fn(Tx, Facts, Note, i64) -> Fut + Sync,
        Fut: Future<Output = Result<(), Error>> + Send,
    {
        let scope = self.caller.may(self.method)?;
        let id = self.id;
        let request = &self.request_id.map(|given| {
            let asked = [id.0.as_bytes(), self.body].concat();
            Request::new(self.caller, self.method, given, &asked)
        });
        let note = &Note {
            actor: self.caller.actor(),
            cause: self.method.to_owned(),
            trace_id: self.caller.trace_id.clone(),
        };
        let body = &body;
        let facts = app
            .db
            .tx(|tx| async move {
                let now_us = app.db.now_in(&tx).await?;
                let locked = orders::lock(&tx, id).await?;
                let locked = locked
                    .filter(|locked| scope.covers(locked.facts.order.user_id))
                    .ok_or_else(|| domain::Error::not_found(Kind::Order, id))?;
                if let Some(request) = request
                    && request.earlier(&*tx, now_us).await?.is_some()
                {
                    return Ok(locked.facts);
                }
                body(tx.clone(), locked.facts.clone(), note.clone(), now_us).await?;
                leases::add_fact(&tx, id, now_us).await?;
                if let Some(request) = request {
                    request.remember(&tx, &id.to_string(), now_us).await?;
                }
                Ok::<_, Error>(orders::seal(&tx, locked, note, now_us).await?)
            })
            .await?;
        app.nudge.order(id);
        Ok(facts)
    }
}

/// Refuses what cannot be done to an order in this state.
pub(in crate::app) fn refuse(facts: &Facts, reason: &'static str, message: &str) -> Error {
    let order_id = facts.order.id.to_string();
    domain::Error::precondition(reason, message, vec![("order_id", order_id)]).into()
}

/// Refuses where nothing is left to change.
pub(in crate::app) fn live(facts: &Facts) -> Result<(), Error> {
    if facts.billing.over() {
        return Err(refuse(facts, "ORDER_ENDED", "the order is over"));
    }
    Ok(())
}
