//! Opens the session of an order at Stripe: by the call that made the order, else
//! by the worker. Both send the same stored bodies under the same keys, so it does
//! not matter who, nor how often.

use std::sync::Arc;

use tracing::Instrument;

use super::{
    KEY_LIFE_US, customer, form,
    openings::{Ends, Turn},
};
use crate::{
    app::{App, Error},
    db::{
        billing,
        orders::{self, Note, leases},
        profiles,
    },
    domain::{
        OrderId, SECOND_US,
        order::{ErrorReason, Facts},
    },
    stripe::{self, Session, SessionFilter},
};

/// A user has few sessions: this many pages of 100 are more than enough.
const PAGES: usize = 10;

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The session exists.
    Open(Box<Facts>),
    /// It was certainly never opened, and the order is over.
    NeverOpened(Cause),
    /// Stripe gave no answer to rely on; the same bodies will be sent again.
    Later {
        /// What is wrong, for the log.
        error: String,
    },
}

/// Why a session was never opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Stripe does not sell a price; which parameter named it.
    Price(String),
    /// Stripe refused the customer's data, or no longer has the customer.
    Customer,
    /// Its time was over before it could be opened.
    Late,
    /// Stripe refused another parameter: a fault of our configuration.
    Other(String),
}

/// Opens the session, or waits for whoever is opening it already.
pub async fn open(app: &Arc<App>, id: OrderId, note: &Note) -> Result<Outcome, Error> {
    let tell = match app.openings.turn(id) {
        Turn::Ours(tell) => tell,
        Turn::Theirs(told) => {
            return Ok(told.await.unwrap_or_else(|_| Outcome::Later {
                error: "another call tried in vain".to_owned(),
            }));
        }
    };
    let note = note.clone();
    let ends = Ends {
        app: Arc::clone(app),
        id,
    };
    // Its own task: a caller that hangs up does not leave Stripe half asked.
    let opening = async move {
        let outcome = send(&ends.app, id, &note).await;
        if let Ok(outcome) = &outcome {
            // Nobody else may have waited.
            let _ = tell.send(outcome.clone());
        }
        outcome
    };
    let task = tokio::spawn(opening.in_current_span());
    let opened = task.await;
    opened.map_err(|error| Error::Internal(format!("opening a session: {error}")))?
}

/// Sends the stored requests: the customer's first where the user has none.
async fn send(app: &App, id: OrderId, note: &Note) -> Result<Outcome, Error> {
    let facts = orders::find(app.db.read(), id).await?;
    let facts = facts.ok_or_else(|| Error::Internal(format!("order {id} was not found")))?;
    if facts.billing.session_id.is_some() {
        return Ok(Outcome::Open(Box::new(facts)));
    }
    let unsent = facts.billing.request_sent_us.is_none();
    if unsent && facts.billing.request_expires_us <= app.db.now().await? {
        // Stripe would not open it any more: no customer is made for it.
        end(app, id, false, note).await?;
        return Ok(Outcome::NeverOpened(Cause::Late));
    }
    let known = facts.billing.customer_id.clone();
    let found = match known {
        Some(customer_id) => Ok(customer_id),
        None => {
            let expires_us = facts.billing.request_expires_us;
            customer::of(app, facts.order.user_id, expires_us).await?
        }
    };
    let customer_id = match found {
        Ok(customer_id) => customer_id,
        Err(stripe::Error::Invalid {
            code,
            param,
            request_id,
        }) => {
            tracing::error!(order_id = %id, code, param, request_id, "customer refused");
            return refuse_customer(app, &facts, None, note).await;
        }
        Err(error) => {
            return Ok(Outcome::Later {
                error: error.to_string(),
            });
        }
    };
    let body = complete(app, &facts, &customer_id, note).await?;
    let now_us = app.db.now().await?;
    let sent_us = facts.billing.request_sent_us.unwrap_or(now_us);
    if now_us - sent_us > KEY_LIFE_US {
        return find_or_end(app, &facts, &customer_id, note, "the key is too old").await;
    }
    match app.stripe.create_session(&body, &id.to_string()).await {
        Ok(session) => store(app, id, &session, note).await,
        Err(stripe::Error::Invalid {
            code,
            param,
            request_id,
        }) => {
            tracing::error!(order_id = %id, code, param, request_id, "Stripe refused the session");
            if param == "customer" {
                return refuse_customer(app, &facts, Some(&customer_id), note).await;
            }
            let cause = match param.as_str() {
                price if price.starts_with("line_items") => Cause::Price(param),
                "expires_at" => Cause::Late,
                _ => Cause::Other(param),
            };
            let price_refused = matches!(cause, Cause::Price(_));
            if price_refused {
                app.prices.forget_all();
            }
            end(app, id, price_refused, note).await?;
            Ok(Outcome::NeverOpened(cause))
        }
        Err(stripe::Error::Unknown { replayed: true, .. } | stripe::Error::KeyReused { .. }) => {
            find_or_end(
                app,
                &facts,
                &customer_id,
                note,
                "the key only replays an error",
            )
            .await
        }
        Err(error) => Ok(Outcome::Later {
            error: error.to_string(),
        }),
    }
}

/// Stripe does not take the customer: the order ends, and the user's next checkout
/// makes the customer anew. A refused body is not stored under its key; a customer
/// that was deleted at Stripe would be, so the key changes.
async fn refuse_customer(
    app: &App,
    facts: &Facts,
    customer_id: Option<&str>,
    note: &Note,
) -> Result<Outcome, Error> {
    let (id, user_id) = (facts.order.id, facts.order.user_id);
    if customer_id.is_some() || facts.billing.request_sent_us.is_none() {
        let key = &format!("cus:{user_id}:{id}");
        app.db
            .tx(|tx| async move { profiles::forget_customer(&tx, user_id, customer_id, key).await })
            .await?;
    }
    end(app, id, false, note).await?;
    Ok(Outcome::NeverOpened(Cause::Customer))
}

/// Completes the stored body by its customer and commits it before it is first sent.
async fn complete(
    app: &App,
    facts: &Facts,
    customer_id: &str,
    note: &Note,
) -> Result<billing::Form, Error> {
    let id = facts.order.id;
    let stored = billing::request(app.db.read(), id).await?;
    if facts.billing.request_sent_us.is_some() {
        return Ok(stored);
    }
    let body = form::with_customer(stored, customer_id);
    let body_ref = &body;
    let sent = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let locked = orders::lock(&tx, id).await?;
            let Some(locked) = locked else {
                return Ok(None);
            };
            if locked.facts.billing.request_sent_us.is_some() {
                // Somebody else was first: their body is the one.
                return Ok(Some(billing::request(&*tx, id).await?));
            }
            billing::complete_request(&tx, id, body_ref, customer_id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(None)
        })
        .await?;
    Ok(sent.unwrap_or(body))
}

async fn store(app: &App, id: OrderId, session: &Session, note: &Note) -> Result<Outcome, Error> {
    let facts = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let locked = orders::lock(&tx, id).await?;
            let locked = locked.ok_or_else(|| Error::Internal(format!("order {id} vanished")))?;
            billing::set_session(
                &tx,
                id,
                &session.id,
                session.url.as_deref(),
                session.expires_at * SECOND_US,
                &session.status,
            )
            .await?;
            leases::add_fact(&tx, id, now_us).await?;
            Ok::<_, Error>(orders::seal(&tx, locked, note, now_us).await?)
        })
        .await?;
    Ok(Outcome::Open(Box::new(facts)))
}

/// Under its key nothing was ever opened, and nothing will be: the order is over.
async fn end(app: &App, id: OrderId, price_refused: bool, note: &Note) -> Result<(), Error> {
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let locked = orders::lock(&tx, id).await?;
            let locked = locked.ok_or_else(|| Error::Internal(format!("order {id} vanished")))?;
            if locked.facts.billing.session_id.is_some() {
                return Ok(());
            }
            billing::set_never_opened(&tx, id).await?;
            if price_refused {
                let message = "Stripe refused a price when the session was opened".to_owned();
                let progress = orders::Progress {
                    waiting: None,
                    error: Some((ErrorReason::StripePriceInvalid, message)),
                    attempts: locked.facts.order.attempts,
                };
                orders::set_progress(&tx, id, &progress).await?;
            }
            leases::add_fact(&tx, id, now_us).await?;
            orders::seal(&tx, locked, note, now_us).await?;
            Ok::<_, Error>(())
        })
        .await
}

/// The key tells nothing any more: the customer's own sessions do. None there, and
/// past its expiry, means that it was never opened.
async fn find_or_end(
    app: &App,
    facts: &Facts,
    customer_id: &str,
    note: &Note,
    why: &str,
) -> Result<Outcome, Error> {
    let id = facts.order.id;
    let filter = SessionFilter {
        customer: Some(customer_id.to_owned()),
        ..SessionFilter::default()
    };
    let mut after: Option<String> = None;
    for _ in 0..PAGES {
        let page = match app.stripe.sessions(&filter, after.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                return Ok(Outcome::Later {
                    error: error.to_string(),
                });
            }
        };
        let reference = id.to_string();
        let ours = page
            .data
            .iter()
            .find(|session| session.client_reference_id.as_deref() == Some(&reference));
        if let Some(session) = ours {
            return store(app, id, session, note).await;
        }
        after = page.data.last().map(|session| session.id.clone());
        if !page.has_more || after.is_none() {
            let now_us = app.db.now().await?;
            if now_us > facts.billing.request_expires_us {
                end(app, id, false, note).await?;
                return Ok(Outcome::NeverOpened(Cause::Late));
            }
            return Ok(Outcome::Later {
                error: why.to_owned(),
            });
        }
    }
    Ok(Outcome::Later {
        error: "too many sessions to look through".to_owned(),
    })
}
