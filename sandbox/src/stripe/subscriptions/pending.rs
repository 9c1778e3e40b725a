//! Pending updates: changes of items that wait for their payment, at most one for a subscription.
//!
//! While one waits the subscription goes on as if nothing had been asked.

use super::super::errors::Refusal;
use super::super::events::Subject;
use super::super::invoices;
use super::super::world::{Due, World};
use super::{Item, Subscription, change};

/// How long a change waits for its payment, seconds.
const WAITS_FOR: i64 = 23 * 3_600;

/// A change that waits.
#[derive(Clone)]
pub(in super::super) struct PendingUpdate {
    /// The open invoice.
    pub invoice: String,
    pub expires_at: i64,
    /// All items as they are once it is paid.
    pub items: Vec<Item>,
}

/// Lets a change wait for the payment of its invoice, at most to the end of the period.
pub(super) fn park(
    world: &mut World,
    id: &str,
    invoice: String,
    items: Vec<Item>,
) -> Result<(), Refusal> {
    let latest = world.now() + WAITS_FOR;
    let expires_at = latest.min(world.subscriptions.find(id)?.period_end());
    let due = Due::Subscription(id.to_owned());
    world.due.insert((expires_at, due));
    change(world, id, |subscription| {
        subscription.latest_invoice = Some(invoice.clone());
        subscription.pending = Some(PendingUpdate {
            invoice,
            expires_at,
            items,
        });
    })
}

/// Gives up what waits, if something does, and voids its invoice.
pub(in super::super) fn abandon(world: &mut World, id: &str) -> Result<(), Refusal> {
    let Some(pending) = world.subscriptions.find(id)?.pending.clone() else {
        return Ok(());
    };
    invoices::void(world, Some(&pending.invoice));
    end(
        world,
        id,
        "customer.subscription.pending_update_expired",
        |subscription| subscription.pending = None,
    )
}

/// Gives up what has waited too long.
pub(super) fn lapse(world: &mut World, id: &str, at: i64) {
    let found = world.subscriptions.get(id);
    let pending = found.and_then(|subscription| subscription.pending.as_ref());
    if pending.is_some_and(|pending| pending.expires_at <= at) {
        // The row exists, so there is nothing to refuse.
        let _ = abandon(world, id);
    }
}

/// The open invoice is paid on its page, and the change is carried out.
pub(in super::super) fn pay(world: &mut World, id: &str) -> Result<(), Refusal> {
    let Some(pending) = world.subscriptions.find(id)?.pending.clone() else {
        let text = "This subscription has no pending update.";
        return Err(Refusal::invalid(text).by_state());
    };
    invoices::mark_paid(world, Some(&pending.invoice));
    end(
        world,
        id,
        "customer.subscription.pending_update_applied",
        |subscription| {
            subscription.items = pending.items;
            subscription.pending = None;
        },
    )
}

/// Ends the wait: tells how, and then what changed by it.
fn end(
    world: &mut World,
    id: &str,
    event: &str,
    apply: impl FnOnce(&mut Subscription),
) -> Result<(), Refusal> {
    let mut after = world.subscriptions.find(id)?.clone();
    apply(&mut after);
    let subject = Subject::Subscription(Box::new(after.clone()));
    world.emit(event, subject, None);
    change(world, id, |subscription| *subscription = after)
}
