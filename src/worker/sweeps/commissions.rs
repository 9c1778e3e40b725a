//! Sees what the invoices of referred orders earn: their subscriptions' invoices are listed after
//! each read of their billing, when a commission is about to count, and once a day, because the
//! event that tells of a payment or of a refund may be lost. What counts was asked for at that
//! very time: is it paid, and did nothing of it go back?
//!
//! Any number of replicas may do the same look: a row for an invoice is there once, and a state
//! only goes on.

use std::sync::Arc;

use super::{COMMISSIONS, Found, cut_short, one_of_many};
use crate::{
    app::{App, Error},
    db::{
        self,
        affiliates::{self, commissions, referrals},
        disputes, orders, refunds,
    },
    domain::{
        DAY_US, OrderId, SECOND_US,
        affiliate::{
            Commission, CommissionState, Referral, commission, months_after, next_look,
            paid_without_tax,
        },
        catalog::Money,
        ids::parse_uuid,
        order::Facts,
    },
    stripe::{self, Invoice},
};

/// Orders looked at in one run; each is some calls of Stripe.
const LOOKS: u64 = 100;
/// Pages of 100 invoices of one subscription.
const PAGES: usize = 10;

/// Why an order was not looked at.
enum Trouble {
    /// Stripe's answer, or none.
    Stripe(stripe::Error),
    /// The store's trouble, or a bug.
    Own(Error),
}

impl From<stripe::Error> for Trouble {
    fn from(error: stripe::Error) -> Self {
        Self::Stripe(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<db::Error> for Trouble {
    fn from(error: db::Error) -> Self {
        Self::Own(error.into())
    }
}

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let now_us = app.db.now().await?;
    let after = parse_uuid(cursor).map(OrderId);
    let due = referrals::due(app.db.read(), after, now_us, LOOKS).await?;
    let more = u64::try_from(due.len()).is_ok_and(|found| found == LOOKS);
    let mut broke_off = false;
    let (mut finds, mut last) = (0, None);
    for referral in &due {
        let id = referral.order_id;
        // Also behind one that fails: it is still due in the next round.
        last = Some(id);
        match look(app, referral).await {
            Ok(found) => finds += found,
            Err(Trouble::Own(error)) if error.is_passing() => return Err(error),
            Err(Trouble::Own(error)) => {
                one_of_many(COMMISSIONS, &id, Err::<(), _>(error))?;
                put_off(app, id, now_us + DAY_US).await?;
            }
            Err(Trouble::Stripe(error)) => {
                tracing::warn!(order_id = %id, "its invoices could not be read");
                cut_short(COMMISSIONS, &error, "the invoices of a referred order");
                if !about_this_order(&error) {
                    broke_off = true;
                    break;
                }
                put_off(app, id, now_us + DAY_US).await?;
            }
        }
    }
    let last = last.filter(|_| more || broke_off);
    Ok(Found {
        finds,
        cursor: last.map(|id| id.to_string()).unwrap_or_default(),
        more: more && !broke_off,
        ..Found::default()
    })
}

/// Has one that cannot be looked at wait.
async fn put_off(app: &App, id: OrderId, until_us: i64) -> Result<(), Error> {
    let put_off = |tx| async move { referrals::put_off(&tx, id, until_us).await };
    Ok(app.db.tx(put_off).await?)
}

/// Whether it says nothing of other orders.
fn about_this_order(error: &stripe::Error) -> bool {
    match error {
        stripe::Error::NotFound { .. } | stripe::Error::Invalid { .. } => true,
        stripe::Error::Garbage { request_id, .. } => !request_id.is_empty(),
        _ => false,
    }
}

/// What a look at Stripe showed of one order's invoices.
#[derive(Default)]
struct Seen {
    /// Paid, nothing went back, and not in our books.
    new: Vec<commissions::Found>,
    /// Paid, and nothing went back: these may count, unless a bank has the money.
    sound: Vec<String>,
    /// In our books, and went back.
    gone: Vec<String>,
    /// Until when invoices earn something.
    until_us: i64,
}

async fn look(app: &Arc<App>, referral: &Referral) -> Result<i32, Trouble> {
    let id = referral.order_id;
    let facts = orders::find(app.db.read(), id).await?;
    let facts = facts.ok_or_else(|| Error::Internal(format!("order {id} was not found")))?;
    let Some(subscription_id) = &facts.billing.subscription_id else {
        return Err(Error::Internal(format!("order {id} is paid without a subscription")).into());
    };
    let invoices = invoices(app, subscription_id).await?;
    let known = commissions::of_order(app.db.read(), id).await?;
    let seen = &compare(app, referral, &facts, &invoices, &known).await?;
    Ok(store(app, referral, seen).await?)
}

async fn invoices(app: &App, subscription_id: &str) -> Result<Vec<Invoice>, stripe::Error> {
    let mut all: Vec<Invoice> = Vec::new();
    for _ in 0..PAGES {
        let after = all.last().map(|invoice| invoice.id.clone());
        let page = app.stripe.invoices_of(subscription_id, after.as_deref());
        let page = page.await?;
        let more = page.has_more && !page.data.is_empty();
        all.extend(page.data);
        if !more {
            break;
        }
    }
    all.retain(|invoice| invoice.livemode == app.stripe.livemode());
    Ok(all)
}

async fn compare(
    app: &App,
    referral: &Referral,
    facts: &Facts,
    invoices: &[Invoice],
    known: &[Commission],
) -> Result<Seen, stripe::Error> {
    let paid = |invoice: &&Invoice| invoice.status == "paid";
    // A subscription begins a moment before we confirm it: from there on its periods are counted,
    // so that twelve months are twelve monthly invoices.
    let begun = invoices.iter().filter(paid).map(|invoice| invoice.created);
    let begun_us = begun.min().unwrap_or(i64::MAX).saturating_mul(SECOND_US);
    let until_us = months_after(referral.referred_us.min(begun_us), referral.months);
    let mut seen = Seen {
        until_us,
        ..Seen::default()
    };
    // Stripe lists the last one first; books are kept in the order of payments.
    for invoice in invoices.iter().rev() {
        let state = known.iter().find(|known| known.invoice_id == invoice.id);
        match state.map(|known| known.state) {
            // What counts already, or no more, is asked for again only where something was told.
            Some(CommissionState::Earned | CommissionState::Reversed) if !referral.has_news() => {}
            Some(_) if matches!(invoice.status.as_str(), "void" | "uncollectible") => {
                seen.gone.push(invoice.id.clone());
            }
            Some(_) if !paid(&invoice) => {}
            Some(_) if went_back(app, &invoice.id).await? => seen.gone.push(invoice.id.clone()),
            Some(_) => seen.sound.push(invoice.id.clone()),
            None => {
                let in_time = invoice.created.saturating_mul(SECOND_US) < until_us;
                let earns = earns(referral, facts, invoice).filter(|_| in_time && paid(&invoice));
                if let Some(amount) = earns
                    && !went_back(app, &invoice.id).await?
                {
                    seen.sound.push(invoice.id.clone());
                    seen.new.push(commissions::Found {
                        invoice_id: invoice.id.clone(),
                        amount,
                    });
                }
            }
        }
    }
    Ok(seen)
}

/// What an invoice earns, if anything.
fn earns(referral: &Referral, facts: &Facts, invoice: &Invoice) -> Option<Money> {
    if invoice.currency != facts.order.currency {
        tracing::warn!(
            invoice_id = invoice.id,
            "an invoice of another currency earns nothing"
        );
        return None;
    }
    let (paid, total) = (invoice.amount_paid, invoice.total);
    let base = paid_without_tax(paid, total, invoice.total_excluding_tax);
    let amount_minor = commission(base, referral.percent);
    (amount_minor > 0).then(|| Money {
        amount_minor,
        currency: invoice.currency.clone(),
    })
}

/// Whether any of an invoice's payment went back, by us or by a person.
async fn went_back(app: &App, invoice_id: &str) -> Result<bool, stripe::Error> {
    for payment in app.stripe.payments_of(invoice_id).await? {
        if !app.stripe.refunds_of(&payment.id).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Brings our books up to what was seen, and tells how many of their rows changed.
async fn store(app: &Arc<App>, referral: &Referral, seen: &Seen) -> Result<i32, Error> {
    let id = referral.order_id;
    let refund_us = app.settings.affiliates.refund_us;
    let changed = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let Some(locked) = orders::lock(&tx, id).await? else {
                return Ok(0);
            };
            let billing = &locked.facts.billing;
            let refund = match &billing.session_id {
                Some(session_id) => refunds::went_back(&*tx, id, session_id).await?,
                None => None,
            };
            let mut changed = 0;
            match refund {
                // Between our look and now: nothing of it is kept.
                Some(true) => changed += affiliates::reverse(&tx, id, None).await?,
                // It will go back, unless Stripe refuses: nothing counts meanwhile.
                Some(false) => {}
                None => {
                    let earns_us = now_us.saturating_add(refund_us);
                    let withheld = disputes::withheld(&*tx, id).await?;
                    let mut new = seen.new.clone();
                    new.retain(|found| !withheld.contains(&found.invoice_id));
                    let mut sound = seen.sound.clone();
                    sound.retain(|invoice_id| !withheld.contains(invoice_id));
                    changed += commissions::insert(&tx, referral, &new, now_us, earns_us).await?;
                    for invoice_id in &seen.gone {
                        changed += affiliates::reverse(&tx, id, Some(invoice_id)).await?;
                    }
                    changed += commissions::restore(&tx, referral, &sound).await?;
                    changed += commissions::earn(&tx, referral, &sound, now_us).await?;
                }
            }
            let books = commissions::of_order(&*tx, id).await?;
            let pending = books
                .iter()
                .filter(|row| row.state == CommissionState::Pending);
            let next_earns_us = pending.map(|row| row.earns_us).min();
            let lives = now_us < seen.until_us && !billing.over();
            let next_us = next_look(now_us, lives, next_earns_us);
            referrals::set_looked(&tx, referral, next_us).await?;
            Ok::<_, Error>(changed)
        })
        .await?;
    Ok(i32::try_from(changed).unwrap_or(i32::MAX))
}
