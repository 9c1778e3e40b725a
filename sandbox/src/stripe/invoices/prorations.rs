//! The invoice of a change of items: what is left of the period comes back for each item that
//! goes, and is charged for each that comes.

use std::collections::BTreeMap;

use super::super::subscriptions::{Item, Subscription};
use super::super::world::World;
use super::{InvoiceLine, InvoiceStatus, RETRY_AFTER, blank, told};

/// What came of the bill of a change.
pub(in super::super) struct Bill {
    /// `in_...`.
    pub invoice: String,
    pub paid: bool,
}

/// Bills a change of items as of now; none if it changes no price and no quantity. Nothing is to
/// be paid for a sum that is not positive, whatever the card. An invoice on which the change waits
/// is not tried again.
pub(in super::super) fn bill(
    world: &mut World,
    present: &Subscription,
    target: &[Item],
    waits: bool,
) -> Option<Bill> {
    let lines = lines(world, present, target);
    if lines.is_empty() {
        return None;
    }
    let total: i64 = lines.iter().filter_map(|line| line.proration).sum();
    let paid = total <= 0 || !present.card_declines;
    let status = if paid {
        InvoiceStatus::Paid
    } else {
        InvoiceStatus::Open
    };
    let mut invoice = blank(world, present, "subscription_update", status);
    invoice.lines = lines;
    invoice.period = (invoice.created, present.period_end());
    if !paid && !waits {
        invoice.next_payment_attempt = Some(invoice.created + RETRY_AFTER);
    }
    let invoice = told(world, invoice, paid);
    Some(Bill { invoice, paid })
}

/// Credits first, as Stripe orders them.
fn lines(world: &mut World, present: &Subscription, target: &[Item]) -> Vec<InvoiceLine> {
    let (start, end) = (present.period_start(), present.period_end());
    let whole = (end - start).max(1);
    let left = (end - world.now()).clamp(0, whole);
    let mut lines = Vec::new();
    for (from, to, sign) in [
        (present.items.as_slice(), target, -1_i64),
        (target, present.items.as_slice(), 1),
    ] {
        for item in from.iter().filter(|item| !holds(to, item)) {
            lines.push(InvoiceLine {
                id: world.ids.make("il_"),
                price: item.price.clone(),
                quantity: item.quantity,
                item: Some(item.id.clone()),
                metadata: BTreeMap::new(),
                proration: Some(sign * share(item, left, whole)),
            });
        }
    }
    lines
}

/// Whether a list has an item at the same price and quantity.
fn holds(items: &[Item], wanted: &Item) -> bool {
    items.iter().any(|item| {
        item.id == wanted.id
            && item.price.spec.id == wanted.price.spec.id
            && item.quantity == wanted.quantity
    })
}

/// What an item costs for the rest of a period, rounded to a minor unit.
fn share(item: &Item, left: i64, whole: i64) -> i64 {
    let full = i128::from(item.price.spec.unit_amount) * i128::from(item.quantity);
    let (left, whole) = (i128::from(left), i128::from(whole));
    let rounded = (2 * full * left + whole) / (2 * whole);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}
