//! I6: a paid invoice earns its affiliate once, not for their own order, and not what went back.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    Invariant, Violation,
    picture::Picture,
    rows::{Commission, Referral},
};

pub(super) fn judge(picture: &Picture, found: &mut Vec<Violation>) {
    let store = &picture.store;
    let referrals: HashMap<Uuid, &Referral> = store
        .referrals
        .iter()
        .map(|row| (row.order_id, row))
        .collect();
    let mut invoices = BTreeSet::new();
    for row in &store.commissions {
        let mut add = |text: String| found.push(Violation::of(Invariant::I6, row.order_id, text));
        if !invoices.insert(row.invoice_id.as_str()) {
            add(format!("{} earns a second commission", row.invoice_id));
        }
        let referral = referrals.get(&row.order_id);
        if referral.is_none_or(|referral| referral.user_id != row.user_id) {
            add(format!("{} earns for who did not refer it", row.invoice_id));
        }
    }
    for case in picture.cases() {
        let Some(referral) = referrals.get(&case.id()) else {
            continue;
        };
        let mut add = |text: &str| found.push(Violation::of(Invariant::I6, case.id(), text));
        if referral.user_id == case.order.user_id {
            add("its buyer is their own affiliate");
        }
        if case.billing.confirmed_at_us.is_none() {
            add("is referred, and not paid");
        }
        let mut refunds = store.refunds.iter();
        let refunded = refunds.any(|refund| {
            refund.order_id == case.id()
                && refund.done_us.is_some()
                && refund.amount_minor > 0
                && Some(&refund.session_id) == case.billing.session_id.as_ref()
        });
        let mut commissions = store.commissions.iter();
        if refunded && commissions.any(|row| row.order_id == case.id() && row.state == "earned") {
            add("its payment went back, and a commission for it counts");
        }
    }
    sums(picture, found);
}

/// What an affiliate's row says is the sum of the others.
fn sums(picture: &Picture, found: &mut Vec<Violation>) {
    let store = &picture.store;
    let mut codes = BTreeSet::new();
    for row in &store.affiliates {
        let mut add = |text: String| found.push(Violation::new(Invariant::I6, text));
        if !codes.insert(row.code.to_lowercase()) {
            add(format!("two affiliates have the code {}", row.code));
        }
        let counts = |one: &&Commission| {
            one.user_id == row.user_id && one.state == "earned" && one.currency == row.currency
        };
        let earned = store.commissions.iter().filter(counts);
        let earned: i64 = earned.map(|one| one.amount_minor).sum();
        if earned != row.credits_cents {
            let credits = row.credits_cents;
            add(format!(
                "affiliate {} has credits of {credits}, and earned {earned}",
                row.user_id
            ));
        }
        let referrals = store.referrals.iter();
        let referred = referrals.filter(|one| one.user_id == row.user_id).count();
        if usize::try_from(row.signups) != Ok(referred) {
            let signups = row.signups;
            add(format!(
                "affiliate {} has {signups} sign-ups, and {referred} referrals",
                row.user_id
            ));
        }
    }
}
