//! Affiliates: a code for each, visits, sign-ups, and what paid invoices earn: once, for others
//! than the affiliate, and not where the payment goes back.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::stripe::{DisputeOutcome, Effect, Fault};
use spawnpoint::{
    boot::Mode,
    rpc::proto::{
        self, Affiliate, Commission, CreateAffiliateRequest, Order, OrderStatus, ServerState,
    },
    stripe::Stripe,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason, with_token},
    sql, till, wait,
};

mod codes;
mod leaving;
mod ledger;

both_engines!(
    a_paid_invoice_earns_once_on_any_number_of_replicas,
    ones_own_code_and_one_that_nobody_has_earn_nothing,
    renewals_earn_until_the_months_are_over,
    an_order_that_is_refunded_loses_its_commission,
    what_goes_back_after_the_end_is_taken_back_too,
    what_a_bank_takes_earns_nothing_unless_it_is_won,
    what_a_person_gave_back_earns_nothing,
    trouble_of_stripe_is_waited_out,
    without_a_percentage_only_signups_are_counted,
);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ten percent, and sweeps that come often.
async fn open(engine: Engine, further: &[(&str, &str)]) -> Live {
    Live::open_with(engine, |options| {
        options.set("AFFILIATE_PERCENT", "10");
        options.set("SWEEP_COMMISSIONS_SECONDS", "0.2");
        options.set_all(further);
    })
    .await
}

/// A user who has been to the checkout once.
async fn known_user(live: &Live) -> Uuid {
    let user = Uuid::new_v4();
    live.reserve(cart(user)).await;
    user
}

async fn create(live: &Live, user: Uuid, code: &str) -> Result<Affiliate, Status> {
    let message = CreateAffiliateRequest {
        user_id: user.to_string(),
        code: code.to_owned(),
        request_id: String::new(),
    };
    let request = live.storefront(message, user);
    let answer = live.orders().create_affiliate(request).await?;
    Ok(answer.into_inner().affiliate.unwrap())
}

/// An affiliate with the code `friend`.
async fn friend(live: &Live) -> Uuid {
    let user = known_user(live).await;
    create(live, user, "friend").await.unwrap();
    user
}

async fn affiliate(live: &Live, user: Uuid) -> Affiliate {
    let message = proto::GetAffiliateRequest {
        user_id: user.to_string(),
    };
    let request = live.storefront(message, user);
    let answer = live.orders().get_affiliate(request).await.unwrap();
    answer.into_inner().affiliate.unwrap()
}

async fn commissions(live: &Live, user: Uuid) -> Vec<Commission> {
    let message = proto::ListAffiliateCommissionsRequest {
        user_id: user.to_string(),
        ..proto::ListAffiliateCommissionsRequest::default()
    };
    let request = live.storefront(message, user);
    let answer = live.orders().list_affiliate_commissions(request).await;
    answer.unwrap().into_inner().commissions
}

fn states(commissions: &[Commission]) -> Vec<&str> {
    let states = commissions.iter().map(|one| one.state.as_str());
    states.collect()
}

/// Waits until an affiliate's commissions stand so, the last one first.
async fn wait_states(live: &Live, user: Uuid, wanted: &[&str]) -> Vec<Commission> {
    wait::until_ok("commissions stand so", PATIENCE, || async {
        let found = commissions(live, user).await;
        if states(&found) == wanted {
            Ok(found)
        } else {
            Err(found)
        }
    })
    .await
}

/// Waits until every look that is due was done.
async fn looked(live: &Live) {
    wait::until("no look is due", PATIENCE, || async {
        let now_us = live.world.cores[0].app.db.now().await.unwrap();
        let due = format!("SELECT count(*) FROM affiliate_referrals WHERE next_us <= {now_us}");
        sql::count(&live.store.db, &due).await == 0
    })
    .await;
}

/// Buys with a code, and waits until the server runs.
async fn buy(live: &Live, user: Uuid, code: &str) -> Order {
    let wanted = proto::CreateCheckoutSessionRequest {
        referral_code: code.to_owned(),
        ..cart(user)
    };
    live.buy_cart(wanted).await
}

/// Moves Stripe's clock into the next period, and waits until the renewal is known.
async fn renew(live: &Live, order: &Order) {
    let before = live.order(&order.id).await.current_period_end_time;
    live.world.stripe.advance(31 * DAY);
    live.wait_order(&order.id, "its next period is known", |order| {
        order.current_period_end_time != before
    })
    .await;
}

/// Has our own read of Stripe made once more, as any event would.
async fn tell(live: &Live, order: &Order) {
    let session = &order.stripe_checkout_session_id;
    let event = till::event_about(live, "checkout.session.completed", session);
    let message = proto::ReplayStripeEventRequest { event_id: event.id };
    let request = live.operator(message);
    live.orders().replay_stripe_event(request).await.unwrap();
}

/// Gives the order's first payment back at Stripe, as an operator would on its dashboard.
async fn give_back(live: &Live, order: &Order) {
    let stripe = till::stripe_client(live);
    let subscription = live.subscription(order);
    let invoices = stripe.paid_invoices(&subscription).await.unwrap();
    let payments = stripe.payments_of(invoices.last().unwrap()).await.unwrap();
    let form = vec![
        ("payment_intent".to_owned(), payments[0].id.clone()),
        ("amount".to_owned(), "100".to_owned()),
    ];
    let key = format!("by-hand-{}", order.id);
    stripe.refund(&form, &key).await.unwrap();
}

/// Finding 60: commissions were never computed. Here several replicas see the same invoice.
async fn a_paid_invoice_earns_once_on_any_number_of_replicas(engine: Engine) {
    let mut live = open(engine, &[]).await;
    if engine == Engine::Postgres {
        live.world.start_core(Mode::All).await.unwrap();
    }
    let user = friend(&live).await;
    let order = buy(&live, Uuid::new_v4(), "Friend").await;
    let found = wait_states(&live, user, &["pending"]).await;
    let amount = found[0].amount.clone().unwrap();
    // A tenth of 6.99, rounded down.
    assert_eq!((amount.amount_minor, amount.currency.as_str()), (69, "usd"));
    assert_eq!(found[0].order_id, order.id);
    assert!(found[0].invoice_id.starts_with("in_"));
    let now = affiliate(&live, user).await;
    assert_eq!((now.signups, now.credits_cents), (1, 0));

    // What is told again is seen again.
    for _ in 0..2 {
        tell(&live, &order).await;
        looked(&live).await;
    }
    live.skip(13 * DAY);
    looked(&live).await;
    assert_eq!(states(&commissions(&live, user).await), ["pending"]);
    live.skip(DAY);
    wait_states(&live, user, &["earned"]).await;
    let now = affiliate(&live, user).await;
    assert_eq!((now.signups, now.credits_cents), (1, 69));
    assert_eq!(till::rows(&live, "affiliate_commissions").await, 1);
    live.close().await;
}

/// Finding 60: affiliates referred themselves.
async fn ones_own_code_and_one_that_nobody_has_earn_nothing(engine: Engine) {
    let live = open(engine, &[]).await;
    let user = friend(&live).await;
    let own = buy(&live, user, "friend").await;
    let unknown = buy(&live, Uuid::new_v4(), "no_body").await;
    assert_eq!(unknown.referral_code, "no_body");
    // A second account of the same person's.
    let second = known_user(&live).await;
    create(&live, second, "second").await.unwrap();
    let same_address = proto::CreateCheckoutSessionRequest {
        email: format!("{}@PLAYERS.example", second.simple()),
        referral_code: "second".to_owned(),
        ..cart(Uuid::new_v4())
    };
    live.buy_cart(same_address).await;
    tell(&live, &own).await;
    live.wait_until_unleased().await;
    for user in [user, second] {
        let now = affiliate(&live, user).await;
        assert_eq!((now.signups, now.credits_cents), (0, 0));
    }
    assert_eq!(till::rows(&live, "affiliate_referrals").await, 0);

    // A code that somebody has only later is too late as well.
    let late = known_user(&live).await;
    create(&live, late, "nobody").await.unwrap();
    tell(&live, &unknown).await;
    live.wait_until_unleased().await;
    assert_eq!(till::rows(&live, "affiliate_referrals").await, 0);
    live.close().await;
}

async fn renewals_earn_until_the_months_are_over(engine: Engine) {
    let live = open(engine, &[("AFFILIATE_MONTHS", "3")]).await;
    let user = friend(&live).await;
    let order = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["pending"]).await;
    renew(&live, &order).await;
    wait_states(&live, user, &["pending"; 2]).await;
    renew(&live, &order).await;
    let all = wait_states(&live, user, &["pending"; 3]).await;
    // The fourth payment is behind the third month.
    renew(&live, &order).await;
    tell(&live, &order).await;
    live.wait_until_unleased().await;
    looked(&live).await;
    assert_eq!(commissions(&live, user).await, all);

    live.skip(15 * DAY);
    wait_states(&live, user, &["earned"; 3]).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 3 * 69);
    pages(&live, user, &all).await;
    live.close().await;
}

/// The last one first, each once, and a token of one's own list only.
async fn pages(live: &Live, user: Uuid, all: &[Commission]) {
    let ask = async |user: Uuid, page_token: &str| {
        let message = proto::ListAffiliateCommissionsRequest {
            user_id: user.to_string(),
            page_size: 2,
            page_token: page_token.to_owned(),
        };
        let request = live.storefront(message, user);
        let answer = live.orders().list_affiliate_commissions(request).await;
        answer.map(tonic::Response::into_inner)
    };
    let ids = |page: &[Commission]| -> Vec<String> {
        page.iter().map(|one| one.invoice_id.clone()).collect()
    };
    let first = ask(user, "").await.unwrap();
    assert_eq!(ids(&first.commissions), ids(&all[..2]));
    let rest = ask(user, &first.next_page_token).await.unwrap();
    assert_eq!(ids(&rest.commissions), ids(&all[2..]));
    assert_eq!(rest.next_page_token, "");
    let other = known_user(live).await;
    create(live, other, "").await.unwrap();
    let status = ask(other, &first.next_page_token).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    assert_eq!(ask(other, "").await.unwrap().commissions, []);
}

/// By our own policy, while its commission is pending and once it counts.
async fn an_order_that_is_refunded_loses_its_commission(engine: Engine) {
    for (days, before) in [("14", "pending"), ("0", "earned")] {
        let policy = [
            ("REFUND_UNFULFILLABLE_AFTER_SECONDS", "3600"),
            ("AFFILIATE_REFUND_DAYS", days),
        ];
        let live = open(engine, &policy).await;
        let user = friend(&live).await;
        let wanted = proto::CreateCheckoutSessionRequest {
            referral_code: "friend".to_owned(),
            ..cart(Uuid::new_v4())
        };
        let order = live.reserve(wanted).await;
        live.world.panel.fail_install(&order.id);
        live.pay(&order);
        live.wait_parked(&order.id, "INSTALL_FAILED").await;
        wait_states(&live, user, &[before]).await;
        live.skip(Duration::from_secs(3600));
        wait_states(&live, user, &["reversed"]).await;
        live.wait_until_unleased().await;
        looked(&live).await;
        let now = affiliate(&live, user).await;
        assert_eq!((now.signups, now.credits_cents), (1, 0), "{before}");
        live.close().await;
    }
}

/// No event of ours tells of it: it is asked for when the commission is about to count, and where
/// it counts, after the next read.
async fn what_a_person_gave_back_earns_nothing(engine: Engine) {
    let live = open(engine, &[]).await;
    let user = friend(&live).await;
    let first = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["pending"]).await;
    let second = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["pending"; 2]).await;
    looked(&live).await;
    give_back(&live, &second).await;
    live.skip(15 * DAY);
    let found = wait_states(&live, user, &["reversed", "earned"]).await;
    assert_eq!(found[0].order_id, second.id);
    assert_eq!(affiliate(&live, user).await.credits_cents, 69);

    give_back(&live, &first).await;
    tell(&live, &first).await;
    wait_states(&live, user, &["reversed"; 2]).await;
    let now = affiliate(&live, user).await;
    assert_eq!((now.signups, now.credits_cents), (2, 0));
    live.close().await;
}

/// Of an order that is over nothing is read any more: the event of the refund has its invoices
/// looked at.
async fn what_goes_back_after_the_end_is_taken_back_too(engine: Engine) {
    let live = open(engine, &[("AFFILIATE_REFUND_DAYS", "0")]).await;
    let user = friend(&live).await;
    let order = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["earned"]).await;
    live.world
        .stripe
        .cancel_subscription(&order.stripe_sub_id)
        .unwrap();
    live.wait_order(&order.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    live.wait_until_unleased().await;
    looked(&live).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 69);
    give_back(&live, &order).await;
    wait_states(&live, user, &["reversed"]).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 0);
    live.close().await;
}

/// Whether the dispute was seen before the invoice or after it: a won one leaves what was earned, a
/// lost one nothing.
async fn what_a_bank_takes_earns_nothing_unless_it_is_won(engine: Engine) {
    let live = open(engine, &[("AFFILIATE_REFUND_DAYS", "0")]).await;
    let user = friend(&live).await;
    let stripe = &live.world.stripe;
    let disputed = async |order: &Order| {
        let dispute = stripe
            .open_dispute(&order.stripe_sub_id, "fraudulent")
            .unwrap();
        live.wait_order(&order.id, "its server stands still", |order| {
            order.server_state() == ServerState::Suspended
        })
        .await;
        dispute
    };
    let won = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["earned"]).await;
    let dispute = disputed(&won).await;
    wait_states(&live, user, &["reversed"]).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 0);
    stripe.close_dispute(&dispute, DisputeOutcome::Won).unwrap();
    wait_states(&live, user, &["earned"]).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 69);

    let lost = buy(&live, Uuid::new_v4(), "friend").await;
    wait_states(&live, user, &["earned"; 2]).await;
    let dispute = disputed(&lost).await;
    stripe
        .close_dispute(&dispute, DisputeOutcome::Lost)
        .unwrap();
    live.wait_order(&lost.id, "it is over", |order| {
        order.status() == OrderStatus::Canceled
    })
    .await;
    live.wait_until_unleased().await;
    looked(&live).await;
    let found = commissions(&live, user).await;
    assert_eq!(states(&found), ["reversed", "earned"]);
    assert_eq!(found[0].order_id, lost.id);
    assert_eq!(affiliate(&live, user).await.credits_cents, 69);
    live.close().await;
}

async fn trouble_of_stripe_is_waited_out(engine: Engine) {
    let live = open(engine, &[]).await;
    let user = friend(&live).await;
    let stripe = &live.world.stripe;
    for effect in [
        Effect::DropBefore,
        Effect::InternalError { after_work: false },
    ] {
        let before = commissions(&live, user).await.len();
        let away = Fault::on("GET", "/v1/invoices", effect).always();
        let away = stripe.inject(away);
        buy(&live, Uuid::new_v4(), "friend").await;
        wait::until("it was asked in vain", PATIENCE, || async {
            stripe.fired(away) > 1
        })
        .await;
        assert_eq!(commissions(&live, user).await.len(), before);
        stripe.clear_faults();
        wait_states(&live, user, &vec!["pending"; before + 1]).await;
    }
    live.close().await;
}

async fn without_a_percentage_only_signups_are_counted(engine: Engine) {
    let live = open(engine, &[("AFFILIATE_PERCENT", "0")]).await;
    let user = friend(&live).await;
    let order = buy(&live, Uuid::new_v4(), "friend").await;
    tell(&live, &order).await;
    live.wait_until_unleased().await;
    looked(&live).await;
    let now = affiliate(&live, user).await;
    assert_eq!((now.signups, now.credits_cents), (1, 0));
    assert_eq!(commissions(&live, user).await, []);
    live.close().await;
}
