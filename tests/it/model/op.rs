//! What customers, operators, the network and the machines do to the shop, and how a
//! story of it is drawn.
//!
//! An act says whom it is about by a number that is taken modulo what there is when its
//! turn comes: so a story stays a story when acts are left out of it, and shrinks well.

use proptest::{collection, prelude::*};

/// Which of those there are.
pub(super) type Pick = u16;

/// How a customer pays.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    AtOnce,
    /// By a method whose money comes later, or not.
    Delayed,
    /// A voucher covers all of it.
    Free,
}

/// One call of the API of Stripe or the panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route(pub &'static str, pub &'static str);

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// The connection closes before the work.
    DropBefore,
    /// The work is done and the connection closes.
    DropAfter,
    /// 500 before the work.
    FailBefore,
    /// The work is done and the answer is a 500; Stripe keeps it under the key.
    FailAfter,
    /// The work is done and a page of a proxy comes back.
    Html,
    /// The work is done and the answer is cut.
    Truncated,
    /// 429.
    RateLimited,
}

/// How a node fares.
#[derive(Clone, Copy, Debug)]
pub(super) enum NodeMood {
    Well,
    Down,
    Failing,
    /// The panel's worker dies while it talks to it: a row stays and nobody installs it.
    LosesInstalls,
}

/// A sweep, by its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sweep {
    All,
    One(&'static str),
}

/// Looks at all servers of the panel.
pub(super) const INSTALLS: Sweep = Sweep::One("install_watch");

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A checkout with a new request id.
    Buy {
        user: u8,
        cart: u8,
    },
    /// A checkout sent once more, word by word.
    Repeat(Pick),
    Pay {
        pick: Pick,
        how: How,
    },
    /// A delayed payment comes, or fails.
    Settle {
        pick: Pick,
        comes: bool,
    },
    /// Stripe ends an open session.
    Expire(Pick),
    /// A customer ends a subscription.
    EndSubscription(Pick),
    /// An order is canceled: now, or with the period that is paid for.
    CancelOrder {
        pick: Pick,
        at_period_end: bool,
    },
    /// An end with the period is taken back.
    ResumeOrder(Pick),
    /// A renewal is not paid.
    RenewalFails(Pick),
    /// Stripe gives up on it.
    DunningEnds(Pick),
    /// It is paid after all.
    PayDebt(Pick),
    /// A customer takes the other plan of the game, and the card pays for it or does not.
    ChangePlan {
        pick: Pick,
        declines: bool,
    },
    /// A difference that waits to be paid is paid.
    PayDifference(Pick),
    /// A bank disputes a payment.
    Dispute(Pick),
    /// A dispute ends.
    CloseDispute {
        pick: Pick,
        won: bool,
    },
    /// Stripe's next event, or a later one before it.
    Deliver {
        pick: Pick,
        old: bool,
    },
    /// One that was delivered before.
    Duplicate {
        pick: Pick,
        old: bool,
    },
    /// One that never comes.
    Lose(Pick),
    /// The worker's turn.
    Work,
    /// A sweep's turn, or that of all.
    Sweep(Sweep),
    /// Time passes, and nobody works.
    Pass(u32),
    /// The core's clock is set.
    SetClock(i16),
    /// The process dies so many moments from now.
    Die(u8),
    /// It dies while this call is under way, before or after the other side's work.
    DieInCall {
        route: Route,
        after: bool,
    },
    /// The store is away so many moments from now.
    StoreAway(u8),
    /// The next step is taken twice.
    StepTwice,
    /// A call of Stripe goes wrong.
    StripeFault {
        route: Route,
        harm: Harm,
    },
    /// A call of the panel goes wrong.
    PanelFault {
        route: Route,
        harm: Harm,
    },
    /// A create that nobody answers, done or not.
    LoseCreate(Harm),
    /// A create that is held up on its way and lands after this many seconds.
    CreateLandsLate(u8),
    Node {
        second: bool,
        mood: NodeMood,
    },
    /// Installs of an order fail: once, or always.
    FailInstall {
        pick: Pick,
        always: bool,
    },
    /// What made installs fail is mended, and an operator wakes the order.
    Mend(Pick),
    /// An operator wakes an order.
    Wake(Pick),
    /// An operator stops a server, or what would become one.
    Suspend(Pick),
    /// An operator lets it go on.
    LetGo(Pick),
    /// An operator ends an order at once, with all that is on its server.
    Terminate(Pick),
}

const STRIPE: [Route; 13] = [
    Route("GET", "/v1/invoice_payments"),
    Route("GET", "/v1/disputes/"),
    Route("POST", "/v1/subscriptions/"),
    Route("POST", "/v1/customers"),
    Route("POST", "/v1/checkout/sessions"),
    Route("POST", "/v1/checkout/sessions"),
    Route("GET", "/v1/checkout/sessions"),
    Route("GET", "/v1/checkout/sessions"),
    Route("POST", "/v1/checkout/sessions/"),
    Route("GET", "/v1/subscriptions"),
    Route("DELETE", "/v1/subscriptions"),
    Route("GET", "/v1/events"),
    Route("GET", "/v1/prices"),
];

const PANEL: [Route; 8] = [
    Route("PATCH", "/servers/"),
    Route("POST", "/users"),
    Route("GET", "/users"),
    Route("GET", "/servers"),
    Route("GET", "/servers/external"),
    Route("DELETE", "/servers"),
    Route("POST", "/servers/"),
    Route("GET", "/nodes"),
];

/// Where a death in the middle of a call tells most.
const IN_CALL: [Route; 7] = [
    Route("POST", "/v1/customers"),
    Route("POST", "/v1/checkout/sessions"),
    Route("POST", "/users"),
    Route("POST", "/servers"),
    Route("POST", "/servers"),
    // Suspensions and their ends.
    Route("POST", "/servers/"),
    Route("DELETE", "/v1/subscriptions"),
];

impl Route {
    /// Whether it is a call of Stripe.
    pub fn is_stripe(self) -> bool {
        self.1.starts_with("/v1/")
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        2 => Just(Harm::DropBefore),
        3 => Just(Harm::DropAfter),
        2 => Just(Harm::FailBefore),
        2 => Just(Harm::FailAfter),
        1 => Just(Harm::Html),
        1 => Just(Harm::Truncated),
        1 => Just(Harm::RateLimited),
    ]
}

/// Seconds in which something interesting comes due, and spans that skip over much.
fn span() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 1..20_u32,
        4 => 20..70_u32,
        3 => 70..600_u32,
        2 => 600..2_400_u32,
        1 => 2_400..10_000_u32,
        1 => 10_000..120_000_u32,
    ]
}

fn buy() -> impl Strategy<Value = Op> {
    (0..3_u8, 0..4_u8).prop_map(|(user, cart)| Op::Buy { user, cart })
}

fn customers() -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        6 => Just(How::AtOnce),
        2 => Just(How::Delayed),
        1 => Just(How::Free),
    ];
    prop_oneof![
        9 => buy(),
        3 => any::<Pick>().prop_map(Op::Repeat),
        16 => (any::<Pick>(), how).prop_map(|(pick, how)| Op::Pay { pick, how }),
        3 => (any::<Pick>(), any::<bool>()).prop_map(|(pick, comes)| Op::Settle { pick, comes }),
        1 => any::<Pick>().prop_map(Op::Expire),
        3 => any::<Pick>().prop_map(Op::EndSubscription),
        3 => (any::<Pick>(), prop::bool::weighted(0.7))
            .prop_map(|(pick, at_period_end)| Op::CancelOrder { pick, at_period_end }),
        3 => any::<Pick>().prop_map(Op::ResumeOrder),
        5 => any::<Pick>().prop_map(Op::RenewalFails),
        8 => any::<Pick>().prop_map(Op::DunningEnds),
        4 => any::<Pick>().prop_map(Op::PayDebt),
        6 => (any::<Pick>(), prop::bool::weighted(0.4))
            .prop_map(|(pick, declines)| Op::ChangePlan { pick, declines }),
        3 => any::<Pick>().prop_map(Op::PayDifference),
        3 => any::<Pick>().prop_map(Op::Dispute),
        3 => (any::<Pick>(), any::<bool>())
            .prop_map(|(pick, won)| Op::CloseDispute { pick, won }),
    ]
}

fn messages() -> impl Strategy<Value = Op> {
    let told = || (any::<Pick>(), any::<bool>());
    prop_oneof![
        6 => told().prop_map(|(pick, old)| Op::Deliver { pick, old }),
        2 => told().prop_map(|(pick, old)| Op::Duplicate { pick, old }),
        3 => any::<Pick>().prop_map(Op::Lose),
    ]
}

fn clockwork() -> impl Strategy<Value = Op> {
    let sweep = prop_oneof![
        1 => Just(Sweep::All),
        3 => Just(INSTALLS),
        3 => Just(Sweep::One("pending_sessions")),
        1 => Just(Sweep::One("panel_mirror")),
        1 => Just(Sweep::One("stripe_events")),
        1 => Just(Sweep::One("subscriptions")),
        1 => Just(Sweep::One("charges")),
        1 => Just(Sweep::One("servers")),
    ];
    prop_oneof![
        8 => Just(Op::Work),
        4 => sweep.prop_map(Op::Sweep),
        5 => span().prop_map(Op::Pass),
        1 => (-90..=90_i16).prop_map(Op::SetClock),
    ]
}

fn machines() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (1..30_u8).prop_map(Op::Die),
        3 => (prop::sample::select(&IN_CALL[..]), any::<bool>())
            .prop_map(|(route, after)| Op::DieInCall { route, after }),
        3 => (1..30_u8).prop_map(Op::StoreAway),
        3 => Just(Op::StepTwice),
    ]
}

fn others() -> impl Strategy<Value = Op> {
    let mood = prop_oneof![
        2 => Just(NodeMood::Well),
        1 => Just(NodeMood::Down),
        1 => Just(NodeMood::Failing),
        5 => Just(NodeMood::LosesInstalls),
    ];
    prop_oneof![
        7 => (prop::sample::select(&STRIPE[..]), harm())
            .prop_map(|(route, harm)| Op::StripeFault { route, harm }),
        8 => (prop::sample::select(&PANEL[..]), harm())
            .prop_map(|(route, harm)| Op::PanelFault { route, harm }),
        10 => harm().prop_map(Op::LoseCreate),
        4 => (1..30_u8).prop_map(Op::CreateLandsLate),
        5 => (any::<bool>(), mood).prop_map(|(second, mood)| Op::Node { second, mood }),
        3 => (any::<Pick>(), prop::bool::weighted(0.3))
            .prop_map(|(pick, always)| Op::FailInstall { pick, always }),
        2 => any::<Pick>().prop_map(Op::Mend),
        2 => any::<Pick>().prop_map(Op::Wake),
        2 => any::<Pick>().prop_map(Op::Suspend),
        2 => any::<Pick>().prop_map(Op::LetGo),
        1 => any::<Pick>().prop_map(Op::Terminate),
    ]
}

/// A story.
pub(super) fn story() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        10 => customers(),
        4 => messages(),
        9 => clockwork(),
        3 => machines(),
        5 => others(),
    ];
    // Every story has a purchase to tell of.
    (buy(), collection::vec(op, 10..32)).prop_map(|(first, mut then)| {
        then.insert(0, first);
        then
    })
}
