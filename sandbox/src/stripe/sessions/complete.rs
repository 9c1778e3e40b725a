//! What happens when the buyer finishes the page, and when a delayed payment settles.
//!
//! The subscription is made after the payment, as Stripe does since basil: a
//! delayed payment has none until it succeeds, unless the configuration says so.

use serde::{Deserialize, Serialize};

use super::super::customers::create_for_buyer;
use super::super::errors::Refusal;
use super::super::events::Subject;
use super::super::invoices::{self, InvoiceStatus};
use super::super::subscriptions::{self, SubscriptionStatus};
use super::super::world::World;
use super::{PaymentStatus, Promotion, Session, SessionStatus, percent_of};

/// What Stripe replaces in `success_url`.
pub(in super::super) const SESSION_ID_PLACE: &str = "{CHECKOUT_SESSION_ID}";

/// The buyer that is invented where nobody named one.
const DEFAULT_BUYER: &str = "buyer@example.com";

/// How the buyer finishes the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayMode {
    /// With a method that is paid at once.
    Paid,
    /// With a delayed method: complete, but unpaid until it is settled.
    Unpaid,
    /// Nothing is to be paid; the session counts as wholly discounted.
    NoPaymentRequired,
}

/// Finishes an open session.
pub(in super::super) fn pay(world: &mut World, id: &str, mode: PayMode) -> Result<(), Refusal> {
    let mut session = world.sessions.find(id)?.clone();
    if session.status != SessionStatus::Open {
        return Err(refusal(&format!(
            "This Checkout Session is {}.",
            session.status.word()
        )));
    }
    if mode == PayMode::NoPaymentRequired {
        session.promotion = Some(Promotion {
            code: "sandbox-free".to_owned(),
            percent_off: 100,
        });
    }
    if session.automatic_tax {
        let taxed = session.subtotal() - session.discount();
        session.tax = percent_of(taxed, world.config.tax_basis_points);
    }
    if session.customer.is_none() {
        let email = session
            .buyer_email
            .get_or_insert_with(|| DEFAULT_BUYER.to_owned());
        session.customer = Some(create_for_buyer(world, email));
    }
    session.status = SessionStatus::Complete;
    session.payment_status = match mode {
        _ if session.total() == 0 => PaymentStatus::NoPaymentRequired,
        PayMode::Paid | PayMode::NoPaymentRequired => PaymentStatus::Paid,
        PayMode::Unpaid => PaymentStatus::Unpaid,
    };
    if session.payment_status != PaymentStatus::Unpaid {
        bill_in_time(world, &mut session, SubscriptionStatus::Active);
    } else if world.config.delayed_creates_subscription {
        bill(world, &mut session, SubscriptionStatus::Incomplete);
    }
    finish(world, session, "checkout.session.completed");
    Ok(())
}

/// Ends the wait for a delayed payment. What was canceled meanwhile stays so: the money of a
/// debit that is under way comes all the same.
pub(in super::super) fn settle(world: &mut World, id: &str, ok: bool) -> Result<(), Refusal> {
    let mut session = world.sessions.find(id)?.clone();
    if !session.awaits_money() {
        return Err(refusal(
            "This Checkout Session waits for no delayed payment.",
        ));
    }
    if ok {
        session.payment_status = PaymentStatus::Paid;
        if let Some(subscription) = session.subscription.clone() {
            invoices::mark_paid(world, session.invoice.as_deref());
            set_unless_over(world, &subscription, SubscriptionStatus::Active)?;
        } else {
            bill_in_time(world, &mut session, SubscriptionStatus::Active);
        }
        finish(world, session, "checkout.session.async_payment_succeeded");
    } else {
        session.async_failed = true;
        if let Some(subscription) = &session.subscription {
            set_unless_over(world, subscription, SubscriptionStatus::IncompleteExpired)?;
            invoices::void(world, session.invoice.as_deref());
        }
        finish(world, session, "checkout.session.async_payment_failed");
    }
    Ok(())
}

fn set_unless_over(world: &mut World, id: &str, status: SubscriptionStatus) -> Result<(), Refusal> {
    if world.subscriptions.find(id)?.status.is_final() {
        return Ok(());
    }
    subscriptions::set_status(world, id, status)
}

/// Applies a promotion code, as a buyer does on the page.
pub(in super::super) fn apply_promotion(
    world: &mut World,
    id: &str,
    code: &str,
) -> Result<(), Refusal> {
    let known = world
        .config
        .promotions
        .iter()
        .find(|promotion| promotion.code == code)
        .cloned();
    let session = world.sessions.find_mut(id)?;
    if session.status != SessionStatus::Open || session.allow_promotion_codes != Some(true) {
        return Err(refusal("This Checkout Session takes no promotion code."));
    }
    let Some(promotion) = known else {
        return Err(refusal("This code is invalid."));
    };
    session.promotion = Some(promotion);
    Ok(())
}

/// Where the buyer goes after paying.
pub(in super::super) fn success_url(session: &Session) -> String {
    session.success_url.replace(SESSION_ID_PLACE, &session.id)
}

/// Makes the subscription now, or leaves that for later.
fn bill_in_time(world: &mut World, session: &mut Session, status: SubscriptionStatus) {
    if !world.bills_late(&session.id) {
        bill(world, session, status);
    }
}

/// Makes the subscription of a session that was complete without one.
pub(in super::super) fn bill_late(world: &mut World, id: &str) {
    if let Ok(mut session) = world.sessions.find(id).cloned() {
        bill(world, &mut session, SubscriptionStatus::Active);
        world.sessions.put(session);
    }
}

/// Makes the subscription and its first invoice.
fn bill(world: &mut World, session: &mut Session, status: SubscriptionStatus) {
    let subscription = subscriptions::start(world, session, status);
    let paid = status == SubscriptionStatus::Active;
    let invoice_status = if paid {
        InvoiceStatus::Paid
    } else {
        InvoiceStatus::Open
    };
    let invoice = invoices::first(world, session, &subscription, invoice_status);
    subscriptions::announce_start(world, &subscription, &invoice);
    if paid {
        invoices::announce_paid(world, &invoice);
    }
    world.hide_for_a_while(&subscription);
    session.subscription = Some(subscription);
    session.invoice = Some(invoice);
}

fn finish(world: &mut World, session: Session, event: &str) {
    world.sessions.put(session.clone());
    world.emit(event, Subject::Session(Box::new(session)), None);
}

fn refusal(message: &str) -> Refusal {
    Refusal::invalid(message).by_state()
}
