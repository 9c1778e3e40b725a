//! Payments that have no place in their order: of a second session, or of one that is over. They
//! go back, whoever tells of them: an event, or Stripe's list of subscriptions where none came.

use std::sync::Arc;

use crate::{
    app::{App, Error},
    db::{
        Tx, billing,
        orders::{self, Locked, Note, leases},
        refunds,
    },
    domain::{
        OrderId,
        ids::parse_uuid,
        order::{Facts, is_settled},
        refund::RefundReason,
    },
    stripe::{self, Session, SessionFilter, events::Subject},
};

/// What is told of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paid<'a> {
    /// `cs_...`.
    session_id: Option<&'a str>,
    /// Stripe's word for what was paid of it.
    payment_status: Option<&'a str>,
    /// The order that it names itself.
    order_ref: Option<&'a str>,
}

impl<'a> Paid<'a> {
    /// What an event told.
    pub fn told(subject: &'a Subject) -> Self {
        Self {
            session_id: subject.session.as_deref(),
            payment_status: subject.payment_status.as_deref(),
            order_ref: subject.order_ref.as_deref(),
        }
    }

    fn listed(session: &'a Session) -> Self {
        Self {
            session_id: Some(&session.id),
            payment_status: Some(&session.payment_status),
            order_ref: session.client_reference_id.as_deref(),
        }
    }
}

/// The session whose payment is to go back: another one than the order's, which has its own or has
/// come to its end. Only sessions that name the order themselves are meant, and the worker reads
/// them again before anything moves.
pub(super) fn due<'a>(facts: &Facts, told: Paid<'a>) -> Option<(&'a str, RefundReason)> {
    let session_id = told.session_id?;
    let paid = told.payment_status.is_some_and(is_settled);
    let named = told.order_ref.and_then(parse_uuid) == Some(facts.order.id.0);
    let known = &facts.billing;
    let own = known.session_id.as_deref() == Some(session_id);
    let other = known.never_opened || known.session_id.is_some() && !own;
    let ended = known.over() && !known.confirmed();
    if !(paid && named) {
        None
    } else if other && (known.confirmed() || known.paid()) {
        Some((session_id, RefundReason::PaidTwice))
    } else {
        // Also its own, where a delayed payment came after all.
        let late = ended && (other || own);
        late.then_some((session_id, RefundReason::PaidAfterCancel))
    }
}

/// Notes that a payment goes back, once, and has the worker see to it: whoever told of it counts.
pub(super) async fn give_back(
    tx: &Tx,
    locked: Locked,
    refund: (&str, RefundReason),
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    let id = locked.facts.order.id;
    tracing::warn!(order_id = %id, cause = note.cause, reason = %refund.1, "a payment goes back");
    refunds::decide_and_tell(tx, id, refund, note, now_us).await?;
    billing::add_hint(tx, id, None).await?;
    leases::add_fact(tx, id, now_us).await?;
    orders::seal(tx, locked, note, now_us).await?;
    Ok(())
}

/// What came of a subscription that an order has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// What was paid for it goes back.
    GoesBack,
    /// No session of ours made it, or nothing was there to go back: it is for people.
    ForPeople,
    /// Stripe did not say which session made it.
    Unknown,
}

/// Gives back what was paid for a subscription that an order has no place for, though no event told
/// of it: Stripe is asked which session it came from. What nobody bought in a session of ours is
/// left to people.
pub(crate) async fn give_back_of(
    app: &Arc<App>,
    id: OrderId,
    subscription_id: &str,
    actor: &'static str,
) -> Result<Stray, Error> {
    let filter = SessionFilter {
        subscription: Some(subscription_id.to_owned()),
        ..SessionFilter::default()
    };
    // One session makes one subscription.
    let session = match app.stripe.sessions(&filter, None).await {
        Ok(page) => page.data.into_iter().next(),
        Err(error) => {
            tracing::warn!(subscription_id, %error, "Stripe did not say who bought a subscription");
            return Ok(match error {
                stripe::Error::Invalid { .. }
                | stripe::Error::NotFound { .. }
                | stripe::Error::Garbage { .. } => Stray::ForPeople,
                _ => Stray::Unknown,
            });
        }
    };
    let Some(session) = session.filter(|found| found.livemode == app.stripe.livemode()) else {
        return Ok(Stray::ForPeople);
    };
    let (session, note) = (
        &session,
        &Note {
            actor: actor.to_owned(),
            cause: subscription_id.to_owned(),
            trace_id: String::new(),
        },
    );
    let goes_back = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(false);
            };
            let Some(refund) = due(&locked.facts, Paid::listed(session)) else {
                return Ok(false);
            };
            // One that is done was done with what there was, and this one lives all the same.
            if let Some(done) = refunds::noted(&*tx, id, refund.0).await? {
                return Ok(!done);
            }
            give_back(&tx, locked, refund, note, now_us).await?;
            Ok::<_, Error>(true)
        })
        .await?;
    if !goes_back {
        return Ok(Stray::ForPeople);
    }
    app.nudge.order(id);
    Ok(Stray::GoesBack)
}
