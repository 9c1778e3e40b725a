//! The product of all facts that planning looks at, and what no step may do in any
//! of them.

use std::collections::BTreeSet;

use super::*;
use crate::domain::{
    dispute::DisputePolicy,
    entitlement::{Patience, Standing},
    lenience::Lenience,
    order::{Changing, EndWish},
};

/// What is known of the session beyond its status and payment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    NeverOpened,
    PaymentFailed,
}

/// Session and payment, and what was told of them.
const SESSIONS: [(Option<&str>, Option<&str>, Told); 7] = [
    (None, None, Told::Nothing),
    (None, None, Told::NeverOpened),
    (Some("open"), Some("unpaid"), Told::Nothing),
    (Some("complete"), Some("unpaid"), Told::Nothing),
    (Some("complete"), Some("unpaid"), Told::PaymentFailed),
    (Some("complete"), Some("paid"), Told::Nothing),
    (Some("expired"), Some("unpaid"), Told::Nothing),
];
const SUBSCRIPTIONS: [Option<&str>; 6] = [
    None,
    Some("active"),
    Some("past_due"),
    Some("unpaid"),
    Some("canceled"),
    Some("incomplete_expired"),
];
const OBSERVED: [Option<&str>; 5] = [
    None,
    Some("installing"),
    Some("install_failed"),
    Some("suspended"),
    Some(""),
];
const HOLDS: [Option<i32>; 3] = [None, Some(NODE), Some(NODE + 1)];
/// Looks since the create was sent at `MADE_US`, where one was.
const LOOKS: [Option<i32>; 5] = [None, Some(0), Some(1), Some(2), Some(3)];

/// As the shop is, less patient, and more. What was read was read by the shop's.
const SOLD: [Option<Lenience>; 5] = [
    None,
    Some(sold(1, 2)),
    Some(sold(5, 30)),
    None,
    Some(sold(5, 30)),
];

const fn sold(grace: i64, retention: i64) -> Lenience {
    Lenience {
        patience: Patience {
            grace_us: grace * DAY_US,
            retention_us: retention * DAY_US,
        },
        disputes: DisputePolicy::Suspend,
    }
}

/// Around the moments at which something comes due.
fn times() -> [i64; 7] {
    let timing = timing();
    let [first, second, third] = timing.late_looks_us;
    let settled = timing.settle_us + timing.settle_again_us;
    let Patience {
        grace_us,
        retention_us,
    } = timing.patience;
    assert!(settled < first && second < EXPIRES_US - MADE_US && EXPIRES_US - MADE_US < third);
    [
        MADE_US,
        MADE_US + timing.settle_us - 1,
        MADE_US + settled,
        MADE_US + second,
        MADE_US + third.max(timing.install_limit_us),
        MADE_US + grace_us,
        MADE_US + retention_us,
    ]
}

/// Calls `check` with every combination.
fn for_all(mut check: impl FnMut(&Facts)) {
    let word = |word: Option<&str>| word.map(str::to_owned);
    for (session, payment, told) in SESSIONS {
        for subscription in SUBSCRIPTIONS {
            let mut facts = facts();
            facts.billing.session_id = session.map(|_| "cs_1".to_owned());
            facts.billing.session_status = word(session);
            facts.billing.payment_status = word(payment);
            facts.billing.never_opened = told == Told::NeverOpened;
            facts.billing.payment_failed_us = (told == Told::PaymentFailed).then_some(MADE_US);
            facts.billing.session_expires_us = session.map(|_| EXPIRES_US);
            facts.billing.subscription_id = subscription.map(|_| "sub_1".to_owned());
            if let Some(status) = subscription {
                facts = read(facts, status);
            }
            let wishes = [
                (None, 0),
                (Some(EndWish::Now), 0),
                (Some(EndWish::Never), 1),
                (None, 0),
                (Some(EndWish::Now), 1),
                (Some(EndWish::Never), 0),
                (None, 1),
            ];
            let wishes = wishes.into_iter().cycle().zip(SOLD.into_iter().cycle());
            for (bits, ((wish, refunds), sold)) in (0..32_u32).zip(wishes) {
                facts.billing.wish = wish;
                // Wanted, and paid.
                let paid_us = (bits % 3 == 2).then_some(MADE_US);
                facts.change = (bits % 3 != 0).then(|| Changing {
                    plan_id: "another".to_owned(),
                    look_us: None,
                    paid_us,
                });
                facts.billing.refunds_due = refunds;
                facts.order.lenience = sold;
                let bit = |place: u32| (bits >> place) & 1 == 1;
                facts.billing.hints = i64::from(bit(0));
                facts.billing.confirmed_at_us = bit(1).then_some(MADE_US);
                facts.order.error_reason = bit(2).then_some(ErrorReason::PanelRejected);
                facts.billing.expire_requested = bit(3);
                facts.billing.read_us = bit(4).then_some(MADE_US);
                for_all_places(&mut facts, &mut check);
            }
        }
    }
}

/// What is held and chosen, and how a create stands.
fn for_all_places(facts: &mut Facts, check: &mut impl FnMut(&Facts)) {
    for hold_node in HOLDS {
        facts.hold_node = hold_node;
        for bits in 0..8_u32 {
            let bit = |place: u32| (bits >> place) & 1 == 1;
            facts.panel_user = bit(0).then_some(7);
            facts.ports = if bit(1) { 2 } else { 1 };
            facts.server.attempt = i32::from(bit(2));
            facts.server.has_create_request = bit(2);
            facts.server.node_id = bit(2).then_some(NODE);
            for looks in LOOKS {
                facts.server.create_sent_us = looks.map(|_| MADE_US);
                facts.server.settle_looks = looks.unwrap_or(0);
                for_all_servers(facts, check);
            }
        }
    }
}

/// What the panel has; what was seen of it and its past only where it is there.
fn for_all_servers(facts: &mut Facts, check: &mut impl FnMut(&Facts)) {
    facts.server.panel_id = None;
    facts.server.deleted_us = None;
    facts.server.observed_status = None;
    facts.server.first_running_us = None;
    facts.server.reinstalls = 0;
    facts.server.install_since_us = None;
    check(facts);
    facts.server.panel_id = Some(9);
    facts.server.install_since_us = Some(MADE_US);
    for observed in OBSERVED {
        facts.server.observed_status = observed.map(str::to_owned);
        for past in 0..4 {
            facts.server.first_running_us = (past & 1 == 1).then_some(MADE_US);
            facts.server.reinstalls = past >> 1;
            facts.server.respec_us = (past == 3).then_some(MADE_US);
            facts.server.rename_us = (past == 1).then_some(MADE_US);
            check(facts);
        }
        facts.server.respec_us = None;
        facts.server.rename_us = None;
        facts.server.reinstalls = 0;
        facts.server.first_running_us = Some(MADE_US);
        facts.server.suspend_sent_us = Some(MADE_US);
        check(facts);
        facts.server.suspended_us = Some(MADE_US);
        check(facts);
        facts.server.reinstall_us = Some(MADE_US);
        check(facts);
        facts.server.suspend_sent_us = None;
        facts.server.suspended_us = None;
        check(facts);
        facts.server.reinstall_sent_us = Some(MADE_US);
        check(facts);
        facts.server.reinstall_us = None;
        facts.server.reinstall_sent_us = None;
    }
    facts.server.deleted_us = Some(MADE_US);
    check(facts);
}

/// What a step of these facts must not do, and does.
fn broken_rule(facts: &Facts, step: Step, now_us: i64) -> Option<&'static str> {
    let what = match step {
        Step::OpenSession | Step::SyncBilling | Step::PlanEnd => breaks_billing(facts, step),
        Step::ChangePlan | Step::ApplySpec => breaks_change(facts, step),
        Step::Reinstall => breaks_reinstall(facts),
        Step::EnsureOwner | Step::Place | Step::CreateServer | Step::RetryInstall => {
            breaks_provisioning(facts, step)
        }
        Step::Suspend | Step::Unsuspend | Step::CancelSubscription => {
            breaks_entitlement(facts, step, now_us)
        }
        Step::SettleCreate | Step::Delete | Step::Release => breaks_ending(facts, step, now_us),
        Step::Refund => vec![(facts.billing.refunds_due == 0, "gives back what is not due")],
        Step::Park(_) | Step::Wait { .. } | Step::Rest(_) => breaks_rest(facts, step, now_us),
    };
    what.into_iter()
        .find(|(broken, _)| *broken)
        .map(|(_, what)| what)
}

type Rules = Vec<(bool, &'static str)>;

fn breaks_billing(facts: &Facts, step: Step) -> Rules {
    let session = facts.billing.session_id.is_some();
    vec![
        (
            facts.billing.over(),
            "asks Stripe about an order that is over",
        ),
        (
            step == Step::OpenSession && session,
            "opens a second session",
        ),
        (step == Step::SyncBilling && !session, "reads no session"),
        (
            step == Step::PlanEnd && facts.billing.wish.is_none(),
            "plans an end that nobody wants",
        ),
    ]
}

fn breaks_change(facts: &Facts, step: Step) -> Rules {
    let (billing, server) = (&facts.billing, &facts.server);
    let wanted = facts.wanted_plan().is_some();
    if step == Step::ChangePlan {
        return vec![
            (!wanted, "changes to a plan that nobody wants"),
            (
                billing.over() || !billing.confirmed(),
                "changes what is not paid for",
            ),
            (billing.subscription_id.is_none(), "changes nothing"),
        ];
    }
    vec![
        (
            server.respec_us.is_none() && server.rename_us.is_none(),
            "gives what it has",
        ),
        (
            !server.exists() || !server.ever_ran(),
            "gives limits to what is not there",
        ),
        (billing.over(), "gives limits to what is over"),
        (facts.order.error_reason.is_some(), "touches a parked order"),
    ]
}

fn breaks_reinstall(facts: &Facts) -> Rules {
    let server = &facts.server;
    let sent = server.reinstall_sent_us.is_some();
    let installs = matches!(server.observed_status.as_deref(), None | Some("installing"));
    vec![
        (
            !server.exists() || !server.ever_ran(),
            "reinstalls what nobody has used",
        ),
        (
            !sent && !installs && server.reinstall_us.is_none(),
            "reinstalls what nobody wants reinstalled",
        ),
        (
            !sent && server.suspended_us.or(server.suspend_sent_us).is_some(),
            "lets a suspended server go on",
        ),
        (!sent && facts.billing.over(), "reinstalls what is over"),
        (
            !sent && matches!(facts.billing.standing(), Standing::Lapsed),
            "reinstalls what is not paid for",
        ),
        (facts.order.error_reason.is_some(), "touches a parked order"),
    ]
}

fn breaks_provisioning(facts: &Facts, step: Step) -> Rules {
    let (billing, server) = (&facts.billing, &facts.server);
    let mut rules = vec![
        (billing.over(), "provisions an order that is over"),
        (
            facts.order.error_reason.is_some(),
            "provisions a parked order",
        ),
        (!billing.confirmed(), "provisions what is not paid"),
        (
            billing.hints > billing.hints_read,
            "provisions without having read the news",
        ),
        (server.in_doubt(), "provisions while a create is in doubt"),
    ];
    rules.extend(match step {
        Step::RetryInstall => {
            let failed = matches!(
                server.observed_status.as_deref(),
                Some("install_failed" | "reinstall_failed")
            );
            vec![
                (!server.exists(), "reinstalls nothing"),
                (server.ever_ran(), "reinstalls a used server"),
                (server.reinstalls > 0 && failed, "reinstalls twice"),
            ]
        }
        Step::CreateServer => vec![
            (server.panel_id.is_some(), "creates a second server"),
            (facts.panel_user.is_none(), "creates without an owner"),
            (
                server.attempt == 0 || !server.has_create_request,
                "creates without a request",
            ),
            (
                facts.hold_node != server.node_id,
                "creates where no room is held",
            ),
            (
                facts.ports < facts.order.spec.ports,
                "creates without its ports",
            ),
        ],
        Step::Place => vec![(server.panel_id.is_some(), "places a second server")],
        _ => vec![(facts.panel_user.is_some(), "makes a second account")],
    });
    rules
}

/// When a server that is not paid for may go; never while that is not known.
fn kept_until_us(facts: &Facts) -> i64 {
    let used = facts.server.exists() && facts.server.ever_ran();
    let stood_still = !used || facts.server.suspended_us.is_some();
    let since_us = facts.billing.suspend_since_us.filter(|_| stood_still);
    since_us.map_or(i64::MAX, |since_us| {
        since_us + facts.patience(timing().patience).retention_us
    })
}

fn breaks_entitlement(facts: &Facts, step: Step, now_us: i64) -> Rules {
    let (standing, server) = (facts.billing.standing(), &facts.server);
    let usable = server.exists() && server.ever_ran();
    let wanted = facts.billing.wish == Some(EndWish::Now);
    match step {
        Step::Suspend => vec![
            (!usable, "stops what nobody can use"),
            (
                server.suspended_us.is_some() && !server.let_go(),
                "stops what stands still",
            ),
            (standing == Standing::Good, "stops what is paid for"),
            (
                standing == Standing::Unclear && facts.billing.suspend_since_us.is_none(),
                "stops a server on a word that nobody knows",
            ),
        ],
        Step::Unsuspend => vec![
            (!usable, "lets nothing go on"),
            (
                server.suspend_sent_us.is_none() && server.suspended_us.is_none(),
                "lets go on what nobody suspended",
            ),
            (
                matches!(standing, Standing::Lapsed | Standing::Over)
                    || facts.billing.suspend_since_us.is_some() && standing == Standing::Unclear,
                "lets go on what is not paid for",
            ),
            (facts.billing.over(), "lets go on what is over"),
        ],
        _ => vec![
            (
                !wanted && standing != Standing::Lapsed,
                "ends a subscription that is paid for, tried again or over",
            ),
            (
                !wanted && now_us < kept_until_us(facts),
                "ends it before its time",
            ),
        ],
    }
}

fn breaks_ending(facts: &Facts, step: Step, now_us: i64) -> Rules {
    let (over, server) = (facts.billing.over(), &facts.server);
    match step {
        Step::SettleCreate => vec![
            (!server.in_doubt(), "settles what is certain"),
            (
                now_us < MADE_US + timing().settle_us,
                "looks for a create before the panel can have finished",
            ),
        ],
        Step::Delete => vec![
            (!over, "deletes the server of a live order"),
            (
                server.ever_ran() && now_us < kept_until_us(facts),
                "deletes a used server before its time",
            ),
            (!server.exists(), "deletes nothing"),
        ],
        _ => vec![
            (!over, "gives back what may still be paid"),
            (server.in_doubt(), "gives back what a late create may take"),
            (server.exists(), "gives back what a server stands on"),
            (
                facts.hold_node.is_none() && facts.ports == 0 && facts.change.is_none(),
                "gives back nothing, for ever",
            ),
        ],
    }
}

fn breaks_rest(facts: &Facts, step: Step, now_us: i64) -> Rules {
    let (over, parked) = (facts.billing.over(), facts.order.error_reason.is_some());
    let exists = facts.server.exists();
    if facts.billing.refunds_due > 0 {
        return vec![(true, "forgets a payment that is to go back")];
    }
    let changes = facts.wanted_plan().is_some() && facts.billing.subscription_id.is_some();
    if changes && facts.billing.confirmed() && !over && !facts.server.in_doubt() {
        return vec![(true, "forgets a change of plan")];
    }
    match step {
        Step::Park(_) => vec![
            (parked, "parks what is parked"),
            (over, "parks what is over"),
        ],
        Step::Wait { until_us, .. } => {
            vec![(until_us <= now_us, "waits for what is past: a hot loop")]
        }
        _ => vec![
            (
                !over && !parked && !exists,
                "forgets an order that has no server",
            ),
            (
                over && !exists
                    && (facts.hold_node.is_some() || facts.ports > 0 || facts.change.is_some()),
                "forgets what an ended order holds",
            ),
            (
                over && exists && !facts.server.ever_ran(),
                "forgets a half-made server",
            ),
            (
                over && exists && kept_until_us(facts) < i64::MAX,
                "forgets a server that is to go",
            ),
        ],
    }
}

#[test]
fn every_combination_of_facts_has_a_step_that_breaks_no_rule() {
    let (times, timing) = (times(), timing());
    let mut planned = BTreeSet::new();
    let mut combinations = 0_u64;
    for_all(|facts| {
        for now_us in times {
            let step = next_step(facts, &timing, now_us);
            if let Some(what) = broken_rule(facts, step, now_us) {
                let age = (now_us - MADE_US) / SECOND_US;
                panic!(
                    "{} {what}, {age} s after the order: {facts:#?}",
                    step.name()
                );
            }
            planned.insert(step.name());
            combinations += 1;
        }
    });
    assert!(combinations > 10_000_000, "{combinations}");
    assert_eq!(planned.len(), 20, "a step was never planned: {planned:?}");
}
