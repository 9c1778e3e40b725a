//! I6: a payment goes back for a reason that is on record, once, and its subscription ends.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Invariant, Rest, Violation, picture::Picture, rows::Refund};

pub(super) fn judge(picture: &Picture, rest: Rest, found: &mut Vec<Violation>) {
    let mut rows: HashMap<Uuid, Vec<&Refund>> = HashMap::new();
    for row in &picture.store.refunds {
        rows.entry(row.order_id).or_default().push(row);
    }
    let of = |id: &Uuid| rows.get(id).map_or(&[][..], Vec::as_slice);
    on_record(picture, rest, of, found);
    for case in picture.cases() {
        let mut add = |text: String| found.push(Violation::of(Invariant::I6, case.id(), text));
        let due = of(&case.id()).iter().filter(|row| row.done_us.is_none());
        let (due, counted) = (due.count(), case.billing.refunds_due);
        if usize::try_from(counted) != Ok(due) {
            add(format!("{due} payments are to go back, {counted} counted"));
        }
        if rest == Rest::AtRest && due > 0 && !case.parked() {
            add(format!("{due} payments did not go back"));
        }
    }
    ended(picture, found);
}

/// What went back by us is in our books.
fn on_record<'a>(
    picture: &Picture,
    rest: Rest,
    of: impl Fn(&Uuid) -> &'a [&'a Refund],
    found: &mut Vec<Violation>,
) {
    for refund in &picture.stripe.refunds {
        let label = refund.metadata.get("order_id");
        let Some(id) = label.and_then(|id| id.parse::<Uuid>().ok()) else {
            continue;
        };
        let known = of(&id).iter().any(|row| match row.done_us {
            None => true,
            Some(_) => row.refund_ids.contains(&refund.id) || rest == Rest::Running,
        });
        if !known {
            let text = format!("{} went back, and nothing says why", refund.id);
            found.push(Violation::of(Invariant::I6, id, text));
        }
    }
}

/// Nothing is charged after it.
fn ended(picture: &Picture, found: &mut Vec<Violation>) {
    let done = picture.store.refunds.iter();
    for row in done.filter(|row| row.done_us.is_some()) {
        let mut sessions = picture.stripe.sessions.iter();
        let order_id = row.order_id.to_string();
        let session = sessions.find(|one| {
            one.id == row.session_id
                && one.client_reference_id.as_deref() == Some(order_id.as_str())
        });
        let subscription = session.and_then(|session| session.subscription.as_ref());
        let mut subscriptions = picture.stripe.subscriptions.iter();
        if subscriptions.any(|one| Some(&one.id) == subscription && !one.status.is_final()) {
            let text = format!("{} went back, and its subscription lives", row.session_id);
            found.push(Violation::of(Invariant::I6, row.order_id, text));
        }
    }
}
