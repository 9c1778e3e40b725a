//! Plays a story: each act is done to the world, and noted in the story of whom it was
//! about. After each act everything that must hold at any time is checked.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::{
    panel::{DaemonMode, Fault, FaultAction},
    stripe::{self, Effect, EventView, PayMode, PaymentStatus, SessionStatus, SessionView},
};
use spawnpoint::domain::OrderId;
use uuid::Uuid;

use super::{
    op::{Harm, How, NodeMood, Op, Pick, Route},
    reference::{Dunning, Installs, Money, Story},
    verbs::Purchase,
    world::World,
};

/// What is known of an event's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It never comes.
    Lost,
    /// It was sent, and nobody knows whether it was stored.
    Perhaps,
    /// It was acknowledged.
    Stored,
}

/// A story under way.
pub(super) struct Play<'a> {
    pub world: World<'a>,
    pub seed: u64,
    pub purchases: Vec<Purchase>,
    pub stories: BTreeMap<OrderId, Story>,
    pub told: BTreeMap<String, Told>,
    /// Events that a sweep may have brought.
    pub swept: BTreeSet<String>,
}

/// One of them, by a number of any size.
pub(super) fn pick<T>(from: &[T], pick: Pick) -> Option<&T> {
    (!from.is_empty()).then(|| &from[usize::from(pick) % from.len()])
}

/// The order that an id of ours names.
pub(super) fn order_of(reference: Option<&str>) -> Option<OrderId> {
    reference
        .and_then(|id| id.parse::<Uuid>().ok())
        .map(OrderId)
}

impl Play<'_> {
    /// Does it, and checks what must hold at any time.
    pub fn act(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Buy { user, cart } => self.buy(user, cart)?,
            Op::Repeat(at) => self.repeat(at)?,
            Op::Pay { pick, how } => self.pay(pick, how)?,
            Op::Settle { pick, comes } => self.settle(pick, comes)?,
            Op::Expire(at) => self.expire(at)?,
            Op::EndSubscription(at) => self.end_subscription(at)?,
            Op::CancelOrder {
                pick,
                at_period_end,
            } => self.cancel_order(pick, at_period_end)?,
            Op::ResumeOrder(at) => self.resume_order(at)?,
            Op::Suspend(at) => self.suspend(at)?,
            Op::LetGo(at) => self.let_go(at)?,
            Op::Terminate(at) => self.terminate(at)?,
            Op::RenewalFails(at) => self.dun(at, Dunning::None, Dunning::PastDue)?,
            Op::DunningEnds(at) => self.dun(at, Dunning::PastDue, Dunning::GivenUp)?,
            Op::PayDebt(at) => {
                self.dun(at, Dunning::PastDue, Dunning::None)?;
                self.dun(at, Dunning::GivenUp, Dunning::None)?;
            }
            Op::ChangePlan { pick, declines } => self.change_plan(pick, declines)?,
            Op::PayDifference(at) => self.pay_difference(at)?,
            Op::Dispute(at) => self.dispute(at)?,
            Op::CloseDispute { pick, won } => self.close_dispute(pick, won)?,
            Op::Deliver { pick, old } => self.deliver_one(pick, old)?,
            Op::Duplicate { pick, old } => self.duplicate(pick, old)?,
            Op::Lose(at) => self.lose(at),
            Op::Work => self.work()?,
            Op::Sweep(which) => self.sweep(which)?,
            Op::Pass(seconds) => {
                self.world.tally.one("clock jump");
                self.world.pass(u64::from(seconds));
            }
            Op::SetClock(seconds) => {
                self.world.tally.one("clock set");
                self.world.set_clock(i64::from(seconds));
            }
            Op::Die(_) | Op::StoreAway(_) | Op::StepTwice | Op::DieInCall { .. } => self.arm(op),
            Op::StripeFault { route, harm } => self.world.fault_stripe(stripe_fault(route, harm)),
            Op::PanelFault { route, harm } => {
                self.world.fault_panel(panel_fault(route, harm));
            }
            Op::LoseCreate(harm) => {
                let fault = panel_fault(Route("POST", "/servers"), harm);
                self.world.lose_create(fault);
            }
            Op::CreateLandsLate(seconds) => self.world.hold_up(u64::from(seconds)),
            Op::Node { second, mood } => self.node(second, mood),
            Op::FailInstall { pick, always } => self.fail_install(pick, always),
            Op::Mend(at) => self.mend(at)?,
            Op::Wake(at) => self.wake_any(at)?,
        }
        self.observe();
        self.always()
    }

    fn arm(&mut self, op: &Op) {
        use super::striker::Blow;
        let striker = &self.world.striker;
        match *op {
            Op::Die(moments) => striker.arm(u32::from(moments), Blow::Die),
            Op::StoreAway(moments) => striker.arm(u32::from(moments), Blow::StoreAway),
            Op::StepTwice => striker.arm_twice(),
            Op::DieInCall { route, after } => self.world.die_in_call(route, after),
            _ => {}
        }
    }

    /// Sessions whose customers know where to pay.
    fn payable(&self) -> Vec<(OrderId, SessionView)> {
        let open = self.world.standins.stripe.sessions().into_iter();
        open.filter(|session| session.status == SessionStatus::Open)
            .filter_map(|session| {
                let id = order_of(session.client_reference_id.as_deref())?;
                self.stories.get(&id)?.told.then_some((id, session))
            })
            .collect()
    }

    fn pay(&mut self, at: Pick, how: How) -> Result<(), String> {
        let payable = self.payable();
        let Some((id, session)) = pick(&payable, at) else {
            return Ok(());
        };
        let (mode, money, kind) = match how {
            How::AtOnce => (PayMode::Paid, Money::Paid, "payment"),
            How::Free => (PayMode::NoPaymentRequired, Money::Paid, "payment"),
            How::Delayed => (PayMode::Unpaid, Money::Awaited, "delayed payment"),
        };
        let paid = self.world.standins.stripe.pay(&session.id, mode);
        paid.map_err(|refusal| format!("an open session is not paid: {}", refusal.message))?;
        self.story(*id).money = money;
        self.world.tally.one(kind);
        Ok(())
    }

    /// Sessions that wait for the money of a delayed method.
    pub fn awaited(&self) -> Vec<(OrderId, SessionView)> {
        let sessions = self.world.standins.stripe.sessions().into_iter();
        sessions
            .filter(|session| {
                session.status == SessionStatus::Complete
                    && session.payment_status == PaymentStatus::Unpaid
            })
            .filter_map(|session| {
                let id = order_of(session.client_reference_id.as_deref())?;
                (self.stories.get(&id)?.money == Money::Awaited).then_some((id, session))
            })
            .collect()
    }

    pub fn settle(&mut self, at: Pick, comes: bool) -> Result<(), String> {
        let awaited = self.awaited();
        let Some((id, session)) = pick(&awaited, at) else {
            return Ok(());
        };
        let settled = self.world.standins.stripe.settle(&session.id, comes);
        settled.map_err(|refusal| format!("a payment is not settled: {}", refusal.message))?;
        self.story(*id).money = if comes { Money::Paid } else { Money::Failed };
        if !comes {
            self.world.tally.one("payment failed");
        }
        Ok(())
    }

    fn expire(&mut self, at: Pick) -> Result<(), String> {
        let stripe = &self.world.standins.stripe;
        let mut open = stripe.sessions();
        open.retain(|session| session.status == SessionStatus::Open);
        let Some(session) = pick(&open, at) else {
            return Ok(());
        };
        let expired = stripe.expire(&session.id);
        expired.map_err(|refusal| format!("a session is not expired: {}", refusal.message))?;
        Ok(())
    }

    fn end_subscription(&mut self, at: Pick) -> Result<(), String> {
        let stripe = &self.world.standins.stripe;
        let mut active = stripe.subscriptions();
        active.retain(|one| one.status == stripe::SubscriptionStatus::Active);
        let Some(subscription) = pick(&active, at) else {
            return Ok(());
        };
        let id = order_of(subscription.metadata.get("order_id").map(String::as_str));
        let id = id.ok_or("a subscription names no order")?;
        let ended = stripe.cancel_subscription(&subscription.id);
        ended.map_err(|refusal| format!("a subscription is not ended: {}", refusal.message))?;
        self.story(id).ended = true;
        self.world.tally.one("subscription ended");
        Ok(())
    }

    /// Orders whose subscriptions are so far, with their ids.
    pub fn owing(&self, so_far: Dunning) -> Vec<(OrderId, String)> {
        let mut there = self.world.standins.stripe.subscriptions();
        there.retain(|one| one.status == so_far.status());
        let named = there.into_iter().filter_map(|one| {
            let id = order_of(one.metadata.get("order_id").map(String::as_str))?;
            Some((id, one.id))
        });
        named.collect()
    }

    /// Lets a subscription that is so far go on to there.
    pub fn dun(&mut self, at: Pick, from: Dunning, to: Dunning) -> Result<(), String> {
        let owing = self.owing(from);
        match pick(&owing, at) {
            Some((id, subscription)) => self.set_dunning(*id, subscription, to),
            None => Ok(()),
        }
    }

    /// Lets an order's subscription go on to there.
    pub fn set_dunning(
        &mut self,
        id: OrderId,
        subscription: &str,
        to: Dunning,
    ) -> Result<(), String> {
        let stripe = &self.world.standins.stripe;
        let set = match to {
            Dunning::PastDue => stripe.fail_payment(subscription),
            _ => stripe.set_subscription_status(subscription, to.status()),
        };
        set.map_err(|refusal| format!("no dunning: {}", refusal.message))?;
        self.story(id).dunning = to;
        self.world.tally.one(match to {
            Dunning::PastDue => "renewal failed",
            Dunning::GivenUp => "dunning ended",
            Dunning::None => "debt paid",
        });
        Ok(())
    }

    /// A difference that waits is paid by its customer.
    pub fn pay_difference(&mut self, at: Pick) -> Result<(), String> {
        let stripe = &self.world.standins.stripe;
        let mut waiting = stripe.subscriptions();
        waiting.retain(|one| one.pending_update.is_some());
        let Some(subscription) = pick(&waiting, at) else {
            return Ok(());
        };
        let paid = stripe.pay_pending_update(&subscription.id);
        paid.map_err(|refusal| format!("a difference is not paid: {}", refusal.message))?;
        self.world.tally.one("difference paid");
        Ok(())
    }

    /// Events that are still to come, the oldest first.
    pub fn coming(&self) -> Vec<EventView> {
        let mut coming = self.world.standins.stripe.events();
        coming.retain(|event| !self.told.contains_key(&event.id));
        coming
    }

    fn lose(&mut self, at: Pick) {
        let coming = self.coming();
        if let Some(event) = pick(&coming, at) {
            self.told.insert(event.id.clone(), Told::Lost);
        }
    }

    pub fn node(&self, second: bool, mood: NodeMood) {
        let mode = match mood {
            NodeMood::Well => DaemonMode::Ok,
            NodeMood::Down => DaemonMode::Down,
            NodeMood::Failing => DaemonMode::Status {
                status: 500,
                body: String::new(),
            },
            NodeMood::LosesInstalls => DaemonMode::KillWorker,
        };
        self.world
            .standins
            .panel
            .set_daemon(1 + i64::from(second), mode);
    }

    fn fail_install(&mut self, at: Pick, always: bool) {
        let mut may: Vec<OrderId> = self.stories.keys().copied().collect();
        may.retain(|id| !self.stories[id].usable && self.stories[id].installs == Installs::Well);
        let Some(id) = pick(&may, at).copied() else {
            return;
        };
        self.world.standins.panel.fail_install(&id.to_string());
        self.story(id).installs = if always {
            Installs::FailAlways
        } else {
            Installs::FailOnce
        };
    }

    fn mend(&mut self, at: Pick) -> Result<(), String> {
        let mut failing: Vec<OrderId> = self.stories.keys().copied().collect();
        failing.retain(|id| self.stories[id].installs == Installs::FailAlways);
        let Some(id) = pick(&failing, at).copied() else {
            return Ok(());
        };
        self.world.standins.panel.allow_install(&id.to_string());
        let story = self.story(id);
        (story.installs, story.mended) = (Installs::Well, true);
        self.wake(id)
    }

    fn wake_any(&mut self, at: Pick) -> Result<(), String> {
        let mut paid: Vec<OrderId> = self.stories.keys().copied().collect();
        paid.retain(|id| self.stories[id].entitles());
        match pick(&paid, at) {
            Some(id) => self.wake(*id),
            None => Ok(()),
        }
    }

    pub fn story(&mut self, id: OrderId) -> &mut Story {
        self.stories.entry(id).or_default()
    }

    /// Notes what the panel's servers have come to.
    pub fn observe(&mut self) {
        for server in self.world.standins.panel.servers() {
            let Some(id) = order_of(server.external_id.as_deref()) else {
                continue;
            };
            let story = self.stories.entry(id).or_default();
            match server.status.as_deref() {
                None => story.usable = true,
                Some("install_failed" | "reinstall_failed") => {
                    if !story.failed {
                        story.failed = true;
                        self.world.tally.one("install failed");
                    }
                    if story.installs == Installs::FailOnce {
                        story.installs = Installs::Well;
                        self.world.standins.panel.allow_install(&id.to_string());
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn stripe_fault(Route(method, path): Route, harm: Harm) -> stripe::Fault {
    let effect = match harm {
        Harm::DropBefore => Effect::DropBefore,
        Harm::DropAfter => Effect::DropAfter,
        // Kept under a session's key, it would be asked for until the session's time is over,
        // in more turns than a story has.
        Harm::FailBefore if path.ends_with("/sessions") => Effect::Status {
            status: 500,
            body: None,
        },
        // Both are kept under the key.
        Harm::FailBefore => Effect::InternalError { after_work: false },
        Harm::FailAfter => Effect::InternalError { after_work: true },
        Harm::Html => Effect::Html,
        Harm::Truncated => Effect::Truncated,
        Harm::RateLimited => Effect::RateLimited { retry_after: 3 },
    };
    stripe::Fault::on(method, path, effect)
}

fn panel_fault(Route(method, path): Route, harm: Harm) -> Fault {
    let error = |status: u16, code: &str| FaultAction::Status {
        status,
        body: format!(r#"{{"errors":[{{"code":"{code}","status":"{status}","detail":""}}]}}"#),
        content_type: None,
        headers: vec![("Retry-After".to_owned(), "3".to_owned())],
    };
    let (action, after) = match harm {
        Harm::DropBefore => (FaultAction::Drop, false),
        Harm::DropAfter => (FaultAction::Drop, true),
        Harm::FailBefore => (error(500, "QueryException"), false),
        Harm::FailAfter => (error(500, "TransportException"), true),
        Harm::Html => (FaultAction::HtmlPage { status: 502 }, true),
        Harm::Truncated => (FaultAction::Truncate, true),
        Harm::RateLimited => (error(429, "ThrottleRequestsException"), false),
    };
    let fault = Fault::on(method, path, action).times(1);
    if after { fault.after_work() } else { fault }
}
