//! What banks and people in the Dashboard do with money that was paid.
//!
//! A payment is named by whatever leads to it: `pi_`, `ch_`, `in_`, or a `sub_` or `cs_` for the
//! last payment of it.

use super::super::charges;
use super::super::disputes::{self, DisputeOutcome, DisputeStatus, DisputedPayments};
use super::super::errors::Refusal;
use super::super::refunds;
use super::super::views::money::{DisputeView, PaymentView, RefundView};
use super::super::world::World;
use super::Controls;

impl Controls {
    /// All refunds, oldest first.
    pub fn refunds(&self) -> Vec<RefundView> {
        self.look(|world| {
            let view = |refund| RefundView::new(refund, world);
            world.refunds.iter().map(view).collect()
        })
    }

    /// All disputes, oldest first.
    pub fn disputes(&self) -> Vec<DisputeView> {
        self.look(|world| {
            let view = |dispute| DisputeView::new(dispute, world);
            world.disputes.iter().map(view).collect()
        })
    }

    /// One dispute.
    pub fn dispute(&self, id: &str) -> Option<DisputeView> {
        self.look(|world| {
            let dispute = world.disputes.get(id)?;
            Some(DisputeView::new(dispute, world))
        })
    }

    /// A payment and its charge.
    pub fn payment(&self, of: &str) -> Result<PaymentView, Refusal> {
        self.look(|world| {
            let charge = charges::named(world, of)?;
            Ok(PaymentView::new(&charge, world))
        })
    }

    /// Takes a payment without an invoice, as another shop of the account does.
    pub fn stray_payment(&self, amount: i64, currency: &str) -> Result<PaymentView, Refusal> {
        self.look(|world| {
            let charge = charges::stray(world, amount, currency)?;
            Ok(PaymentView::new(&charge, world))
        })
    }

    /// Lets the bank dispute a whole payment; the answer is the id of the dispute.
    pub fn open_dispute(&self, of: &str, reason: &str) -> Result<String, Refusal> {
        let status = DisputeStatus::NeedsResponse;
        self.look(|world| disputes::open(world, of, reason, None, status))
    }

    /// Lets the bank dispute a part of a payment.
    pub fn open_dispute_over(
        &self,
        of: &str,
        reason: &str,
        amount: i64,
    ) -> Result<String, Refusal> {
        let status = DisputeStatus::NeedsResponse;
        self.look(|world| disputes::open(world, of, reason, Some(amount), status))
    }

    /// Lets the bank ask about a payment: no money moves.
    pub fn open_inquiry(&self, of: &str, reason: &str) -> Result<String, Refusal> {
        let status = DisputeStatus::WarningNeedsResponse;
        self.look(|world| disputes::open(world, of, reason, None, status))
    }

    /// Lets an inquiry become a dispute, under its id.
    pub fn escalate_inquiry(&self, id: &str) -> Result<DisputeView, Refusal> {
        self.on_dispute(id, |world| disputes::escalate(world, id))
    }

    /// Answers the bank, as somebody does in the Dashboard.
    pub fn answer_dispute(&self, id: &str) -> Result<DisputeView, Refusal> {
        self.on_dispute(id, |world| disputes::answer(world, id))
    }

    /// Ends a dispute or an inquiry.
    pub fn close_dispute(&self, id: &str, outcome: DisputeOutcome) -> Result<DisputeView, Refusal> {
        self.on_dispute(id, |world| disputes::close(world, id, outcome))
    }

    /// What Stripe does about subscriptions of disputed payments, from now on.
    pub fn set_disputed_payments(&self, setting: DisputedPayments) {
        self.app.world().disputed_payments = setting;
    }

    /// Gives a payment back as somebody does in the Dashboard, all that is left without an amount.
    pub fn refund_by_hand(&self, of: &str, amount: Option<i64>) -> Result<RefundView, Refusal> {
        self.look(|world| {
            let refund = refunds::by_hand(world, of, amount)?;
            Ok(RefundView::new(&refund, world))
        })
    }

    /// Lets the customer's bank send a refund back.
    pub fn fail_refund(&self, id: &str) -> Result<RefundView, Refusal> {
        self.look(|world| {
            let refund = refunds::fail(world, id)?;
            Ok(RefundView::new(&refund, world))
        })
    }

    fn on_dispute(
        &self,
        id: &str,
        act: impl FnOnce(&mut World) -> Result<(), Refusal>,
    ) -> Result<DisputeView, Refusal> {
        self.look(|world| {
            act(world)?;
            let dispute = world.disputes.find(id)?;
            Ok(DisputeView::new(dispute, world))
        })
    }
}
