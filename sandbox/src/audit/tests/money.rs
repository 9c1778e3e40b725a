//! What is broken about money: refunds and commissions.

use uuid::Uuid;

use super::{
    Invariant::I6,
    always, at_rest, found,
    sound::{RUNNING, Shop, USER, session},
};
use crate::{
    audit::rows::{Affiliate, Commission, Referral, Refund},
    stripe::{PaymentStatus, RefundView, SessionStatus, SubscriptionStatus},
};

#[test]
fn a_payment_goes_back_once_and_for_a_reason() {
    let refund = |done_us: Option<i64>, ids: &str| Refund {
        order_id: RUNNING,
        session_id: "cs_second".to_owned(),
        done_us,
        refund_ids: format!("[{ids}]"),
        amount_minor: 499,
    };
    let made = || RefundView {
        id: "re_1".to_owned(),
        amount: 499,
        currency: "usd".to_owned(),
        payment_intent: "pi_1".to_owned(),
        subscription: Some("sub_second".to_owned()),
        metadata: [("order_id".to_owned(), RUNNING.to_string())].into(),
    };
    // A second session was paid, its subscription has ended, and its payment is back.
    let whole = |shop: &mut Shop| {
        let mut second = session(RUNNING, SessionStatus::Complete, PaymentStatus::Paid);
        second.id = "cs_second".to_owned();
        second.subscription = Some("sub_second".to_owned());
        let mut other = shop.picture.stripe.subscriptions[0].clone();
        other.id = "sub_second".to_owned();
        other.status = SubscriptionStatus::Canceled;
        let stripe = &mut shop.picture.stripe;
        stripe.sessions.push(second);
        stripe.subscriptions.push(other);
        stripe.refunds.push(made());
        shop.picture.store.refunds.push(refund(Some(8), "\"re_1\""));
    };
    assert_eq!(found(whole), (vec![], vec![]));
    let lives = |shop: &mut Shop| {
        whole(shop);
        shop.picture.stripe.subscriptions[1].status = SubscriptionStatus::Active;
    };
    always(I6, lives);
    always(I6, |shop| shop.picture.stripe.refunds.push(made()));
    always(I6, |shop| shop.running().1.refunds_due = 1);
    at_rest(I6, |shop| {
        whole(shop);
        shop.picture.store.refunds[0] = refund(Some(8), "");
    });
    at_rest(I6, |shop| {
        whole(shop);
        shop.picture.stripe.refunds.clear();
        shop.picture.store.refunds[0] = refund(None, "");
        shop.running().1.refunds_due = 1;
    });
}

#[test]
fn an_invoice_earns_once_and_for_another() {
    const FRIEND: Uuid = Uuid::from_u128(8);
    let commission = |invoice_id: &str, state: &str| Commission {
        order_id: RUNNING,
        invoice_id: invoice_id.to_owned(),
        user_id: FRIEND,
        amount_minor: 50,
        currency: "usd".to_owned(),
        state: state.to_owned(),
    };
    let whole = |shop: &mut Shop| {
        let store = &mut shop.picture.store;
        store.affiliates.push(Affiliate {
            user_id: FRIEND,
            code: "friend".to_owned(),
            signups: 1,
            credits_cents: 50,
            currency: "usd".to_owned(),
        });
        store.referrals.push(Referral {
            order_id: RUNNING,
            user_id: FRIEND,
        });
        let states = [
            ("in_1", "earned"),
            ("in_2", "pending"),
            ("in_3", "reversed"),
        ];
        let rows = states.map(|(id, state)| commission(id, state));
        store.commissions.extend(rows);
    };
    let broken = |change: fn(&mut Shop)| {
        always(I6, |shop| {
            whole(shop);
            change(shop);
        });
    };
    assert_eq!(found(whole), (vec![], vec![]));
    broken(|shop| shop.picture.store.commissions[1].invoice_id = "in_1".to_owned());
    broken(|shop| shop.picture.store.commissions[1].user_id = USER);
    broken(|shop| shop.picture.store.affiliates[0].credits_cents = 100);
    broken(|shop| shop.picture.store.commissions[0].currency = "eur".to_owned());
    broken(|shop| shop.picture.store.affiliates[0].signups = 2);
    broken(|shop| {
        let mut other = shop.picture.store.affiliates[0].clone();
        (other.user_id, other.code) = (USER, "Friend".to_owned());
        (other.signups, other.credits_cents) = (0, 0);
        shop.picture.store.affiliates.push(other);
    });
    broken(|shop| {
        let store = &mut shop.picture.store;
        store.affiliates[0].user_id = USER;
        store.referrals[0].user_id = USER;
        for row in &mut store.commissions {
            row.user_id = USER;
        }
    });
    // What went back of another session took nothing from this one.
    let refund = |session_id: Option<String>| Refund {
        order_id: RUNNING,
        session_id: session_id.unwrap(),
        done_us: Some(8),
        refund_ids: "[]".to_owned(),
        amount_minor: 499,
    };
    let other = |shop: &mut Shop| {
        whole(shop);
        let row = refund(Some("cs_other".to_owned()));
        shop.picture.store.refunds.push(row);
    };
    assert_eq!(found(other), (vec![], vec![]));
    let (running, _) = found(|shop| {
        whole(shop);
        let own = shop.running().1.session_id.clone();
        shop.picture.stripe.sessions[0].subscription = Some("sub_1".to_owned());
        shop.picture.store.refunds.push(refund(own));
    });
    assert_eq!(running, [I6, I6], "it went back, lives on, and counts");
}
