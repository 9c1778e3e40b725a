use super::{
    visible::{Change, changes},
    *,
};
use crate::domain::SECOND_US;

/// When the order of these tests was made.
pub(crate) const MADE_US: i64 = 1_790_000_000 * SECOND_US;
/// When its session ends unless paid.
pub(crate) const EXPIRES_US: i64 = MADE_US + 35 * 60 * SECOND_US;
/// The node that it holds room on.
pub(crate) const NODE: i32 = 3;

/// A new order, as checkout commits it: room and two ports held, nothing else known.
pub(crate) fn facts() -> Facts {
    Facts {
        order: Order {
            id: OrderId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
            plan_id: "mc-2gb".to_owned(),
            item_type: "game".to_owned(),
            term: "monthly".to_owned(),
            region: "us-east".to_owned(),
            server_name: "Our world".to_owned(),
            addons: Vec::new(),
            manual_addons: Vec::new(),
            spec: Spec {
                game: "minecraft".to_owned(),
                ram_mb: 2048,
                disk_mb: 20_480,
                swap_mb: 0,
                cpu_percent: 100,
                databases: 1,
                backups: 1,
                allocations: 0,
                ports: 2,
            },
            price_minor: 499,
            currency: "usd".to_owned(),
            lenience: None,
            referral_code: String::new(),
            request_id: Uuid::from_u128(3),
            attempts: 0,
            waiting_reason: None,
            error_reason: None,
            error_message: String::new(),
            status: Status::Pending,
            server_state: ServerState::None,
            due_us: Some(MADE_US),
            facts_seq: 0,
            fence: 0,
            version: 1,
            created_us: MADE_US,
            updated_us: MADE_US,
        },
        billing: Billing {
            request_expires_us: EXPIRES_US,
            ..Billing::default()
        },
        server: Server::default(),
        hold_node: Some(NODE),
        ports: 2,
        panel_user: None,
        change: None,
    }
}

/// A change of one part, by the name it has in a test.
type Named<Part> = (&'static str, fn(&mut Part));

/// Every way in which an order can be over, and not being over.
const ENDS: [Named<Billing>; 7] = [
    ("goes on", |_| {}),
    ("subscription canceled", |b| {
        b.subscription_status = Some("canceled".to_owned())
    }),
    ("never completed", |b| {
        b.subscription_status = Some("incomplete_expired".to_owned())
    }),
    ("subscription ended", |b| b.ended_at_us = Some(MADE_US)),
    ("session expired", |b| {
        b.session_status = Some("expired".to_owned())
    }),
    ("never opened", |b| b.never_opened = true),
    ("delayed payment failed", delayed_payment_failed),
];

/// An event said that a delayed payment failed, and our own read agreed.
fn delayed_payment_failed(billing: &mut Billing) {
    billing.session_status = Some("complete".to_owned());
    billing.payment_status = Some("unpaid".to_owned());
    billing.payment_failed_us = Some(MADE_US);
    billing.read_us = Some(MADE_US);
    billing.confirmed_at_us = None;
}

/// What the panel has.
const PANEL: [Named<Server>; 3] = [
    ("no server", |_| {}),
    ("a server", |s| s.panel_id = Some(9)),
    ("a deleted server", |s| {
        s.panel_id = Some(9);
        s.deleted_us = Some(MADE_US);
    }),
];

#[test]
fn status_follows_its_precedence_in_every_combination() {
    let mut seen = Vec::new();
    for bits in 0..16 {
        let [parked, confirmed, attempted, ran] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        for (end, ended) in ENDS {
            for (panel, on_panel) in PANEL {
                let mut facts = facts();
                facts.order.error_reason = parked.then_some(ErrorReason::PanelRejected);
                facts.billing.confirmed_at_us = confirmed.then_some(MADE_US);
                facts.server.attempt = i32::from(attempted);
                facts.server.first_running_us = ran.then_some(MADE_US);
                ended(&mut facts.billing);
                on_panel(&mut facts.server);
                let exists = panel == "a server";
                let confirmed = facts.billing.confirmed();
                // The first that holds is the status.
                let precedence = [
                    ("canceled", end != "goes on"),
                    ("error", parked && !(exists && ran)),
                    ("provisioned", exists),
                    ("provisioning", confirmed && attempted),
                    ("paid", confirmed),
                    ("pending", true),
                ];
                let expected = precedence.iter().find(|(_, holds)| *holds).unwrap().0;
                assert_eq!(
                    facts.status().as_str(),
                    expected,
                    "{end}, {panel}, parked {parked}, confirmed {confirmed}, \
                     attempted {attempted}, ran {ran}"
                );
                seen.push(facts.status());
            }
        }
    }
    for status in Status::ALL {
        assert!(seen.contains(status), "{status} was never reached");
    }
}

#[test]
fn the_life_of_an_order_reads_as_the_shop_tells_it() {
    let mut order = facts();
    let mut told = vec![order.status()];
    let mut tell = |order: &Facts| told.push(order.status());
    order.billing.confirmed_at_us = Some(MADE_US);
    tell(&order);
    order.server.attempt = 1;
    tell(&order);
    order.server.panel_id = Some(9);
    tell(&order);
    // It never ran: parked, it is of no use to its customer.
    order.order.error_reason = Some(ErrorReason::InstallFailed);
    tell(&order);
    // It ran: a failure later does not take it away.
    order.server.first_running_us = Some(MADE_US);
    tell(&order);
    order.billing.subscription_status = Some("canceled".to_owned());
    tell(&order);
    let words: Vec<&str> = told.into_iter().map(Status::as_str).collect();
    assert_eq!(
        words,
        [
            "pending",
            "paid",
            "provisioning",
            "provisioned",
            "error",
            "provisioned",
            "canceled"
        ]
    );
}

#[test]
fn a_lapsed_subscription_is_not_an_ended_one() {
    for status in [
        "active",
        "trialing",
        "past_due",
        "unpaid",
        "paused",
        "incomplete",
        "new_word",
    ] {
        let mut facts = facts();
        facts.billing.subscription_status = Some(status.to_owned());
        assert!(!facts.billing.over(), "{status}");
    }
    for status in ["open", "complete", "new_word"] {
        let mut facts = facts();
        facts.billing.session_status = Some(status.to_owned());
        assert!(!facts.billing.over(), "{status}");
    }
}

#[test]
fn a_failed_payment_ends_an_order_only_by_our_own_read() {
    let mut failed = facts().billing;
    delayed_payment_failed(&mut failed);
    assert!(failed.over());
    let doubts: [Named<Billing>; 6] = [
        ("no event", |b| b.payment_failed_us = None),
        ("never read", |b| b.read_us = None),
        ("read before the event", |b| b.read_us = Some(MADE_US - 1)),
        ("paid after all", |b| {
            b.payment_status = Some("paid".to_owned())
        }),
        ("confirmed", |b| b.confirmed_at_us = Some(MADE_US)),
        ("still open", |b| b.session_status = Some("open".to_owned())),
    ];
    for (doubt, raise) in doubts {
        let mut billing = failed.clone();
        raise(&mut billing);
        assert!(!billing.over(), "{doubt}");
    }
}

#[test]
fn a_create_is_in_doubt_from_its_sending_to_its_outcome() {
    let mut server = Server::default();
    assert!(!server.in_doubt());
    server.create_sent_us = Some(MADE_US);
    assert!(server.in_doubt());
    server.panel_id = Some(9);
    assert!(!server.in_doubt());
}

#[test]
fn server_state_is_the_panels_word_in_ours() {
    let (none, there, gone) = (None, Some(9), Some(MADE_US));
    let cases = [
        (none, None, None, "none"),
        (none, None, Some("installing"), "none"),
        (there, None, None, "installing"),
        (there, None, Some("installing"), "installing"),
        (there, None, Some("install_failed"), "install_failed"),
        (there, None, Some("reinstall_failed"), "install_failed"),
        (there, None, Some(""), "running"),
        (there, None, Some("restoring_backup"), "running"),
        (there, None, Some("suspended"), "suspended"),
        (there, gone, Some(""), "deleted"),
        (there, gone, Some("suspended"), "deleted"),
        (there, gone, None, "deleted"),
    ];
    for (panel_id, deleted_us, observed, expected) in cases {
        let mut facts = facts();
        facts.server.panel_id = panel_id;
        facts.server.deleted_us = deleted_us;
        facts.server.observed_status = observed.map(str::to_owned);
        assert_eq!(
            facts.server_state().as_str(),
            expected,
            "{panel_id:?} {observed:?}"
        );
    }
}

#[test]
fn every_visible_field_is_told_by_its_own_name() {
    let text = |text: &str| Some(text.to_owned());
    type Alter = (&'static str, &'static str, fn(&mut Facts));
    let alter: [Alter; 9] = [
        ("plan_id", "mc-4gb", |f| {
            f.order.plan_id = "mc-4gb".to_owned()
        }),
        ("server_name", "New", |f| {
            f.order.server_name = "New".to_owned()
        }),
        ("addons", "a,b", |f| {
            f.order.addons = vec!["a".to_owned(), "b".to_owned()]
        }),
        ("manual_addons", "m=true", |f| {
            f.order.manual_addons = vec![("m".to_owned(), true)]
        }),
        ("waiting_reason", "NO_PORTS", |f| {
            f.order.waiting_reason = Some(WaitingReason::NoPorts);
        }),
        ("error_message", "why", |f| {
            f.order.error_message = "why".to_owned()
        }),
        ("attempts", "3", |f| f.order.attempts = 3),
        ("cancel_time", "1970-01-01T00:00:05Z", |f| {
            f.billing.cancel_at_us = Some(5_000_000)
        }),
        ("hold_expire_time", "1970-01-01T00:00:06.5Z", |f| {
            f.billing.session_expires_us = Some(6_500_000)
        }),
    ];
    for (what, to, alter) in alter {
        let before = facts();
        let mut after = before.clone();
        alter(&mut after);
        let found = changes(&before.visible_before(), &after.visible());
        let [change] = found.as_slice() else {
            panic!("{what}: {found:?}")
        };
        assert_eq!((change.what, change.to.as_str()), (what, to));
    }
    type SetId = (&'static str, fn(&mut Facts, Option<String>));
    let ids: [SetId; 5] = [
        ("stripe_checkout_session_id", |f, id| {
            f.billing.session_id = id
        }),
        ("stripe_customer_id", |f, id| f.billing.customer_id = id),
        ("stripe_sub_id", |f, id| f.billing.subscription_id = id),
        ("subscription_status", |f, id| {
            f.billing.subscription_status = id
        }),
        ("pterodactyl_server_identifier", |f, id| {
            f.server.identifier = id
        }),
    ];
    for (what, alter) in ids {
        let mut after = facts();
        alter(&mut after, text("x_1"));
        let expected = Change {
            what,
            from: String::new(),
            to: "x_1".to_owned(),
        };
        assert_eq!(
            changes(&facts().visible_before(), &after.visible()),
            [expected]
        );
    }
}

#[test]
fn status_and_server_state_are_compared_with_what_was_stored() {
    // As `seal` sees it: the part has changed, the stored words have not.
    let before = facts();
    let mut after = before.clone();
    after.server.panel_id = Some(9);
    let found = changes(&before.visible_before(), &after.visible());
    let told: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|change| (change.what, change.from.as_str(), change.to.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("pterodactyl_server_id", "", "9"),
            ("status", "pending", "provisioned"),
            ("server_state", "none", "installing"),
        ]
    );
    // Once the new words are stored there is nothing left to tell.
    after.order.status = after.status();
    after.order.server_state = after.server_state();
    assert_eq!(changes(&after.visible_before(), &after.visible()), []);
}

#[test]
fn bookkeeping_is_not_visible() {
    let hidden: [fn(&mut Facts); 13] = [
        |f| f.order.due_us = None,
        |f| f.order.facts_seq += 1,
        |f| f.order.fence += 1,
        |f| f.order.version += 1,
        |f| f.order.updated_us += 1,
        |f| f.billing.hints += 1,
        |f| f.billing.hints_read += 1,
        |f| f.billing.read_us = Some(MADE_US),
        |f| f.billing.request_sent_us = Some(MADE_US),
        |f| f.server.create_sent_us = Some(MADE_US),
        |f| f.server.settle_looks += 1,
        |f| f.server.observed_us = Some(MADE_US),
        |f| f.server.panel_write_us = Some(MADE_US),
    ];
    for (index, alter) in hidden.into_iter().enumerate() {
        let mut after = facts();
        alter(&mut after);
        assert_eq!(
            changes(&facts().visible_before(), &after.visible()),
            [],
            "{index}"
        );
    }
}

#[test]
fn the_node_shown_is_the_servers_before_the_holds() {
    let mut facts = facts();
    assert_eq!(facts.shown_node(), Some(NODE));
    facts.server.node_id = Some(4);
    assert_eq!(facts.shown_node(), Some(4));
    facts.server.node_id = None;
    facts.hold_node = None;
    assert_eq!(facts.shown_node(), None);
}
