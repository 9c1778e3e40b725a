//! Whatever happens to an order, it comes to its end: the one that Stripe's truth
//! entitles its customer to.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    model::World,
    scenario::{Act, Create, Install, Open, Scenario, Session},
    *,
};
use crate::domain::{
    dispute::DisputePolicy, entitlement::Patience, lenience::Lenience, order::Status,
};

fn acts() -> impl Strategy<Value = Vec<(u8, Act, bool)>> {
    let act = select(vec![
        Act::Pay,
        Act::Pay,
        Act::Pay,
        Act::PayByDelayedMethod,
        Act::DelayedMethodPays,
        Act::DelayedMethodFails,
        Act::CancelSubscription,
        Act::CancelOrder,
        Act::RenewalFails,
        Act::RenewalFails,
        Act::DunningEnds,
        Act::PayDebt,
        Act::ChangePlan,
        Act::Rename,
        Act::Reinstall,
        Act::OpenFourthSession,
        Act::Retry,
    ]);
    vec((0..20_u8, act, any::<bool>()), 0..7).prop_map(|mut acts| {
        acts.sort_by_key(|(at, ..)| *at);
        acts
    })
}

fn creates() -> impl Strategy<Value = Vec<Create>> {
    // The panel's worst case is 30 s.
    let create = prop_oneof![
        Just(Create::Made),
        (0..=30_u8).prop_map(Create::LandsAfter),
        Just(Create::Vanishes),
        Just(Create::NodeDown),
        Just(Create::PortTaken),
        Just(Create::RateLimited),
        Just(Create::Rejected),
    ];
    vec(create, 0..5)
}

/// An order without a server is read every hour for as long as it would be kept: not too long for
/// [`super::model`].
fn lenience() -> impl Strategy<Value = Option<Lenience>> {
    option::of(
        (0..=10_i64, 0..=10_i64).prop_map(|(grace, retention)| Lenience {
            patience: Patience {
                grace_us: grace * DAY_US,
                retention_us: retention * DAY_US,
            },
            disputes: DisputePolicy::Suspend,
        }),
    )
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let opens = select(vec![
        Open::Opened,
        Open::OpenedWithoutAnswer,
        Open::NoAnswer,
        Open::Refused,
    ]);
    let installs = select(vec![Install::Ends, Install::Fails, Install::Hangs]);
    (
        (acts(), vec(opens, 0..3), creates(), vec(installs, 0..4)),
        (vec(0..30_u8, 0..3), vec(0..30_u8, 0..3)),
        (
            0..3_u8,
            0..30_u8,
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
        ),
        (lenience(), lenience()),
    )
        .prop_map(
            |((acts, opens, creates, installs), (troubles, crashes), rest, (sold, changed))| {
                let (unnamed_reads, refused_ends, mismatch, unresolved) = rest;
                Scenario {
                    acts,
                    opens,
                    creates,
                    installs,
                    troubles,
                    crashes,
                    unnamed_reads,
                    refused_ends,
                    sold,
                    changed,
                    mismatch,
                    unresolved,
                }
            },
        )
}

/// Whether the scenario gives a cause for this parking.
fn explains(plot: &Scenario, reason: ErrorReason) -> bool {
    let failed = plot
        .installs
        .iter()
        .filter(|install| **install != Install::Ends)
        .count();
    match reason {
        ErrorReason::BillingMismatch => plot.mismatch,
        ErrorReason::PanelUserUnresolved => plot.unresolved,
        ErrorReason::PanelRejected => plot.creates.contains(&Create::Rejected),
        // One that its customer wanted has no second chance.
        ErrorReason::InstallFailed => {
            let wanted = |(_, act, _): &(u8, Act, bool)| matches!(act, Act::Reinstall);
            failed >= 2 || failed == 1 && plot.acts.iter().any(wanted)
        }
        _ => false,
    }
}

/// The end that Stripe's truth entitles to.
fn check_end(world: &World, plot: &Scenario) -> Result<(), TestCaseError> {
    let facts = &world.facts;
    let nothing_held = facts.hold_node.is_none() && facts.ports == 0;
    prop_assert!(world.made <= 1, "{} servers were made", world.made);
    prop_assert_eq!(world.lands_us, None, "a create was forgotten");
    prop_assert_eq!(
        world.server,
        facts.server.exists(),
        "the panel has another truth"
    );
    match world.session {
        Session::None | Session::Expired | Session::Failed => {
            prop_assert_eq!(facts.status(), Status::Canceled);
            prop_assert!(nothing_held && !world.server && world.made == 0, "it leaks");
        }
        Session::Canceled => {
            prop_assert_eq!(facts.status(), Status::Canceled);
            prop_assert!(nothing_held && !world.server, "it leaks");
        }
        Session::PastDue | Session::Lapsed if plot.mismatch => {
            prop_assert!(facts.order.error_reason.is_some());
        }
        Session::PastDue => {
            prop_assert!(facts.hold_node.is_some(), "room was given away");
            let usable = facts.server.exists() && facts.server.ever_ran();
            prop_assert!(!usable || facts.server.suspended_us.is_some(), "it runs on");
        }
        Session::Paid => {
            prop_assert_eq!(
                facts.server.suspend_sent_us,
                None,
                "paid, and it stands still"
            );
            prop_assert!(facts.hold_node.is_some(), "room was given away");
            if let Some(reason) = facts.order.error_reason {
                prop_assert!(explains(plot, reason), "parked for no cause: {reason}");
            } else {
                prop_assert_eq!(facts.status(), Status::Provisioned);
                prop_assert!(facts.server.ever_ran() && world.made == 1);
                prop_assert_eq!(facts.hold_node, facts.server.node_id);
                prop_assert_eq!(facts.ports, facts.order.spec.ports);
            }
        }
        Session::Open { .. } | Session::Unpaid | Session::Lapsed => {
            prop_assert!(false, "it stopped although {:?}", world.session);
        }
    }
    Ok(())
}

/// Planning again, now and much later, changes nothing.
fn check_rest(world: &mut World) -> Result<(), TestCaseError> {
    world.calm();
    let (end, steps) = (world.facts.clone(), world.log.len());
    for later_us in [0, SECOND_US, 400 * 24 * 3600 * SECOND_US] {
        world.now_us += later_us;
        world.run().map_err(TestCaseError::fail)?;
        prop_assert_eq!(&world.log[steps..], &[]);
        prop_assert_eq!(&world.facts, &end);
    }
    Ok(())
}

/// A late duplicate of an event costs one read and changes nothing.
fn check_duplicate(world: &mut World) -> Result<(), TestCaseError> {
    let (end, steps) = (world.facts.clone(), world.log.len());
    world.facts.billing.hints += 1;
    world.run().map_err(TestCaseError::fail)?;
    let expected: &[Step] = if end.billing.over() {
        &[]
    } else {
        &[Step::SyncBilling]
    };
    prop_assert_eq!(&world.log[steps..], expected);
    prop_assert_eq!(world.facts.status(), end.status());
    prop_assert_eq!(&world.facts.server, &end.server);
    prop_assert_eq!(
        (world.facts.hold_node, world.facts.ports),
        (end.hold_node, end.ports)
    );
    Ok(())
}

/// Facts as they may never have come together in any life, with a truth of Stripe that
/// they may be old news of.
#[derive(Clone, Debug)]
struct AnyFacts {
    session: (Option<&'static str>, Option<&'static str>),
    subscription: Option<&'static str>,
    confirmed: bool,
    hint: bool,
    expire_requested: bool,
    never_opened: bool,
    parked: bool,
    account: bool,
    hold: Option<i32>,
    ports: i32,
    attempt: bool,
    request: bool,
    /// Looks since a create was sent, and after how many seconds it lands, if it does.
    doubt: Option<(i32, Option<u8>)>,
    server: Option<(bool, bool, i32)>,
    observed: Option<&'static str>,
    /// Whether Stripe knows of a payment, and of an end, that the facts do not.
    since: (bool, bool),
}

impl AnyFacts {
    /// What Stripe has by now. What is over stays over, what is paid stays paid.
    fn truth(&self, facts: &Facts) -> Session {
        let (billing, (paid, ended)) = (&facts.billing, self.since);
        let known_paid = billing.confirmed() || billing.payment_status.as_deref() == Some("paid");
        if billing.subscription_over() {
            Session::Canceled
        } else if billing.session_over() {
            Session::Expired
        } else if known_paid || paid {
            if ended {
                Session::Canceled
            } else {
                Session::Paid
            }
        } else if billing.session_status.as_deref() == Some("complete") {
            if ended {
                Session::Failed
            } else {
                Session::Unpaid
            }
        } else if ended {
            Session::Expired
        } else {
            Session::Open {
                expires_us: EXPIRES_US,
            }
        }
    }

    fn world(&self) -> World {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let mut facts = facts();
        let billing = &mut facts.billing;
        billing.session_id = self.session.0.map(|_| "cs_1".to_owned());
        billing.session_status = text(self.session.0);
        billing.payment_status = text(self.session.1);
        billing.session_expires_us = self.session.0.map(|_| EXPIRES_US);
        billing.never_opened = self.never_opened && self.session.0.is_none();
        billing.subscription_status = text(self.subscription);
        // Nothing was ever sent to the panel that was not paid.
        let confirmed = self.confirmed || self.doubt.is_some() || self.server.is_some();
        billing.confirmed_at_us = confirmed.then_some(MADE_US);
        billing.hints = i64::from(self.hint);
        billing.expire_requested = self.expire_requested;
        facts.order.error_reason = self.parked.then_some(ErrorReason::PanelRejected);
        facts.panel_user = self.account.then_some(7);
        facts.hold_node = self.hold;
        facts.ports = self.ports;
        let server = &mut facts.server;
        server.attempt = i32::from(self.attempt);
        server.node_id = (self.attempt || self.doubt.is_some()).then_some(NODE);
        server.has_create_request = self.request;
        server.observed_status = text(self.observed);
        let mut lands_us = None;
        if let Some((deleted, ran, reinstalls)) = self.server {
            server.panel_id = Some(9);
            server.deleted_us = deleted.then_some(MADE_US);
            server.first_running_us = ran.then_some(MADE_US);
            server.reinstalls = reinstalls;
            server.install_since_us = Some(MADE_US);
        } else if let Some((looks, lands)) = self.doubt {
            server.create_sent_us = Some(MADE_US);
            server.settle_looks = looks;
            lands_us = lands.map(|seconds| MADE_US + i64::from(seconds) * SECOND_US);
        }
        let truth = self.truth(&facts);
        let mut world = World::new(facts, truth, Scenario::default());
        world.lands_us = lands_us;
        world.made += u32::from(lands_us.is_some());
        world
    }
}

fn any_facts() -> impl Strategy<Value = AnyFacts> {
    let session = select(vec![
        (None, None),
        (Some("open"), Some("unpaid")),
        (Some("complete"), Some("unpaid")),
        (Some("complete"), Some("paid")),
        (Some("expired"), Some("unpaid")),
    ]);
    let subscription = option::of(select(vec!["active", "past_due", "canceled"]));
    let observed = option::of(select(vec![
        "installing",
        "install_failed",
        "suspended",
        "",
    ]));
    (
        (
            session,
            subscription,
            any::<(bool, bool)>(),
            any::<[bool; 5]>(),
        ),
        (any::<[bool; 3]>(), option::of(NODE..NODE + 2), 0..3_i32),
        (
            option::of((0..4_i32, option::of(0..=30_u8))),
            option::of((any::<bool>(), any::<bool>(), 0..2_i32)),
            observed,
        ),
    )
        .prop_map(|(stripe, held, panel)| {
            let (session, subscription, since, billing) = stripe;
            let [confirmed, hint, expire_requested, never_opened, parked] = billing;
            let ([account, attempt, request], hold, ports) = held;
            let (doubt, server, observed) = panel;
            AnyFacts {
                session,
                subscription,
                confirmed,
                hint,
                expire_requested,
                never_opened,
                parked,
                account,
                hold,
                ports,
                attempt,
                request,
                doubt,
                server,
                observed,
                since,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_story_ends_as_stripe_entitles(plot in scenarios()) {
        let mut world = World::new(facts(), Session::None, plot.clone());
        world.run().map_err(TestCaseError::fail)?;
        check_end(&world, &plot)?;
        check_rest(&mut world)?;
        check_duplicate(&mut world)?;
    }

    #[test]
    fn any_facts_converge(start in any_facts()) {
        let mut world = start.world();
        world.run().map_err(TestCaseError::fail)?;
        let facts = &world.facts;
        prop_assert!(world.made <= 1, "{} servers were made", world.made);
        prop_assert_eq!(world.lands_us, None, "a create was forgotten");
        if facts.billing.over() {
            let used = facts.server.exists() && facts.server.ever_ran();
            let nothing_held = facts.hold_node.is_none() && facts.ports == 0;
            prop_assert!(used || (nothing_held && !world.server), "it leaks");
        } else {
            let parked = facts.order.error_reason.is_some();
            prop_assert!(parked || facts.server.exists(), "it was forgotten");
        }
        check_rest(&mut world)?;
    }
}

/// The model itself is checked by stories whose end is known.
#[test]
fn a_good_purchase_takes_five_steps() {
    let plot = Scenario {
        acts: vec![(1, Act::Pay, true)],
        ..Scenario::default()
    };
    let mut world = World::new(facts(), Session::None, plot);
    world.run().unwrap();
    let names: Vec<&str> = world.log.iter().map(|step| step.name()).collect();
    assert_eq!(
        names,
        [
            "OpenSession",
            "SyncBilling",
            "EnsureOwner",
            "Place",
            "CreateServer"
        ]
    );
    assert!(world.server && world.facts.server.ever_ran());
}

#[test]
fn an_abandoned_checkout_costs_one_read_and_gives_all_back() {
    let mut world = World::new(facts(), Session::None, Scenario::default());
    world.run().unwrap();
    let names: Vec<&str> = world.log.iter().map(|step| step.name()).collect();
    assert_eq!(names, ["OpenSession", "SyncBilling", "Release"]);
    assert_eq!(world.now_us, EXPIRES_US + timing().session_grace_us);
}

#[test]
fn a_create_without_an_answer_is_found_and_never_repeated() {
    let plot = Scenario {
        acts: vec![(1, Act::Pay, true)],
        creates: vec![Create::LandsAfter(30)],
        ..Scenario::default()
    };
    let mut world = World::new(facts(), Session::None, plot);
    world.run().unwrap();
    let creates = world
        .log
        .iter()
        .filter(|step| **step == Step::CreateServer)
        .count();
    assert_eq!((creates, world.made), (1, 1));
    assert!(world.log.contains(&Step::SettleCreate) && world.facts.server.ever_ran());
}

#[test]
fn a_cancel_while_a_create_is_in_doubt_ends_without_a_server() {
    for create in [Create::LandsAfter(30), Create::Vanishes] {
        let plot = Scenario {
            acts: vec![(1, Act::Pay, true), (5, Act::CancelSubscription, true)],
            creates: vec![create],
            ..Scenario::default()
        };
        let mut world = World::new(facts(), Session::None, plot);
        world.run().unwrap();
        let deleted = world.log.contains(&Step::Delete);
        assert_eq!(deleted, create != Create::Vanishes, "{:?}", world.log);
        assert_eq!(world.log.last(), Some(&Step::Release));
        assert!(!world.server && world.facts.hold_node.is_none());
    }
}
