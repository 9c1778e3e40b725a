//! The whole state of the stand-in, behind one lock that no await ever crosses.
//!
//! Time only acts through [`World::tick`], which every call runs first: what was
//! due happens at its own second and in order, however late somebody looks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::calls::Call;
use super::charges::Charge;
use super::clock::Clock;
use super::config::StripeConfig;
use super::customers::Customer;
use super::disputes::{self, Dispute, DisputedPayments};
use super::events::{Event, Reached, Subject};
use super::idempotency::Keys;
use super::ids::Ids;
use super::invoices::Invoice;
use super::portal::{Configuration, Page};
use super::prices::{Price, PriceSpec};
use super::refunds::Refund;
use super::sessions::{self, Session, SessionStatus};
use super::subscriptions::lag::Lags;
use super::subscriptions::{self, Subscription};
use super::table::Table;
use super::version::ApiVersion;
use super::webhooks::Webhooks;
use crate::faults::Faults;

/// What the clock will bring.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Session(String),
    Subscription(String),
    /// A session's subscription is made.
    Bill(String),
    /// A subscription is to be seen.
    Reveal(String),
    /// The account's setting for the subscription of a disputed payment.
    Disputed(String),
}

/// All state.
pub(super) struct World {
    pub config: StripeConfig,
    pub account_version: ApiVersion,
    pub base_url: String,
    pub livemode: bool,
    pub clock: Clock,
    pub ids: Ids,
    pub customers: Table<Customer>,
    pub prices: Table<Price>,
    pub sessions: Table<Session>,
    pub subscriptions: Table<Subscription>,
    pub invoices: Table<Invoice>,
    pub refunds: Table<Refund>,
    pub disputes: Table<Dispute>,
    /// Payments that no invoice asked for.
    pub strays: Table<Charge>,
    pub disputed_payments: DisputedPayments,
    pub portal: Table<Configuration>,
    pub portal_pages: Vec<Page>,
    pub events: Table<Event>,
    pub due: BTreeSet<(i64, Due)>,
    pub keys: Keys,
    pub calls: Vec<Call>,
    pub faults: Faults,
    /// Wakes those who wait for a time on the clock.
    pub moved: Arc<Notify>,
    pub webhooks: Webhooks,
    pub lags: Lags,
    /// The call that runs now, for the events it makes.
    pub request: Option<(String, Option<String>)>,
    /// The second at which something due happens, while it does.
    due_now: Option<i64>,
}

impl World {
    /// An empty account with the configured prices.
    pub(super) fn new(
        config: StripeConfig,
        account_version: ApiVersion,
        base_url: String,
        webhooks: Webhooks,
    ) -> Self {
        let mut world = Self {
            livemode: config.secret_key.contains("_live_"),
            account_version,
            base_url,
            clock: Clock::new(config.start_at, config.frozen),
            ids: Ids::new(config.seed),
            customers: Table::new(),
            prices: Table::new(),
            sessions: Table::new(),
            subscriptions: Table::new(),
            invoices: Table::new(),
            refunds: Table::new(),
            disputes: Table::new(),
            strays: Table::new(),
            disputed_payments: config.disputed_payments,
            portal: Table::new(),
            portal_pages: Vec::new(),
            events: Table::new(),
            due: BTreeSet::new(),
            keys: Keys::default(),
            calls: Vec::new(),
            faults: Faults::new(""),
            moved: Arc::default(),
            webhooks,
            lags: Lags::default(),
            request: None,
            due_now: None,
            config,
        };
        for spec in world.config.prices.clone() {
            world.add_price(spec);
        }
        world
    }

    /// The present second.
    pub(super) fn now(&self) -> i64 {
        self.due_now.unwrap_or_else(|| self.clock.now())
    }

    /// Puts a price into the catalogue, or replaces the one with its id.
    pub(super) fn add_price(&mut self, spec: PriceSpec) {
        let price = Price::plain(spec, self.now(), self.livemode);
        self.prices.put(price);
    }

    /// Lets everything happen that is due.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        self.request = None;
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, due)) = self.due.pop_first() else {
                break;
            };
            self.due_now = Some(at);
            match due {
                Due::Session(id) => self.end_session(&id),
                Due::Subscription(id) => subscriptions::tick(self, &id, at),
                Due::Bill(session) => self.bill_now(&session),
                Due::Reveal(id) => self.reveal(&id),
                Due::Disputed(id) => disputes::apply_setting(self, &id),
            }
        }
        self.due_now = None;
        self.webhooks.send_due(now);
    }

    /// Makes an event and queues its delivery.
    pub(super) fn emit(&mut self, kind: &str, subject: Subject, before: Option<Subject>) {
        let targets = self.webhooks.active().into_iter();
        let event = Event {
            id: self.ids.make("evt_"),
            created: self.now(),
            livemode: self.livemode,
            kind: kind.to_owned(),
            subject,
            before,
            request: self.request.clone(),
            reached: targets
                .map(|endpoint| (endpoint, Reached::Pending))
                .collect(),
        };
        let id = event.id.clone();
        self.events.put(event);
        self.webhooks.announce(&id, kind, self.clock.now());
    }

    fn end_session(&mut self, id: &str) {
        let open = |session: &Session| session.status == SessionStatus::Open;
        if self.sessions.get(id).is_some_and(open) {
            // It is open, so there is nothing to refuse.
            let _ = sessions::expire_now(self, id);
        }
    }
}

/// The shared handle of all tasks.
#[derive(Clone)]
pub(super) struct App {
    world: Arc<Mutex<World>>,
    /// Ends all tasks.
    pub stop: CancellationToken,
}

impl App {
    pub(super) fn new(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            stop: CancellationToken::new(),
        }
    }

    /// Locks the state. A panic elsewhere must not hide behind a poisoned lock.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
