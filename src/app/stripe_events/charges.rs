//! Events about money: refunds and disputes. They name no order, so Stripe is asked whose they
//! are, outside of the transaction that stored them; and what they say is read from Stripe too.

use std::sync::Arc;

use super::applied::{Ignored, applied, failed, ignored, tell_lost};
use crate::{
    app::{App, Error},
    db::{
        Tx,
        affiliates::referrals,
        billing, disputes, order_events,
        orders::{self, Locked, Note, leases},
        stripe_events::{self, State, inbox},
    },
    domain::{
        MINUTE_US, OrderId,
        dispute::RefundPolicy,
        ids::parse_uuid,
        order::{EndWish, Facts},
    },
    stripe::{
        self, Invoice,
        events::{self, Event},
    },
};

/// Those asked about in one run.
const AT_ONCE: u64 = 100;
/// So many without an answer may be Stripe's trouble, and not theirs.
const MOST_UNANSWERED: u32 = 5;

const RETURNED: &str = "a refund of its payment failed at Stripe: the money is with the shop again, \
                        and somebody has to give it back in another way";

/// What Stripe has just made may not be in its lists yet: that a payment is nobody's is believed
/// of an event that is so old.
const NOBODYS_AFTER_US: i64 = 2 * MINUTE_US;

/// Whether events of this type are about money.
pub(super) fn are_about_money(kind: &str) -> bool {
    kind.starts_with("charge.") || kind.starts_with("refund.")
}

/// What Stripe says of an event's money.
enum Answer {
    /// The order, subscription and invoice that it was paid for; whether what paid for the period
    /// that runs went back whole; and whether what was to go back did not.
    Ours {
        id: OrderId,
        subscription_id: String,
        invoice_id: String,
        given_back: bool,
        failed: bool,
    },
    /// It was paid for no subscription.
    Nobodys,
    /// Stripe lists no invoice that it paid.
    Unlisted,
    /// Stripe does not know it, or refuses to tell.
    Refused(&'static str),
}

/// Where a run broke off, in a sweep's own words: behind which event the next one goes on.
fn read_cursor(cursor: &str) -> Option<(i64, &str)> {
    let (received_us, id) = cursor.split_once(' ')?;
    Some((received_us.parse().ok()?, id))
}

/// What a run of [`ask_whose`] came to.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// So many of the events are ours.
    pub applied: i32,
    /// Of so many Stripe did not say whose they are.
    pub unanswered: u32,
    /// Where the next run goes on.
    pub cursor: String,
}

/// Asks Stripe whose the events are that were received so far. Trouble of Stripe's leaves the rest
/// for the next run, and those of which Stripe never tells have their next turn after all others.
pub(crate) async fn ask_whose(app: &Arc<App>, cursor: &str) -> Result<Asked, Error> {
    let after = read_cursor(cursor);
    let mut events = stripe_events::received(app.db.read(), after, AT_ONCE).await?;
    if events.is_empty() && after.is_some() {
        events = stripe_events::received(app.db.read(), None, AT_ONCE).await?;
    }
    let mut asked = Asked::default();
    let full = u64::try_from(events.len()).is_ok_and(|events| events >= AT_ONCE);
    let last = events.last().filter(|_| full).cloned();
    for (received_us, event_id) in events {
        match one(app, &event_id).await {
            Ok(Some(ours)) => asked.applied += i32::from(ours),
            Ok(None) => {
                asked.unanswered += 1;
                if asked.unanswered >= MOST_UNANSWERED {
                    asked.cursor = format!("{received_us} {event_id}");
                    return Ok(asked);
                }
            }
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                tracing::error!(event_id, %error, "an event about money failed");
                fail(app, &event_id, &error.reason()).await?;
            }
        }
    }
    let cursor = last.map(|(received_us, event_id)| format!("{received_us} {event_id}"));
    asked.cursor = cursor.unwrap_or_default();
    Ok(asked)
}

/// Asks Stripe whose one is, and stores what came of it. Tells whether it is ours; `None` where
/// Stripe did not say.
async fn one(app: &Arc<App>, event_id: &str) -> Result<Option<bool>, Error> {
    let Some((stored, payload)) = inbox::find(app.db.read(), event_id).await? else {
        return Ok(Some(false));
    };
    let answer = match events::parse(&payload) {
        Ok(event) => match ask(app, &event).await? {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(event_id, %error, "Stripe did not say whose an event is");
                return Ok(None);
            }
        },
        Err(_) => Answer::Refused("its payload is gone"),
    };
    // By Stripe's own time of it, for a gateway may tell any; and by ours, for the clocks differ.
    let now_us = app.db.now().await?;
    let received_us = Some(stored.received_us).filter(|us| *us <= now_us);
    let known_us = stored
        .created_us
        .max(received_us.unwrap_or(stored.created_us));
    if matches!(answer, Answer::Unlisted) && known_us > now_us - NOBODYS_AFTER_US {
        return Ok(Some(false));
    }
    settle(app, event_id, &answer).await.map(Some)
}

/// Stores that one could not be applied, unless somebody else did something about it meanwhile.
async fn fail(app: &Arc<App>, event_id: &str, why: &str) -> Result<(), Error> {
    app.db
        .tx(|tx| async move {
            inbox::lock(&tx, event_id).await?;
            let found = inbox::find(&*tx, event_id).await?;
            if found.is_some_and(|(stored, _)| stored.state == State::Received.as_str()) {
                stripe_events::set_state(&tx, event_id, State::Failed, None, why).await?;
            }
            Ok(())
        })
        .await
}

async fn ask(app: &App, event: &Event) -> Result<Result<Answer, stripe::Error>, Error> {
    let subject = &event.subject;
    let Some(payment) = &subject.payment else {
        return Ok(Ok(Answer::Nobodys));
    };
    let stripe = &app.stripe;
    let invoice = match stripe.invoice_of_payment(payment).await {
        Ok(invoice) => invoice,
        Err(error) => return Ok(refused(error)),
    };
    let Some(invoice) = invoice else {
        return Ok(Ok(Answer::Unlisted));
    };
    let (invoice_id, Some(subscription_id)) = (invoice.id, invoice.subscription) else {
        return Ok(Ok(Answer::Nobodys));
    };
    let mut id = billing::order_of(app.db.read(), None, Some(&subscription_id)).await?;
    if id.is_none() {
        // The account may be shared; or the order's own subscription was not read yet.
        let named = match stripe.subscription(&subscription_id).await {
            Ok(subscription) => subscription.order_id,
            Err(error) => return Ok(refused(error)),
        };
        id = named.as_deref().and_then(parse_uuid).map(OrderId);
    }
    let Some(id) = id else {
        return Ok(Ok(Answer::Nobodys));
    };
    let refunded = match &subject.charge {
        Some(charge) if subject.refunded == Some(true) => match stripe.charge(charge).await {
            Ok(charge) => charge.refunded.then_some(charge.amount),
            Err(error) => return Ok(refused(error)),
        },
        _ => None,
    };
    let given_back = match refunded {
        None => false,
        Some(amount) => match stripe.invoices_of(&subscription_id, None).await {
            Ok(page) => is_whole(&page.data, &invoice_id, amount),
            Err(error) => return Ok(refused(error)),
        },
    };
    let failed = match &subject.refund {
        Some(refund) => match stripe.refund_by_id(refund).await {
            Ok(refund) => refund.in_vain(),
            Err(error) => return Ok(refused(error)),
        },
        None => false,
    };
    Ok(Ok(Answer::Ours {
        id,
        subscription_id,
        invoice_id,
        given_back,
        failed,
    }))
}

/// Whether so much is all that was paid for the period that runs, whatever its plan costs: a
/// promotion or credit may have paid the rest. What was paid for an earlier one is goodwill and
/// takes nothing from this one; the difference of a change of plan only adds to it. Newest first.
fn is_whole(invoices: &[Invoice], invoice_id: &str, amount: i64) -> bool {
    let of_a_period = |invoice: &&Invoice| {
        let reason = invoice.reason.as_str();
        invoice.status == "paid" && matches!(reason, "subscription_create" | "subscription_cycle")
    };
    let runs = invoices.iter().find(of_a_period);
    runs.is_some_and(|runs| runs.id == invoice_id && amount >= runs.amount_paid)
}

/// What Stripe will not say is no trouble that passes by itself.
fn refused(error: stripe::Error) -> Result<Answer, stripe::Error> {
    match error {
        stripe::Error::NotFound { .. } => Ok(Answer::Refused("Stripe knows no such payment")),
        stripe::Error::Invalid { .. } => Ok(Answer::Refused("Stripe refused to tell of it")),
        // Its own answer about this very payment; others can be read.
        stripe::Error::Garbage { request_id, .. } if !request_id.is_empty() => Ok(Answer::Refused(
            "Stripe's answer about it could not be read",
        )),
        error => Err(error),
    }
}

/// Stores what came of it, unless somebody else did. Tells whether it is about an order of ours.
async fn settle(app: &Arc<App>, event_id: &str, answer: &Answer) -> Result<bool, Error> {
    let settled = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            // The inbox's row before the order, as everywhere.
            inbox::lock(&tx, event_id).await?;
            let Some((stored, payload)) = inbox::find(&*tx, event_id).await? else {
                return Ok(None);
            };
            if stored.state != State::Received.as_str() {
                return Ok(None);
            }
            let locked = match answer {
                Answer::Ours { id, .. } => orders::lock(&tx, *id).await?,
                Answer::Nobodys | Answer::Unlisted | Answer::Refused(_) => None,
            };
            let locked = locked.filter(|locked| is_paid_for(&locked.facts, answer));
            let (Some(locked), Ok(event)) = (locked, events::parse(&payload)) else {
                let settled = match answer {
                    Answer::Refused(why) => failed(why),
                    Answer::Ours { id, .. } if is_lost(&tx, *id).await? => {
                        ignored(Ignored::NoSuchOrder)
                    }
                    _ => ignored(Ignored::NotOurs),
                };
                let error = settled.error.unwrap_or_default();
                stripe_events::set_state(&tx, event_id, settled.state, None, error).await?;
                return Ok(Some((settled, false)));
            };
            let settled = applied(locked.facts.order.id);
            let for_people = tell(app, &tx, locked, &event, answer, now_us).await?;
            stripe_events::set_state(&tx, event_id, settled.state, settled.order, "").await?;
            Ok::<_, Error>(Some((settled, for_people)))
        })
        .await?;
    let Some((settled, for_people)) = settled else {
        return Ok(false);
    };
    if let Some(why) = settled.ignored {
        why.count();
        if let (
            Ignored::NoSuchOrder,
            Answer::Ours {
                id,
                subscription_id,
                ..
            },
        ) = (why, answer)
        {
            tell_lost(event_id, Some(&id.to_string()), Some(subscription_id));
        }
    }
    let Some(id) = settled.order else {
        return Ok(false);
    };
    if for_people {
        metrics::counter!("spawnpoint_refunds_returned_total").increment(1);
        tracing::error!(order_id = %id, event_id, "{RETURNED}");
    }
    app.nudge.order(id);
    Ok(true)
}

/// Whether an order is named as ours are, and not in the store.
async fn is_lost(tx: &Tx, id: OrderId) -> Result<bool, Error> {
    Ok(id.may_be_ours() && orders::find(&**tx, id).await?.is_none())
}

/// Whether it is the order's own subscription: a second one's payment goes back by itself, and only
/// where that failed it is the order's news.
fn is_paid_for(facts: &Facts, answer: &Answer) -> bool {
    match (&facts.billing.subscription_id, answer) {
        (_, Answer::Ours { failed: true, .. }) => true,
        (
            Some(own),
            Answer::Ours {
                subscription_id, ..
            },
        ) => own == subscription_id,
        _ => true,
    }
}

/// Notes what the order's worker is to read, and what is to end. Tells whether money came back that
/// only a person can give back.
async fn tell(
    app: &App,
    tx: &Tx,
    locked: Locked,
    event: &Event,
    answer: &Answer,
    now_us: i64,
) -> Result<bool, Error> {
    let Answer::Ours {
        id,
        invoice_id,
        given_back,
        failed,
        ..
    } = answer
    else {
        return Ok(false);
    };
    let (id, note) = (
        *id,
        Note {
            actor: "stripe".to_owned(),
            cause: event.id.clone(),
            trace_id: String::new(),
        },
    );
    if let Some(dispute_id) = &event.subject.dispute {
        disputes::note(tx, id, dispute_id, invoice_id, now_us).await?;
    }
    let billing = &locked.facts.billing;
    let lives = !billing.over() && billing.wish != Some(EndWish::Now);
    if *given_back && lives && app.settings.refunded == RefundPolicy::End {
        billing::set_wish(tx, id, EndWish::Now, now_us).await?;
        let text = "its payment was given back whole at Stripe: the subscription ends";
        order_events::remark(tx, id, text, &note, now_us).await?;
    }
    // What is still due is asked for again by itself.
    let for_people = *failed && billing.refunds_due == 0;
    if *failed {
        let text = if for_people {
            RETURNED
        } else {
            "a refund of its payment failed at Stripe: what is due is tried again"
        };
        order_events::remark(tx, id, text, &note, now_us).await?;
    }
    if billing.over() {
        // No read follows that would have its invoices looked at.
        referrals::hear(tx, id, now_us).await?;
    }
    billing::add_hint(tx, id, None).await?;
    leases::add_fact(tx, id, now_us).await?;
    orders::seal(tx, locked, &note, now_us).await?;
    Ok(for_people)
}
