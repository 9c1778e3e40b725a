//! Steps of the model that stop, change or end what is there.

use super::{
    super::{scenario::Session, timing},
    IDLE_US, Outcome, World,
};
use crate::domain::order::{Changing, EndWish, ErrorReason};

impl World {
    pub(super) fn suspend(&mut self) -> Outcome {
        if !self.still_so() {
            return self.sync_billing();
        }
        self.never(self.session == Session::Paid, "stops what is paid for");
        let server = &mut self.facts.server;
        server.suspend_sent_us = Some(self.now_us);
        server.suspended_us = Some(self.now_us);
        server.reinstall_us = None;
        server.observed_status = Some("suspended".to_owned());
        Outcome::Again
    }

    pub(super) fn unsuspend(&mut self) -> Outcome {
        let server = &mut self.facts.server;
        server.suspend_sent_us = None;
        server.suspended_us = None;
        server.observed_status = Some(String::new());
        Outcome::Again
    }

    pub(super) fn cancel_subscription(&mut self) -> Outcome {
        let wanted = self.facts.billing.wish == Some(EndWish::Now);
        if wanted || self.still_so() {
            self.never(
                !wanted && self.session != Session::Lapsed,
                "ends what is paid for or tried again",
            );
            self.session = match self.session {
                Session::Paid | Session::PastDue | Session::Lapsed => Session::Canceled,
                // It waited for a delayed payment.
                Session::Unpaid => Session::Failed,
                over => over,
            };
        }
        self.sync_billing()
    }

    /// Stripe takes it, and nothing else changes until then.
    pub(super) fn plan_end(&mut self) -> Outcome {
        self.facts.billing.wish = None;
        self.sync_billing()
    }

    /// A third of them is paid at once, one later, and one never.
    pub(super) fn change_plan(&mut self) -> Outcome {
        let looked = self.log.len();
        let Some(change) = &mut self.facts.change else {
            return Outcome::Again;
        };
        match (looked % 3, change.look_us) {
            (0, Some(_)) => self.facts.change = None,
            (1, _) | (_, Some(_)) => {
                change.paid_us = Some(self.now_us);
                let paid = self.plot.changed.or(self.facts.order.lenience);
                self.facts.order.lenience = paid;
                self.facts.server.respec_us = Some(self.now_us);
            }
            (_, None) => change.look_us = Some(self.now_us + IDLE_US),
        }
        Outcome::Again
    }

    pub(super) fn apply_spec(&mut self) -> Outcome {
        self.never(!self.server, "gives limits to nothing");
        self.facts.server.respec_us = None;
        self.facts.server.rename_us = None;
        let paid = |change: &Changing| change.paid_us.is_some();
        self.facts.change = self.facts.change.take().filter(|change| !paid(change));
        Outcome::Again
    }

    pub(super) fn delete(&mut self) -> Outcome {
        let since_us = self.facts.server.suspended_us;
        let retention_us = self.facts.patience(timing().patience).retention_us;
        let kept_us = since_us.map(|since_us| since_us + retention_us);
        self.never(
            self.facts.server.ever_ran() && kept_us.is_none_or(|kept_us| self.now_us < kept_us),
            "deletes a used server before its time",
        );
        let never = self.facts.billing.never_opened;
        if !never
            && !matches!(
                self.session,
                Session::Canceled | Session::Failed | Session::Expired
            )
        {
            return Outcome::Park(ErrorReason::Internal);
        }
        self.server = false;
        self.facts.server.deleted_us = Some(self.now_us);
        self.facts.ports = 0;
        Outcome::Again
    }

    pub(super) fn release(&mut self) -> Outcome {
        self.never(
            self.server || self.lands_us.is_some(),
            "gives back what a server has",
        );
        let may_be_paid = matches!(
            self.session,
            Session::Open { .. }
                | Session::Unpaid
                | Session::Paid
                | Session::PastDue
                | Session::Lapsed
        );
        self.never(may_be_paid, "gives back what may still be paid");
        self.facts.hold_node = None;
        self.facts.ports = 0;
        self.facts.change = None;
        Outcome::Again
    }
}
