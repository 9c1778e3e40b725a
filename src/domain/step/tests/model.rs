//! A small world to live orders in: Stripe, the panel, customers and operators, as
//! far as an order can tell. A step has here the effect that its own file gives it,
//! and fails in the ways that its file knows.

mod ends;
mod making;

use std::collections::VecDeque;

use super::{
    scenario::{Act, Install, Open, Scenario, Session},
    *,
};
use crate::domain::{
    entitlement::Standing,
    order::{Changing, EndWish},
};

/// Definite refusals after which an order is parked.
const MAX_ATTEMPTS: i32 = 3;
/// More steps in a row than any order needs: the driver's own bound.
const STEPS_IN_A_ROW: usize = 24;
/// No story of these tests is longer.
const STEPS_IN_ALL: usize = 400;
/// After trouble of Stripe or the panel.
const RETRY_US: i64 = 10 * SECOND_US;
/// A crashed worker's lease runs out.
const LEASE_US: i64 = 60 * SECOND_US;
/// What others do comes at most this late while an order waits.
const IDLE_US: i64 = 60 * SECOND_US;

enum Outcome {
    Again,
    Later(i64),
    Park(ErrorReason),
}

pub(super) struct World {
    pub facts: Facts,
    pub now_us: i64,
    pub session: Session,
    /// Whether the panel has the server.
    pub server: bool,
    /// When a create that got no answer will have landed.
    pub lands_us: Option<i64>,
    /// Servers that the panel ever made for the order.
    pub made: u32,
    pub log: Vec<Step>,
    /// The first thing that must never happen, and did.
    fault: Option<&'static str>,
    plot: Scenario,
    acts: VecDeque<(u8, Act, bool)>,
}

fn take_first<T: Copy>(script: &mut Vec<T>, otherwise: T) -> T {
    if script.is_empty() {
        otherwise
    } else {
        script.remove(0)
    }
}

impl World {
    pub(super) fn new(mut facts: Facts, session: Session, plot: Scenario) -> Self {
        facts.order.lenience = plot.sold;
        let acts = plot.acts.iter().copied().collect();
        let server = facts.server.exists();
        let made = u32::from(server);
        let now_us = MADE_US;
        let (lands_us, log) = (None, Vec::new());
        let fault = None;
        Self {
            facts,
            now_us,
            session,
            server,
            lands_us,
            made,
            log,
            fault,
            plot,
            acts,
        }
    }

    /// From here on all goes well.
    pub(super) fn calm(&mut self) {
        let (mismatch, unresolved) = (self.plot.mismatch, self.plot.unresolved);
        self.plot = Scenario {
            mismatch,
            unresolved,
            ..Scenario::default()
        };
    }

    /// Takes steps until nothing is left that could happen. Tells what went wrong.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let mut in_a_row = 0;
        loop {
            self.never(self.log.len() >= STEPS_IN_ALL, "it never ends");
            self.never(in_a_row >= STEPS_IN_A_ROW, "it goes in circles");
            if let Some(fault) = self.fault {
                let steps: Vec<&str> = self.log.iter().map(|step| step.name()).collect();
                return Err(format!("{fault}: {}", steps.join(" ")));
            }
            if self
                .acts
                .front()
                .is_some_and(|(at, ..)| usize::from(*at) <= self.log.len())
            {
                self.act();
            }
            let step = plan(&self.facts, self.now_us);
            let idle = match step {
                Step::Wait { until_us, reason } => Some((Some(until_us), reason)),
                Step::Rest(_) => Some((None, None)),
                Step::Park(reason) => {
                    self.log.push(step);
                    Some((self.park(reason), None))
                }
                _ => match self.take(step) {
                    Outcome::Again => None,
                    Outcome::Later(after_us) => Some((Some(self.now_us + after_us), None)),
                    Outcome::Park(reason) => Some((self.park(reason), None)),
                },
            };
            in_a_row += 1;
            let Some((until_us, waiting)) = idle else {
                continue;
            };
            in_a_row = 0;
            if !self.pass_time(until_us, waiting) && self.fault.is_none() {
                return Ok(());
            }
        }
    }

    fn never(&mut self, happened: bool, what: &'static str) {
        if happened {
            self.fault.get_or_insert(what);
        }
    }

    /// Lets time pass, or others act. `false` where nothing will ever happen.
    fn pass_time(&mut self, until_us: Option<i64>, waiting: Option<WaitingReason>) -> bool {
        if waiting == Some(WaitingReason::Installing) {
            self.install();
        }
        if !self.acts.is_empty() {
            let later_us = self.now_us + IDLE_US;
            self.now_us = until_us.unwrap_or(later_us).min(later_us);
            self.act();
            return true;
        }
        let Some(until_us) = until_us else {
            return false;
        };
        self.now_us = self.now_us.max(until_us);
        match self.session {
            Session::Unpaid => self.session = Session::Failed,
            // No dunning lasts for ever.
            Session::PastDue if waiting == Some(WaitingReason::AwaitingPayment) => {
                self.session = Session::Lapsed;
            }
            _ => {}
        }
        true
    }

    /// Tells when it is looked at again by itself.
    fn park(&mut self, reason: ErrorReason) -> Option<i64> {
        self.facts.order.error_reason = Some(reason);
        looks_again_us(&self.facts, &timing(), self.now_us)
    }

    /// The next thing that customers or operators do, where it can be done.
    fn act(&mut self) {
        let Some((_, act, told)) = self.acts.pop_front() else {
            return;
        };
        let may_pay =
            matches!(self.session, Session::Open { expires_us } if self.now_us < expires_us);
        let billing = &mut self.facts.billing;
        let next = match (act, self.session) {
            (Act::Pay, _) if may_pay => Session::Paid,
            (Act::PayByDelayedMethod, _) if may_pay => Session::Unpaid,
            (Act::DelayedMethodPays, Session::Unpaid) => Session::Paid,
            (Act::DelayedMethodFails, Session::Unpaid) => Session::Failed,
            (Act::CancelSubscription, Session::Paid | Session::PastDue | Session::Lapsed) => {
                Session::Canceled
            }
            (Act::RenewalFails, Session::Paid) => Session::PastDue,
            (Act::DunningEnds, Session::PastDue) => Session::Lapsed,
            (Act::PayDebt, Session::PastDue | Session::Lapsed) => Session::Paid,
            (Act::OpenFourthSession, _) => {
                // As checkout does it: only a session that still waits for its payment.
                let complete = billing.session_status.as_deref() == Some("complete");
                billing.expire_requested |= !billing.over() && !billing.confirmed() && !complete;
                return;
            }
            (Act::CancelOrder, _) => {
                if !billing.over() {
                    billing.expire_requested |= !billing.confirmed();
                    billing.wish = Some(EndWish::Now);
                }
                return;
            }
            (Act::ChangePlan, _) => {
                let ready = self.facts.server.exists() && self.facts.server.ever_ran();
                if ready && !billing.over() && self.facts.change.is_none() {
                    self.facts.change = Some(Changing {
                        plan_id: "another".to_owned(),
                        look_us: None,
                        paid_us: None,
                    });
                }
                return;
            }
            (Act::Rename, _) => {
                if !billing.over() {
                    self.facts.server.rename_us = Some(self.now_us);
                }
                return;
            }
            (Act::Reinstall, _) => {
                let server = &mut self.facts.server;
                let runs = server.exists() && server.observed_status.as_deref() == Some("");
                if runs && server.ever_ran() && !billing.over() {
                    server.reinstall_us = Some(self.now_us);
                }
                return;
            }
            (Act::Retry, _) => {
                if !billing.over() && self.facts.order.error_reason.take().is_some() {
                    self.facts.order.attempts = 0;
                    self.facts.server.reinstalls = 0;
                    billing.hints += 1;
                }
                return;
            }
            _ => return,
        };
        self.session = next;
        if told && next == Session::Failed {
            billing.payment_failed_us = Some(self.now_us);
        }
        let subscribed = matches!(
            act,
            Act::CancelSubscription | Act::RenewalFails | Act::DunningEnds | Act::PayDebt
        );
        if told || subscribed {
            billing.hints += 1;
            billing.session_id.get_or_insert_with(|| "cs_1".to_owned());
        }
    }

    fn install(&mut self) {
        let word = match take_first(&mut self.plot.installs, Install::Ends) {
            Install::Ends => {
                self.facts.server.first_running_us = Some(self.now_us);
                ""
            }
            Install::Fails => "install_failed",
            Install::Hangs => return,
        };
        self.facts.server.observed_status = Some(word.to_owned());
    }

    fn take(&mut self, step: Step) -> Outcome {
        let number = self.log.len();
        let this = |at: &u8| usize::from(*at) == number;
        let (away, dies) = (
            self.plot.troubles.iter().any(this),
            self.plot.crashes.iter().any(this),
        );
        self.log.push(step);
        if away && !matches!(step, Step::OpenSession | Step::CreateServer) {
            return Outcome::Later(RETRY_US);
        }
        let before = self.facts.clone();
        let outcome = match step {
            Step::OpenSession => self.open_session(),
            Step::SyncBilling => self.sync_billing(),
            Step::EnsureOwner => self.ensure_owner(),
            Step::Place => self.place(),
            Step::CreateServer => self.create(),
            Step::SettleCreate => self.settle(),
            Step::RetryInstall => self.retry_install(),
            Step::Suspend => self.suspend(),
            Step::Unsuspend => self.unsuspend(),
            Step::CancelSubscription => self.cancel_subscription(),
            Step::PlanEnd => self.plan_end(),
            Step::ChangePlan => self.change_plan(),
            Step::ApplySpec => self.apply_spec(),
            Step::Reinstall => self.reinstall(),
            Step::Delete => self.delete(),
            Step::Release => self.release(),
            Step::Refund => self.refund(),
            Step::Park(_) | Step::Wait { .. } | Step::Rest(_) => Outcome::Again,
        };
        if !dies {
            return outcome;
        }
        self.facts = before;
        if step == Step::Suspend {
            // So is this one.
            self.facts.server.suspend_sent_us = Some(self.now_us);
        }
        if step == Step::Reinstall {
            self.facts.server.reinstall_sent_us = Some(self.now_us);
        }
        if step == Step::CreateServer {
            // The mark is committed before the request is sent.
            self.facts.server.create_sent_us = Some(self.now_us);
            self.facts.server.settle_looks = 0;
            if std::mem::take(&mut self.server) {
                self.lands_us = Some(self.now_us);
            }
        }
        Outcome::Later(LEASE_US)
    }

    fn open_session(&mut self) -> Outcome {
        let expires_us = self.facts.billing.request_expires_us;
        let answer = take_first(&mut self.plot.opens, Open::Opened);
        // Stripe compares the key before the body: an open session is answered again.
        let refused = answer == Open::Refused || expires_us - self.now_us < 30 * 60 * SECOND_US;
        if self.session == Session::None {
            match answer {
                _ if refused => {
                    self.facts.billing.never_opened = true;
                    return Outcome::Again;
                }
                Open::NoAnswer => return Outcome::Later(RETRY_US),
                _ => self.session = Session::Open { expires_us },
            }
        }
        if answer == Open::OpenedWithoutAnswer {
            return Outcome::Later(RETRY_US);
        }
        let billing = &mut self.facts.billing;
        billing.session_id = Some("cs_1".to_owned());
        billing.session_status = Some("open".to_owned());
        billing.session_expires_us = Some(expires_us);
        Outcome::Again
    }

    fn sync_billing(&mut self) -> Outcome {
        if let Session::Open { expires_us } = self.session {
            let late = expires_us + timing().session_grace_us <= self.now_us;
            if late {
                self.session = Session::Expired;
            } else if self.facts.billing.expire_requested {
                if self.plot.refused_ends == 0 {
                    self.session = Session::Expired;
                } else {
                    self.plot.refused_ends -= 1;
                }
            }
        }
        let (session, payment, subscription) = match self.session {
            Session::None | Session::Open { .. } => ("open", "unpaid", None),
            Session::Unpaid => ("complete", "unpaid", Some("incomplete")),
            Session::Paid => ("complete", "paid", Some("active")),
            Session::PastDue => ("complete", "paid", Some("past_due")),
            Session::Lapsed => ("complete", "paid", Some("unpaid")),
            Session::Canceled => ("complete", "paid", Some("canceled")),
            // An event told, and no subscription was ever made.
            Session::Failed
                if self.facts.billing.payment_failed_us.is_some()
                    && self.facts.billing.subscription_id.is_none() =>
            {
                ("complete", "unpaid", None)
            }
            // Without an event, Stripe's own clock ends what was never paid.
            Session::Failed => ("complete", "unpaid", Some("incomplete_expired")),
            Session::Expired => ("expired", "unpaid", None),
        };
        let paid = payment == "paid";
        let unnamed = paid && self.plot.unnamed_reads > 0;
        let billing = &mut self.facts.billing;
        billing.hints_read = billing.hints;
        billing.session_status = Some(session.to_owned());
        billing.payment_status = Some(payment.to_owned());
        billing.read_us = Some(self.now_us);
        if unnamed {
            self.plot.unnamed_reads -= 1;
            return Outcome::Later(RETRY_US);
        }
        if let Some(subscription) = subscription {
            billing.subscription_id = Some("sub_1".to_owned());
            billing.subscription_status = Some(subscription.to_owned());
            let standing = billing.standing();
            let patience = self.facts.patience(timing().patience);
            let grounds = self.facts.grounds();
            let grounds = grounds.after_read(standing, patience, self.now_us);
            self.facts.billing.past_due_since_us = grounds.past_due_since_us;
            self.facts.billing.suspend_since_us = grounds.suspend_since_us;
        }
        let billing = &mut self.facts.billing;
        if paid && !billing.confirmed() {
            if self.plot.mismatch {
                self.facts.order.error_reason = Some(ErrorReason::BillingMismatch);
            } else {
                billing.confirmed_at_us = Some(self.now_us);
            }
        }
        Outcome::Again
    }

    fn refund(&mut self) -> Outcome {
        self.facts.billing.refunds_due -= 1;
        Outcome::Again
    }

    /// Whether Stripe still says what was planned on.
    fn still_so(&self) -> bool {
        let standing = match self.session {
            Session::Paid => Standing::Good,
            Session::PastDue => Standing::PastDue,
            Session::Lapsed => Standing::Lapsed,
            Session::Canceled | Session::Failed | Session::Expired => Standing::Over,
            Session::None | Session::Open { .. } | Session::Unpaid => Standing::Unclear,
        };
        standing == self.facts.billing.standing()
    }
}
