//! One picture of the shop: the store at one moment, and what the stand-ins themselves
//! know around it. Puts the rows of an order together; judges nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::rows::{Billing, Hold, Order, Port, Server, Store};
use crate::{
    panel::{ServerView, UserView},
    stripe::{
        CustomerView, PaymentStatus, RefundView, SessionStatus, SessionView, SubscriptionView,
    },
};

/// Waiting for these, an order is done for now: only a customer or an operator moves it on.
const LASTING: [&str; 4] = ["", "AWAITING_PAYMENT", "NO_CAPACITY", "NO_PORTS"];

/// The sweep that finds disputes.
const DISPUTES_COME_BY: &str = "charges";

/// All that the audit judges.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) now_us: i64,
    pub(super) store: Store,
    /// The panel before the store was read.
    pub(super) before: PanelSide,
    /// And after it.
    pub(super) after: PanelSide,
    /// Stripe before the store was read.
    pub(super) stripe: StripeSide,
}

/// What the panel knows.
#[derive(Clone, Debug, Default)]
pub(super) struct PanelSide {
    pub servers: Vec<ServerView>,
    pub users: Vec<UserView>,
    /// External ids of the creates that the panel did, one each.
    pub created_servers: Vec<String>,
    pub created_users: Vec<String>,
}

/// What Stripe knows.
#[derive(Clone, Debug, Default)]
pub(super) struct StripeSide {
    /// Ids of events that the gateway took.
    pub acknowledged: HashSet<String>,
    pub customers: Vec<CustomerView>,
    pub sessions: Vec<SessionView>,
    pub subscriptions: Vec<SubscriptionView>,
    pub refunds: Vec<RefundView>,
}

/// What a shop amounts to, for people who watch a long run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders of every kind.
    pub orders: usize,
    /// Paid and confirmed.
    pub paid: usize,
    /// Those whose server was ready at least once.
    pub ran: usize,
    /// Over.
    pub canceled: usize,
    /// Parked until somebody acts.
    pub parked: usize,
    /// Servers on the panel.
    pub servers: usize,
    /// Events in the inbox.
    pub events: usize,
}

/// One order with its parts.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub order: &'a Order,
    pub billing: &'a Billing,
    pub server: &'a Server,
    pub hold: Option<&'a Hold>,
}

impl Case<'_> {
    pub(super) fn id(&self) -> Uuid {
        self.order.id
    }

    /// Paid, by the shop's own read of Stripe.
    pub(super) fn confirmed(&self) -> bool {
        self.billing.confirmed_at_us.is_some()
    }

    /// Its subscription or its session has ended, or it was never opened, or its delayed
    /// payment failed.
    pub(super) fn over(&self) -> bool {
        let billing = self.billing;
        let ended = billing.ended_at_us.is_some()
            || ["canceled", "incomplete_expired"]
                .contains(&billing.subscription_status.as_deref().unwrap_or(""));
        let unpaid = billing.session_status.as_deref() == Some("complete")
            && billing.payment_status.as_deref() == Some("unpaid")
            && billing.subscription_id.is_none()
            && !self.confirmed()
            && billing
                .payment_failed_us
                .is_some_and(|failed| billing.read_us >= Some(failed));
        ended
            || unpaid
            || billing.never_opened
            || billing.session_status.as_deref() == Some("expired")
    }

    /// Its server is on the panel, as far as its row knows.
    pub(super) fn exists(&self) -> bool {
        self.server.pterodactyl_server_id.is_some() && self.server.deleted_us.is_none()
    }

    pub(super) fn ever_ran(&self) -> bool {
        self.server.first_running_us.is_some()
    }

    /// What our rows say of it: not paid for or over, or an operator's will.
    pub(super) fn must_stand_still(&self) -> bool {
        self.over()
            || self.billing.suspend_since_us.is_some()
            || self.billing.disputed_since_us.is_some()
            || self.server.operator_suspended_us.is_some()
    }

    /// A dispute alone is to stop it, and it runs on because a guard says so.
    pub(super) fn held(&self, picture: &Picture) -> bool {
        let otherwise = self.over()
            || self.billing.suspend_since_us.is_some()
            || self.server.operator_suspended_us.is_some();
        let mut guarded = picture.store.guarded.iter();
        self.server.suspend_held_us.is_some()
            && !otherwise
            && guarded.any(|sweep| sweep.name == DISPUTES_COME_BY)
    }

    /// A create was sent and nobody knows yet what came of it.
    pub(super) fn in_doubt(&self) -> bool {
        self.server.create_sent_us.is_some() && self.server.pterodactyl_server_id.is_none()
    }

    pub(super) fn parked(&self) -> bool {
        !self.order.error_reason.is_empty()
    }

    pub(super) fn leased(&self) -> bool {
        self.order.lease_owner.is_some()
    }
}

impl Picture {
    /// Orders that have all their parts; one that has not is a finding of its own.
    pub(super) fn cases(&self) -> Vec<Case<'_>> {
        let billing: HashMap<Uuid, &Billing> = keyed(&self.store.billing, |row| row.order_id);
        let servers: HashMap<Uuid, &Server> = keyed(&self.store.servers, |row| row.order_id);
        let holds: HashMap<Uuid, &Hold> = keyed(&self.store.holds, |row| row.order_id);
        let whole = self.store.orders.iter().filter_map(|order| {
            Some(Case {
                order,
                billing: billing.get(&order.id)?,
                server: servers.get(&order.id)?,
                hold: holds.get(&order.id).copied(),
            })
        });
        whole.collect()
    }

    /// Panel servers that bear an id of an order or of nobody, by external id, that were
    /// there both before and after the store was read.
    pub(super) fn servers_by_external_id(&self) -> BTreeMap<&str, Vec<&ServerView>> {
        let still: HashSet<i64> = self.after.servers.iter().map(|server| server.id).collect();
        let mut found: BTreeMap<&str, Vec<&ServerView>> = BTreeMap::new();
        for server in &self.before.servers {
            if let Some(id) = server.external_id.as_deref()
                && still.contains(&server.id)
            {
                found.entry(id).or_default().push(server);
            }
        }
        found
    }

    /// Whether the panel had this server at no time around the picture.
    pub(super) fn absent(&self, panel_id: i64) -> bool {
        let has = |side: &PanelSide| side.servers.iter().any(|server| server.id == panel_id);
        !has(&self.before) && !has(&self.after)
    }

    /// Ports by the order that has them.
    pub(super) fn ports_by_order(&self) -> HashMap<Uuid, Vec<&Port>> {
        let mut found: HashMap<Uuid, Vec<&Port>> = HashMap::new();
        for port in &self.store.ports {
            if let Some(id) = port.order_id {
                found.entry(id).or_default().push(port);
            }
        }
        found
    }

    /// Why the shop is not at rest: work that is under way or due now. Empty: at rest.
    pub fn unrest(&self) -> Vec<String> {
        let mut found = Vec::new();
        let paid = self.paid_orders();
        for case in self.cases() {
            let id = case.id();
            if case.leased() {
                found.push(format!("order {id} is being worked on"));
            } else if case
                .order
                .due_us
                .is_some_and(|due_us| due_us <= self.now_us)
            {
                found.push(format!("order {id} is due"));
            } else if case.in_doubt() && !case.over() {
                found.push(format!("order {id} has a create in doubt"));
            } else if paid.contains(id.to_string().as_str())
                && !case.confirmed()
                && !case.parked()
                && !case.over()
            {
                found.push(format!("order {id} is paid, and nobody knows yet"));
            }
        }
        for profile in self.store.profiles.iter().filter(|row| row.following) {
            let user_id = profile.user_id;
            found.push(format!("a change of user {user_id} is still to be told"));
        }
        let asked = self.store.inbox.iter();
        for event in asked.filter(|event| event.state == "received") {
            found.push(format!("nobody knows yet whose event {} is", event.id));
        }
        let unnumbered = self.store.events.iter();
        let unnumbered = unnumbered.filter(|event| event.sequence.is_none()).count();
        if unnumbered > 0 {
            found.push(format!("{unnumbered} order events have no number yet"));
        }
        found
    }

    /// Why more than rest is still to come by itself: orders that wait for better times.
    pub fn unfinished(&self) -> Vec<String> {
        let mut found = self.unrest();
        for case in self.cases() {
            let (id, waiting) = (case.id(), case.order.waiting_reason.as_str());
            if case.confirmed() && !LASTING.contains(&waiting) && !case.over() {
                found.push(format!("order {id} waits: {waiting}"));
            } else if case.confirmed() && !case.over() && !case.parked() && !case.ever_ran() {
                found.push(format!(
                    "order {id} is paid and its server does not run yet"
                ));
            }
        }
        found
    }

    /// Orders whose session was paid, by Stripe's own word.
    pub(super) fn paid_orders(&self) -> HashSet<&str> {
        let paid = self
            .stripe
            .sessions
            .iter()
            .filter(|session| is_paid(session));
        paid.filter_map(|session| session.client_reference_id.as_deref())
            .collect()
    }

    /// What the shop amounts to.
    pub fn counts(&self) -> Counts {
        let cases = self.cases();
        let count =
            |test: &dyn Fn(&Case<'_>) -> bool| cases.iter().filter(|case| test(case)).count();
        Counts {
            orders: cases.len(),
            paid: count(&|case| case.confirmed()),
            ran: count(&|case| case.ever_ran()),
            canceled: count(&|case| case.over()),
            parked: count(&|case| case.parked()),
            servers: self.after.servers.len(),
            events: self.store.inbox.len(),
        }
    }
}

/// Finished, and nothing is owed.
pub(super) fn is_paid(session: &SessionView) -> bool {
    session.status == SessionStatus::Complete && session.payment_status != PaymentStatus::Unpaid
}

fn keyed<T>(rows: &[T], key: impl Fn(&T) -> Uuid) -> HashMap<Uuid, &T> {
    rows.iter().map(|row| (key(row), row)).collect()
}
